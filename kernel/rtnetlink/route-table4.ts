import { ipv4Bytes, readU32 } from '../ip.ts';
import type { RouteReader } from './route-reader.ts';
import { finish, RouteTable, type RouteTableOptions, swap } from './route-table.ts';

/** IPv4 routes. An address is a 32-bit number, signed or not; bits after the prefix length must be zero. */
export class RouteTable4 extends RouteTable {
  readonly family = 4;

  constructor(options: RouteTableOptions) {
    super(options, 1);
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. */
  set(address: number, length: number, id: number): number {
    address |= 0;
    const slot = this.#find(address, length);
    if (slot < 0) {
      this.keys[~slot] = address;
      this.lengths[~slot] = length;
    }
    return this.putAt(slot, id);
  }

  /** The next-hop set of a prefix, 0 for none. */
  get(address: number, length: number): number {
    const slot = this.slot(address, length);
    return slot < 0 ? 0 : this.ids[slot]!;
  }

  /** Takes a route out. Returns whether there was one. */
  delete(address: number, length: number): boolean {
    return this.removeAt(this.#find(address | 0, length));
  }

  /** The slot of a prefix, negative when it has none. */
  slot(address: number, length: number): number {
    return this.#find(address | 0, length);
  }

  address(slot: number): Uint8Array {
    return ipv4Bytes(this.keys[slot]!);
  }

  slotLike(other: this, slot: number): number {
    return this.#find(other.keys[slot]!, other.lengths[slot]!);
  }

  slotRead(reader: RouteReader): number {
    return this.#find(reader.word0, reader.length);
  }

  setRead(reader: RouteReader, id: number): number {
    return this.set(reader.word0, reader.length, id);
  }

  writeAddress(slot: number, words: Uint32Array, at: number): void {
    words[at] = swap(this.keys[slot]!);
  }

  protected slotOfBytes(address: Uint8Array, length: number): number {
    return this.#find(readU32(address) | 0, length);
  }

  protected setBytes(address: Uint8Array, length: number, id: number): number {
    return this.set(readU32(address), length, id);
  }

  protected home(keys: Int32Array, slot: number, length: number, mask: number): number {
    return hash4(keys[slot]!, length, this.seed) & mask;
  }

  /** The slot of a prefix, or the complement of the empty slot where it belongs. */
  #find(address: number, length: number): number {
    const { ids, keys, lengths } = this;
    const mask = ids.length - 1;
    let slot = hash4(address, length, this.seed) & mask;
    while (ids[slot] !== 0) {
      if (keys[slot] === address && lengths[slot] === length) return slot;
      slot = (slot + 1) & mask;
    }
    return ~slot;
  }
}

function hash4(address: number, length: number, seed: number): number {
  return finish(address ^ Math.imul(length + 1, 0x9e3779b1) ^ seed);
}
