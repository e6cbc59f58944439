// Owns: attempts as bars over time, node by node, on a canvas: who ran where, what failed, what was lost. The table of
// attempts says the same in words. It must not know the list that the attempts are of.

import { element, onTheme } from "./dom.js";
import { clock, duration } from "./words.js";

const lane = 12;
const head = 20;
/** Attempts that are drawn: the newest. */
const most = 5000;
const colourOf = {
  Failed: "--Failed", Failing: "--Failed", Lost: "--Lost", Running: "--Running", Starting: "--Waiting",
  Waiting: "--Waiting", Ending: "--Ending", Succeeded: "--Succeeded",
};

/** Puts bars that do not overlap into one lane. */
function lanes(rows, now) {
  const ends = [];
  return rows.map((row) => {
    const start = Date.parse(row.started || row.created);
    const end = row.ended ? Date.parse(row.ended) : now;
    let place = ends.findIndex((last) => last <= start);
    if (place < 0) place = ends.length;
    ends[place] = Math.max(end, start + 1);
    return { row, start, end, place };
  });
}

export class Timeline {
  constructor({ chosen, told }) {
    Object.assign(this, { chosen, told });
    this.bars = [];
    this.rows = [];
    this.canvas = element("canvas", { role: "img" });
    this.box = element("div", {
      class: "scroll", tabindex: "0", role: "group", "aria-label": "Time line", onpointermove: (event) => this.told(this.at(event)),
      onclick: (event) => {
        const bar = this.at(event);
        if (bar) this.chosen(bar.row);
      },
    }, this.canvas);
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(this.box);
    this.endTheme = onTheme(() => this.paint());
  }

  stop() {
    this.sizes.disconnect();
    this.endTheme();
  }

  show(rows) {
    this.rows = rows;
    this.paint();
  }

  layOut() {
    const now = Date.now();
    const drawn = this.rows.filter((row) => row.node || row.started)
      .sort((one, other) => (one.created < other.created ? 1 : -1)).slice(0, most)
      .sort((one, other) => ((one.started || one.created) < (other.started || other.created) ? -1 : 1));
    const nodes = [...new Set(drawn.map((row) => row.node))].sort();
    this.bars = [];
    this.groups = [];
    let top = head;
    for (const node of nodes) {
      const bars = lanes(drawn.filter((row) => row.node === node), now);
      const count = bars.reduce((sum, bar) => Math.max(sum, bar.place + 1), 1);
      this.groups.push({ node, top, count: bars.length });
      for (const bar of bars) this.bars.push({ ...bar, top: top + 16 + bar.place * lane });
      top += 16 + count * lane + 6;
    }
    this.height = top;
    this.from = Math.min(now, ...this.bars.map((bar) => bar.start));
    this.to = Math.max(this.from + 1000, ...this.bars.map((bar) => bar.end));
  }

  paint() {
    const width = this.box.clientWidth;
    if (!width) return;
    this.layOut();
    const ratio = Math.min(2, devicePixelRatio || 1);
    const height = Math.max(this.height, 80);
    Object.assign(this.canvas, { width: width * ratio, height: Math.min(height, 30000) * ratio });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "11px system-ui, sans-serif";
    this.scale = (width - 24) / (this.to - this.from);
    this.canvas.setAttribute("aria-label",
      `${this.bars.length} attempts on ${this.groups.length} nodes, from ${clock(this.from)} to ${clock(this.to)}`);
    this.axis(context, width, height, colour);
    const inks = Object.fromEntries(Object.entries(colourOf).map(([state, name]) => [state, colour(name)]));
    const paper = colour("--paper");
    for (const bar of this.bars) {
      const left = 12 + (bar.start - this.from) * this.scale;
      const wide = Math.max(2, (bar.end - bar.start) * this.scale);
      context.fillStyle = inks[bar.row.state];
      context.fillRect(left, bar.top, wide - (wide > 4 ? 1 : 0), lane - 3);
      // Beside the colour a sign: what failed ends in a notch, what is lost is hatched.
      if (wide > 8 && (bar.row.state === "Failed" || bar.row.state === "Lost")) {
        context.fillStyle = paper;
        const step = bar.row.state === "Lost" ? 6 : wide;
        for (let place = left + wide - 5; place > left; place -= step) context.fillRect(place, bar.top + 2, 2, lane - 7);
      }
    }
  }

  axis(context, width, height, colour) {
    const steps = Math.max(2, Math.floor(width / 160));
    for (let step = 0; step <= steps; step++) {
      const time = this.from + ((this.to - this.from) * step) / steps;
      const left = 12 + (time - this.from) * this.scale;
      context.fillStyle = colour("--quiet");
      context.textAlign = step === 0 ? "left" : step === steps ? "right" : "center";
      const since = time - this.from;
      context.fillText(step === 0 ? clock(time) : `+${since < 10000 ? `${since / 1000}`.slice(0, 4) + "s" : duration(since)}`, left, 12);
      context.fillStyle = colour("--line");
      context.fillRect(left, head - 4, 1, height);
    }
    context.textAlign = "left";
    for (const group of this.groups) {
      context.fillStyle = colour("--sheet");
      context.fillRect(0, group.top, width, 14);
      context.fillStyle = colour("--ink");
      context.fillText(`${group.node || "no node"} · ${group.count}`, 12, group.top + 11);
    }
  }

  at(event) {
    const place = this.canvas.getBoundingClientRect();
    const left = event.clientX - place.left;
    const top = event.clientY - place.top;
    return this.bars.find((bar) => top >= bar.top && top < bar.top + lane - 2
      && left >= 11 + (bar.start - this.from) * this.scale - 2 && left <= 13 + (bar.end - this.from) * this.scale + 2);
  }
}
