/**
 * Messages that are almost right: mutations of good ones, from a seed, always the same for the same seed.
 */

import { putU16 } from '#bgp/wire/bytes.ts';
import { HEADER_LENGTH, MAX_MESSAGE, OPEN, UPDATE } from '#bgp/wire/constants.ts';

/** A generator of numbers that is the same everywhere (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 up to, but not including, `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

/**
 * Mutates messages of a corpus: a few changes each, of bits, of lengths, of whole attributes, by cutting and by
 * joining two. Most come out with outer lengths that are right again, so that what is wrong lies deep inside.
 */
export class Mutator {
  readonly #random: Random;
  readonly #corpus: readonly Uint8Array[];
  readonly #buffer = new Uint8Array(2 * MAX_MESSAGE + 64);
  #length = 0;
  /** Which message of the corpus the last one was made of. */
  origin = 0;

  constructor(random: Random, corpus: readonly Uint8Array[]) {
    this.#random = random;
    this.#corpus = corpus;
  }

  /** The next mutated message; a view that is overwritten by the one after it. */
  next(): Uint8Array {
    const random = this.#random;
    this.origin = random.below(this.#corpus.length);
    const start = this.#corpus[this.origin]!;
    this.#buffer.set(start, 0);
    this.#length = start.length;
    // Mostly one change: several at once hide each other.
    for (let changes = random.below(3) === 0 ? 1 + random.below(4) : 1; changes > 0; changes--) {
      if (start[18] === UPDATE && random.below(3) !== 0) this.#mutateAttribute();
      else this.#mutate();
    }
    if (random.below(8) !== 0) this.#repair();
    return this.#buffer.subarray(0, this.#length);
  }

  #mutate(): void {
    const random = this.#random;
    const bytes = this.#buffer;
    const length = this.#length;
    // The header is left alone for the most part: a message that the framer refuses teaches little.
    const first = random.below(20) === 0 ? 0 : HEADER_LENGTH;
    if (length <= first) return;
    const at = first + random.below(length - first);
    switch (random.below(10)) {
      case 0: // a bit
        bytes[at]! ^= 1 << random.below(8);
        return;
      case 1: // a byte
        bytes[at] = random.below(256);
        return;
      case 2: // a byte that is likely to matter
        bytes[at] = random.pick(TELLING);
        return;
      case 3: // one more or less, as off-by-one lengths are
        bytes[at]! += random.below(2) === 0 ? 1 : -1;
        return;
      case 4: // cut off
        this.#length = at;
        return;
      case 5: // leave out
        this.#remove(at, 1 + random.below(12));
        return;
      case 6: // put in
        this.#insert(
          at,
          Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256)),
        );
        return;
      case 7: {
        // a piece of another message
        const other = random.pick(this.#corpus);
        const from = HEADER_LENGTH + random.below(Math.max(1, other.length - HEADER_LENGTH));
        this.#insert(at, other.subarray(from, from + 1 + random.below(60)));
        return;
      }
      case 8: // a piece again
        this.#insert(at, bytes.slice(at, Math.min(length, at + 1 + random.below(40))));
        return;
      default:
        this.#mutateAttribute();
    }
  }

  /** Repeats, leaves out, moves, or relabels a path attribute as a whole. */
  #mutateAttribute(): void {
    const random = this.#random;
    const bytes = this.#buffer;
    const attributes = this.#attributes();
    if (attributes.length === 0) return;
    const { start, end } = random.pick(attributes);
    switch (random.below(8)) {
      case 6: // its value, with a length that is right
        if (end - start < 4) return;
        bytes[start + 3 + random.below(end - start - 3)] = random.pick(TELLING);
        return;
      case 7: {
        const by = 1 + random.below(4);
        if ((bytes[start]! & 0x10) !== 0 || end - start + by > 255) return;
        bytes[start + 2]! += by;
        this.#insert(
          end,
          Uint8Array.from({ length: by }, () => random.pick(TELLING)),
        );
        return;
      }
      case 0:
        this.#insert(random.pick(attributes).start, bytes.slice(start, end));
        return;
      case 1:
        this.#remove(start, end - start);
        return;
      case 2: {
        const moved = bytes.slice(start, end);
        this.#remove(start, end - start);
        this.#insert(random.pick(attributes).start, moved);
        return;
      }
      case 3:
        bytes[start + 1] = random.pick(CODES);
        return;
      case 4:
        bytes[start]! ^= 0x10 << random.below(4);
        return;
      default:
        bytes[start + 2] =
          random.below(3) === 0 ? random.below(256) : bytes[start + 2]! + random.below(9) - 4;
    }
  }

  #attributes(): { start: number; end: number }[] {
    const bytes = this.#buffer;
    const found: { start: number; end: number }[] = [];
    if (bytes[18] !== UPDATE) return found;
    let at = HEADER_LENGTH + 2 + ((bytes[HEADER_LENGTH]! << 8) | bytes[HEADER_LENGTH + 1]!);
    const end = Math.min(this.#length, at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!));
    at += 2;
    while (at + 3 <= end) {
      const extended = (bytes[at]! & 0x10) !== 0;
      const size = extended ? 4 + ((bytes[at + 2]! << 8) | bytes[at + 3]!) : 3 + bytes[at + 2]!;
      if (at + size > end) break;
      found.push({ start: at, end: at + size });
      at += size;
    }
    return found;
  }

  #remove(at: number, count: number): void {
    const end = Math.min(this.#length, at + count);
    this.#buffer.copyWithin(at, end, this.#length);
    this.#length -= end - at;
    this.#grow(at, -(end - at));
  }

  #insert(at: number, piece: Uint8Array): void {
    if (this.#length + piece.length > MAX_MESSAGE || at > this.#length) return;
    this.#buffer.copyWithin(at + piece.length, at, this.#length);
    this.#buffer.set(piece, at);
    this.#length += piece.length;
    this.#grow(at, piece.length);
  }

  /** Lets the length of the attribute block follow what was put into it, three times out of four. */
  #grow(at: number, by: number): void {
    const bytes = this.#buffer;
    if (bytes[18] !== UPDATE || this.#random.below(4) === 0) return;
    const field = HEADER_LENGTH + 2 + ((bytes[HEADER_LENGTH]! << 8) | bytes[HEADER_LENGTH + 1]!);
    const size = (bytes[field]! << 8) | bytes[field + 1]!;
    if (at < field + 2 || at > field + 2 + size) return;
    putU16(bytes, field, Math.max(0, size + by));
  }

  #repair(): void {
    const bytes = this.#buffer;
    if (this.#length < HEADER_LENGTH) return;
    bytes.fill(0xff, 0, 16);
    putU16(bytes, 16, this.#length);
    // The length of the optional parameters, unless it says that there is another one.
    if (bytes[18] === OPEN && this.#length >= 29 && bytes[29] !== 255 && this.#random.below(4) !== 0) {
      bytes[28] = this.#length - 29;
    }
  }
}

const TELLING: readonly number[] = [
  0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 31, 32, 33, 64, 127, 128, 129, 192, 254, 255,
];
const CODES: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 32, 35, 99, 255];
