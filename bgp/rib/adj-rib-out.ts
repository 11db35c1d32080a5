/**
 * What the readers of an update group have been sent: per net the encoded attributes, and the readers that were not sent it.
 * Holds a reference to the encoded attributes of each net.
 */

import type { ByteStore } from './byte-store.ts';
import type { LeftOut } from './out-log.ts';
import { Rows } from './rows.ts';

export class AdjRibOut {
  /** Nets in it. */
  count = 0;
  /** Per net: encoded attributes (0: not sent), and who is left out. */
  readonly #rows = new Rows(1);
  /** By peer index: nets that it is left out of. */
  #without = new Int32Array(64);
  readonly #out: ByteStore;

  constructor(out: ByteStore) {
    this.#out = out;
  }

  /** Encoded attributes as sent, 0 for none. */
  attributes(net: number): number {
    return net < this.#rows.capacity ? this.#rows.chunk(net)[this.#rows.at(net)]! : 0;
  }

  /** The first net after `net` that is in it, 0 if there is none. */
  next(net: number): number {
    if (this.count === 0) return 0;
    const rows = this.#rows;
    const { capacity } = rows;
    for (net++; net < capacity; net++) if (rows.chunk(net)[rows.at(net)] !== 0) return net;
    return 0;
  }

  /** Who was not sent it. */
  leftOut(net: number): LeftOut {
    return net < this.#rows.capacity ? this.#rows.chunk(net)[this.#rows.at(net) + 1]! >>> 0 : 0;
  }

  /** Nets that a peer is left out of. */
  countWithout(peer: number): number {
    return peer < this.#without.length ? this.#without[peer]! : 0;
  }

  set(net: number, attributes: number, leftOut: LeftOut): void {
    this.#rows.reserve(net);
    const rows = this.#rows.chunk(net);
    const at = this.#rows.at(net);
    const before = rows[at]!;
    const leftBefore = rows[at + 1]! >>> 0;
    rows[at] = attributes;
    rows[at + 1] = leftOut;
    if (leftOut !== leftBefore) {
      if (leftOut !== 0) this.#count(leftOut, 1);
      if (leftBefore !== 0) this.#count(leftBefore, -1);
    }
    if (attributes === before) return;
    if (attributes === 0) this.count--;
    else this.#out.addReferences(attributes, 1);
    if (before === 0) this.count++;
    else if (this.#out.dropReferences(before, 1)) this.#out.discard(before);
  }

  #count(left: LeftOut, change: number): void {
    const one = left & 0xffff;
    const other = left >>> 16;
    if (Math.max(one, other) >= this.#without.length) this.#grow(Math.max(one, other));
    this.#without[one]! += change;
    if (other !== 0) this.#without[other]! += change;
  }

  #grow(peer: number): void {
    const without = new Int32Array(Math.max(peer + 1, this.#without.length * 2));
    without.set(this.#without);
    this.#without = without;
  }
}
