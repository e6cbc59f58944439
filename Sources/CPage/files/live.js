// Owns: a list of objects that stays true: listed in pages, then watched, and taken up again after whatever ends the
// watch. A tab that nobody sees holds no watch, since a browser has six connections to a place. It must not know kinds.

import { get, send, withQuery } from "./api.js";
import { breath } from "./dom.js";

const pageSize = 250;
/** Milliseconds of work before the browser gets its turn. */
const slice = 12;

/** Tells the page whether the cluster answers. */
function say(text) {
  dispatchEvent(new CustomEvent("link", { detail: text }));
}

export class LiveList {
  /** `row`: what is kept of an object. `changed(rows, isAll)`: what came, changed or went (`row.gone`) since the last call. */
  constructor({ path, query = {}, row, changed, failed = () => {} }) {
    Object.assign(this, { path, query, row, changed, failed });
    this.rows = new Map();
    this.isComplete = false;
    this.version = "";
    this.pending = new Map();
    this.hasAll = false;
    this.timer = 0;
    this.ended = false;
    this.onVisible = () => this.visible();
  }

  start() {
    document.addEventListener("visibilitychange", this.onVisible);
    this.run();
    return this;
  }

  stop() {
    this.ended = true;
    document.removeEventListener("visibilitychange", this.onVisible);
    clearTimeout(this.timer);
    this.request?.abort();
    this.wake?.();
  }

  visible() {
    if (document.hidden) {
      this.hiding = setTimeout(() => this.request?.abort(), 5000);
    } else {
      clearTimeout(this.hiding);
      this.wake?.();
    }
  }

  async run() {
    let pause = 500;
    while (!this.ended) {
      try {
        if (document.hidden && this.isComplete) await new Promise((go) => (this.wake = go));
        if (this.ended) return;
        this.request = new AbortController();
        if (!this.version) await this.list();
        this.tell(true);
        const begun = performance.now();
        await this.watch();
        // A server that ends each watch at once is not asked without a pause.
        if (performance.now() - begun < 1000) await this.rest(1000);
        pause = 500;
      } catch (error) {
        if (this.ended) return;
        if (error.name === "AbortError") continue;
        if (error.code === 410) {
          // What it knew is too old: it lists anew, though not without a pause where that never ends.
          this.version = "";
          await this.rest(pause);
          continue;
        }
        this.failed(error);
        if (error.code === 401 || error.code === 403 || error.code === 404) return;
        if (!error.code) say("Not connected");
        await this.rest(pause);
        pause = Math.min(pause * 2, 15000);
      }
    }
  }

  /** Waits, but no longer than until the tab is looked at again. */
  rest(milliseconds) {
    return new Promise((go) => {
      this.wake = go;
      setTimeout(go, milliseconds);
    });
  }

  async list() {
    const seen = new Set();
    let next = "";
    let version = "";
    do {
      const query = { ...this.query, limit: pageSize, continue: next, pretty: "false" };
      const page = await get(withQuery(this.path, query), this.request.signal);
      version ||= page.metadata.resourceVersion;
      for (const object of page.items ?? []) {
        seen.add(object.metadata.uid);
        this.keep(object);
      }
      next = page.metadata.continue ?? "";
      this.say(400);
      await breath();
    } while (next);
    for (const uid of this.rows.keys()) if (!seen.has(uid)) this.drop(uid);
    this.version = version;
    this.isComplete = true;
    this.hasAll = true;
    this.say();
  }

  async watch() {
    const query = { ...this.query, watch: "true", resourceVersion: this.version, allowWatchBookmarks: "true", timeoutSeconds: 290 };
    const answer = await send("GET", withQuery(this.path, query), { signal: this.request.signal });
    say("");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    while (true) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      let end = performance.now() + slice;
      for (const line of lines) {
        if (line) this.take(JSON.parse(line));
        if (performance.now() > end) {
          await breath();
          end = performance.now() + slice;
        }
      }
    }
  }

  take({ type, object }) {
    if (type === "ERROR") throw Object.assign(new Error(object.message), { code: object.code });
    this.version = object.metadata.resourceVersion;
    if (type === "BOOKMARK") return;
    if (type === "DELETED") this.drop(object.metadata.uid);
    else this.keep(object);
    this.say();
  }

  keep(object) {
    const uid = object.metadata.uid;
    const row = this.row(object);
    row.uid = uid;
    this.rows.set(uid, row);
    this.pending.set(uid, row);
  }

  drop(uid) {
    const row = this.rows.get(uid);
    if (!row) return;
    this.rows.delete(uid);
    row.gone = true;
    this.pending.set(uid, row);
  }

  /** Tells what has changed: the first of it at once, then no more often than each so many milliseconds. */
  say(pause = 100) {
    this.timer ||= setTimeout(() => this.tell(), this.told ? pause : 0);
  }

  tell(force = false) {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.ended || (!force && !this.pending.size && !this.hasAll)) return;
    this.told = true;
    const rows = [...this.pending.values()];
    const isAll = this.hasAll;
    this.pending.clear();
    this.hasAll = false;
    this.changed(rows, isAll);
  }
}
