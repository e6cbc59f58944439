// Owns: a Job's page: how it stands and why, its attempts, indexes, time line, events and manifest. It must not know how
// each of these is drawn.

import { actionButtons } from "./actions.js";
import { get } from "./api.js";
import { attemptsTable, byTrouble } from "./attempts.js";
import { atMost, badge, download, element, fill, link, setText } from "./dom.js";
import { eventsPanel } from "./events.js";
import { Grid } from "./grid.js";
import { Indexes, states } from "./indexes.js";
import { progress, runTime } from "./jobs.js";
import { LiveList } from "./live.js";
import { jobRow, podRow, podStates } from "./model.js";
import { adjust, logAddress } from "./route.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";
import { age, clock, count } from "./words.js";
import { why } from "./why.js";
import { yaml } from "./yaml.js";

const looks = [
  ["--empty", ""], ["--Waiting", "dash"], ["--Running", "dot"], ["--Succeeded", ""], ["--Failed", "cross"],
  ["--Lost", "dot"], ["--line", "dash"],
];

export function jobView(place, { parts: [, namespace, name], settings }) {
  const path = `/apis/batch/v1/namespaces/${namespace}`;
  let job = null;
  let panel = null;
  let tab = "";
  const title = element("div", { class: "title" });
  const facts = element("dl", { class: "facts" });
  const reasons = element("div", { class: "why", role: "status", hidden: true });
  const tabs = element("div", { class: "tabs", role: "tablist" });
  const body = element("div", { class: "panel", role: "tabpanel" });
  fill(place, title, facts, reasons, tabs, body);
  fill(title, element("h1", {}, `${namespace}/${name}`), element("span", { class: "quiet" }, "…"));

  const pods = new LiveList({
    path: `/api/v1/namespaces/${namespace}/pods`, query: { labelSelector: `batch.kubernetes.io/job-name=${name}` },
    row: podRow, failed: (error) => fail(error), changed: (rows, isAll) => {
      indexes?.takePods(rows).forEach((index) => dirty.add(index));
      if (isAll || rows.length) update();
    },
  });
  const list = new LiveList({
    path: `${path}/jobs`, query: { fieldSelector: `metadata.name=${name}` },
    row: (object) => Object.assign(jobRow(object), { whole: object }), failed: (error) => fail(error),
    changed: () => {
      const found = [...list.rows.values()][0];
      if (found) takeJob(found);
      else if (list.isComplete) fail(new Error(job ? "The Job is gone; what is left is shown." : "There is no such Job."));
    },
  });
  let indexes = null;
  let row = null;
  const dirty = new Set();
  const update = atMost(150, () => {
    tell();
    panel?.update?.();
  });

  function fail(error) {
    reasons.hidden = false;
    reasons.className = "why failed";
    fill(reasons, element("p", {}, error.message));
  }

  function takeJob(found) {
    job = found.whole;
    row = found;
    if (row.isIndexed && row.wanted && !indexes) {
      indexes = new Indexes(row.wanted);
      indexes.takePods(pods.rows.values());
    }
    if (indexes?.takeJob(job)) dirty.add(-1);
    showHead();
    if (!tab) showTab(settings.tab ?? (indexes ? "indexes" : "attempts"));
    update();
  }

  function showHead() {
    const signature = [row.state, row.isSuspended, row.active, row.succeeded, row.failed].join();
    if (title.dataset.state !== signature) {
      title.dataset.state = signature;
      fill(title, link("#/jobs", "Jobs"), element("h1", {}, `${namespace} / ${name}`), badge(row.state), actionButtons("jobs", row, true));
    }
    const pairs = [
      ["", progress(row)], ["Run", row.active], ["Succeeded", row.succeeded], ["Failed", row.failed],
      ["Parallelism", row.parallelism], ["Started", clock(row.started)], ["Ran", runTime(row)], ["Owner", row.owner],
      ["Queue", row.queue], ["Age", age(row.created)],
    ];
    fill(facts, pairs.filter(([, value]) => value !== "").map(([key, value]) => element("div", {}, element("dt", {}, key), element("dd", {}, value))));
    fill(tabs, ["attempts", indexes && "indexes", "timeline", "events", "manifest"].filter(Boolean).map((one) => element("button", {
      type: "button", role: "tab", "aria-selected": String(one === tab), onclick: () => showTab(one),
    }, { attempts: "Attempts", indexes: "Indexes", timeline: "Time line", events: "Events", manifest: "Manifest" }[one])));
  }

  function tell() {
    if (!job) return;
    const said = why(job, [...pods.rows.values()]);
    reasons.hidden = !said.length;
    reasons.className = row.state === "Failed" || row.failed ? "why failed" : "why";
    const text = said.join("\n");
    if (reasons.dataset.text !== text) fill(reasons, said.map((line) => element("p", {}, line)));
    reasons.dataset.text = text;
  }

  function showTab(name) {
    panel?.stop?.();
    tab = panels[name] ? name : "attempts";
    settings = adjust({ tab });
    for (const button of tabs.children) button.setAttribute("aria-selected", "false");
    showHead();
    fill(body);
    panel = panels[tab]();
    panel.update?.(true);
  }

  const panels = {
    attempts() {
      const table = attemptsTable(row.isIndexed
        ? ["index", "name", "state", "node", "story", "ran", "age", "logs", "actions"]
        : ["name", "state", "node", "story", "ran", "age", "logs", "actions"], "No attempt matches.");
      const chips = ["", ...podStates].map((state) => element("button", {
        type: "button", class: `chip ${state.toLowerCase()}`, onclick: () => {
          settings = adjust({ state });
          show();
        },
      }));
      const search = element("input", {
        type: "search", placeholder: "index, node, reason, text …", "aria-label": "Filter attempts", value: settings.q ?? "",
        oninput: () => {
          settings = adjust({ q: search.value });
          show();
        },
      });
      fill(body, element("div", { class: "chips", role: "group", "aria-label": "State" }, chips, search), table.box);
      const show = (isFresh = false) => {
        const counts = {};
        const words = (settings.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
        const rows = [];
        for (const pod of pods.rows.values()) {
          const text = words.length ? `${pod.index} ${pod.name} ${pod.node} ${pod.reason} ${pod.code} ${pod.message}`.toLowerCase() : "";
          if (words.some((word) => (/^\d+$/.test(word) ? String(pod.index) !== word && String(pod.code) !== word : !text.includes(word)))) continue;
          counts[pod.state] = (counts[pod.state] ?? 0) + 1;
          counts[""] = (counts[""] ?? 0) + 1;
          if (!settings.state || settings.state === pod.state) rows.push(pod);
        }
        ["", ...podStates].forEach((state, position) => {
          setText(chips[position], `${state || "All"} ${counts[state] ?? 0}`);
          chips[position].hidden = position > 0 && !counts[state] && settings.state !== state;
          chips[position].setAttribute("aria-pressed", String((settings.state ?? "") === state));
        });
        table.show(rows.sort(byTrouble), isFresh);
      };
      const timer = setInterval(() => show(true), 10000);
      return {
        update: show, stop() {
          clearInterval(timer);
          table.stop();
        },
      };
    },

    indexes() {
      const line = element("p", { class: "quiet", role: "status" }, "Move over the grid, or press the arrow keys in it.");
      const legend = element("div", { class: "legend" });
      const open = (index) => {
        const attempt = indexes.latest.get(index);
        if (indexes.tries[index] > 1 || !attempt) {
          settings = adjust({ q: String(index), state: "" });
          showTab("attempts");
        } else {
          location.hash = logAddress(namespace, attempt.name, attempt.containers[0]);
        }
      };
      const grid = new Grid({
        count: indexes.count, cells: indexes.now, names: looks, chosen: open,
        label: `${count(indexes.count, "index", "indexes")} of ${name}`, told: (index) => setText(line, indexes.story(index)),
      });
      const table = new Table({
        label: "Indexes", empty: "No index.", columns: [
          { title: "Index", width: "6rem", cell: (one) => String(one.index) },
          { title: "State", width: "9rem", cell: (one) => badge(states[indexes.now[one.index]]) },
          { title: "Latest attempt", width: "1fr", cell: (one) => indexes.story(one.index) },
        ],
        open: (one) => logAddress(namespace, indexes.latest.get(one.index)?.name ?? "", ""),
      });
      const rows = Array.from({ length: indexes.count }, (_, index) => ({ index }));
      const details = element("details", { ontoggle: () => details.open && sort() }, element("summary", {}, "The same as a table"), table.box);
      table.box.style.height = "14rem";
      const sort = () => table.show(rows.sort((one, other) => rank(one) - rank(other) || one.index - other.index), true);
      const rank = ({ index }) => [5, 3, 2, 4, 0, 1, 6][indexes.now[index]];
      fill(body, legend, line, grid.box, details);
      return {
        update(isAll) {
          const counts = indexes.counts();
          fill(legend, states.map((state, position) => counts[position] > 0 && element("span", {},
            badge(state), ` ${counts[position].toLocaleString("en")}`)));
          if (isAll || dirty.has(-1)) grid.paint();
          else if (dirty.size) grid.paint(new Set(dirty));
          dirty.clear();
        },
        stop() {
          grid.stop();
          table.stop();
        },
      };
    },

    timeline() {
      const line = element("p", { class: "quiet", role: "status" }, "Each bar is an attempt, on the node where it ran.");
      const chart = new Timeline({
        chosen: (pod) => (location.hash = logAddress(namespace, pod.name, pod.containers[0])),
        told: (bar) => bar && setText(line, `${bar.row.name}: ${bar.row.state.toLowerCase()}, ${clock(bar.start)}, ${bar.row.reason}`),
      });
      fill(body, line, chart.box);
      return {
        update: atMost(400, () => chart.show([...pods.rows.values()])),
        stop: () => chart.stop(),
      };
    },

    events() {
      const mine = (event) => event.about === `Job/${name}` || event.about.startsWith(`Pod/${name}-`);
      const panel = eventsPanel(namespace, "", mine);
      fill(body, panel.box);
      return panel;
    },

    manifest() {
      const text = element("pre", { tabindex: "0" }, "…");
      const form = element("select", { "aria-label": "Form", onchange: () => show() }, element("option", {}, "YAML"), element("option", {}, "JSON"));
      let whole = "";
      const show = async () => {
        const object = await get(`${path}/jobs/${name}`);
        delete object.metadata.managedFields;
        whole = form.value === "YAML" ? yaml(object) : `${JSON.stringify(object, null, 2)}\n`;
        setText(text, whole);
      };
      fill(body, element("div", { class: "bar-of-tools" }, form,
        element("button", { type: "button", onclick: show }, "Read again"),
        element("button", { type: "button", onclick: () => download(`${name}.${form.value.toLowerCase()}`, [whole]) }, "Download")),
      element("div", { class: "scroll" }, text));
      show().catch(fail);
      return {};
    },
  };

  list.start();
  pods.start();
  const timer = setInterval(() => row && showHead(), 5000);
  return () => {
    panel?.stop?.();
    list.stop();
    pods.stop();
    clearInterval(timer);
  };
}
