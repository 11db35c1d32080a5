/**
 * Interned byte strings: each distinct one is kept once, under a small dense id, for as long as somebody refers to it.
 *
 * A string is what one routing update says besides its prefixes: a tag of 16 bits (whose meaning is the caller's), the next
 * hop if it stands apart from the attributes (as in MP_REACH_NLRI), and the attribute block. The parts are compared where they
 * lie, so that looking up what is there already copies nothing.
 */

import { NO_BYTES } from '#bgp/wire/bytes.ts';
import { HashIndex } from './hash-index.ts';
import { Rows } from './rows.ts';

/** Fields of a row. */
const BLOCK = 0;
const LENGTH = 1;
const HASH = 2;
const REFS = 3;

const CHUNK_BITS = 18;
const CHUNK = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK - 1;
/** Blocks up to this size come in steps of 16 octets, larger ones in powers of two. */
const FINE_LIMIT = 512;
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
  readonly #index = new HashIndex();
  readonly #seed: number;
  readonly #chunks: Uint8Array[] = [];
  /** Where the unused rest of the last chunk begins. */
  #fill = CHUNK;
  /** Per size class: the first free block plus one; a free block begins with the next one plus one. */
  readonly #freeBlocks = new Int32Array(48);
  #freeRow = 0;

  /** @param seed any 32-bit number; a random one keeps neighbours from choosing attributes that collide. */
  constructor(seed: number) {
    this.#seed = seed | 0;
    this.#rows.reserve(0);
  }

  /** The id of a string; 0 if it is not in the store. */
  find(key: ByteKey): number {
    return this.#find(hashOf(this.#seed, key), key);
  }

  /**
   * The id of a string, which is copied in if it is new. A new one has no references: the caller takes the first, or gives
   * the string up again with `discard`.
   */
  intern(key: ByteKey): number {
    const hash = hashOf(this.#seed, key);
    const found = this.#find(hash, key);
    this.isNew = found === 0;
    return found !== 0 ? found : this.#add(hash, key);
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
    this.#index.remove(rows[at + HASH]!, id);
    const block = rows[at + BLOCK]!;
    const sizeClass = sizeClassOf(rows[at + LENGTH]!);
    this.bytesInUse -= sizeOfClass(sizeClass);
    const chunk = this.#chunks[block >>> CHUNK_BITS]!;
    const offset = block & CHUNK_MASK;
    const next = this.#freeBlocks[sizeClass]!;
    chunk[offset] = next >>> 24;
    chunk[offset + 1] = next >>> 16;
    chunk[offset + 2] = next >>> 8;
    chunk[offset + 3] = next;
    this.#freeBlocks[sizeClass] = block + 1;
    rows[at + BLOCK] = this.#freeRow;
    rows[at + LENGTH] = -1;
    this.#freeRow = id;
    this.size--;
  }

  inUse(id: number): boolean {
    return id > 0 && id < this.limit && this.#rows.chunk(id)[this.#rows.at(id) + LENGTH] !== -1;
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
    let id = this.#index.first(hash);
    while (id !== 0 && !this.#same(id, key)) id = this.#index.after(hash, id);
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
    const at = this.#allocate(sizeClassOf(length));
    const chunk = this.#chunks[at >>> CHUNK_BITS]!;
    let offset = at & CHUNK_MASK;
    chunk[offset++] = key.tag >>> 8;
    chunk[offset++] = key.tag;
    chunk[offset++] = key.nextHopEnd - key.nextHopStart;
    offset = copy(key.nextHop, key.nextHopStart, key.nextHopEnd, chunk, offset);
    copy(key.block, key.blockStart, key.blockEnd, chunk, offset);

    let id = this.#freeRow;
    if (id !== 0) {
      this.#freeRow = this.#rows.chunk(id)[this.#rows.at(id) + BLOCK]!;
    } else {
      id = this.limit++;
      this.#rows.reserve(id);
    }
    const rows = this.#rows.chunk(id);
    const row = this.#rows.at(id);
    rows[row + BLOCK] = at;
    rows[row + LENGTH] = length;
    rows[row + HASH] = hash;
    rows[row + REFS] = 0;
    this.#index.insert(hash, id);
    this.size++;
    return id;
  }

  #allocate(sizeClass: number): number {
    const size = sizeOfClass(sizeClass);
    this.bytesInUse += size;
    const free = this.#freeBlocks[sizeClass]!;
    if (free !== 0) {
      const chunk = this.#chunks[(free - 1) >>> CHUNK_BITS]!;
      const at = (free - 1) & CHUNK_MASK;
      this.#freeBlocks[sizeClass] =
        (chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) | chunk[at + 3]!;
      return free - 1;
    }
    if (this.#fill + size > CHUNK) {
      this.#chunks.push(new Uint8Array(CHUNK));
      this.#fill = 0;
    }
    const at = ((this.#chunks.length - 1) << CHUNK_BITS) | this.#fill;
    this.#fill += size;
    return at;
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
