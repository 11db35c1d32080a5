/**
 * What the readers of an update group have been sent: per net the encoded attributes, and the peer that the path is from
 * (which is the one reader that was not sent it). Holds a reference to the encoded attributes of each net.
 */

import type { ByteStore } from './byte-store.ts';
import { Rows } from './rows.ts';

export class AdjRibOut {
  /** Nets in it. */
  count = 0;
  /** Per net: encoded attributes (0: not sent), and the index of the peer (0: a path of our own). */
  readonly #rows = new Rows(1);
  /** By peer index: nets whose path is from it. */
  #from = new Int32Array(64);
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

  /** Index of the peer that the path is from. */
  source(net: number): number {
    return net < this.#rows.capacity ? this.#rows.chunk(net)[this.#rows.at(net) + 1]! : 0;
  }

  /** Nets whose path is from a peer. */
  countFrom(peer: number): number {
    return peer < this.#from.length ? this.#from[peer]! : 0;
  }

  set(net: number, attributes: number, source: number): void {
    this.#rows.reserve(net);
    const rows = this.#rows.chunk(net);
    const at = this.#rows.at(net);
    const before = rows[at]!;
    const sourceBefore = rows[at + 1]!;
    rows[at] = attributes;
    rows[at + 1] = source;
    if (source !== sourceBefore) {
      if (source >= this.#from.length) this.#grow(source);
      if (source !== 0) this.#from[source]!++;
      if (sourceBefore !== 0) this.#from[sourceBefore]!--;
    }
    if (attributes === before) return;
    if (attributes === 0) this.count--;
    else this.#out.addReferences(attributes, 1);
    if (before === 0) this.count++;
    else if (this.#out.dropReferences(before, 1)) this.#out.discard(before);
  }

  #grow(peer: number): void {
    const from = new Int32Array(Math.max(peer + 1, this.#from.length * 2));
    from.set(this.#from);
    this.#from = from;
  }
}
