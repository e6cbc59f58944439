// Owns: a table of any number of rows of which only those in sight exist, with a cursor for the keyboard and the roles
// that a screen reader needs. It must not know what the rows are.

import { element, fill } from "./dom.js";

const height = 34;
const beyond = 8;
const narrow = matchMedia("(max-width: 720px)");
let number = 0;

export class Table {
  /** Columns: { title, width, cell(row), isWide }, `isWide` only on wide screens. `open(row)`: the row's address. */
  constructor({ label, columns, open, empty = "Nothing here." }) {
    Object.assign(this, { label, all: columns, open, empty });
    this.rows = [];
    this.cursor = -1;
    this.shown = new Map();
    this.name = `table${++number}`;
    this.head = element("div", { class: "row head", role: "row" });
    this.body = element("div", { class: "rows", role: "rowgroup" });
    this.message = element("p", { class: "quiet", hidden: true });
    this.box = element("div", {
      class: "table", role: "table", tabindex: "0", "aria-label": label, "aria-rowcount": 1, onscroll: () => this.paint(),
      onkeydown: (event) => this.key(event),
    }, element("div", { role: "rowgroup", class: "heads" }, this.head), this.body, this.message);
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(this.box);
    this.onNarrow = () => this.layOut();
    narrow.addEventListener("change", this.onNarrow);
    this.layOut();
  }

  stop() {
    this.sizes.disconnect();
    narrow.removeEventListener("change", this.onNarrow);
  }

  layOut() {
    this.columns = this.all.filter((column) => !narrow.matches || !column.isWide);
    this.template = this.columns.map((column) => column.width).join(" ");
    this.head.style.gridTemplateColumns = this.template;
    fill(this.head, this.columns.map((column) => element("span", { role: "columnheader" }, column.title)));
    this.box.setAttribute("aria-colcount", this.columns.length);
    this.forget();
    this.paint();
  }

  forget() {
    this.shown.clear();
    this.body.replaceChildren();
  }

  /** Shows these rows. `isFresh`: cells that depend on the time are written anew. */
  show(rows, isFresh = false) {
    this.rows = rows;
    if (isFresh) this.forget();
    this.box.setAttribute("aria-rowcount", rows.length + 1);
    this.body.style.height = `${rows.length * height}px`;
    this.message.hidden = rows.length > 0;
    this.message.textContent = this.empty;
    this.paint();
  }

  /** Makes the rows in sight, and keeps those whose row has not changed. */
  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - beyond);
    const last = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + beyond);
    const kept = new Map();
    for (let position = first; position < last; position++) {
      const row = this.rows[position];
      const old = this.shown.get(row);
      const line = old ?? this.line(row);
      if (!old) this.body.append(line);
      if (line.position !== position) {
        line.position = position;
        line.style.transform = `translateY(${position * height}px)`;
        line.setAttribute("aria-rowindex", position + 2);
        line.id = `${this.name}-${position}`;
        line.classList.toggle("odd", position % 2 === 1);
      }
      line.classList.toggle("cursor", position === this.cursor);
      kept.set(row, line);
    }
    for (const [row, line] of this.shown) if (!kept.has(row)) line.remove();
    this.shown = kept;
  }

  line(row) {
    const line = element("div", { class: "row", role: "row", style: { gridTemplateColumns: this.template } });
    for (const column of this.columns) {
      const content = column.cell(row);
      const plain = typeof content === "string" ? content : null;
      line.append(element("span", { role: "cell", title: plain, class: column.class }, content));
    }
    if (this.open) {
      line.addEventListener("click", (event) => {
        if (!event.target.closest("a,button") && !String(getSelection())) location.hash = this.open(row);
      });
    }
    return line;
  }

  key(event) {
    if (event.target !== this.box) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / height) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    if (event.key in steps && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.move(Math.max(0, Math.min(this.rows.length - 1, this.cursor + steps[event.key])));
    } else if (event.key === "Enter" && this.rows[this.cursor] && this.open) {
      location.hash = this.open(this.rows[this.cursor]);
    }
  }

  move(position) {
    this.cursor = position;
    const top = position * height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const room = this.box.clientHeight - 2 * height;
    if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
    this.paint();
    this.box.setAttribute("aria-activedescendant", `${this.name}-${position}`);
  }
}
