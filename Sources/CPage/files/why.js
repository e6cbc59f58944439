// Owns: why a Job waits, fails or is slow, in sentences, from what the API says of it and its pods. Pure.

import { condition, podStory } from "./model.js";
import { count } from "./words.js";

/** Sentences, what matters most first; none where all is well. */
export function why(job, rows) {
  const said = [];
  const failed = condition(job, "Failed") ?? condition(job, "FailureTarget");
  if (failed) said.push(`${failed.reason}: ${failed.message}`);
  if (job.metadata.deletionTimestamp) said.push(`It is being deleted${finalizers(job)}.`);
  if (!failed && job.spec?.suspend) said.push("It is suspended: it has no pods until it is resumed.");
  for (const one of job.status?.conditions ?? []) {
    if (one.type.includes("/") && one.status === "False" && one.message) said.push(`${one.reason}: ${one.message}`);
  }
  const waiting = groups(rows.filter((row) => row.state === "Waiting" && row.waits), (row) => row.waits);
  for (const [message, group] of waiting) said.push(`${count(group.length, "pod")} without a node: ${message}`);
  const failing = groups(rows.filter((row) => row.state === "Failing"), (row) => podStory(row));
  for (const [message, group] of failing) said.push(`${count(group.length, "pod")} in trouble: ${message}`);
  const ended = groups(rows.filter((row) => row.state === "Failed" || row.state === "Lost"), (row) => podStory({ ...row, restarts: 0 }));
  for (const [message, group] of ended) said.push(`${count(group.length, "attempt")} failed${message ? `: ${message}` : ""}${where(group)}`);
  return said;
}

function finalizers(job) {
  const names = job.metadata.finalizers ?? [];
  return names.length ? `; ${names.join(", ")} must be taken off first` : "";
}

/** Where all of several failures were on one node, the node is worth a look. */
function where(group) {
  const nodes = new Set(group.map((row) => row.node));
  return group.length > 2 && nodes.size === 1 ? ` (all on ${group[0].node})` : "";
}

/** Rows by what is said of them, the largest group first; five of them. */
function groups(rows, name) {
  const found = new Map();
  for (const row of rows) {
    const key = name(row);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(row);
  }
  return [...found].sort((one, other) => other[1].length - one[1].length).slice(0, 5);
}
