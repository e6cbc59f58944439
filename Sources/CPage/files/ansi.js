// Owns: what a line of a log says of colours (SGR sequences of ECMA-48), as pieces of text with classes. Everything else
// that a terminal would obey is left out. Pure.

const escape = /\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
const rest = /[\x00-\x08\x0b-\x1f\x7f]/g;
const styles = { 1: "bold", 2: "faint", 3: "italic", 4: "underline" };

/** Pieces { text, style } of a line. */
export function pieces(line) {
  if (!line.includes("\x1b")) return [{ text: line.replace(rest, ""), style: "" }];
  const found = [];
  let on = new Set();
  let colour = "";
  let start = 0;
  const add = (text) => {
    const clean = text.replace(rest, "");
    if (clean) found.push({ text: clean, style: [...on, colour].filter(Boolean).join(" ") });
  };
  for (const match of line.matchAll(escape)) {
    add(line.slice(start, match.index));
    start = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").split(/[;:]/).map(Number);
    for (let place = 0; place < codes.length; place++) {
      const code = codes[place];
      if (code === 0) {
        on = new Set();
        colour = "";
      } else if (styles[code]) on.add(styles[code]);
      else if (code === 22) ["bold", "faint"].forEach((style) => on.delete(style));
      else if (code === 23) on.delete("italic");
      else if (code === 24) on.delete("underline");
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) colour = `c${code % 10}`;
      else if (code === 39) colour = "";
      else if (code === 38 || code === 48) {
        // Of 256 colours the first sixteen are ours; the others stay plain.
        if (codes[place + 1] === 5 && code === 38) colour = codes[place + 2] < 16 ? `c${codes[place + 2] % 8}` : "";
        place += codes[place + 1] === 5 ? 2 : 4;
      }
    }
  }
  add(line.slice(start));
  return found;
}

/** A line without any of that, for searching. */
export function plainText(line) {
  return line.replace(escape, "").replace(rest, "");
}
