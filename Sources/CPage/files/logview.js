// Owns: showing lines of a log: those in sight only, in colours, wrapped or not, with what was found marked. It must not
// know where lines come from.

import { pieces } from "./ansi.js";
import { element } from "./dom.js";

const height = 18;
/** Lines that are shown when they are wrapped: their heights are not known beforehand. */
const wrappedLines = 2000;
/** Browsers have no taller elements. */
const tallest = 15000000;

export class LogView {
  constructor(lines) {
    this.lines = lines;
    this.isWrapped = false;
    this.follows = true;
    this.found = "";
    this.current = -1;
    this.body = element("div", { class: "rows" });
    this.box = element("div", {
      class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log", onscroll: () => this.scrolled(),
    }, this.body);
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(this.box);
  }

  stop() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
  }

  wrap(isWrapped) {
    this.isWrapped = isWrapped;
    this.box.classList.toggle("wrapped", isWrapped);
    this.body.replaceChildren();
    this.paint();
  }

  /** New lines have come. */
  update() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  scrolled() {
    const end = this.box.scrollHeight - this.box.clientHeight;
    const isAtEnd = this.box.scrollTop >= end - 4;
    if (isAtEnd !== this.follows && !this.isMoving) {
      this.follows = isAtEnd;
      this.onFollow?.(isAtEnd);
    }
    this.isMoving = false;
    if (!this.isWrapped) this.paint(true);
  }

  paint(isScroll = false) {
    if (this.isWrapped) return this.paintWrapped();
    const count = this.lines.count;
    const total = Math.min(count * height, tallest);
    this.body.style.height = `${total}px`;
    if (this.follows && !isScroll) {
      this.isMoving = true;
      this.box.scrollTop = total;
    }
    const room = this.box.clientHeight;
    const share = total > room ? this.box.scrollTop / (total - room) : 0;
    const visible = Math.ceil(room / height);
    const isScaled = count * height > tallest;
    const top = isScaled ? Math.round(share * Math.max(0, count - visible)) : Math.floor(this.box.scrollTop / height);
    const first = Math.max(0, top - 5);
    const last = Math.min(count, top + visible + 5);
    const made = [];
    for (let position = first; position < last; position++) {
      const line = this.make(position);
      const place = isScaled ? this.box.scrollTop + (position - top) * height : position * height;
      line.style.transform = `translateY(${place}px)`;
      made.push(line);
    }
    this.body.replaceChildren(...made);
  }

  paintWrapped() {
    this.body.style.height = "auto";
    const count = this.lines.count;
    const first = this.current >= 0 && !this.follows
      ? Math.max(0, Math.min(count, this.current + wrappedLines / 2) - wrappedLines) : Math.max(0, count - wrappedLines);
    const made = [];
    for (let position = first; position < Math.min(count, first + wrappedLines); position++) made.push(this.make(position));
    this.body.replaceChildren(...made);
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
  }

  make(position) {
    const line = element("div", { class: position === this.current ? "line found" : "line" });
    for (const { text, style } of pieces(this.lines.line(position))) {
      const marked = this.mark(text);
      line.append(...(style ? [element("span", { class: style }, marked)] : marked));
    }
    return line;
  }

  mark(text) {
    if (!this.found) return [text];
    const parts = [];
    const lower = text.toLowerCase();
    let from = 0;
    for (let at = lower.indexOf(this.found); at >= 0; at = lower.indexOf(this.found, from)) {
      parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + this.found.length)));
      from = at + this.found.length;
    }
    parts.push(text.slice(from));
    return parts;
  }

  /** Brings a line into the middle. */
  jump(position) {
    this.current = position;
    this.follows = false;
    this.onFollow?.(false);
    if (this.isWrapped) {
      this.paintWrapped();
      this.body.querySelector(".found")?.scrollIntoView({ block: "center" });
      return;
    }
    const total = Math.min(this.lines.count * height, tallest);
    const room = this.box.clientHeight;
    this.isMoving = true;
    this.box.scrollTop = this.lines.count * height > tallest
      ? (position / this.lines.count) * (total - room) : position * height - room / 2;
    this.paint(true);
  }
}
