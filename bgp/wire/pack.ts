/**
 * Writing UPDATEs: as many prefixes as a message holds, then the next message.
 *
 * Prefixes are named by rows of columns (`nlri.ts`), so that a RIB hands over its own table and a list of indexes and
 * nothing is copied in between.
 */

import { putU16, putU32 } from './bytes.ts';
import {
  ATTR_MP_REACH,
  ATTR_MP_UNREACH,
  type Family,
  FLAG_EXTENDED_LENGTH,
  FLAG_OPTIONAL,
  HEADER_LENGTH,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAX_MESSAGE,
  MIN_UPDATE,
  UPDATE,
} from './constants.ts';
import { putHeader } from './header.ts';
import { type Ipv4Columns, type Ipv6Columns, putPrefix4, putPrefix6 } from './nlri.ts';

/**
 * Each call writes one UPDATE at `at` and returns where it ends; `next` is then the first of `rows` that it does not
 * hold, so that a loop writes them all:
 *
 * ```
 * for (let row = from; row < to; row = packer.next) {
 *   const end = packer.announce4(out, at, attributes, columns, rows, row, to);
 *   if (end === at) ... // not even one prefix fits beside these attributes: it can not be announced
 *   at = end;
 * }
 * ```
 *
 * `out` has room for a largest message from `at` on; where it has less, messages are shorter. With `pathIds` in the
 * columns every prefix is preceded by its path identifier (RFC 7911).
 */
export class UpdatePacker {
  next = 0;
  readonly maxLength: number;

  /**
   * `maxLength`: MAX_MESSAGE, or MAX_EXTENDED_MESSAGE towards a neighbour that sent that capability (RFC 8654 section
   * 4).
   */
  constructor(maxLength: number = MAX_MESSAGE) {
    this.maxLength = maxLength;
  }

  /** IPv4 prefixes in the NLRI field; `attributes` are encoded and have a NEXT_HOP among them. */
  announce4(
    out: Uint8Array,
    at: number,
    attributes: Uint8Array,
    columns: Ipv4Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const start = at + HEADER_LENGTH + 4;
    const limit = this.#limit(out, at);
    this.next = from;
    if (start + attributes.length > limit) return at;
    putU16(out, at + HEADER_LENGTH, 0);
    putU16(out, at + HEADER_LENGTH + 2, attributes.length);
    out.set(attributes, start);
    const end = this.#fill4(out, start + attributes.length, limit, columns, rows, from, to);
    if (this.next === from) return at;
    putHeader(out, at, end - at, UPDATE);
    return end;
  }

  /** IPv4 prefixes in the Withdrawn Routes field. */
  withdraw4(
    out: Uint8Array,
    at: number,
    columns: Ipv4Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const start = at + HEADER_LENGTH + 2;
    // Behind the prefixes comes the length of the attributes, of which there are none.
    const limit = this.#limit(out, at) - 2;
    this.next = from;
    if (start > limit) return at;
    const end = this.#fill4(out, start, limit, columns, rows, from, to);
    if (this.next === from) return at;
    putU16(out, at + HEADER_LENGTH, end - start);
    putU16(out, end, 0);
    putHeader(out, at, end + 2 - at, UPDATE);
    return end + 2;
  }

  /**
   * IPv4 prefixes in MP_REACH_NLRI, with an IPv6 next hop of 16 or 32 bytes (RFC 8950); `attributes` have no
   * NEXT_HOP.
   */
  announceMp4(
    out: Uint8Array,
    at: number,
    nextHop: Uint8Array,
    attributes: Uint8Array,
    columns: Ipv4Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const limit = this.#limit(out, at) - attributes.length;
    this.next = from;
    const start = putMpReach(out, at, limit, IPV4_UNICAST, nextHop);
    if (start < 0) return at;
    const end = this.#fill4(out, start, limit, columns, rows, from, to);
    return this.next === from ? at : finishReach(out, at, end, attributes);
  }

  /** IPv6 prefixes in MP_REACH_NLRI, with a next hop of 16 or 32 bytes; `attributes` have no NEXT_HOP. */
  announce6(
    out: Uint8Array,
    at: number,
    nextHop: Uint8Array,
    attributes: Uint8Array,
    columns: Ipv6Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const limit = this.#limit(out, at) - attributes.length;
    this.next = from;
    const start = putMpReach(out, at, limit, IPV6_UNICAST, nextHop);
    if (start < 0) return at;
    const end = this.#fill6(out, start, limit, columns, rows, from, to);
    return this.next === from ? at : finishReach(out, at, end, attributes);
  }

  /** IPv6 prefixes in MP_UNREACH_NLRI. */
  withdraw6(
    out: Uint8Array,
    at: number,
    columns: Ipv6Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const limit = this.#limit(out, at);
    this.next = from;
    const start = putMpUnreach(out, at, limit, IPV6_UNICAST);
    if (start < 0) return at;
    const end = this.#fill6(out, start, limit, columns, rows, from, to);
    return this.next === from ? at : finishUnreach(out, at, end);
  }

  /** IPv4 prefixes in MP_UNREACH_NLRI, as those announced by `announceMp4` may be withdrawn. */
  withdrawMp4(
    out: Uint8Array,
    at: number,
    columns: Ipv4Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const limit = this.#limit(out, at);
    this.next = from;
    const start = putMpUnreach(out, at, limit, IPV4_UNICAST);
    if (start < 0) return at;
    const end = this.#fill4(out, start, limit, columns, rows, from, to);
    return this.next === from ? at : finishUnreach(out, at, end);
  }

  #limit(out: Uint8Array, at: number): number {
    return Math.min(out.length, at + this.maxLength);
  }

  /** Writes prefixes up to `limit`; where they end. Sets `next`. */
  #fill4(
    out: Uint8Array,
    at: number,
    limit: number,
    columns: Ipv4Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const { addresses, lengths, pathIds } = columns;
    let next = from;
    for (; next < to; next++) {
      const row = rows[next]!;
      const length = lengths[row]!;
      const size = 1 + ((length + 7) >>> 3) + (pathIds === undefined ? 0 : 4);
      if (at + size > limit) break;
      if (pathIds !== undefined) {
        putU32(out, at, pathIds[row]!);
        at += 4;
      }
      at = putPrefix4(out, at, addresses[row]!, length);
    }
    this.next = next;
    return at;
  }

  #fill6(
    out: Uint8Array,
    at: number,
    limit: number,
    columns: Ipv6Columns,
    rows: Uint32Array,
    from: number,
    to: number,
  ): number {
    const { words, lengths, pathIds } = columns;
    let next = from;
    for (; next < to; next++) {
      const row = rows[next]!;
      const length = lengths[row]!;
      const size = 1 + ((length + 7) >>> 3) + (pathIds === undefined ? 0 : 4);
      if (at + size > limit) break;
      if (pathIds !== undefined) {
        putU32(out, at, pathIds[row]!);
        at += 4;
      }
      at = putPrefix6(out, at, words, 4 * row, length);
    }
    this.next = next;
    return at;
  }
}

/**
 * The UPDATE that says: these were all the routes of the family (RFC 4724 section 2). For IPv4 unicast it is empty,
 * for others an MP_UNREACH_NLRI without prefixes.
 */
export function encodeEndOfRib(family: Family): Uint8Array {
  const length = family === IPV4_UNICAST ? MIN_UPDATE : MIN_UPDATE + 6;
  const out = new Uint8Array(length);
  putHeader(out, 0, length, UPDATE);
  if (family !== IPV4_UNICAST) {
    putU16(out, HEADER_LENGTH + 2, 6);
    out[HEADER_LENGTH + 4] = FLAG_OPTIONAL;
    out[HEADER_LENGTH + 5] = ATTR_MP_UNREACH;
    out[HEADER_LENGTH + 6] = 3;
    putFamily(out, HEADER_LENGTH + 7, family);
  }
  return out;
}

/** Where the first attribute of a message at `at` without withdrawn routes starts. */
const FIRST_ATTRIBUTE = HEADER_LENGTH + 4;
/** Flags, code and two octets of length: the two attributes are always written in the extended form. */
const ATTRIBUTE_HEAD = 4;
/** AFI and SAFI. */
const FAMILY = 3;

function putFamily(out: Uint8Array, at: number, family: Family): void {
  putU16(out, at, family >>> 8);
  out[at + 2] = family;
}

/**
 * Begins an UPDATE whose first attribute (RFC 7606 section 5.1) is MP_REACH_NLRI; where its prefixes start, or -1
 * past `limit`.
 */
function putMpReach(out: Uint8Array, at: number, limit: number, family: Family, nextHop: Uint8Array): number {
  const value = at + FIRST_ATTRIBUTE + ATTRIBUTE_HEAD;
  const start = value + FAMILY + 1 + nextHop.length + 1;
  if (start > limit) return -1;
  out[at + FIRST_ATTRIBUTE] = FLAG_OPTIONAL | FLAG_EXTENDED_LENGTH;
  out[at + FIRST_ATTRIBUTE + 1] = ATTR_MP_REACH;
  putFamily(out, value, family);
  out[value + FAMILY] = nextHop.length;
  out.set(nextHop, value + FAMILY + 1);
  out[start - 1] = 0; // reserved
  return start;
}

/** Ends an UPDATE that `putMpReach` began: prefixes up to `end`, then the other attributes. */
function finishReach(out: Uint8Array, at: number, end: number, attributes: Uint8Array): number {
  putU16(out, at + FIRST_ATTRIBUTE + 2, end - at - FIRST_ATTRIBUTE - ATTRIBUTE_HEAD);
  out.set(attributes, end);
  return finishMp(out, at, end + attributes.length);
}

/** Begins an UPDATE of which MP_UNREACH_NLRI is the only attribute; where its prefixes start, or -1 past `limit`. */
function putMpUnreach(out: Uint8Array, at: number, limit: number, family: Family): number {
  const start = at + FIRST_ATTRIBUTE + ATTRIBUTE_HEAD + FAMILY;
  if (start > limit) return -1;
  out[at + FIRST_ATTRIBUTE] = FLAG_OPTIONAL | FLAG_EXTENDED_LENGTH;
  out[at + FIRST_ATTRIBUTE + 1] = ATTR_MP_UNREACH;
  putFamily(out, start - FAMILY, family);
  return start;
}

function finishUnreach(out: Uint8Array, at: number, end: number): number {
  putU16(out, at + FIRST_ATTRIBUTE + 2, end - at - FIRST_ATTRIBUTE - ATTRIBUTE_HEAD);
  return finishMp(out, at, end);
}

/** Header, no withdrawn routes, and the length of the attributes, which reach to the end of the message. */
function finishMp(out: Uint8Array, at: number, end: number): number {
  putHeader(out, at, end - at, UPDATE);
  putU16(out, at + HEADER_LENGTH, 0);
  putU16(out, at + HEADER_LENGTH + 2, end - at - FIRST_ATTRIBUTE);
  return end;
}
