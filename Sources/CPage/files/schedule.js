// Owns: when a CronJob's schedule comes next, in its time zone, by cron's rules as Kubernetes has them. Pure.

const names = {
  month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  day: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};
const macros = {
  "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
};

/** The numbers of a field; null where it is none. */
function field(text, least, most, words = [], offset = 0) {
  const number = (word) => {
    const at = words.indexOf(word.toLowerCase());
    return at >= 0 ? at + offset : /^\d+$/.test(word) ? Number(word) : NaN;
  };
  const found = new Set();
  for (const part of text.split(",")) {
    const [range, step = "1"] = part.split("/");
    let [first, last] = range === "*" || range === "?" ? [least, most] : range.split("-").map(number);
    last ??= part.includes("/") ? most : first;
    const by = Number(step);
    if (!(first >= least && last <= most && first <= last && by >= 1)) return null;
    for (let value = first; value <= last; value += by) found.add(value);
  }
  return found;
}

/** A schedule's fields; null where it is none that is understood here. */
export function parse(text) {
  const parts = (macros[text.trim()] ?? text.trim()).split(/\s+/);
  if (parts.length !== 5) return null;
  const [minutes, hours, days, months, weekdays] = [
    field(parts[0], 0, 59), field(parts[1], 0, 23), field(parts[2], 1, 31), field(parts[3], 1, 12, names.month, 1),
    field(parts[4], 0, 7, names.day),
  ];
  if (!minutes || !hours || !days || !months || !weekdays) return null;
  if (weekdays.has(7)) weekdays.add(0);
  const isStar = (part) => part.startsWith("*") || part.startsWith("?");
  return { minutes, hours, days, months, weekdays, isEither: !isStar(parts[2]) && !isStar(parts[4]) };
}

function fits(schedule, day) {
  const inMonth = schedule.days.has(day.getUTCDate());
  const inWeek = schedule.weekdays.has(day.getUTCDay());
  return schedule.months.has(day.getUTCMonth() + 1) && (schedule.isEither ? inMonth || inWeek : inMonth && inWeek);
}

/** Milliseconds by which a zone's clocks are ahead of UTC at a moment. */
function ahead(zone, moment) {
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
    second: "numeric",
  }).formatToParts(moment).map(({ type, value }) => [type, Number(value)]));
  const wall = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
  return wall - Math.floor(moment / 1000) * 1000;
}

/** The next moment after `now`, as milliseconds; null where there is none within five years or it is not understood. */
export function next(text, zone, now) {
  const schedule = parse(text);
  if (!schedule) return null;
  try {
    const shift = ahead(zone || "UTC", now);
    // Days of the zone's calendar, as if it were UTC.
    let day = Math.floor((now + shift) / 86400000) * 86400000;
    for (let count = 0; count < 1830; count++, day += 86400000) {
      if (!fits(schedule, new Date(day))) continue;
      for (const hour of [...schedule.hours].sort((one, other) => one - other)) {
        for (const minute of [...schedule.minutes].sort((one, other) => one - other)) {
          const wall = day + (hour * 60 + minute) * 60000;
          if (wall <= now + shift - 86400000) continue;
          const moment = wall - ahead(zone || "UTC", wall - shift);
          // In a gap of the zone's clocks there is no such moment.
          if (moment > now && moment + ahead(zone || "UTC", moment) === wall) return moment;
        }
      }
    }
  } catch {
    return null;
  }
  return null;
}
