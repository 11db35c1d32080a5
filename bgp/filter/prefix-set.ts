/**
 * A set of prefix ranges that is asked once per prefix: by the length of the bases, longest last, then by hash of the
 * prefix cut to that length. The cost grows with the number of different base lengths, not with the number of ranges.
 */

import type { Prefix, PrefixRange } from './types.ts';

export class PrefixSet {
  readonly #lengths4: readonly Bases[];
  readonly #lengths6: readonly Bases[];

  constructor(ranges: readonly PrefixRange[]) {
    this.#lengths4 = byLength(ranges.filter(({ prefix }) => prefix.family === 4));
    this.#lengths6 = byLength(ranges.filter(({ prefix }) => prefix.family === 6));
  }

  /** The prefixes of a list as ranges that hold everything within them. */
  static within(prefixes: readonly Prefix[]): PrefixSet {
    return new PrefixSet(prefixes.map((prefix) => ({ prefix, ge: prefix.length })));
  }

  /** Is this IPv4 prefix in one of the ranges? The address is a number, signed or not. */
  has4(address: number, length: number): boolean {
    for (const bases of this.#lengths4) {
      if (bases.length > length) return false;
      const found = bases.ranges.get(address & maskWord(bases.length));
      if (found !== undefined && inRange(found, length)) return true;
    }
    return false;
  }

  /** Is this IPv6 prefix in one of the ranges? The address is four words, the highest first. */
  has6(w0: number, w1: number, w2: number, w3: number, length: number): boolean {
    for (const bases of this.#lengths6) {
      if (bases.length > length) return false;
      const m0 = w0 & maskWord(bases.length);
      const m1 = w1 & maskWord(bases.length - 32);
      const m2 = w2 & maskWord(bases.length - 64);
      const m3 = w3 & maskWord(bases.length - 96);
      const found = bases.ranges.get(m0 ^ Math.imul(m1, 31) ^ Math.imul(m2, 961) ^ Math.imul(m3, 29791));
      if (found?.some((range) => isBase(range, m0, m1, m2, m3) && length >= range.ge && length <= range.le)) {
        return true;
      }
    }
    return false;
  }

  /** Is this address (4 or 16 bytes) in one of the ranges, as a prefix of full length? */
  hasAddress(bytes: Uint8Array): boolean {
    if (bytes.length === 4) return this.has4(wordAt(bytes, 0), 32);
    return this.has6(wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12), 128);
  }
}

type Range = { readonly words: readonly number[]; readonly ge: number; readonly le: number };
type Bases = { readonly length: number; readonly ranges: Map<number, Range[]> };

function byLength(ranges: readonly PrefixRange[]): Bases[] {
  const lengths = new Map<number, Map<number, Range[]>>();
  for (const { prefix, ge, le } of ranges) {
    const longest = prefix.bytes.length * 8;
    const length = prefix.length;
    const words = [0, 0, 0, 0];
    for (let i = 0; i < prefix.bytes.length; i += 4) {
      words[i >>> 2] = wordAt(prefix.bytes, i) & maskWord(length - 8 * i);
    }
    const hash =
      prefix.family === 4
        ? words[0]!
        : words[0]! ^ Math.imul(words[1]!, 31) ^ Math.imul(words[2]!, 961) ^ Math.imul(words[3]!, 29791);
    const bases = lengths.get(length) ?? new Map<number, Range[]>();
    lengths.set(length, bases);
    const list = bases.get(hash) ?? [];
    bases.set(hash, list);
    list.push({ words, ge: ge ?? length, le: le ?? (ge === undefined ? length : longest) });
  }
  return [...lengths]
    .map(([length, bases]) => ({ length, ranges: bases }))
    .sort((a, b) => a.length - b.length);
}

function inRange(ranges: readonly Range[], length: number): boolean {
  for (const { ge, le } of ranges) if (length >= ge && length <= le) return true;
  return false;
}

function isBase({ words }: Range, w0: number, w1: number, w2: number, w3: number): boolean {
  return words[0] === w0 && words[1] === w1 && words[2] === w2 && words[3] === w3;
}

function maskWord(length: number): number {
  if (length <= 0) return 0;
  return length >= 32 ? -1 : ~(-1 >>> length);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
