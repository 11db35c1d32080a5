/**
 * Interned byte strings: each distinct one is kept once, under a small dense id, for as long as somebody refers to it.
 *
 * A string is what one routing update says besides its prefixes: a tag of 16 bits (whose meaning is the caller's), the next
 * hop if it stands apart from the attributes (as in MP_REACH_NLRI), and the attribute block. The parts are compared where they
 * lie, so that looking up what is there already copies nothing.
 *
 * A string that is discarded is only marked so and goes for good when its place is needed for another one of about its length.
 */

import { NO_BYTES } from '#bgp/wire/bytes.ts';
import { HashIndex } from './hash-index.ts';
import { NetSet } from './net-set.ts';
import { Rows } from './rows.ts';

/** Fields of a row. */
const BLOCK = 0;
const LENGTH = 1;
const HASH = 2;
/** `DISCARDED` in the row of a string that is not in the store any more. */
const REFS = 3;

const DISCARDED = -1;

const CHUNK_BITS = 18;
const CHUNK = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK - 1;
/** Blocks up to this size come in steps of 16 octets, larger ones in powers of two. */
const FINE_LIMIT = 512;
/** Enough for the longest string, of less than 128 KiB. */
const SIZE_CLASSES = 48;
/** Octets before the next hop: two of tag, one of its length. */
const HEADER = 3;

/** A string to look up, in parts. One object is filled again and again, so that asking allocates nothing. */
export class ByteKey {
  /** 16 bits. */
  tag = 0;
  nextHop: Uint8Array = NO_BYTES;
  nextHopStart = 0;
  nextHopEnd = 0;
  block: Uint8Array = NO_BYTES;
  blockStart = 0;
  blockEnd = 0;
}

export class ByteStore {
  /** Strings in the store. */
  size = 0;
  /** Octets that they take, rounding included. */
  bytesInUse = 0;
  /** Whether the last `intern` put something new in. */
  isNew = false;
  /** All ids in use are below this one; 0 is never used. */
  limit = 1;
  readonly #rows = new Rows(2);
  protected readonly index = new HashIndex();
  readonly #seed: number;
  readonly #chunks: Uint8Array[] = [];
  /** Where the unused rest of the last chunk begins. */
  #fill = CHUNK;
  /** By size class: rows of strings that were discarded, each with its block, and where the walk through them is. */
  readonly #discarded: NetSet[] = Array.from({ length: SIZE_CLASSES }, () => new NetSet(1));
  readonly #cursors = new Int32Array(SIZE_CLASSES);

  /** @param seed any 32-bit number; a random one keeps neighbours from choosing attributes that collide. */
  constructor(seed: number) {
    this.#seed = seed | 0;
    this.#rows.reserve(0);
  }

  /** The id of a string; 0 if it is not in the store. */
  find(key: ByteKey): number {
    const id = this.#find(hashOf(this.#seed, key), key);
    return this.inUse(id) ? id : 0;
  }

  /**
   * The id of a string, which is copied in if it is new. A new one has no references: the caller takes the first, or gives
   * the string up again with `discard`.
   */
  intern(key: ByteKey): number {
    const hash = hashOf(this.#seed, key);
    const found = this.#find(hash, key);
    this.isNew = !this.inUse(found);
    if (found === 0) return this.#add(hash, key);
    if (this.isNew) this.#restore(found);
    return found;
  }

  references(id: number): number {
    return this.#rows.chunk(id)[this.#rows.at(id) + REFS]!;
  }

  addReferences(id: number, count: number): void {
    this.#rows.chunk(id)[this.#rows.at(id) + REFS]! += count;
  }

  /** @returns true if none is left: the caller has to `discard` the string. */
  dropReferences(id: number, count: number): boolean {
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id) + REFS;
    rows[at]! -= count;
    return rows[at] === 0;
  }

  /** Takes a string without references out of the store. Its id may be given out again at once. */
  discard(id: number): void {
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id);
    const sizeClass = sizeClassOf(rows[at + LENGTH]!);
    rows[at + REFS] = DISCARDED;
    this.#discarded[sizeClass]!.add(id);
    this.bytesInUse -= sizeOfClass(sizeClass);
    this.size--;
  }

  inUse(id: number): boolean {
    return id > 0 && id < this.limit && this.#rows.chunk(id)[this.#rows.at(id) + REFS] !== DISCARDED;
  }

  tag(id: number): number {
    const block = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const start = block & CHUNK_MASK;
    return (chunk[start]! << 8) | chunk[start + 1]!;
  }

  /** Length of the next hop that stands apart, in octets; 0 if there is none. */
  nextHopLength(id: number): number {
    const block = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    return this.#chunks[block >>> CHUNK_BITS]![(block & CHUNK_MASK) + HEADER - 1]!;
  }

  /** The next hop that stands apart: a view, valid as long as the string is in the store. */
  nextHop(id: number): Uint8Array {
    const block = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const start = (block & CHUNK_MASK) + HEADER;
    return chunk.subarray(start, start + chunk[start - 1]!);
  }

  /** Length of the attribute block in octets. */
  blockLength(id: number): number {
    return this.#rows.chunk(id)[this.#rows.at(id) + LENGTH]! - HEADER - this.nextHopLength(id);
  }

  /** The attribute block: a view, valid as long as the string is in the store. */
  block(id: number): Uint8Array {
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id);
    const block = rows[at + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const start = block & CHUNK_MASK;
    return chunk.subarray(start + HEADER + chunk[start + HEADER - 1]!, start + rows[at + LENGTH]!);
  }

  /** The array that an attribute block lies in, valid as long as the string is in the store. */
  blockBytes(id: number): Uint8Array {
    return this.#chunks[this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]! >>> CHUNK_BITS]!;
  }

  /** Where in that array the attribute block begins. */
  blockStart(id: number): number {
    const block = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    const start = block & CHUNK_MASK;
    return start + HEADER + this.#chunks[block >>> CHUNK_BITS]![start + HEADER - 1]!;
  }

  /** Copies the next hop to `out` and returns the position after it. */
  copyNextHop(id: number, out: Uint8Array, to: number): number {
    const block = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const start = (block & CHUNK_MASK) + HEADER;
    return copy(chunk, start, start + chunk[start - 1]!, out, to);
  }

  /** Copies the attribute block to `out` and returns the position after it. */
  copyBlock(id: number, out: Uint8Array, to: number): number {
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id);
    const block = rows[at + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const start = block & CHUNK_MASK;
    return copy(chunk, start + HEADER + chunk[start + HEADER - 1]!, start + rows[at + LENGTH]!, out, to);
  }

  #find(hash: number, key: ByteKey): number {
    let id = this.index.first(hash);
    while (id !== 0 && !this.#same(id, key)) id = this.index.after(hash, id);
    return id;
  }

  #same(id: number, key: ByteKey): boolean {
    const { nextHop, nextHopEnd, block, blockEnd } = key;
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id);
    if (rows[at + LENGTH] !== lengthOf(key)) return false;
    const own = this.#chunks[rows[at + BLOCK]! >>> CHUNK_BITS]!;
    let offset = rows[at + BLOCK]! & CHUNK_MASK;
    if (own[offset++] !== key.tag >>> 8 || own[offset++] !== (key.tag & 0xff)) return false;
    if (own[offset++] !== nextHopEnd - key.nextHopStart) return false;
    for (let i = key.nextHopStart; i < nextHopEnd; i++) if (own[offset++] !== nextHop[i]) return false;
    for (let i = key.blockStart; i < blockEnd; i++) if (own[offset++] !== block[i]) return false;
    return true;
  }

  #add(hash: number, key: ByteKey): number {
    const length = lengthOf(key);
    const sizeClass = sizeClassOf(length);
    const id = this.#place(sizeClass);
    const rows = this.#rows.chunk(id);
    const row = this.#rows.at(id);
    const block = rows[row + BLOCK]!;
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    let offset = block & CHUNK_MASK;
    chunk[offset++] = key.tag >>> 8;
    chunk[offset++] = key.tag;
    chunk[offset++] = key.nextHopEnd - key.nextHopStart;
    offset = copy(key.nextHop, key.nextHopStart, key.nextHopEnd, chunk, offset);
    copy(key.block, key.blockStart, key.blockEnd, chunk, offset);
    rows[row + LENGTH] = length;
    rows[row + HASH] = hash;
    rows[row + REFS] = 0;
    this.index.insert(hash, id);
    this.bytesInUse += sizeOfClass(sizeClass);
    this.size++;
    return id;
  }

  /** Takes a string that was discarded in again. */
  #restore(id: number): void {
    const rows = this.#rows.chunk(id);
    const at = this.#rows.at(id);
    const sizeClass = sizeClassOf(rows[at + LENGTH]!);
    rows[at + REFS] = 0;
    this.#discarded[sizeClass]!.delete(id);
    this.bytesInUse += sizeOfClass(sizeClass);
    this.size++;
  }

  /** A row with a block of a size class. */
  #place(sizeClass: number): number {
    const discarded = this.#discarded[sizeClass]!;
    if (discarded.size > 0) {
      let id = discarded.next(this.#cursors[sizeClass]!);
      if (id === -1) id = discarded.next(0);
      this.#cursors[sizeClass] = id + 1;
      discarded.delete(id);
      this.index.remove(this.#rows.chunk(id)[this.#rows.at(id) + HASH]!, id);
      return id;
    }
    const size = sizeOfClass(sizeClass);
    if (this.#fill + size > CHUNK) {
      this.#chunks.push(new Uint8Array(CHUNK));
      this.#fill = 0;
    }
    const id = this.limit++;
    this.#rows.reserve(id);
    this.#rows.chunk(id)[this.#rows.at(id) + BLOCK] = ((this.#chunks.length - 1) << CHUNK_BITS) | this.#fill;
    this.#fill += size;
    return id;
  }
}

function sizeClassOf(length: number): number {
  if (length <= FINE_LIMIT) return (length + 15) >>> 4;
  // 1 KiB is the class after the fine ones, and so on.
  return (FINE_LIMIT >>> 4) + (32 - Math.clz32(length - 1)) - 9;
}

function sizeOfClass(sizeClass: number): number {
  const fine = FINE_LIMIT >>> 4;
  return sizeClass <= fine ? sizeClass << 4 : FINE_LIMIT << (sizeClass - fine);
}

/** Copying by hand beats `set` and `subarray` on the few dozen octets that attributes have. */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  if (end - start > 256) {
    to.set(from.subarray(start, end), at);
    return at + end - start;
  }
  while (start < end) to[at++] = from[start++]!;
  return at;
}

function lengthOf(key: ByteKey): number {
  return HEADER + key.nextHopEnd - key.nextHopStart + key.blockEnd - key.blockStart;
}

function hashOf(seed: number, key: ByteKey): number {
  const { block, blockStart, blockEnd } = key;
  let hash = mix(seed, (key.tag << 16) | (blockEnd - blockStart));
  for (let i = key.nextHopStart; i < key.nextHopEnd; i++) hash = mix(hash, key.nextHop[i]!);
  const whole = blockStart + ((blockEnd - blockStart) & ~3);
  for (let i = blockStart; i < whole; i += 4) {
    hash = mix(hash, (block[i]! << 24) | (block[i + 1]! << 16) | (block[i + 2]! << 8) | block[i + 3]!);
  }
  for (let i = whole; i < blockEnd; i++) hash = mix(hash, block[i]!);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function mix(hash: number, word: number): number {
  hash = Math.imul(hash ^ word, 0x9e3779b1);
  return hash ^ (hash >>> 15);
}
