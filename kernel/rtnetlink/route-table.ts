import { formatAddress } from '../ip.ts';
import type { NextHopSets } from './next-hop-sets.ts';
import type { RouteReader } from './route-reader.ts';
import { type IpFamily, prefixOf } from './value.ts';

/** What the routes of a {@link RouteTable} have in common. */
export interface RouteTableOptions {
  readonly sets: NextHopSets;
  /** Number of the kernel's table. */
  readonly table: number;
  readonly protocol: number;
  /** From 1: the kernel takes 0 for "any" when it deletes. */
  readonly metric: number;
  /** Any 32-bit number. A random one where others choose the prefixes, so that they can not choose ones that collide. */
  readonly seed?: number;
  /** Routes to make room for at once; it grows beyond that. */
  readonly capacity?: number;
}

/**
 * Routes by prefix, many of them in little memory: what should be in a kernel table, or what is. All routes of one such
 * table have one family, kernel table, protocol and metric; a route is a prefix and the number of a next-hop set.
 *
 * Open addressing in one typed array: 8 bytes a slot for IPv4 and 20 for IPv6, five eighths of the slots in use at the most.
 * Eight neighbouring prefixes of one length (10.0.0.0/24 to 10.0.7.0/24) belong into eight neighbouring slots: dumps come in
 * the order of prefixes, and so do most announcements. A slot number is good until the table is changed.
 *
 * A table that is not needed any more is to be cleared (or made with `using`): it holds next-hop sets.
 */
export abstract class RouteTable implements Disposable {
  abstract readonly family: IpFamily;
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  readonly sets: NextHopSets;
  /** Routes in the table. */
  size = 0;
  /** By slot: the next-hop set times 256 and the prefix length, 0 in a slot without a route; then the address. */
  protected rows: Int32Array<ArrayBuffer>;
  /** Slots less one; there is a power of two of them. */
  protected mask: number;
  protected readonly seed: number;
  /** Words in a slot. */
  readonly #stride: number;
  /** Slots of an empty table. */
  readonly #fewest: number;

  protected constructor(options: RouteTableOptions, stride: number) {
    if (!(options.metric >= 1))
      throw new RangeError(`route table: metric ${options.metric}, expected 1 or more`);
    this.table = options.table;
    this.protocol = options.protocol;
    this.metric = options.metric;
    this.sets = options.sets;
    this.seed = (options.seed ?? 0) | 0;
    this.#stride = stride;
    // The power of two that is large enough.
    this.#fewest = 1 << (32 - Math.clz32((Math.max(9, options.capacity ?? 0) * 8) / 5));
    this.mask = this.#fewest - 1;
    this.rows = new Int32Array(this.#fewest * stride);
  }

  /** Bytes of memory in the array. */
  get bytes(): number {
    return this.rows.byteLength;
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. @throws ValueError */
  setPrefix(prefix: string, id: number): number {
    const { address, length } = prefixOf('route table', 'prefix', prefix, this.family);
    return this.setBytes(address, length, id);
  }

  /** The next-hop set of a prefix, 0 for none. @throws ValueError */
  getPrefix(prefix: string): number {
    const slot = this.slotOfPrefix(prefix);
    return slot < 0 ? 0 : this.id(slot);
  }

  /** Takes a route out. Returns whether there was one. @throws ValueError */
  deletePrefix(prefix: string): boolean {
    return this.removeAt(this.slotOfPrefix(prefix));
  }

  /** The slot of a prefix, negative when it has none. @throws ValueError */
  slotOfPrefix(prefix: string): number {
    const { address, length } = prefixOf('route table', 'prefix', prefix, this.family);
    return this.slotOfBytes(address, length);
  }

  /** The next slot with a route after `slot`, or -1: `for (let s = t.next(-1); s >= 0; s = t.next(s))`. */
  next(slot: number): number {
    const { rows, mask } = this;
    const stride = this.#stride;
    while (++slot <= mask) if (rows[slot * stride] !== 0) return slot;
    return -1;
  }

  /** The next-hop set in a slot. */
  id(slot: number): number {
    return this.rows[slot * this.#stride]! >>> 8;
  }

  /** The prefix length in a slot. */
  length(slot: number): number {
    return this.rows[slot * this.#stride]! & 0xff;
  }

  /** The prefix in a slot as text. */
  prefix(slot: number): string {
    return `${formatAddress(this.address(slot))}/${this.length(slot)}`;
  }

  clear(): void {
    if (this.size === 0) return;
    for (let slot = this.next(-1); slot >= 0; slot = this.next(slot)) this.sets.release(this.id(slot));
    this.size = 0;
    this.mask = this.#fewest - 1;
    this.rows = new Int32Array(this.#fewest * this.#stride);
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /** The address in a slot: 4 or 16 new bytes. */
  abstract address(slot: number): Uint8Array;
  /** The slot of the prefix that stands in `slot` of `other`, negative when it has none here. */
  abstract slotLike(other: this, slot: number): number;
  /** The slot of the prefix that `reader` has read, negative when it has none. */
  abstract slotRead(reader: RouteReader): number;
  /** Puts in the route that `reader` has read, unless there is one: then returns its slot, else a negative number. */
  abstract addRead(reader: RouteReader, id: number): number;
  /** Writes the address in a slot in network order to `words` from `at` on. */
  abstract writeAddress(slot: number, words: Uint32Array, at: number): void;

  protected abstract slotOfBytes(address: Uint8Array, length: number): number;
  protected abstract setBytes(address: Uint8Array, length: number, id: number): number;
  /** The slot where the search for the prefix in the row at `at` of `rows` begins. */
  protected abstract home(rows: Int32Array, at: number): number;

  /** `slot` is where the prefix stands, or the complement of the empty one where its address has been written. */
  protected putAt(slot: number, length: number, id: number): number {
    if (id === 0) throw new RangeError('route table: next-hop set 0 stands for none');
    if (id >= MOST_SETS)
      throw new RangeError(`route table: next-hop set ${id}: at most ${MOST_SETS - 1} fit`);
    this.sets.hold(id);
    const { rows } = this;
    const value = (id << 8) | length;
    if (slot >= 0) {
      const at = slot * this.#stride;
      const before = rows[at]! >>> 8;
      rows[at] = value;
      this.sets.release(before);
      return before;
    }
    rows[~slot * this.#stride] = value;
    this.size++;
    if (this.size * 8 > (this.mask + 1) * 5) this.#grow();
    return 0;
  }

  protected removeAt(slot: number): boolean {
    if (slot < 0) return false;
    this.sets.release(this.id(slot));
    this.size--;
    // What follows moves up, so that a search that stops at an empty slot has seen all.
    const { rows, mask } = this;
    const stride = this.#stride;
    let hole = slot;
    for (let next = (hole + 1) & mask; rows[next * stride] !== 0; next = (next + 1) & mask) {
      if (((next - this.home(rows, next * stride)) & mask) >= ((next - hole) & mask)) {
        for (let i = 0; i < stride; i++) rows[hole * stride + i] = rows[next * stride + i]!;
        hole = next;
      }
    }
    rows[hole * stride] = 0;
    return true;
  }

  #grow(): void {
    const { rows } = this;
    const stride = this.#stride;
    const slots = (this.mask + 1) * 2;
    const grown = new Int32Array(slots * stride);
    const mask = slots - 1;
    this.mask = mask;
    this.rows = grown;
    for (let from = 0; from < rows.length; from += stride) {
      if (rows[from] === 0) continue;
      let slot = this.home(rows, from);
      while (grown[slot * stride] !== 0) slot = (slot + 1) & mask;
      for (let i = 0; i < stride; i++) grown[slot * stride + i] = rows[from + i]!;
    }
  }
}

/** Numbers of next-hop sets have 24 bits in a row. */
const MOST_SETS = 1 << 24;

/** Host order to network order and back. */
export function swap(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** Spreads every bit of a hash over all others. */
export function finish(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x21f0aaad);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x735a2d97);
  return hash ^ (hash >>> 15);
}
