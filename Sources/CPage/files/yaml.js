// Owns: an object as YAML for reading. Pure; it writes only what every YAML reader takes back as it was.

const plain = /^[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./()-]+)*$/;
const words = /^(true|false|null|yes|no|on|off|y|n|~)$/i;

function scalar(value, indentation) {
  if (typeof value !== "string") return JSON.stringify(value);
  if (value.includes("\n") && /^\S/.test(value) && !/[^\n\x20-\uD7FF\uE000-\uFFFD]/.test(value)) {
    const end = value.endsWith("\n") ? (value.endsWith("\n\n") ? "+" : "") : "-";
    const lines = value.replace(/\n$/, "").split("\n");
    return `|${end}\n${lines.map((line) => (line ? indentation + line : "")).join("\n")}`;
  }
  return plain.test(value) && !words.test(value) ? value : JSON.stringify(value);
}

/** The lines of a value at a depth; `isItem`: it stands behind a dash. */
function write(value, indentation, out, isItem) {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  let lead = isItem ? "" : indentation;
  for (const [key, member] of entries) {
    const name = `${lead}${Array.isArray(value) ? "-" : `${scalar(key, "")}:`}`;
    lead = indentation;
    const isEmpty = member && typeof member === "object" && !Object.keys(member).length;
    if (!member || typeof member !== "object" || isEmpty) {
      out.push(`${name} ${scalar(member, `${indentation}  `)}`);
    } else if (Array.isArray(value)) {
      const start = out.length;
      write(member, `${indentation}  `, out, true);
      out[start] = `${name} ${out[start]}`;
    } else {
      out.push(name);
      write(member, Array.isArray(member) ? indentation : `${indentation}  `, out, false);
    }
  }
}

/** An object of the API as YAML. */
export function yaml(object) {
  const out = [];
  write(object, "", out, false);
  return `${out.join("\n")}\n`;
}
