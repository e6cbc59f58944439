// Owns: the list of Jobs: live, filtered by what the address says, counted by state. It must not know how a Job is shown.

import { actionButtons } from "./actions.js";
import { badge, element, fill, link, setText } from "./dom.js";
import { filterOf } from "./filter.js";
import { LiveList } from "./live.js";
import { jobRow, jobStates } from "./model.js";
import { adjust, jobAddress } from "./route.js";
import { Table } from "./table.js";
import { age, count, duration } from "./words.js";

const fields = [
  { name: "q", label: "Text", hint: "name, owner …  ( / )" },
  { name: "label", label: "Labels", hint: "app=demo,tier!=db" },
  { name: "owner", label: "Owner", hint: "CronJob/nightly" },
];

/** A Job's progress as a bar with numbers. */
export function progress(row) {
  const all = row.wanted ?? Math.max(row.parallelism, row.succeeded + row.active, 1);
  const part = (number) => `${Math.min(100, (100 * number) / all)}%`;
  const text = `${row.succeeded}/${row.wanted ?? "?"}`;
  return element("span", { class: "progress", title: `${text} succeeded, ${row.active} run, ${row.failed} failed` },
    element("i", { class: "bar", "aria-hidden": "true" },
      element("b", { class: "good", style: { width: part(row.succeeded) } }),
      element("b", { class: "bad", style: { width: part(row.isIndexed ? failedCount(row) : row.failed) } }),
      element("b", { class: "busy", style: { width: part(row.active) } })),
    element("em", {}, text));
}

function failedCount(row) {
  return row.failedIndexes ? Math.min(row.failed, row.wanted ?? row.failed) : 0;
}

export function runTime(row, now = Date.now()) {
  return row.started ? duration((row.ended ? Date.parse(row.ended) : now) - Date.parse(row.started)) : "";
}

const columns = [
  { title: "Name", width: "minmax(7rem, 3fr)", cell: (row) => link(jobAddress(row.namespace, row.name), row.name) },
  { title: "Namespace", width: "minmax(6rem, 1fr)", isWide: true, cell: (row) => row.namespace },
  { title: "State", width: "7.5rem", cell: (row) => badge(row.state) },
  { title: "Progress", width: "minmax(6.5rem, 1.5fr)", cell: progress },
  { title: "Failed", width: "5rem", isWide: true, cell: failedLink },
  { title: "Why", width: "minmax(6rem, 1.2fr)", isWide: true, cell: (row) => row.reason || row.queue },
  { title: "Owner", width: "minmax(6rem, 1.2fr)", isWide: true, cell: (row) => row.owner },
  { title: "Ran", width: "5rem", isWide: true, cell: (row) => runTime(row) },
  { title: "Age", width: "4.5rem", isWide: true, cell: (row) => age(row.created) },
  { title: "", width: "10.5rem", isWide: true, class: "actions", cell: (row) => actionButtons("jobs", row) },
];

/** Straight to the attempts that failed. */
function failedLink(row) {
  if (!row.failed) return "";
  return link(jobAddress(row.namespace, row.name, { tab: "attempts", state: "Failed" }), String(row.failed));
}

export function jobsView(place, { settings }) {
  let filter = filterOf(settings);
  const table = new Table({
    label: "Jobs", columns, open: (row) => jobAddress(row.namespace, row.name), empty: "No Job matches.",
  });
  const problem = element("p", { class: "error", role: "alert", hidden: true });
  const total = element("span", { class: "quiet", role: "status" });
  const change = (changes) => {
    settings = adjust(changes);
    filter = filterOf(settings);
    setText(problem, filter.problem);
    problem.hidden = !filter.problem;
    show();
  };
  const chips = ["", ...jobStates].map((state) => element("button", {
    type: "button", class: `chip ${state.toLowerCase()}`, onclick: () => change({ state }),
  }));
  const namespaces = element("select", { "aria-label": "Namespace", onchange: () => change({ ns: namespaces.value }) });
  const inputs = fields.map(({ name, label, hint }) => element("label", {}, element("span", {}, label), element("input", {
    type: "search", value: settings[name] ?? "", placeholder: hint, id: `filter-${name}`,
    oninput: (event) => change({ [name]: event.target.value.trim() }),
  })));
  fill(place, element("h1", { class: "unseen" }, "Jobs"),
    element("div", { class: "filters" }, inputs, element("label", {}, element("span", {}, "Namespace"), namespaces)),
    element("div", { class: "chips", role: "group", "aria-label": "State" }, chips, total), problem, table.box);

  // Who may not list all namespaces names one.
  let isNarrow = false;
  let list = null;
  const one = element("input", {
    type: "search", id: "namespace", value: settings.ns ?? "", placeholder: "one that you may see", onchange: () => {
      change({ ns: one.value.trim() });
      start();
    },
  });

  function start() {
    list?.stop();
    if (isNarrow && !settings.ns) return;
    const path = isNarrow ? `/apis/batch/v1/namespaces/${encodeURIComponent(settings.ns)}/jobs` : "/apis/batch/v1/jobs";
    list = new LiveList({
      path, row: jobRow, changed: show, failed: (error) => {
        table.empty = error.message;
        if (error.code === 403 && !isNarrow) {
          isNarrow = true;
          namespaces.replaceWith(one);
          if (settings.ns) return start();
          table.empty += ": name a namespace above";
        }
        show();
      },
    }).start();
  }

  function show(isFresh = false) {
    if (!list) return;
    const counts = {};
    const rows = [];
    let sum = 0;
    for (const row of list.rows.values()) {
      if (!filter(row, true)) continue;
      sum++;
      counts[row.state] = (counts[row.state] ?? 0) + 1;
      if (!settings.state || row.state === settings.state) rows.push(row);
    }
    rows.sort((one, other) => (one.created < other.created ? 1 : one.created > other.created ? -1
      : one.name < other.name ? -1 : 1));
    ["", ...jobStates].forEach((state, position) => {
      setText(chips[position], `${state || "All"} ${state ? counts[state] ?? 0 : sum}`);
      chips[position].setAttribute("aria-pressed", String((settings.state ?? "") === state));
    });
    setText(total, `${count(rows.length, "Job")}${list.isComplete ? "" : " …"}`);
    showNamespaces();
    table.show(rows, isFresh === true);
  }

  function showNamespaces() {
    const names = [...new Set([...list.rows.values()].map((row) => row.namespace))].sort();
    if (settings.ns && !names.includes(settings.ns)) names.push(settings.ns);
    if (namespaces.dataset.names === names.join()) return;
    namespaces.dataset.names = names.join();
    fill(namespaces, element("option", { value: "" }, "all"), names.map((name) => element("option", { value: name }, name)));
    namespaces.value = settings.ns ?? "";
  }

  start();
  const clock = setInterval(() => show(true), 10000);
  table.box.focus({ preventScroll: true });
  return () => {
    list.stop();
    table.stop();
    clearInterval(clock);
  };
}
