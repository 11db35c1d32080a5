/**
 * The short way through attribute blocks that are in every way ordinary, as nearly all are: four-octet AS numbers, one AS
 * sequence, nothing malformed, unknown, repeated or out of place. Such a block can be checked, compared and rewritten as bytes. It
 * is only a short cut: whatever is not plain goes the long way through the codec, and what is comes to the same (a property
 * that tests hold).
 */

import { getU32 } from '#bgp/wire/bytes.ts';
import {
  AS_SEQUENCE,
  ATTR_AGGREGATOR,
  ATTR_AS_PATH,
  ATTR_ATOMIC_AGGREGATE,
  ATTR_CLUSTER_LIST,
  ATTR_COMMUNITIES,
  ATTR_EXTENDED_COMMUNITIES,
  ATTR_LARGE_COMMUNITIES,
  ATTR_LOCAL_PREF,
  ATTR_MED,
  ATTR_NEXT_HOP,
  ATTR_ORIGIN,
  ATTR_ORIGINATOR_ID,
  FLAG_EXTENDED_LENGTH,
  FLAG_OPTIONAL,
  FLAG_TRANSITIVE,
  ORIGIN_INCOMPLETE,
} from '#bgp/wire/constants.ts';
import type { CodecContext } from '#bgp/wire/types.ts';

/** Where the attributes of a plain block are. One object serves all blocks: `scan` fills it anew. */
export class PlainAttributes {
  bytes: Uint8Array = new Uint8Array(0);
  /** Bit n: the attribute with code n is there. (Code 32, LARGE_COMMUNITY, is bit 0.) */
  present = 0;
  /** The next hop is not among the attributes. */
  nextHopApart = false;
  /** By attribute code: where its value starts and ends. Only meaningful for those that are present. */
  readonly start = new Int32Array(33);
  readonly end = new Int32Array(33);

  /**
   * Goes through a block that came by these rules. `nextHopApart`: NEXT_HOP is not needed.
   *
   * @returns whether it is plain. If not, nothing else here means anything.
   */
  scan(
    bytes: Uint8Array,
    at: number,
    blockEnd: number,
    context: CodecContext,
    nextHopApart: boolean,
  ): boolean {
    if (!context.as4 || context.rejectAsSets) return false;
    this.bytes = bytes;
    this.nextHopApart = nextHopApart;
    let present = 0;
    while (at < blockEnd) {
      if (blockEnd - at < 3) return false;
      const flags = bytes[at]!;
      const code = bytes[at + 1]!;
      if (code > 32 || (flags & ~FLAG_EXTENDED_LENGTH) !== FLAGS[code]) return false;
      let length = bytes[at + 2]!;
      at += 3;
      if ((flags & FLAG_EXTENDED_LENGTH) !== 0) {
        if (at >= blockEnd) return false;
        length = (length << 8) | bytes[at]!;
        at++;
      }
      const bit = 1 << (code & 31);
      if ((present & bit) !== 0 || at + length > blockEnd) return false;
      present |= bit;
      this.start[code] = at;
      at += length;
      this.end[code] = at;
      const unit = UNIT[code]!;
      if (unit >= 0 ? length !== unit && unit !== ANY : length === 0 || length % -unit !== 0) return false;
    }
    this.present = present;
    return this.#isInOrder(context, nextHopApart);
  }

  has(code: number): boolean {
    return (this.present & (1 << (code & 31))) !== 0;
  }

  /** The first four octets of a value that is there, unsigned. */
  number(code: number): number {
    return getU32(this.bytes, this.start[code]!);
  }

  get origin(): number {
    return this.bytes[this.start[ATTR_ORIGIN]!]!;
  }

  /** How many ASes the path has. */
  get pathLength(): number {
    const start = this.start[ATTR_AS_PATH]!;
    return this.end[ATTR_AS_PATH] === start ? 0 : this.bytes[start + 1]!;
  }

  /** The first AS of the path, 0 if there is none. */
  get firstAs(): number {
    return this.pathLength === 0 ? 0 : getU32(this.bytes, this.start[ATTR_AS_PATH]! + 2);
  }

  countInPath(asn: number): number {
    let count = 0;
    const end = this.end[ATTR_AS_PATH]!;
    for (let at = this.start[ATTR_AS_PATH]! + 2; at < end; at += 4) {
      if (getU32(this.bytes, at) === asn) count++;
    }
    return count;
  }

  /** Whether a list of 32-bit numbers (COMMUNITIES, CLUSTER_LIST) is there and has this one in it. */
  listHas(code: number, number: number): boolean {
    if (!this.has(code)) return false;
    for (let at = this.start[code]!; at < this.end[code]!; at += 4) {
      if (getU32(this.bytes, at) === number) return true;
    }
    return false;
  }

  /** What the length of every attribute does not show. */
  #isInOrder(context: CodecContext, nextHopApart: boolean): boolean {
    const { present, bytes } = this;
    const needed = nextHopApart ? NEEDED : NEEDED | (1 << ATTR_NEXT_HOP);
    if ((present & needed) !== needed) return false;
    if (context.ebgp && (present & INTERNAL) !== 0) return false;
    if (this.origin > ORIGIN_INCOMPLETE) return false;
    if ((present & (1 << ATTR_NEXT_HOP)) !== 0) {
      // 0/8, 127/8, and everything from 224/4 on are no addresses of hosts.
      const first = bytes[this.start[ATTR_NEXT_HOP]!]!;
      if (first === 0 || first === 127 || first >= 224) return false;
    }
    if ((present & (1 << ATTR_AGGREGATOR)) !== 0 && this.number(ATTR_AGGREGATOR) === 0) return false;
    // Repeated large communities count once: one is the number that can be told at a glance.
    const large = this.end[ATTR_LARGE_COMMUNITIES]! - this.start[ATTR_LARGE_COMMUNITIES]!;
    if ((present & 1) !== 0 && large !== 12) return false;
    return this.#isPlainPath(context);
  }

  /** No path, or one sequence of all there is. */
  #isPlainPath(context: CodecContext): boolean {
    const { bytes } = this;
    const start = this.start[ATTR_AS_PATH]!;
    const length = this.end[ATTR_AS_PATH]! - start;
    if (length === 0) return !context.firstAs;
    const count = bytes[start + 1]!;
    if (bytes[start] !== AS_SEQUENCE || count === 0 || length !== 2 + 4 * count) return false;
    for (let at = start + 2; at < start + length; at += 4) if (getU32(bytes, at) === 0) return false;
    return !context.firstAs || getU32(bytes, start + 2) === context.firstAs;
  }
}

const NEEDED = (1 << ATTR_ORIGIN) | (1 << ATTR_AS_PATH);
const INTERNAL = (1 << ATTR_LOCAL_PREF) | (1 << ATTR_ORIGINATOR_ID) | (1 << ATTR_CLUSTER_LIST);

const OPTIONAL_TRANSITIVE = FLAG_OPTIONAL | FLAG_TRANSITIVE;

/** A length that is looked at elsewhere. */
const ANY = 127;

/** By code: flags, and length; below zero that of one of a list, which is not empty. -1 as flags: not plain. */
const FLAGS = new Int16Array(33).fill(-1);
const UNIT = new Int8Array(33);
for (const [code, flags, unit] of [
  [ATTR_ORIGIN, FLAG_TRANSITIVE, 1],
  [ATTR_AS_PATH, FLAG_TRANSITIVE, ANY],
  [ATTR_NEXT_HOP, FLAG_TRANSITIVE, 4],
  [ATTR_MED, FLAG_OPTIONAL, 4],
  [ATTR_LOCAL_PREF, FLAG_TRANSITIVE, 4],
  [ATTR_ATOMIC_AGGREGATE, FLAG_TRANSITIVE, 0],
  [ATTR_AGGREGATOR, OPTIONAL_TRANSITIVE, 8],
  [ATTR_COMMUNITIES, OPTIONAL_TRANSITIVE, -4],
  [ATTR_ORIGINATOR_ID, FLAG_OPTIONAL, 4],
  [ATTR_CLUSTER_LIST, FLAG_OPTIONAL, -4],
  [ATTR_EXTENDED_COMMUNITIES, OPTIONAL_TRANSITIVE, -8],
  [ATTR_LARGE_COMMUNITIES, OPTIONAL_TRANSITIVE, -12],
] as const) {
  FLAGS[code] = flags;
  UNIT[code] = unit;
}
