// Owns: the state of each index of an Indexed Job, from what the Job's status says and from its pods. Pure: one byte an
// index, so that 100,000 of them are nothing.

import { ranges } from "./words.js";

/** What a byte means. */
export const states = ["Not started", "Waiting", "Running", "Succeeded", "Failed", "Retried", "Left out"];
const code = Object.fromEntries(states.map((state, position) => [state, position]));
const ofPod = {
  Failed: code.Failed, Lost: code.Failed, Failing: code.Failed, Running: code.Running, Starting: code.Waiting,
  Waiting: code.Waiting, Ending: code.Waiting, Succeeded: code.Succeeded,
};

export class Indexes {
  constructor(count) {
    this.count = count;
    this.now = new Uint8Array(count);
    /** What the Job's status says for good: 0 where nothing. */
    this.fixed = new Uint8Array(count);
    /** The newest attempt of each index, and how many there are. */
    this.latest = new Map();
    this.tries = new Uint16Array(count);
  }

  /** Takes the Job's word; true if anything changed. */
  takeJob(job) {
    const fixed = new Uint8Array(this.count);
    const chosen = job.metadata.annotations?.["stint.dev/indexes"];
    if (chosen) {
      fixed.fill(code["Left out"]);
      for (const [first, last] of ranges(chosen, this.count)) fixed.fill(0, first, last + 1);
    }
    for (const [first, last] of ranges(job.status?.completedIndexes, this.count)) {
      for (let index = first; index <= last; index++) if (!fixed[index]) fixed[index] = code.Succeeded;
    }
    for (const [first, last] of ranges(job.status?.failedIndexes, this.count)) fixed.fill(code.Failed, first, last + 1);
    this.fixed = fixed;
    return this.settleAll();
  }

  settleAll() {
    let changed = false;
    for (let index = 0; index < this.count; index++) if (this.settle(index)) changed = true;
    return changed;
  }

  /** Takes attempts that came or changed; returns the indexes that look different now. */
  takePods(rows) {
    const changed = new Set();
    for (const row of rows) {
      const index = row.index;
      if (index === null || !(index < this.count)) continue;
      const known = this.latest.get(index);
      if (!known || known.uid === row.uid || known.created < row.created
        || (known.created === row.created && row.phase !== "Failed")) {
        if (known?.uid !== row.uid) this.tries[index]++;
        if (row.gone) this.latest.delete(index);
        else this.latest.set(index, row);
      } else if (!row.gone && !row.counted) {
        this.tries[index]++;
      }
      row.counted = true;
      if (this.settle(index)) changed.add(index);
    }
    return changed;
  }

  settle(index) {
    const row = this.latest.get(index);
    let state = this.fixed[index] || (row ? ofPod[row.state] ?? 0 : 0);
    if ((state === code.Running || state === code.Waiting) && this.tries[index] > 1) state = code.Retried;
    if (this.now[index] === state) return false;
    this.now[index] = state;
    return true;
  }

  /** How many indexes are in each state. */
  counts() {
    const counts = new Array(states.length).fill(0);
    for (const state of this.now) counts[state]++;
    return counts;
  }

  /** What is said of one index. */
  story(index) {
    const row = this.latest.get(index);
    const parts = [`index ${index}: ${states[this.now[index]].toLowerCase()}`];
    if (row) parts.push(row.name, row.node || "on no node yet");
    if (row?.code !== null && row?.code !== undefined) parts.push(`exit code ${row.code}`);
    if (this.tries[index] > 1) parts.push(`${this.tries[index]} attempts`);
    return parts.join(", ");
  }
}
