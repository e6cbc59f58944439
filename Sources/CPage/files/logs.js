// Owns: the logs of an attempt: which container and run, from the end or whole, following, searching, downloading. It
// must not know how lines are kept or shown.

import { get, log } from "./api.js";
import { badge, breath, download, element, fill, link, note, setText } from "./dom.js";
import { Lines } from "./lines.js";
import { LogView } from "./logview.js";
import { podRow, podStory } from "./model.js";
import { address, adjust, jobAddress, nodeAddress } from "./route.js";
import { bytes, count } from "./words.js";

/** What is read first, from the end: enough for a screen or two, at once. */
const firstLines = 1000;

export function logView(place, { parts: [, namespace, pod, container = ""], settings }) {
  const lines = new Lines();
  const view = new LogView(lines);
  let row = null;
  let reading = null;
  let search = null;
  let tail = settings.all ? null : firstLines;
  const about = element("span", { class: "quiet" });
  const title = element("div", { class: "title" }, element("h1", {}, `${namespace} / ${pod}`));
  const amount = element("span", { class: "quiet", role: "status" });
  const which = element("select", { "aria-label": "Container", onchange: () => (location.hash = address(["logs", namespace, pod, which.value], { ...settings, all: "" })) });
  const toggle = (name, text, act) => element("button", {
    type: "button", "aria-pressed": String(settings[name] === "1"), onclick: (event) => {
      settings = adjust({ [name]: settings[name] === "1" ? "" : "1" });
      event.target.setAttribute("aria-pressed", String(settings[name] === "1"));
      act();
    },
  }, text);
  const follow = element("button", {
    type: "button", "aria-pressed": "true", title: "f", onclick: () => {
      view.follows = !view.follows;
      view.onFollow(view.follows);
      view.update();
    },
  }, "Follow");
  view.onFollow = (follows) => follow.setAttribute("aria-pressed", String(follows));
  const more = element("button", { type: "button", onclick: earlier }, "Earlier");
  const field = element("input", {
    type: "search", placeholder: "Search  ( / )", "aria-label": "Search the log",
    oninput: () => find(field.value), onkeydown: (event) => {
      if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") view.box.focus();
    },
  });
  const hits = element("span", { class: "quiet", role: "status" });
  fill(place, title, element("div", { class: "bar-of-tools" }, which, follow, more,
    element("button", { type: "button", onclick: whole }, "All"),
    toggle("previous", "Previous run", read), toggle("times", "Time stamps", read),
    toggle("wrap", "Wrap", () => view.wrap(settings.wrap === "1")),
    element("button", { type: "button", onclick: save }, "Download"), field,
    element("button", { type: "button", "aria-label": "Next", onclick: () => step(1) }, "↓"),
    element("button", { type: "button", "aria-label": "Previous", onclick: () => step(-1) }, "↑"), hits, amount), about, view.box);
  if (settings.wrap === "1") view.wrap(true);

  async function start() {
    try {
      row = podRow(await get(`/api/v1/namespaces/${namespace}/pods/${pod}`));
      fill(title, row.job ? element("a", { href: jobAddress(namespace, row.job, { tab: "attempts" }), class: "up" }, row.job) : null,
        element("h1", {}, `${namespace} / ${pod}`), badge(row.state), row.node && link(nodeAddress(row.node), row.node));
      setText(about, podStory(row));
      fill(which, row.containers.map((name) => element("option", { value: name }, name)));
      which.value = container || row.containers[0];
      which.hidden = row.containers.length < 2;
    } catch (error) {
      setText(about, error.message);
    }
    read();
  }

  /** Reads from the end on, and goes on while the container runs. */
  async function read() {
    reading?.abort();
    const mine = (reading = new AbortController());
    const query = {
      container: container || row?.containers[0] || "", follow: settings.previous === "1" ? "" : "true",
      timestamps: settings.times === "1" ? "true" : "", previous: settings.previous === "1" ? "true" : "",
      tailLines: tail ?? "",
    };
    let isFirst = true;
    let end = performance.now() + 12;
    try {
      for await (const part of log(namespace, pod, query, mine.signal)) {
        if (isFirst) lines.clear();
        isFirst = false;
        // Pieces are small enough for a task each.
        for (let from = 0; from < part.length; from += 65536) {
          lines.append(part.subarray(from, from + 65536));
          if (performance.now() > end) {
            view.update();
            tell();
            await breath();
            if (mine.signal.aborted) return;
            end = performance.now() + 12;
          }
        }
        view.update();
        tell();
      }
      if (isFirst) lines.clear();
      tell("the end");
    } catch (error) {
      if (mine.signal.aborted) return;
      if (isFirst) lines.clear();
      tell(error.message);
    }
    view.update();
  }

  function tell(word = "") {
    more.disabled = tail === null || lines.count < tail;
    const text = `${count(lines.count, "line")}, ${bytes(lines.bytes)}${lines.dropped ? ", the oldest left out" : ""}`;
    setText(amount, word ? `${text} · ${word}` : text);
  }

  function earlier() {
    tail *= 8;
    view.follows = true;
    read();
  }

  function whole() {
    tail = null;
    settings = adjust({ all: "1" });
    read();
  }

  async function save() {
    const query = { container: container || row?.containers[0] || "", timestamps: settings.times === "1" ? "true" : "" };
    if (settings.previous === "1") query.previous = "true";
    const parts = [];
    try {
      for await (const part of log(namespace, pod, query, new AbortController().signal)) parts.push(part);
      download(`${pod}${container ? `-${container}` : ""}.log`, parts);
    } catch (error) {
      note(error.message, true);
    }
  }

  async function find(text) {
    const mine = (search = { places: [], at: -1 });
    view.found = text.toLowerCase();
    view.current = -1;
    view.update();
    setText(hits, "");
    if (!text) return;
    await lines.find(text, breath, () => mine === search, (position) => {
      mine.places.push(position + lines.dropped);
      if (mine.places.length % 500 === 1) setText(hits, `${mine.places.length} …`);
    });
    if (mine === search) setText(hits, count(mine.places.length, "line"));
    if (mine === search && mine.places.length) step(-1);
  }

  function step(by) {
    if (!search?.places.length) return;
    const all = search.places.length;
    search.at = search.at < 0 ? (by < 0 ? all - 1 : 0) : (search.at + by + all) % all;
    setText(hits, `${search.at + 1} of ${all}`);
    view.jump(search.places[search.at] - lines.dropped);
  }

  const onKey = (event) => {
    if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.target.closest("input,select,dialog")) follow.click();
  };
  addEventListener("keydown", onKey);
  start();
  view.box.focus({ preventScroll: true });
  return () => {
    reading?.abort();
    search = null;
    view.stop();
    removeEventListener("keydown", onKey);
  };
}
