import { ipv6Bytes, readU32 } from '../ip.ts';
import type { RouteReader } from './route-reader.ts';
import { finish, RouteTable, type RouteTableOptions, swap } from './route-table.ts';

/** IPv6 routes. An address is four 32-bit words, signed or not, the highest first; bits after the length must be zero. */
export class RouteTable6 extends RouteTable {
  readonly family = 6;

  constructor(options: RouteTableOptions) {
    super(options, STRIDE);
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. */
  set(w0: number, w1: number, w2: number, w3: number, length: number, id: number): number {
    const slot = this.slot(w0, w1, w2, w3, length);
    if (slot < 0) this.#write(~slot, w0, w1, w2, w3);
    return this.putAt(slot, length, id);
  }

  /** The next-hop set of a prefix, 0 for none. */
  get(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slot = this.slot(w0, w1, w2, w3, length);
    return slot < 0 ? 0 : this.id(slot);
  }

  /** Takes a route out. Returns whether there was one. */
  delete(w0: number, w1: number, w2: number, w3: number, length: number): boolean {
    return this.removeAt(this.slot(w0, w1, w2, w3, length));
  }

  /** The slot of a prefix, negative when it has none. */
  slot(w0: number, w1: number, w2: number, w3: number, length: number): number {
    return this.#find(w0 | 0, w1 | 0, w2 | 0, w3 | 0, length);
  }

  address(slot: number): Uint8Array {
    const { rows } = this;
    const at = slot * STRIDE;
    return ipv6Bytes(rows[at + 1]!, rows[at + 2]!, rows[at + 3]!, rows[at + 4]!);
  }

  slotLike(other: this, slot: number): number {
    const { rows } = other;
    const at = slot * STRIDE;
    return this.#find(rows[at + 1]!, rows[at + 2]!, rows[at + 3]!, rows[at + 4]!, other.length(slot));
  }

  slotRead(reader: RouteReader): number {
    return this.#find(reader.word0, reader.word1, reader.word2, reader.word3, reader.length);
  }

  addRead(reader: RouteReader, id: number): number {
    const slot = this.slotRead(reader);
    if (slot < 0) {
      this.#write(~slot, reader.word0, reader.word1, reader.word2, reader.word3);
      this.putAt(slot, reader.length, id);
    }
    return slot;
  }

  writeAddress(slot: number, words: Uint32Array, at: number): void {
    const { rows } = this;
    for (let i = 0; i < 4; i++) words[at + i] = swap(rows[slot * STRIDE + 1 + i]!);
  }

  protected slotOfBytes(address: Uint8Array, length: number): number {
    return this.slot(
      readU32(address),
      readU32(address, 4),
      readU32(address, 8),
      readU32(address, 12),
      length,
    );
  }

  protected setBytes(address: Uint8Array, length: number, id: number): number {
    const w2 = readU32(address, 8);
    return this.set(readU32(address), readU32(address, 4), w2, readU32(address, 12), length, id);
  }

  protected home(rows: Int32Array, at: number): number {
    const length = rows[at]! & 0xff;
    return hash6(rows[at + 1]!, rows[at + 2]!, rows[at + 3]!, rows[at + 4]!, length, this.seed) & this.mask;
  }

  #write(slot: number, w0: number, w1: number, w2: number, w3: number): void {
    const { rows } = this;
    const at = slot * STRIDE;
    rows[at + 1] = w0;
    rows[at + 2] = w1;
    rows[at + 3] = w2;
    rows[at + 4] = w3;
  }

  /** The slot of a prefix, or the complement of the empty slot where it belongs. */
  #find(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const { rows, mask } = this;
    let slot = hash6(w0, w1, w2, w3, length, this.seed) & mask;
    for (;;) {
      const at = slot * STRIDE;
      const head = rows[at]!;
      if (head === 0) return ~slot;
      const same = rows[at + 2] === w1 && rows[at + 1] === w0 && rows[at + 3] === w2 && rows[at + 4] === w3;
      if (same && (head & 0xff) === length) return slot;
      slot = (slot + 1) & mask;
    }
  }
}

/** Words in a slot: next-hop set and length, address. */
const STRIDE = 5;

function hash6(w0: number, w1: number, w2: number, w3: number, length: number, seed: number): number {
  // The last three bits of the prefix find the slot among eight. (Those of a prefix that ends just after a word begins are
  // fewer.)
  const shift = 31 - ((length - 1) & 31);
  const low = 7 << shift;
  let last = 0;
  if (length > 96) {
    last = w3;
    w3 &= ~low;
  } else if (length > 64) {
    last = w2;
    w2 &= ~low;
  } else if (length > 32) {
    last = w1;
    w1 &= ~low;
  } else if (length > 0) {
    last = w0;
    w0 &= ~low;
  }
  let hash = finish(w0 ^ seed ^ Math.imul(length + 1, 0x9e3779b1));
  hash = finish(hash ^ w1);
  if ((w2 | w3) !== 0) hash = finish(finish(hash ^ w2) ^ w3);
  return (hash & ~7) | ((last >>> shift) & 7);
}
