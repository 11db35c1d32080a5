/**
 * AS paths: RFC 4271 sections 4.3 and 5.1.2, confederations RFC 5065, four-octet numbers RFC 6793, AS 0 RFC 7607.
 */

import { getU16, getU32, putU16, putU32 } from './bytes.ts';
import { AS_CONFED_SEQUENCE, AS_CONFED_SET, AS_SEQUENCE, AS_SET, AS_TRANS } from './constants.ts';
import type { AsPath, AsPathSegment } from './types.ts';

export const EMPTY_AS_PATH: AsPath = [];

/**
 * Reads segments of two-octet or four-octet numbers. A string says why they are malformed: a segment type that is not
 * one, a segment that is empty or runs over the end (RFC 7606 section 7.2), AS 0 (RFC 7607 section 2). A sequence
 * right behind another becomes part of it: only the limit of 255 to a segment parts them.
 */
export function decodeAsPath(bytes: Uint8Array, start: number, end: number, as4: boolean): AsPath | string {
  if (start === end) return EMPTY_AS_PATH;
  const width = as4 ? 4 : 2;
  const path: { type: number; asns: number[] }[] = [];
  let at = start;
  while (at < end) {
    if (end - at < 2) return 'one byte left behind the last segment';
    const type = bytes[at]!;
    const count = bytes[at + 1]!;
    if (type < AS_SET || type > AS_CONFED_SET) return `segment type ${type}`;
    if (count === 0) return 'empty segment';
    at += 2;
    if (at + count * width > end) return `segment of ${count} in ${end - at} bytes`;
    const last = path.at(-1);
    const joins =
      last !== undefined && last.type === type && (type === AS_SEQUENCE || type === AS_CONFED_SEQUENCE);
    const asns = joins ? last.asns : [];
    for (let i = 0; i < count; i++) {
      const asn = as4 ? getU32(bytes, at) : getU16(bytes, at);
      if (asn === 0) return 'AS 0';
      asns.push(asn);
      at += width;
    }
    if (!joins) path.push({ type, asns });
  }
  return path;
}

/** Bytes that `putAsPath` writes. Segments of more than 255 are written as several. */
export function asPathSize(path: AsPath, as4: boolean): number {
  let size = 0;
  for (const { asns } of path) size += 2 * Math.ceil(asns.length / MAX_SEGMENT) + (as4 ? 4 : 2) * asns.length;
  return size;
}

/** Writes the path at `at`, with AS_TRANS for numbers that two octets do not hold; where it ends. */
export function putAsPath(path: AsPath, as4: boolean, out: Uint8Array, at: number): number {
  for (const { type, asns } of path) {
    for (let i = 0; i < asns.length; i++) {
      if (i % MAX_SEGMENT === 0) {
        out[at] = type;
        out[at + 1] = Math.min(MAX_SEGMENT, asns.length - i);
        at += 2;
      }
      if (as4) {
        putU32(out, at, asns[i]!);
        at += 4;
      } else {
        putU16(out, at, asns[i]! > 0xffff ? AS_TRANS : asns[i]!);
        at += 2;
      }
    }
  }
  return at;
}

export function isConfederation(segment: AsPathSegment): boolean {
  return segment.type === AS_CONFED_SEQUENCE || segment.type === AS_CONFED_SET;
}

export function isSet(segment: AsPathSegment): boolean {
  return segment.type === AS_SET || segment.type === AS_CONFED_SET;
}

/**
 * The length that routes are compared by: a set counts as one (RFC 4271 section 9.1.2.2), segments of the own
 * confederation as nothing (RFC 5065 section 5.3).
 */
export function asPathLength(path: AsPath): number {
  let length = 0;
  for (const segment of path) {
    if (segment.type === AS_SEQUENCE) length += segment.asns.length;
    else if (segment.type === AS_SET) length += 1;
  }
  return length;
}

/** The AS that the route came from: the first of the path, if the path starts with a sequence; else 0. */
export function neighbourAs(path: AsPath): number {
  const segment = path.find((each) => !isConfederation(each));
  return segment !== undefined && segment.type === AS_SEQUENCE ? segment.asns[0]! : 0;
}

/** The AS that the route starts in: the last of the path, if the path ends with a sequence; else 0. */
export function originAs(path: AsPath): number {
  const segment = path.at(-1);
  return segment !== undefined && segment.type === AS_SEQUENCE ? segment.asns.at(-1)! : 0;
}

/**
 * How often an AS is in the path, in whatever kind of segment: for loop detection (RFC 4271 section 9.1.2, RFC 5065
 * section 4).
 */
export function countInAsPath(path: AsPath, asn: number): number {
  let count = 0;
  for (const { asns } of path) for (const each of asns) if (each === asn) count++;
  return count;
}

/**
 * The path with `asn` in front, `times` over: RFC 4271 section 5.1.2 (b), RFC 5065 section 4 with AS_CONFED_SEQUENCE.
 */
export function prependAsPath(
  path: AsPath,
  asn: number,
  times = 1,
  type: typeof AS_SEQUENCE | typeof AS_CONFED_SEQUENCE = AS_SEQUENCE,
): AsPath {
  if (times <= 0) return path;
  const added: number[] = new Array(times).fill(asn);
  const first = path[0];
  if (first === undefined || first.type !== type) return [{ type, asns: added }, ...path];
  return [{ type, asns: [...added, ...first.asns] }, ...path.slice(1)];
}

/**
 * The path without segments of the confederation, as it leaves one (RFC 5065 section 4) and as AS4_PATH carries it.
 */
export function withoutConfederation(path: AsPath): AsPath {
  return path.some(isConfederation) ? path.filter((segment) => !isConfederation(segment)) : path;
}

/** Does the path need an AS4_PATH towards a neighbour without four-octet numbers? RFC 6793 section 4.2.2. */
export function needsAs4Path(path: AsPath): boolean {
  for (const segment of path) {
    if (isConfederation(segment)) continue;
    for (const asn of segment.asns) if (asn > 0xffff) return true;
  }
  return false;
}

/**
 * The path behind an AS_PATH with AS_TRANS in it and its AS4_PATH (RFC 6793 section 4.2.3): as much of the head of
 * the AS_PATH as makes up the difference in length, then the AS4_PATH. An AS4_PATH longer than the AS_PATH is
 * ignored.
 */
export function mergeAs4Path(path: AsPath, as4Path: AsPath): AsPath {
  let lead = asPathLength(path) - asPathLength(as4Path);
  if (lead < 0) return path;
  const merged: AsPathSegment[] = [];
  for (const segment of path) {
    if (isConfederation(segment)) {
      // Kept where it leads, or touches a segment that is kept.
      merged.push(segment);
    } else if (lead === 0) {
      break;
    } else if (segment.type === AS_SET) {
      merged.push(segment);
      lead -= 1;
    } else if (segment.asns.length <= lead) {
      merged.push(segment);
      lead -= segment.asns.length;
    } else {
      merged.push({ type: segment.type, asns: segment.asns.slice(0, lead) });
      break;
    }
  }
  const last = merged.at(-1);
  const [first, ...rest] = as4Path;
  if (last?.type === AS_SEQUENCE && first?.type === AS_SEQUENCE) {
    merged[merged.length - 1] = { type: AS_SEQUENCE, asns: [...last.asns, ...first.asns] };
    merged.push(...rest);
  } else {
    merged.push(...as4Path);
  }
  return merged;
}

/**
 * `65001 65002 {65003 65004}`, with `(65010 65011)` for a confederation's sequence and `[65010 65011]` for its set.
 */
export function formatAsPath(path: AsPath): string {
  return path
    .map(({ type, asns }) => {
      const text = asns.join(' ');
      if (type === AS_SET) return `{${text}}`;
      if (type === AS_CONFED_SEQUENCE) return `(${text})`;
      return type === AS_CONFED_SET ? `[${text}]` : text;
    })
    .join(' ');
}

/** The reverse of `formatAsPath`; `undefined` for text that is not an AS path. */
export function parseAsPath(text: string): AsPath | undefined {
  const path: AsPathSegment[] = [];
  const pattern = /\s*(?:([{([])([\d\s]*)([})\]])|(\d[\d\s]*))/y;
  const trimmed = text.trim();
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (match === null) return undefined;
    const [, open, inside, close, plain] = match;
    const asns = (inside ?? plain ?? '').trim().split(/\s+/).map(Number);
    if (asns.some((asn) => !(asn >= 1 && asn <= 0xffffffff))) return undefined;
    if (open !== undefined && BRACKETS[open]!.close !== close) return undefined;
    path.push({ type: open === undefined ? AS_SEQUENCE : BRACKETS[open]!.type, asns });
  }
  return path;
}

/** The number of ASes in a segment is one octet. */
const MAX_SEGMENT = 255;

const BRACKETS: Readonly<Record<string, { readonly type: number; readonly close: string }>> = {
  '{': { type: AS_SET, close: '}' },
  '(': { type: AS_CONFED_SEQUENCE, close: ')' },
  '[': { type: AS_CONFED_SET, close: ']' },
};
