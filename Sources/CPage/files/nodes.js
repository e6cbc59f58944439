// Owns: the list of nodes: state, what is asked of them by their pods, cordon and drain. It must not know how a node's
// own page looks.

import { actionButtons } from "./actions.js";
import { atMost, badge, element, fill, link } from "./dom.js";
import { filterOf } from "./filter.js";
import { LiveList } from "./live.js";
import { nodeRow, podRow } from "./model.js";
import { adjust, nodeAddress } from "./route.js";
import { Table } from "./table.js";
import { age, amount, bytes, cores } from "./words.js";

/** What the containers of a pod ask for. */
export function asked(row) {
  const sum = { cpu: 0, memory: 0 };
  for (const { resources = {} } of row.cpu) {
    sum.cpu += amount(resources.requests?.cpu);
    sum.memory += amount(resources.requests?.memory);
  }
  return sum;
}

/** A share as a bar with words. */
export function load(used, room, text) {
  const share = room ? Math.min(100, (100 * used) / room) : 0;
  return element("span", { class: "progress", title: text }, element("i", { class: "bar", "aria-hidden": "true" },
    element("b", { class: share > 90 ? "bad" : "busy", style: { width: `${share}%` } })), element("em", {}, text));
}

/** How many pods run on each node, and what they ask for. */
export function loads(pods) {
  const found = new Map();
  for (const row of pods) {
    if (!row.node || row.ended || row.phase === "Succeeded" || row.phase === "Failed") continue;
    const sum = found.get(row.node) ?? { pods: 0, cpu: 0, memory: 0 };
    const more = asked(row);
    found.set(row.node, { pods: sum.pods + 1, cpu: sum.cpu + more.cpu, memory: sum.memory + more.memory });
  }
  return found;
}

export function nodesView(place, { settings }) {
  const nothing = { pods: 0, cpu: 0, memory: 0 };
  let sums = new Map();
  const of = (row) => sums.get(row.name) ?? nothing;
  const table = new Table({
    label: "Nodes", open: (row) => nodeAddress(row.name), empty: "No node matches.", columns: [
      { title: "Name", width: "minmax(8rem, 2fr)", cell: (row) => link(nodeAddress(row.name), row.name) },
      { title: "State", width: "8rem", cell: (row) => badge(row.state) },
      { title: "Pods", width: "minmax(6rem, 1fr)", cell: (row) => load(of(row).pods, amount(row.room.pods), `${of(row).pods}/${row.room.pods ?? "?"}`) },
      { title: "Processors asked", width: "minmax(8rem, 1fr)", isWide: true, cell: (row) => load(of(row).cpu, amount(row.room.cpu), `${cores(of(row).cpu)}/${cores(amount(row.room.cpu))}`) },
      { title: "Memory asked", width: "minmax(10rem, 1.3fr)", isWide: true, cell: (row) => load(of(row).memory, amount(row.room.memory), `${bytes(of(row).memory)} / ${bytes(amount(row.room.memory))}`) },
      { title: "Trouble", width: "minmax(6rem, 2fr)", isWide: true, cell: (row) => row.reason },
      { title: "Version", width: "7rem", isWide: true, cell: (row) => row.version },
      { title: "Age", width: "4.5rem", isWide: true, cell: (row) => age(row.created) },
      { title: "", width: "10rem", class: "actions", isWide: true, cell: (row) => actionButtons("nodes", row) },
    ],
  });
  let filter = filterOf(settings);
  const field = (name, label, hint) => element("label", {}, element("span", {}, label), element("input", {
    type: "search", value: settings[name] ?? "", placeholder: hint, oninput: (event) => {
      settings = adjust({ [name]: event.target.value.trim() });
      filter = filterOf(settings);
      show();
    },
  }));
  fill(place, element("h1", { class: "unseen" }, "Nodes"),
    element("div", { class: "filters" }, field("q", "Text", "name"), field("label", "Labels", "zone=a")), table.box);
  const failed = (error) => {
    table.empty = error.message;
    show();
  };
  const show = atMost(100, () => {
    sums = loads(pods.rows.values());
    const rows = [...nodes.rows.values()].filter((row) => filter(row));
    table.show(rows.sort((one, other) => (one.name < other.name ? -1 : 1)), true);
  });
  const nodes = new LiveList({ path: "/api/v1/nodes", row: nodeRow, changed: show, failed }).start();
  const pods = new LiveList({
    path: "/api/v1/pods", query: { fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" }, row: podRow, changed: show, failed,
  }).start();
  return () => {
    nodes.stop();
    pods.stop();
    table.stop();
  };
}
