// Owns: what a filter of text, labels, namespace, state and owner lets through, and the label selectors of Kubernetes.
// Pure. It must not know where a filter is kept.

/** The terms of a selector such as `a=b,c!=d,e,!f,g in (x,y)`; throws what is wrong with it. */
export function parseSelector(text) {
  const terms = [];
  // A comma within parentheses parts values, not terms.
  for (const part of text.split(/,(?![^(]*\))/)) {
    const term = part.trim();
    if (!term) continue;
    const set = /^([^\s!=()]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(term);
    const equal = /^([^\s!=()]+)\s*(==|=|!=)\s*([^\s!=()]*)$/.exec(term);
    const there = /^(!?)\s*([^\s!=()]+)$/.exec(term);
    if (set) terms.push({ key: set[1], isIn: set[2] === "in", values: set[3].split(",").map((value) => value.trim()) });
    else if (equal) terms.push({ key: equal[1], isIn: equal[2] !== "!=", values: [equal[3]] });
    else if (there) terms.push({ key: there[2], isThere: there[1] === "" });
    else throw new Error(`"${term}" is no label selector`);
  }
  return terms;
}

export function matches(terms, labels) {
  return terms.every((term) => {
    const value = Object.hasOwn(labels, term.key) ? labels[term.key] : undefined;
    if (term.values) return (value !== undefined && term.values.includes(value)) === term.isIn;
    return (value !== undefined) === term.isThere;
  });
}

/** A function that says of a row whether it is shown; `problem` of it says what is wrong with the labels' selector. */
export function filterOf({ q = "", label = "", ns = "", state = "", owner = "" }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  let terms = [];
  let problem = "";
  try {
    terms = parseSelector(label);
  } catch (error) {
    problem = error.message;
  }
  const shows = (row, leaveOutState = false) =>
    (!ns || row.namespace === ns) &&
    (leaveOutState || !state || row.state === state) &&
    (!owner || (row.owner ?? "").toLowerCase().includes(owner.toLowerCase())) &&
    (!terms.length || matches(terms, row.labels)) &&
    words.every((word) => (row.search ??= searchText(row)).includes(word));
  return Object.assign(shows, { problem });
}

function searchText(row) {
  return `${row.namespace ?? ""}/${row.name} ${row.owner ?? ""} ${row.reason ?? ""} ${row.node ?? ""} ${row.queue ?? ""}`.toLowerCase();
}
