// Owns: the lines of a log as the bytes that came, with the places where lines begin: so 100 MB are 100 MB and not a
// million strings. Pure; it must not know where the bytes come from.

const decoder = new TextDecoder();
/** One character for each byte, so that places in the text are places in the bytes. */
const byByte = new TextDecoder("windows-1252");
/** Bytes of a block; a line lies in one block, and is cut where it would not fit. */
const blockSize = 1 << 20;
/** Lines that are searched at a time. */
const stride = 400;

export class Lines {
  constructor(limit = 192 << 20) {
    this.limit = limit;
    this.clear();
  }

  clear() {
    this.blocks = [];
    /** Lines before the first block that is kept. */
    this.dropped = 0;
    this.count = 0;
    this.bytes = 0;
    /** The last line has not come to its end. */
    this.isOpen = false;
  }

  newBlock() {
    const block = { bytes: new Uint8Array(blockSize), used: 0, starts: [], first: this.dropped + this.count };
    this.blocks.push(block);
    return block;
  }

  /** Adds bytes as they came: less than a block at a time. */
  append(bytes) {
    const block = this.blocks.at(-1) ?? this.newBlock();
    const room = block.bytes.length - block.used;
    if (bytes.length <= room) return this.take(block, bytes);
    const cut = room ? bytes.lastIndexOf(10, room - 1) + 1 : 0;
    if (cut) this.take(block, bytes.subarray(0, cut));
    const start = block.starts.at(-1);
    const open = this.isOpen ? block.bytes.slice(start, block.used) : null;
    if (open && open.length < blockSize / 2) {
      block.used = start;
      block.starts.pop();
      this.count--;
      this.bytes -= open.length;
    }
    this.isOpen = false;
    const next = this.newBlock();
    if (open && open.length < blockSize / 2) this.take(next, open);
    this.take(next, bytes.subarray(cut));
    while (this.bytes > this.limit && this.blocks.length > 1) {
      const gone = this.blocks.shift();
      this.bytes -= gone.used;
      this.dropped += gone.starts.length;
      this.count -= gone.starts.length;
    }
  }

  take(block, part) {
    if (!part.length) return;
    const before = block.starts.length;
    if (!this.isOpen) block.starts.push(block.used);
    for (let at = part.indexOf(10); at >= 0 && at + 1 < part.length; at = part.indexOf(10, at + 1)) {
      block.starts.push(block.used + at + 1);
    }
    block.bytes.set(part, block.used);
    block.used += part.length;
    this.bytes += part.length;
    this.count += block.starts.length - before;
    this.isOpen = part.at(-1) !== 10;
  }

  /** The block that has a line, by its position among those that are kept. */
  blockOf(position) {
    const wanted = position + this.dropped;
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle].first <= wanted) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low];
  }

  /** The text of a line; of very long ones the first 20,000 bytes. */
  line(position) {
    const block = this.blockOf(position);
    const place = position + this.dropped - block.first;
    const start = block.starts[place];
    const end = block.starts[place + 1] ?? block.used;
    const text = decoder.decode(block.bytes.subarray(start, Math.min(end, start + 20000)));
    return text.endsWith("\n") ? text.slice(0, -1) : text;
  }

  /** All bytes that are kept. */
  parts() {
    return this.blocks.map((block) => block.bytes.subarray(0, block.used));
  }

  /** Tells `found` of the lines that have `text`, as long as `goesOn()`; gives the turn back by `breath`. */
  async find(text, breath, goesOn, found) {
    const wanted = text.toLowerCase();
    const rough = byByte.decode(new TextEncoder().encode(wanted)).toLowerCase();
    let end = performance.now() + 8;
    for (const block of [...this.blocks]) {
      for (let place = 0; place < block.starts.length; place += stride) {
        this.findIn(block, place, rough, wanted, found);
        if (performance.now() < end) continue;
        await breath();
        if (!goesOn()) return;
        end = performance.now() + 8;
      }
    }
  }

  /** Looks through some lines at once, and only then at those that seem to have it. */
  findIn(block, place, rough, wanted, found) {
    const { starts } = block;
    const from = starts[place];
    const last = Math.min(place + stride, starts.length);
    const text = byByte.decode(block.bytes.subarray(from, starts[last] ?? block.used)).toLowerCase();
    let line = place;
    for (let at = text.indexOf(rough); at >= 0; at = text.indexOf(rough, starts[line + 1] - from)) {
      while (line + 1 < last && starts[line + 1] - from <= at) line++;
      const position = block.first + line - this.dropped;
      if (position >= 0 && this.line(position).toLowerCase().includes(wanted)) found(position);
      if (line + 1 >= last) return;
    }
  }
}
