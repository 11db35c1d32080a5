import { ipv4Bytes, readU32 } from '../ip.ts';
import type { RouteReader } from './route-reader.ts';
import { finish, RouteTable, type RouteTableOptions, swap } from './route-table.ts';

/** IPv4 routes. An address is a 32-bit number, signed or not; bits after the prefix length must be zero. */
export class RouteTable4 extends RouteTable {
  readonly family = 4;

  constructor(options: RouteTableOptions) {
    super(options, STRIDE);
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. */
  set(address: number, length: number, id: number): number {
    address |= 0;
    const slot = this.#find(address, length);
    if (slot < 0) this.rows[~slot * STRIDE + 1] = address;
    return this.putAt(slot, length, id);
  }

  /** The next-hop set of a prefix, 0 for none. */
  get(address: number, length: number): number {
    const slot = this.slot(address, length);
    return slot < 0 ? 0 : this.id(slot);
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
    return ipv4Bytes(this.rows[slot * STRIDE + 1]!);
  }

  slotLike(other: this, slot: number): number {
    return this.#find(other.rows[slot * STRIDE + 1]!, other.length(slot));
  }

  slotRead(reader: RouteReader): number {
    return this.#find(reader.word0, reader.length);
  }

  addRead(reader: RouteReader, id: number): number {
    const slot = this.slotRead(reader);
    if (slot < 0) {
      this.rows[~slot * STRIDE + 1] = reader.word0;
      this.putAt(slot, reader.length, id);
    }
    return slot;
  }

  writeAddress(slot: number, words: Uint32Array, at: number): void {
    words[at] = swap(this.rows[slot * STRIDE + 1]!);
  }

  protected slotOfBytes(address: Uint8Array, length: number): number {
    return this.#find(readU32(address) | 0, length);
  }

  protected setBytes(address: Uint8Array, length: number, id: number): number {
    return this.set(readU32(address), length, id);
  }

  protected home(rows: Int32Array, at: number): number {
    return hash4(rows[at + 1]!, rows[at]! & 0xff, this.seed) & this.mask;
  }

  /** The slot of a prefix, or the complement of the empty slot where it belongs. */
  #find(address: number, length: number): number {
    const { rows, mask } = this;
    let slot = hash4(address, length, this.seed) & mask;
    for (;;) {
      const at = slot * STRIDE;
      const head = rows[at]!;
      if (head === 0) return ~slot;
      if (rows[at + 1] === address && (head & 0xff) === length) return slot;
      slot = (slot + 1) & mask;
    }
  }
}

/** Words in a slot: next-hop set and length, address. */
const STRIDE = 2;

function hash4(address: number, length: number, seed: number): number {
  // The number of the prefix among those of its length; its last three bits find the slot among eight.
  const ordinal = length === 0 ? 0 : address >>> (32 - length);
  return (finish((ordinal >>> 3) ^ Math.imul(length + 1, 0x9e3779b1) ^ seed) & ~7) | (ordinal & 7);
}
