/**
 * A set of small numbers (net indexes) as a bitmap with a summary above it: one bit for each, plus one for every 32 words
 * that are not empty.
 *
 * Adding twice is adding once, so whatever waits in such a set collapses by itself and can not outgrow the table. Walking
 * goes in index order, which is the order in memory of everything that is kept by net.
 */

export class NetSet {
  size = 0;
  #words: Int32Array;
  #summary: Int32Array;

  /** @param capacity numbers below this one fit before the set has to grow. */
  constructor(capacity = 1024) {
    const words = Math.max(32, (capacity + 31) >>> 5);
    this.#words = new Int32Array(words);
    this.#summary = new Int32Array((words + 31) >>> 5);
  }

  has(net: number): boolean {
    const word = net >>> 5;
    return word < this.#words.length && (this.#words[word]! & (1 << (net & 31))) !== 0;
  }

  /** @returns whether it was not in the set before. */
  add(net: number): boolean {
    const word = net >>> 5;
    if (word >= this.#words.length) this.#grow(word + 1);
    const words = this.#words;
    const before = words[word]!;
    const bit = 1 << (net & 31);
    if ((before & bit) !== 0) return false;
    words[word] = before | bit;
    if (before === 0) this.#summary[word >>> 5]! |= 1 << (word & 31);
    this.size++;
    return true;
  }

  /** @returns whether it was in the set. */
  delete(net: number): boolean {
    const word = net >>> 5;
    if (word >= this.#words.length) return false;
    const words = this.#words;
    const bit = 1 << (net & 31);
    const before = words[word]!;
    if ((before & bit) === 0) return false;
    const after = before & ~bit;
    words[word] = after;
    if (after === 0) this.#summary[word >>> 5]! &= ~(1 << (word & 31));
    this.size--;
    return true;
  }

  /** The smallest member that is not below `from`, or -1. */
  next(from: number): number {
    const words = this.#words;
    let word = from >>> 5;
    if (word >= words.length) return -1;
    const here = words[word]! & (-1 << (from & 31));
    if (here !== 0) return (word << 5) + lowestBit(here);
    word++;
    const summary = this.#summary;
    let at = word >>> 5;
    if (at >= summary.length) return -1;
    let bits = summary[at]! & (-1 << (word & 31));
    while (bits === 0) {
      at++;
      if (at >= summary.length) return -1;
      bits = summary[at]!;
    }
    word = (at << 5) + lowestBit(bits);
    return (word << 5) + lowestBit(words[word]!);
  }

  /** In order. Where speed counts, `next` is the way. */
  *[Symbol.iterator](): Generator<number> {
    for (let net = this.next(0); net !== -1; net = this.next(net + 1)) yield net;
  }

  clear(): void {
    this.#words.fill(0);
    this.#summary.fill(0);
    this.size = 0;
  }

  #grow(needed: number): void {
    const words = new Int32Array(Math.max(needed, this.#words.length * 2));
    words.set(this.#words);
    this.#words = words;
    const summary = new Int32Array((words.length + 31) >>> 5);
    summary.set(this.#summary);
    this.#summary = summary;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
