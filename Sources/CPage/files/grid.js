// Owns: a grid of small cells on a canvas, one an index: painting all or the changed ones, the pointer, the cursor keys.
// Cells that are large enough carry a sign, so that colour is never alone. It must not know what the states mean.

import { element, onTheme } from "./dom.js";

const gapFrom = 4;

function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const parts = text.length === 4 ? [...text.slice(1)].map((digit) => digit + digit) : text.slice(1).match(/../g);
  const [red, green, blue] = parts.map((part) => Number.parseInt(part, 16));
  return { text, word: (255 << 24) | (blue << 16) | (green << 8) | red };
}

export class Grid {
  /** `names`: a CSS colour and a sign for each state. `told(index)`: the cursor is there; `chosen(index)`: it was opened. */
  constructor({ count, cells, names, label, told, chosen }) {
    Object.assign(this, { count, cells, names, told, chosen });
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.mark = element("div", { class: "cell-cursor", hidden: true });
    this.box = element("div", {
      class: "scroll", tabindex: "0", role: "application", "aria-label": `${label}. Arrow keys move, Enter opens.`,
      onkeydown: (event) => this.key(event), onpointermove: (event) => this.point(event, false),
      onclick: (event) => this.point(event, true),
    }, this.canvas, this.mark);
    this.cursor = -1;
    this.sizes = new ResizeObserver(() => this.layOut());
    this.sizes.observe(this.box);
    this.endTheme = onTheme(() => this.layOut(true));
  }

  stop() {
    this.sizes.disconnect();
    this.endTheme();
  }

  layOut(isForced = false) {
    const width = this.box.clientWidth;
    if (!width || (width === this.width && !isForced)) return;
    this.width = width;
    this.side = this.count > 20000 ? 5 : this.count > 4000 ? 8 : this.count > 800 ? 12 : this.count > 150 ? 16 : 22;
    this.columns = Math.max(1, Math.floor(width / this.side));
    this.lines = Math.ceil(this.count / this.columns);
    this.colours = this.names.map(([name]) => colour(name));
    this.paper = colour("--paper").text;
    // Large cells are drawn as sharp as the screen is; small ones are pixels.
    this.ratio = this.side >= 8 ? Math.min(2, devicePixelRatio || 1) : 1;
    this.canvas.width = this.columns * this.side * this.ratio;
    this.canvas.height = this.lines * this.side * this.ratio;
    this.canvas.style.width = `${this.columns * this.side}px`;
    this.canvas.style.height = `${this.lines * this.side}px`;
    this.context = this.canvas.getContext("2d", { alpha: true });
    if (this.side < 8) this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    if (this.image) this.pixels = new Uint32Array(this.image.data.buffer);
    this.paint();
  }

  /** Paints the cells that `changed` names, or all of them, a slice at a time. */
  paint(changed = null) {
    if (!this.context) return;
    if (this.image && this.side < 8) return this.paintPixels(changed);
    const list = changed && changed.size < this.count / 4 ? [...changed] : null;
    const total = list ? list.length : this.count;
    const mine = (this.turn = (this.turn ?? 0) + 1);
    const step = (start) => {
      if (mine !== this.turn && !list) return;
      const end = Math.min(total, start + 3000);
      for (let place = start; place < end; place++) this.drawCell(list ? list[place] : place);
      if (end < total) requestAnimationFrame(() => step(end));
    };
    step(0);
  }

  paintPixels(changed) {
    const { side, columns, pixels, colours, cells } = this;
    const row = columns * side;
    const cell = (index) => {
      const word = colours[cells[index]].word;
      let start = Math.floor(index / columns) * side * row + (index % columns) * side;
      for (let line = 1; line < side; line++, start += row) pixels.fill(word, start, start + side - 1);
    };
    if (changed && changed.size < 2000) {
      for (const index of changed) {
        cell(index);
        const left = (index % columns) * side;
        const top = Math.floor(index / columns) * side;
        this.context.putImageData(this.image, 0, 0, left, top, side, side);
      }
      return;
    }
    for (let index = 0; index < this.count; index++) cell(index);
    this.context.putImageData(this.image, 0, 0);
  }

  drawCell(index) {
    const { context, ratio } = this;
    const side = this.side * ratio;
    const left = (index % this.columns) * side;
    const top = Math.floor(index / this.columns) * side;
    const gap = side / (this.side > gapFrom ? 10 : 20);
    const state = this.cells[index];
    context.clearRect(left, top, side, side);
    context.fillStyle = this.colours[state].text;
    context.fillRect(left + gap, top + gap, side - 2 * gap, side - 2 * gap);
    const sign = this.names[state][1];
    if (!sign) return;
    context.fillStyle = context.strokeStyle = this.paper;
    context.lineWidth = Math.max(1, side / 9);
    context.beginPath();
    const [near, far, middle] = [side * 0.32, side * 0.68, side / 2];
    if (sign === "cross") {
      context.moveTo(left + near, top + near);
      context.lineTo(left + far, top + far);
      context.moveTo(left + far, top + near);
      context.lineTo(left + near, top + far);
      context.stroke();
    } else if (sign === "dot") {
      context.arc(left + middle, top + middle, side * 0.16, 0, 7);
      context.fill();
    } else {
      context.moveTo(left + near, top + middle);
      context.lineTo(left + far, top + middle);
      context.stroke();
    }
  }

  point(event, isClick) {
    const place = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - place.left) / this.side);
    const index = Math.floor((event.clientY - place.top) / this.side) * this.columns + column;
    if (column < 0 || column >= this.columns || index < 0 || index >= this.count) return;
    this.move(index);
    if (isClick) this.chosen(index);
  }

  key(event) {
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -this.count, End: this.count,
    };
    if (event.key in steps) {
      event.preventDefault();
      this.move(Math.max(0, Math.min(this.count - 1, this.cursor + steps[event.key])));
      const top = Math.floor(this.cursor / this.columns) * this.side;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      const end = top + this.side - this.box.clientHeight;
      if (end > this.box.scrollTop) this.box.scrollTop = end;
    } else if (event.key === "Enter" && this.cursor >= 0) {
      this.chosen(this.cursor);
    }
  }

  move(index) {
    this.cursor = index;
    const { side, columns, mark } = this;
    mark.hidden = false;
    Object.assign(mark.style, {
      width: `${side}px`, height: `${side}px`, left: `${(index % columns) * side}px`,
      top: `${Math.floor(index / columns) * side}px`,
    });
    this.told(index);
  }
}
