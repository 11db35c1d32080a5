/**
 * Attributes on their way out, rewritten as bytes: what the codec would make of the rewritten object, without the objects.
 * For plain blocks (`plain-attributes.ts`) and neighbours with four-octet AS numbers.
 */

import { putU16, putU32 } from '#bgp/wire/bytes.ts';
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
} from '#bgp/wire/constants.ts';
import type { PlainAttributes } from './plain-attributes.ts';

/** What is to be different from the block as it came. One object is filled again and again. */
export class Rewrite {
  /** To an external neighbour: no internal attributes, our AS in front. */
  external = false;
  prependAs = 0;
  keepMed = false;
  /** IPv4 address for NEXT_HOP; without one it stands apart. */
  nextHop: Uint8Array | undefined = undefined;
  /** To an internal neighbour: LOCAL_PREF if the block has none. */
  defaultLocalPref = 0;
  /** Reflected: ORIGINATOR_ID if there is none, and what goes in front of CLUSTER_LIST. */
  reflected = false;
  originatorId = 0;
  clusterId = 0;
}

/** Most octets that a rewrite can add. */
export const MOST_ADDED = 64;

/**
 * Writes the rewritten attributes at `at`, in ascending order; where they end. -1 if this is not for the short way. There must be
 * room for the block and `MOST_ADDED`.
 */
export function rewritePlain(plain: PlainAttributes, rewrite: Rewrite, out: Uint8Array, at: number): number {
  const { external, reflected } = rewrite;
  if (external && plain.pathLength === 255) return -1;
  if (external && plain.has(ATTR_EXTENDED_COMMUNITIES) && !allTransitive(plain)) return -1;

  at = copyValue(plain, ATTR_ORIGIN, FLAG_TRANSITIVE, out, at);
  if (external) at = putPath(plain, rewrite.prependAs, out, at);
  else at = copyValue(plain, ATTR_AS_PATH, FLAG_TRANSITIVE, out, at);
  if (rewrite.nextHop !== undefined) {
    at = putHeader(FLAG_TRANSITIVE, ATTR_NEXT_HOP, 4, out, at);
    for (let i = 0; i < 4; i++) out[at++] = rewrite.nextHop[i]!;
  }
  if (rewrite.keepMed) at = copyValue(plain, ATTR_MED, FLAG_OPTIONAL, out, at);
  if (!external) {
    if (plain.has(ATTR_LOCAL_PREF)) at = copyValue(plain, ATTR_LOCAL_PREF, FLAG_TRANSITIVE, out, at);
    else at = putNumber(FLAG_TRANSITIVE, ATTR_LOCAL_PREF, rewrite.defaultLocalPref, out, at);
  }
  at = copyValue(plain, ATTR_ATOMIC_AGGREGATE, FLAG_TRANSITIVE, out, at);
  at = copyValue(plain, ATTR_AGGREGATOR, OPTIONAL_TRANSITIVE, out, at);
  at = copyValue(plain, ATTR_COMMUNITIES, OPTIONAL_TRANSITIVE, out, at);
  if (!external) {
    if (reflected && !plain.has(ATTR_ORIGINATOR_ID)) {
      at = putNumber(FLAG_OPTIONAL, ATTR_ORIGINATOR_ID, rewrite.originatorId, out, at);
    } else {
      at = copyValue(plain, ATTR_ORIGINATOR_ID, FLAG_OPTIONAL, out, at);
    }
    if (reflected) at = putClusters(plain, rewrite.clusterId, out, at);
    else at = copyValue(plain, ATTR_CLUSTER_LIST, FLAG_OPTIONAL, out, at);
  }
  at = copyValue(plain, ATTR_EXTENDED_COMMUNITIES, OPTIONAL_TRANSITIVE, out, at);
  return copyValue(plain, ATTR_LARGE_COMMUNITIES, OPTIONAL_TRANSITIVE, out, at);
}

const OPTIONAL_TRANSITIVE = FLAG_OPTIONAL | FLAG_TRANSITIVE;

function copyValue(plain: PlainAttributes, code: number, flags: number, out: Uint8Array, at: number): number {
  if (!plain.has(code)) return at;
  const start = plain.start[code]!;
  const end = plain.end[code]!;
  at = putHeader(flags, code, end - start, out, at);
  const { bytes } = plain;
  for (let i = start; i < end; i++) out[at++] = bytes[i]!;
  return at;
}

function putPath(plain: PlainAttributes, asn: number, out: Uint8Array, at: number): number {
  const count = plain.pathLength;
  at = putHeader(FLAG_TRANSITIVE, ATTR_AS_PATH, 2 + 4 * (count + 1), out, at);
  out[at] = AS_SEQUENCE;
  out[at + 1] = count + 1;
  putU32(out, at + 2, asn);
  at += 6;
  const { bytes } = plain;
  const start = plain.start[ATTR_AS_PATH]! + 2;
  for (let i = start; i < start + 4 * count; i++) out[at++] = bytes[i]!;
  return at;
}

function putClusters(plain: PlainAttributes, clusterId: number, out: Uint8Array, at: number): number {
  const had = plain.has(ATTR_CLUSTER_LIST);
  const start = had ? plain.start[ATTR_CLUSTER_LIST]! : 0;
  const end = had ? plain.end[ATTR_CLUSTER_LIST]! : 0;
  at = putHeader(FLAG_OPTIONAL, ATTR_CLUSTER_LIST, 4 + end - start, out, at);
  putU32(out, at, clusterId);
  at += 4;
  for (let i = start; i < end; i++) out[at++] = plain.bytes[i]!;
  return at;
}

function putNumber(flags: number, code: number, value: number, out: Uint8Array, at: number): number {
  at = putHeader(flags, code, 4, out, at);
  putU32(out, at, value);
  return at + 4;
}

function putHeader(flags: number, code: number, length: number, out: Uint8Array, at: number): number {
  out[at + 1] = code;
  if (length > 255) {
    out[at] = flags | FLAG_EXTENDED_LENGTH;
    putU16(out, at + 2, length);
    return at + 4;
  }
  out[at] = flags;
  out[at + 2] = length;
  return at + 3;
}

/** RFC 4360 section 6: the others do not leave the AS. */
function allTransitive(plain: PlainAttributes): boolean {
  for (
    let at = plain.start[ATTR_EXTENDED_COMMUNITIES]!;
    at < plain.end[ATTR_EXTENDED_COMMUNITIES]!;
    at += 8
  ) {
    if ((plain.bytes[at]! & 0x40) !== 0) return false;
  }
  return true;
}
