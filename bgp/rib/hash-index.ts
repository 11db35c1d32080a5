/**
 * An index from 32-bit hashes to ids, by open addressing in typed arrays, that grows without long pauses.
 *
 * It is extendible hashing: the top bits of a hash choose a segment through a directory, and a segment that fills up is split
 * in two by itself. Growing so costs one segment (2,048 slots) at a time and never a rehash of the whole table. Removing
 * shifts entries back within the segment, so there are no tombstones and look-ups do not decay under churn.
 *
 * A search goes in steps of one cache line, so a segment is eight lanes side by side that do not meet. Keys that are likely to
 * come together can be given hashes that differ in the last three bits alone: they share a line, each in a lane of its own, and
 * however long such groups are they do not make each other's searches longer, as they would in neighbouring slots.
 *
 * The keys themselves stay with the caller, who compares them for the ids that it finds:
 *
 *     let id = index.first(hash);
 *     while (id !== 0 && !sameKey(id)) id = index.after(hash, id);
 */

const SEGMENT_BITS = 11;
const SEGMENT = 1 << SEGMENT_BITS;
const SEGMENT_MASK = SEGMENT - 1;
/** Segments per chunk, as a power of two. */
const CHUNK_BITS = 2;
const CHUNK_MASK = (1 << CHUNK_BITS) - 1;
/** Slots of a cache line: what a search goes on by, and the number of lanes. */
const STEP = 8;
const LANE = SEGMENT / STEP;
const LANE_MASK = STEP - 1;
/** A segment is split when one of its lanes is three quarters full. */
const LANE_LIMIT = (LANE * 3) >>> 2;
/** Slots are found by the low bits and segments by the high ones: this many hash bits can tell segments apart. */
const MAX_DEPTH = 32 - SEGMENT_BITS;

export class HashIndex {
  size = 0;
  /** Pairs: hash, id. Id 0 is an empty slot. In chunks of a few segments each, so that growing copies nothing. */
  readonly #chunks: Int32Array[] = [];
  /** Entries per lane of each segment. */
  readonly #counts: Uint8Array[] = [];
  /** Per segment: how many top bits of the hash lead to it. */
  readonly #depth: number[] = [0];
  /** Top bits of a hash -> segment. */
  #directory = new Int32Array(1);
  #globalDepth = 0;

  constructor() {
    this.#reserve(0);
  }

  /** The first id under `hash` (a signed 32-bit number), 0 if there is none. */
  first(hash: number): number {
    const segment = this.#segmentOf(hash);
    const chunk = this.#chunks[segment >>> CHUNK_BITS]!;
    const base = (segment & CHUNK_MASK) << (SEGMENT_BITS + 1);
    let slot = hash & SEGMENT_MASK;
    for (;;) {
      const entry = base + 2 * slot;
      const id = chunk[entry + 1]!;
      if (id === 0 || chunk[entry] === hash) return id;
      slot = (slot + STEP) & SEGMENT_MASK;
    }
  }

  /** The id under the same hash after `id`, 0 if there is none. Equal hashes of different keys are rare. */
  after(hash: number, id: number): number {
    const segment = this.#segmentOf(hash);
    const chunk = this.#chunks[segment >>> CHUNK_BITS]!;
    const base = (segment & CHUNK_MASK) << (SEGMENT_BITS + 1);
    let slot = hash & SEGMENT_MASK;
    let seen = false;
    for (;;) {
      const entry = base + 2 * slot;
      const found = chunk[entry + 1]!;
      if (found === 0 || (seen && chunk[entry] === hash)) return found;
      if (found === id) seen = true;
      slot = (slot + STEP) & SEGMENT_MASK;
    }
  }

  /** Adds an id (not 0) that is known not to be in the index. `hash` is a signed 32-bit number. */
  insert(hash: number, id: number): void {
    let segment = this.#segmentOf(hash);
    const lane = hash & LANE_MASK;
    while (this.#counts[segment]![lane]! >= LANE_LIMIT && this.#split(segment))
      segment = this.#segmentOf(hash);
    if (this.#counts[segment]![lane]! >= LANE - 1) {
      throw new RangeError('hash index: too many entries of one hash');
    }
    this.#place(segment, hash, id);
    this.size++;
  }

  /** Removes an id that is known to be in the index under `hash`. */
  remove(hash: number, id: number): void {
    const segment = this.#segmentOf(hash);
    const chunk = this.#chunks[segment >>> CHUNK_BITS]!;
    const base = (segment & CHUNK_MASK) << (SEGMENT_BITS + 1);
    let hole = hash & SEGMENT_MASK;
    while (chunk[base + 2 * hole + 1] !== id) {
      if (chunk[base + 2 * hole + 1] === 0) throw new RangeError(`hash index: id ${id} is not in it`);
      hole = (hole + STEP) & SEGMENT_MASK;
    }
    this.#counts[segment]![hash & LANE_MASK]!--;
    this.size--;
    // Entries after the hole move back into it unless that would put them before the slot where their search begins.
    let slot = hole;
    for (;;) {
      slot = (slot + STEP) & SEGMENT_MASK;
      if (chunk[base + 2 * slot + 1] === 0) break;
      const home = chunk[base + 2 * slot]! & SEGMENT_MASK;
      if (((slot - home) & SEGMENT_MASK) >= ((slot - hole) & SEGMENT_MASK)) {
        chunk[base + 2 * hole] = chunk[base + 2 * slot]!;
        chunk[base + 2 * hole + 1] = chunk[base + 2 * slot + 1]!;
        hole = slot;
      }
    }
    chunk[base + 2 * hole + 1] = 0;
  }

  #segmentOf(hash: number): number {
    // In two steps, because a shift by 32 is a shift by 0.
    return this.#directory[(hash >>> 1) >>> (31 - this.#globalDepth)]!;
  }

  #place(segment: number, hash: number, id: number): void {
    const chunk = this.#chunks[segment >>> CHUNK_BITS]!;
    const base = (segment & CHUNK_MASK) << (SEGMENT_BITS + 1);
    let slot = hash & SEGMENT_MASK;
    while (chunk[base + 2 * slot + 1] !== 0) slot = (slot + STEP) & SEGMENT_MASK;
    chunk[base + 2 * slot] = hash;
    chunk[base + 2 * slot + 1] = id;
    this.#counts[segment]![hash & LANE_MASK]!++;
  }

  #reserve(segment: number): void {
    while (this.#chunks.length << CHUNK_BITS <= segment) {
      this.#chunks.push(new Int32Array(SEGMENT << (CHUNK_BITS + 1)));
    }
    while (this.#counts.length <= segment) this.#counts.push(new Uint8Array(STEP));
  }

  /** @returns false if the hash has no more bits to split by. */
  #split(segment: number): boolean {
    const depth = this.#depth[segment]!;
    if (depth >= MAX_DEPTH) return false;
    if (depth === this.#globalDepth) this.#doubleDirectory();

    const added = this.#depth.length;
    this.#depth.push(depth + 1);
    this.#depth[segment] = depth + 1;
    this.#reserve(added);

    // The upper half of the directory entries of `segment` now leads to the new one.
    const span = 1 << (this.#globalDepth - depth - 1);
    const first = this.#directory.indexOf(segment);
    this.#directory.fill(added, first + span, first + 2 * span);

    const chunk = this.#chunks[segment >>> CHUNK_BITS]!;
    const base = (segment & CHUNK_MASK) << (SEGMENT_BITS + 1);
    const old = chunk.slice(base, base + 2 * SEGMENT);
    chunk.fill(0, base, base + 2 * SEGMENT);
    this.#counts[segment]!.fill(0);
    for (let i = 0; i < 2 * SEGMENT; i += 2) {
      const id = old[i + 1]!;
      if (id === 0) continue;
      const hash = old[i]!;
      this.#place(this.#segmentOf(hash), hash, id);
    }
    return true;
  }

  #doubleDirectory(): void {
    const old = this.#directory;
    const doubled = new Int32Array(old.length * 2);
    for (let i = 0; i < doubled.length; i++) doubled[i] = old[i >>> 1]!;
    this.#directory = doubled;
    this.#globalDepth++;
  }
}
