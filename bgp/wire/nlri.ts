/**
 * Prefixes on the wire: one octet of length in bits, then as many octets as it takes (RFC 4271 section 4.3, RFC 4760
 * section 5), with a path identifier of four octets in front where ADD-PATH is agreed on (RFC 7911 section 3).
 *
 * Prefixes are kept in columns of typed arrays, one row each. A list is read as a whole before anybody acts on a part
 * of it, which is what RFC 7606 section 3 (j) needs: a list that can not be read to its end says nothing reliable.
 */

import { getU32, putU32 } from './bytes.ts';

/** IPv4 prefixes by row: the address as a number with the bits past the length zero, and the length in bits. */
export type Ipv4Columns = {
  readonly addresses: Uint32Array;
  readonly lengths: Uint8Array;
  readonly pathIds?: Uint32Array | undefined;
};

/** IPv6 prefixes by row: the address of row i is `words[4 * i]` (the highest 32 bits) to `words[4 * i + 3]`. */
export type Ipv6Columns = {
  readonly words: Uint32Array;
  readonly lengths: Uint8Array;
  readonly pathIds?: Uint32Array | undefined;
};

/** Reads lists of IPv4 prefixes into columns that are used again and again. */
export class Ipv4Batch {
  addresses: Uint32Array;
  lengths: Uint8Array;
  /** Path identifiers; only meaningful after a `read` with `addPath`. */
  pathIds: Uint32Array = new Uint32Array(0);
  count = 0;
  /** After a `read` that returned false: what is wrong. */
  reason = '';

  /** `rows`: what there is room for at first. */
  constructor(rows: number = FIRST_ROWS) {
    this.addresses = new Uint32Array(rows);
    this.lengths = new Uint8Array(rows);
  }

  /**
   * Reads `bytes` from `start` to `end`. False if the list is syntactically incorrect (RFC 7606 section 5.3): a
   * length over 32, or a last prefix that runs over the end.
   */
  read(bytes: Uint8Array, start: number, end: number, addPath: boolean): boolean {
    this.#reserve(end - start, addPath);
    const addresses = this.addresses;
    const lengths = this.lengths;
    const pathIds = this.pathIds;
    let row = 0;
    let at = start;
    while (at < end) {
      if (addPath) {
        if (end - at < 5) return this.#overrun(row, end - at);
        pathIds[row] = getU32(bytes, at);
        at += 4;
      }
      const length = bytes[at]!;
      if (length > 32) {
        this.count = 0;
        this.reason = `prefix ${row + 1}: length ${length}, expected 0 to 32`;
        return false;
      }
      const octets = (length + 7) >>> 3;
      if (at + octets >= end) return this.#overrun(row, end - at);
      let address = 0;
      if (octets > 0) {
        address = bytes[at + 1]! << 24;
        if (octets > 1) address |= bytes[at + 2]! << 16;
        if (octets > 2) address |= bytes[at + 3]! << 8;
        if (octets > 3) address |= bytes[at + 4]!;
        address &= -1 << (32 - length);
      }
      addresses[row] = address;
      lengths[row] = length;
      row++;
      at += 1 + octets;
    }
    this.count = row;
    return true;
  }

  #overrun(row: number, left: number): false {
    this.count = 0;
    this.reason = `prefix ${row + 1} runs over the end: ${left} bytes left`;
    return false;
  }

  /** A prefix takes at least one byte, so the bytes of a list bound its rows. */
  #reserve(rows: number, addPath: boolean): void {
    if (rows > this.lengths.length) {
      const size = roomFor(rows);
      this.addresses = new Uint32Array(size);
      this.lengths = new Uint8Array(size);
    }
    if (addPath && this.pathIds.length < this.lengths.length)
      this.pathIds = new Uint32Array(this.lengths.length);
  }
}

/** Reads lists of IPv6 prefixes into columns that are used again and again. */
export class Ipv6Batch {
  words: Uint32Array;
  lengths: Uint8Array;
  /** Path identifiers; only meaningful after a `read` with `addPath`. */
  pathIds: Uint32Array = new Uint32Array(0);
  count = 0;
  /** After a `read` that returned false: what is wrong. */
  reason = '';

  /** `rows`: what there is room for at first. */
  constructor(rows: number = FIRST_ROWS) {
    this.words = new Uint32Array(4 * rows);
    this.lengths = new Uint8Array(rows);
  }

  /** As `Ipv4Batch.read`, with lengths up to 128. */
  read(bytes: Uint8Array, start: number, end: number, addPath: boolean): boolean {
    this.#reserve(end - start, addPath);
    const words = this.words;
    const lengths = this.lengths;
    const pathIds = this.pathIds;
    let row = 0;
    let at = start;
    while (at < end) {
      if (addPath) {
        if (end - at < 5) return this.#overrun(row, end - at);
        pathIds[row] = getU32(bytes, at);
        at += 4;
      }
      const length = bytes[at]!;
      if (length > 128) {
        this.count = 0;
        this.reason = `prefix ${row + 1}: length ${length}, expected 0 to 128`;
        return false;
      }
      const octets = (length + 7) >>> 3;
      at += 1;
      if (at + octets > end) return this.#overrun(row, end - at + 1);
      const first = 4 * row;
      words[first] = octets >= 4 ? getU32(bytes, at) : headOfWord(bytes, at, octets);
      words[first + 1] = octets >= 8 ? getU32(bytes, at + 4) : headOfWord(bytes, at + 4, octets - 4);
      words[first + 2] = octets >= 12 ? getU32(bytes, at + 8) : headOfWord(bytes, at + 8, octets - 8);
      words[first + 3] = octets === 16 ? getU32(bytes, at + 12) : headOfWord(bytes, at + 12, octets - 12);
      const spare = 8 * octets - length;
      if (spare > 0) words[first + ((length - 1) >>> 5)]! &= -1 << (32 - (((length - 1) & 31) + 1));
      lengths[row] = length;
      row++;
      at += octets;
    }
    this.count = row;
    return true;
  }

  #overrun(row: number, left: number): false {
    this.count = 0;
    this.reason = `prefix ${row + 1} runs over the end: ${left} bytes left`;
    return false;
  }

  #reserve(rows: number, addPath: boolean): void {
    if (rows > this.lengths.length) {
      const size = roomFor(rows);
      this.words = new Uint32Array(4 * size);
      this.lengths = new Uint8Array(size);
    }
    if (addPath && this.pathIds.length < this.lengths.length)
      this.pathIds = new Uint32Array(this.lengths.length);
  }
}

/** Writes one IPv4 prefix at `at`; where it ends. Bits past the length must be zero. */
export function putPrefix4(out: Uint8Array, at: number, address: number, length: number): number {
  out[at] = length;
  const octets = (length + 7) >>> 3;
  if (octets > 0) out[at + 1] = address >>> 24;
  if (octets > 1) out[at + 2] = address >>> 16;
  if (octets > 2) out[at + 3] = address >>> 8;
  if (octets > 3) out[at + 4] = address;
  return at + 1 + octets;
}

/**
 * Writes the IPv6 prefix whose address starts at `words[first]`; where it ends. Bits past the length must be zero.
 */
export function putPrefix6(
  out: Uint8Array,
  at: number,
  words: Uint32Array,
  first: number,
  length: number,
): number {
  out[at] = length;
  const octets = (length + 7) >>> 3;
  at += 1;
  const end = at + octets;
  let word = first;
  while (end - at >= 4) {
    putU32(out, at, words[word]!);
    word += 1;
    at += 4;
  }
  if (at < end) {
    const rest = words[word]!;
    for (let shift = 24; at < end; shift -= 8) out[at++] = rest >>> shift;
  }
  return end;
}

/** Rows at the start: what the usual message of 4,096 bytes can hold at most. */
const FIRST_ROWS = 4096;

function roomFor(rows: number): number {
  let size = FIRST_ROWS;
  while (size < rows) size *= 2;
  return size;
}

/** The upper `octets` (0 or less: none) bytes of a word whose other bytes are zero. */
function headOfWord(bytes: Uint8Array, at: number, octets: number): number {
  if (octets <= 0) return 0;
  let word = bytes[at]! << 24;
  if (octets > 1) word |= bytes[at + 1]! << 16;
  if (octets > 2) word |= bytes[at + 2]! << 8;
  return word;
}
