// Owns: pods as attempts in a table: state, node, how they ended, their logs. It must not know which list they are of.

import { actionButtons } from "./actions.js";
import { badge, element, link } from "./dom.js";
import { podStates, podStory } from "./model.js";
import { jobAddress, logAddress, nodeAddress } from "./route.js";
import { Table } from "./table.js";
import { age, duration } from "./words.js";

const order = Object.fromEntries(podStates.map((state, position) => [state, position]));

/** Trouble first, then the newest. */
export function byTrouble(one, other) {
  return order[one.state] - order[other.state]
    || (one.created < other.created ? 1 : one.created > other.created ? -1 : (other.index ?? 0) - (one.index ?? 0));
}

export function ranFor(row, now = Date.now()) {
  return row.started ? duration((row.ended ? Date.parse(row.ended) : now) - Date.parse(row.started)) : "";
}

const columns = {
  index: { title: "Index", width: "4.5rem", cell: (row) => (row.index === null ? "" : String(row.index)) },
  name: {
    title: "Attempt", width: "minmax(9rem, 2fr)",
    cell: (row) => link(logAddress(row.namespace, row.name, row.containers.at(0) ?? ""), row.name),
  },
  job: {
    title: "Job", width: "minmax(7rem, 1.5fr)", isWide: true,
    cell: (row) => (row.job ? link(jobAddress(row.namespace, row.job), row.job) : ""),
  },
  state: { title: "State", width: "7.5rem", cell: (row) => badge(row.state) },
  node: {
    title: "Node", width: "minmax(6rem, 1fr)", isWide: true,
    cell: (row) => (row.node ? link(nodeAddress(row.node), row.node) : ""),
  },
  story: { title: "How it ended, or why it waits", width: "minmax(8rem, 3fr)", cell: podStory },
  ran: { title: "Ran", width: "5rem", isWide: true, cell: (row) => ranFor(row) },
  age: { title: "Age", width: "4.5rem", isWide: true, cell: (row) => age(row.created) },
  logs: {
    title: "Logs", width: "minmax(6rem, 1fr)", isWide: true, cell: (row) => element("span", {}, row.containers.map((name, position) => [
      position ? " " : "", link(logAddress(row.namespace, row.name, name), name)])),
  },
  actions: { title: "", width: "5rem", isWide: true, class: "actions", cell: (row) => actionButtons("pods", row) },
};

/** A table of attempts with these columns. */
export function attemptsTable(names, empty) {
  return new Table({
    label: "Attempts", columns: names.map((name) => columns[name]), empty,
    open: (row) => logAddress(row.namespace, row.name, row.containers.at(0) ?? ""),
  });
}
