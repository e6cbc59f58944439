// Owns: the page as a whole: signing in, the views by address, keys that work everywhere, light and dark.
// It must not know what the views show.

import { askTabs, cluster, get, hasToken, send, setToken } from "./api.js";
import { element, fill, note, setText } from "./dom.js";
import { read, showing } from "./route.js";

const view = document.getElementById("view");
const views = {
  jobs: async (parts) => (parts.length > 2 ? (await import("./job.js")).jobView : (await import("./jobs.js")).jobsView),
  logs: async () => (await import("./logs.js")).logView,
  nodes: async (parts) => (parts.length > 1 ? (await import("./node.js")).nodeView : (await import("./nodes.js")).nodesView),
  cronjobs: async () => (await import("./crons.js")).cronsView,
  queues: async () => (await import("./queues.js")).queuesView,
};
let leave = null;
let shown = 0;
let present = "";

/** Shows what the address says. */
async function show() {
  const route = read();
  const name = route.parts[0] ?? "jobs";
  const path = route.parts.join("/");
  const mine = ++shown;
  if (!views[name]) return location.replace("#/jobs");
  const make = await views[name](route.parts);
  if (mine !== shown) return;
  leave?.();
  for (const one of document.querySelectorAll("nav a")) {
    if (one.hash === `#/${name}`) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  document.title = `${route.parts.slice(1).join("/") || name} · Stint`;
  if (present !== path) scrollTo(0, 0);
  present = path;
  showing(route.parts);
  leave = make(view, route);
}

/** Trades the code of a one-time address (`stint ui`) for this tab's key, and takes it out of the address. */
async function redeem() {
  const code = /^#code=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, "", "#/jobs");
  try {
    const answer = await send("POST", "session", { bearer: code });
    setToken((await answer.json()).token);
  } catch (error) {
    note(error.message, true);
  }
}

async function start() {
  await redeem();
  if (!hasToken()) setToken(await askTabs());
  try {
    await get("/version");
    // Who may not list anything has still signed in: a refusal of that name is no question of who asks.
    const groups = await get("/apis");
    cluster.isStint = groups.groups?.some((group) => group.name === "stint.dev") === true;
    document.querySelector('nav a[href="#/queues"]').hidden = !cluster.isStint;
  } catch (error) {
    if (error.code === 401 || (error.code === 403 && !hasToken())) return signIn(error);
    note(error.message, true);
  }
  document.getElementById("leave").hidden = !hasToken();
  addEventListener("hashchange", show);
  show();
}

function signIn(error) {
  const input = element("input", { type: "password", id: "token", autocomplete: "off", required: true, size: "60" });
  const form = element("form", {
    class: "card", onsubmit: (event) => {
      event.preventDefault();
      setToken(input.value.trim());
      location.reload();
    },
  },
  element("h1", {}, "Sign in"),
  element("p", {}, hasToken() ? `The cluster does not take the token: ${error.message}.` : "The cluster asks who you are."),
  element("label", { for: "token" }, "Bearer token"), input, element("button", { type: "submit" }, "Sign in"),
  element("p", { class: "quiet" }, "A token for a ServiceAccount: ", element("code", {}, "kubectl create token NAME"),
    ". It stays in this tab and is gone with it. ", element("code", {}, "stint ui"),
    " opens this page as yourself, without a token."));
  setToken("");
  fill(view, form);
  input.focus();
}

const keys = [
  ["/", "Filter or search"], ["g j, g c, g q, g n", "Jobs, CronJobs, queues, nodes"], ["j k ↑ ↓", "Move in a table"],
  ["Enter", "Open"], ["u", "Up: back to the list"], ["f", "In a log: follow"], ["?", "These keys"],
];

function showKeys() {
  const dialog = element("dialog", { "aria-label": "Keys", onclose: () => dialog.remove() },
    element("h2", {}, "Keys"), element("dl", {}, keys.map(([key, what]) => [
      element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)])),
    element("form", { method: "dialog" }, element("button", {}, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

let before = "";
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input,select,textarea,dialog")) return;
  const places = { j: "#/jobs", c: "#/cronjobs", q: "#/queues", n: "#/nodes" };
  const key = event.key;
  if (before === "g" && places[key]) {
    event.stopPropagation();
    location.hash = places[key];
  } else if (key === "/") {
    const field = document.querySelector("main input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (key === "u") {
    const { parts } = read();
    location.hash = parts[0] === "logs" ? document.querySelector("main .up")?.hash ?? "#/jobs" : `#/${parts[0]}`;
  } else if (key === "?") {
    showKeys();
  }
  before = key;
}, true);

const root = document.documentElement;
root.dataset.theme = localStorage.getItem("stint-theme") ?? "";
document.getElementById("theme").addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("stint-theme", root.dataset.theme);
  dispatchEvent(new Event("theme"));
});
addEventListener("link", ({ detail }) => setText(document.getElementById("link"), detail));
document.getElementById("keys").addEventListener("click", showKeys);
document.getElementById("leave").addEventListener("click", () => {
  setToken("");
  location.reload();
});
start();
