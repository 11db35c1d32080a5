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
      this.#count(leftOut & 0xffff, 1);
      this.#count(leftOut >>> 16, 1);
      this.#count(leftBefore & 0xffff, -1);
      this.#count(leftBefore >>> 16, -1);
    }
    if (attributes === before) return;
    if (attributes === 0) this.count--;
    else this.#out.addReferences(attributes, 1);
    if (before === 0) this.count++;
    else if (this.#out.dropReferences(before, 1)) this.#out.discard(before);
  }

  #count(peer: number, change: number): void {
    if (peer === 0) return;
    if (peer >= this.#without.length) {
      const without = new Int32Array(Math.max(peer + 1, this.#without.length * 2));
      without.set(this.#without);
      this.#without = without;
    }
    this.#without[peer]! += change;
  }
}
