// Owns: times, durations, amounts and numbers in words, and the numbers of indexes as Kubernetes writes them. All of it
// is pure. It must not know the page.

/** `3m20s`, `5h`, `12d`: as kubectl has it. */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 ? `${minutes}m${seconds % 60}s` : `${minutes}m`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  if (hours < 48) return `${hours}h`;
  return `${Math.floor(hours / 24)}d`;
}

/** How long ago a time of the API was. */
export function age(time, now = Date.now()) {
  return time ? duration(now - Date.parse(time)) : "";
}

/** A time of the API for reading. */
export function clock(time) {
  if (!time) return "";
  const date = new Date(time);
  const sameDay = date.toDateString() === new Date().toDateString();
  const hour = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return sameDay ? hour : `${date.toLocaleDateString([], { month: "short", day: "numeric" })} ${hour}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

const scales = {
  n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50,
};

/** The number that a Kubernetes amount (`500m`, `2Gi`, `1e3`) says; 0 for what is none. */
export function amount(text) {
  const parts = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)$/.exec(String(text ?? "0"));
  if (!parts) return 0;
  return Number(parts[1]) * (parts[2] ? scales[parts[2]] ?? 0 : 1);
}

/** Bytes for reading. */
export function bytes(number) {
  for (const unit of ["Ti", "Gi", "Mi", "Ki"]) {
    if (number >= scales[unit]) return `${(number / scales[unit]).toFixed(number >= 10 * scales[unit] ? 0 : 1)} ${unit}B`;
  }
  return `${Math.round(number)} B`;
}

/** Processors for reading. */
export function cores(number) {
  return String(Math.round(number * 100) / 100);
}

/** The ranges of `1-5,7` as pairs [first, last], those below `limit`. */
export function ranges(text, limit = Infinity) {
  const result = [];
  for (const part of (text ?? "").split(",")) {
    const [first, last] = part.split("-").map((word) => Number.parseInt(word, 10));
    if (!Number.isInteger(first) || first >= limit) continue;
    result.push([first, Math.min(Number.isInteger(last) ? last : first, limit - 1)]);
  }
  return result;
}

/** Numbers in order as Kubernetes writes them. */
export function rangesText(numbers) {
  const parts = [];
  let first = null;
  let last = null;
  const end = () => first !== null && parts.push(first === last ? `${first}` : `${first}-${last}`);
  for (const number of numbers) {
    if (last !== null && number === last + 1) {
      last = number;
      continue;
    }
    end();
    first = last = number;
  }
  end();
  return parts.join(",");
}
