// Owns: a node's page: how it stands, its attempts, its events. It must not know the list of nodes.

import { actionButtons } from "./actions.js";
import { attemptsTable, byTrouble } from "./attempts.js";
import { atMost, badge, element, fill, link } from "./dom.js";
import { eventsPanel } from "./events.js";
import { LiveList } from "./live.js";
import { nodeRow, podRow } from "./model.js";
import { load, loads } from "./nodes.js";
import { adjust } from "./route.js";
import { age, amount, bytes, cores } from "./words.js";

export function nodeView(place, { parts: [, name], settings }) {
  const title = element("div", { class: "title" });
  const facts = element("dl", { class: "facts" });
  const trouble = element("p", { class: "why failed", hidden: true });
  const body = element("div", { class: "panel" });
  const tabs = element("div", { class: "tabs", role: "tablist" });
  let panel = null;
  let tab = settings.tab === "events" ? "events" : "attempts";
  const nodes = new LiveList({
    path: "/api/v1/nodes", query: { fieldSelector: `metadata.name=${name}` }, row: nodeRow, changed: () => show(),
    failed: (error) => tell(error.message),
  });
  const pods = new LiveList({
    path: "/api/v1/pods", query: { fieldSelector: `spec.nodeName=${name}` }, row: podRow,
    changed: atMost(150, () => show()), failed: (error) => tell(error.message),
  });
  fill(place, title, facts, trouble, tabs, body);

  function tell(text) {
    trouble.hidden = !text;
    trouble.textContent = text;
  }

  function show() {
    const row = [...nodes.rows.values()][0];
    if (!row) return nodes.isComplete && tell("There is no such node.");
    const used = loads(pods.rows.values()).get(name) ?? { pods: 0, cpu: 0, memory: 0 };
    const state = `${row.state}${row.isCordoned}`;
    if (title.dataset.state !== state) {
      title.dataset.state = state;
      fill(title, link("#/nodes", "Nodes"), element("h1", {}, name), badge(row.state), actionButtons("nodes", row, true));
    }
    tell(row.reason);
    const pairs = [
      ["Pods", load(used.pods, amount(row.room.pods), `${used.pods}/${row.room.pods}`)],
      ["Processors asked", load(used.cpu, amount(row.room.cpu), `${cores(used.cpu)}/${cores(amount(row.room.cpu))}`)],
      ["Memory asked", load(used.memory, amount(row.room.memory), `${bytes(used.memory)} / ${bytes(amount(row.room.memory))}`)],
      ["Address", row.address], ["Version", row.version], ["System", row.system], ["Taints", row.taints.join(", ")],
      ["Labels", Object.entries(row.labels).map(([key, value]) => `${key}=${value}`).join(", ")], ["Age", age(row.created)],
    ];
    fill(facts, pairs.filter(([, value]) => value).map(([key, value]) => element("div", {}, element("dt", {}, key), element("dd", {}, value))));
    panel?.update?.();
  }

  function showTab(one) {
    panel?.stop();
    tab = one;
    adjust({ tab });
    fill(tabs, [["attempts", "Attempts"], ["events", "Events"]].map(([key, text]) => element("button", {
      type: "button", role: "tab", "aria-selected": String(key === tab), onclick: () => showTab(key),
    }, text)));
    if (tab === "events") {
      panel = eventsPanel("", `involvedObject.kind=Node,involvedObject.name=${name}`);
      return fill(body, panel.box);
    }
    const table = attemptsTable(["name", "job", "state", "story", "ran", "age", "logs"], "No pod is here.");
    fill(body, table.box);
    panel = { update: () => table.show([...pods.rows.values()].sort(byTrouble), true), stop: () => table.stop() };
    panel.update();
  }

  nodes.start();
  pods.start();
  showTab(tab);
  return () => {
    panel?.stop();
    nodes.stop();
    pods.stop();
  };
}
