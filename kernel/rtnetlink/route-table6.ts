import { ipv6Bytes, readU32 } from '../ip.ts';
import type { RouteReader } from './route-reader.ts';
import { finish, RouteTable, type RouteTableOptions, swap } from './route-table.ts';

/** IPv6 routes. An address is four 32-bit words, signed or not, the highest first; bits after the length must be zero. */
export class RouteTable6 extends RouteTable {
  readonly family = 6;

  constructor(options: RouteTableOptions) {
    super(options, 4);
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. */
  set(w0: number, w1: number, w2: number, w3: number, length: number, id: number): number {
    const slot = this.slot(w0, w1, w2, w3, length);
    if (slot < 0) {
      const { keys } = this;
      const at = ~slot * 4;
      keys[at] = w0;
      keys[at + 1] = w1;
      keys[at + 2] = w2;
      keys[at + 3] = w3;
      this.lengths[~slot] = length;
    }
    return this.putAt(slot, id);
  }

  /** The next-hop set of a prefix, 0 for none. */
  get(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slot = this.slot(w0, w1, w2, w3, length);
    return slot < 0 ? 0 : this.ids[slot]!;
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
    const { keys } = this;
    const at = slot * 4;
    return ipv6Bytes(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!);
  }

  slotLike(other: this, slot: number): number {
    const { keys } = other;
    const at = slot * 4;
    return this.#find(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, other.lengths[slot]!);
  }

  slotRead(reader: RouteReader): number {
    return this.#find(reader.word0, reader.word1, reader.word2, reader.word3, reader.length);
  }

  setRead(reader: RouteReader, id: number): number {
    return this.set(reader.word0, reader.word1, reader.word2, reader.word3, reader.length, id);
  }

  writeAddress(slot: number, words: Uint32Array, at: number): void {
    const { keys } = this;
    for (let i = 0; i < 4; i++) words[at + i] = swap(keys[slot * 4 + i]!);
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

  protected home(keys: Int32Array, slot: number, length: number, mask: number): number {
    const at = slot * 4;
    return hash6(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, length, this.seed) & mask;
  }

  /** The slot of a prefix, or the complement of the empty slot where it belongs. */
  #find(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const { ids, keys, lengths } = this;
    const mask = ids.length - 1;
    let slot = hash6(w0, w1, w2, w3, length, this.seed) & mask;
    while (ids[slot] !== 0) {
      const at = slot * 4;
      const same = keys[at] === w0 && keys[at + 1] === w1 && keys[at + 2] === w2 && keys[at + 3] === w3;
      if (same && lengths[slot] === length) return slot;
      slot = (slot + 1) & mask;
    }
    return ~slot;
  }
}

function hash6(w0: number, w1: number, w2: number, w3: number, length: number, seed: number): number {
  let hash = finish(w0 ^ seed);
  hash = finish(hash ^ w1);
  hash = finish(hash ^ w2);
  return finish(hash ^ w3 ^ Math.imul(length + 1, 0x9e3779b1));
}
