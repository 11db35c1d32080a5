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
}

/**
 * Routes by prefix, many of them in little memory: what should be in a kernel table, or what is. All routes of one such
 * table have one family, kernel table, protocol and metric; a route is a prefix and the number of a next-hop set.
 *
 * Open addressing in typed arrays: 9 bytes a slot for IPv4 and 21 for IPv6, at most three quarters of the slots in use. A
 * slot number is good until the table is changed.
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
  /** By slot: the next-hop set; 0 in a slot without a route. */
  protected ids = new Uint32Array(FEWEST);
  protected lengths = new Uint8Array(FEWEST);
  /** By slot: the words of the address. */
  protected keys: Int32Array<ArrayBuffer>;
  protected readonly seed: number;
  readonly #keyWords: number;

  protected constructor(options: RouteTableOptions, keyWords: number) {
    if (!(options.metric >= 1))
      throw new RangeError(`route table: metric ${options.metric}, expected 1 or more`);
    this.table = options.table;
    this.protocol = options.protocol;
    this.metric = options.metric;
    this.sets = options.sets;
    this.seed = (options.seed ?? 0) | 0;
    this.keys = new Int32Array(FEWEST * keyWords);
    this.#keyWords = keyWords;
  }

  /** Bytes of memory in the arrays. */
  get bytes(): number {
    return this.ids.byteLength + this.lengths.byteLength + this.keys.byteLength;
  }

  /** Puts a route in. Returns the next-hop set that the prefix had before, 0 for none. @throws ValueError */
  setPrefix(prefix: string, id: number): number {
    const { address, length } = prefixOf('route table', 'prefix', prefix, this.family);
    return this.setBytes(address, length, id);
  }

  /** The next-hop set of a prefix, 0 for none. @throws ValueError */
  getPrefix(prefix: string): number {
    const slot = this.slotOfPrefix(prefix);
    return slot < 0 ? 0 : this.ids[slot]!;
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
    const ids = this.ids;
    while (++slot < ids.length) if (ids[slot] !== 0) return slot;
    return -1;
  }

  /** The next-hop set in a slot. */
  id(slot: number): number {
    return this.ids[slot]!;
  }

  /** The prefix length in a slot. */
  length(slot: number): number {
    return this.lengths[slot]!;
  }

  /** The prefix in a slot as text. */
  prefix(slot: number): string {
    return `${formatAddress(this.address(slot))}/${this.lengths[slot]}`;
  }

  clear(): void {
    for (let slot = this.next(-1); slot >= 0; slot = this.next(slot)) this.sets.release(this.ids[slot]!);
    this.size = 0;
    this.ids = new Uint32Array(FEWEST);
    this.lengths = new Uint8Array(FEWEST);
    this.keys = new Int32Array(FEWEST * this.#keyWords);
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
  /** Puts in the route that `reader` has read. Returns the next-hop set that the prefix had before, 0 for none. */
  abstract setRead(reader: RouteReader, id: number): number;
  /** Writes the address in a slot in network order to `words` from `at` on. */
  abstract writeAddress(slot: number, words: Uint32Array, at: number): void;

  protected abstract slotOfBytes(address: Uint8Array, length: number): number;
  protected abstract setBytes(address: Uint8Array, length: number, id: number): number;
  /** The slot where the search for the prefix in `slot` of `keys` begins. */
  protected abstract home(keys: Int32Array, slot: number, length: number, mask: number): number;

  /** `slot` is where the prefix stands, or the complement of the empty one where its key has been written. */
  protected putAt(slot: number, id: number): number {
    if (id === 0) throw new RangeError('route table: next-hop set 0 stands for none');
    this.sets.hold(id);
    if (slot >= 0) {
      const before = this.ids[slot]!;
      this.ids[slot] = id;
      this.sets.release(before);
      return before;
    }
    this.ids[~slot] = id;
    this.size++;
    if (this.size * 4 > this.ids.length * 3) this.#grow();
    return 0;
  }

  protected removeAt(slot: number): boolean {
    if (slot < 0) return false;
    this.sets.release(this.ids[slot]!);
    this.size--;
    // What follows moves up, so that a search that stops at an empty slot has seen all.
    const mask = this.ids.length - 1;
    let hole = slot;
    for (let at = (hole + 1) & mask; this.ids[at] !== 0; at = (at + 1) & mask) {
      if (((at - this.home(this.keys, at, this.lengths[at]!, mask)) & mask) >= ((at - hole) & mask)) {
        this.#move(at, hole);
        hole = at;
      }
    }
    this.ids[hole] = 0;
    return true;
  }

  #move(from: number, to: number): void {
    const words = this.#keyWords;
    this.ids[to] = this.ids[from]!;
    this.lengths[to] = this.lengths[from]!;
    for (let i = 0; i < words; i++) this.keys[to * words + i] = this.keys[from * words + i]!;
  }

  #grow(): void {
    const { ids, lengths, keys } = this;
    const words = this.#keyWords;
    const slots = ids.length * 2;
    this.ids = new Uint32Array(slots);
    this.lengths = new Uint8Array(slots);
    this.keys = new Int32Array(slots * words);
    const mask = slots - 1;
    for (let slot = 0; slot < ids.length; slot++) {
      if (ids[slot] === 0) continue;
      let at = this.home(keys, slot, lengths[slot]!, mask);
      while (this.ids[at] !== 0) at = (at + 1) & mask;
      this.ids[at] = ids[slot]!;
      this.lengths[at] = lengths[slot]!;
      for (let i = 0; i < words; i++) this.keys[at * words + i] = keys[slot * words + i]!;
    }
  }
}

const FEWEST = 16;

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
