/**
 * Communities as text: RFC 1997, extended RFC 4360 and 5668, large RFC 8092.
 */

import { formatIpv4, parseIpv4 } from './address.ts';
import { fromHex, getU16, getU32, putU16, putU32, toHex } from './bytes.ts';

/** Well-known communities: RFC 1997, and what IANA has registered since. */
export const GRACEFUL_SHUTDOWN = 0xffff0000; // RFC 8326
export const ACCEPT_OWN = 0xffff0001; // RFC 7611
export const LLGR_STALE = 0xffff0006; // RFC 9494
export const NO_LLGR = 0xffff0007; // RFC 9494
export const BLACKHOLE = 0xffff029a; // RFC 7999
export const NO_EXPORT = 0xffffff01;
export const NO_ADVERTISE = 0xffffff02;
export const NO_EXPORT_SUBCONFED = 0xffffff03;
export const NO_PEER = 0xffffff04; // RFC 3765

/** `65000:1`, or the name of a well-known one. */
export function formatCommunity(community: number): string {
  return NAMES.get(community) ?? `${community >>> 16}:${community & 0xffff}`;
}

/** The reverse; names and numbers of well-known ones are both taken. `undefined` for text that is neither. */
export function parseCommunity(text: string): number | undefined {
  const named = BY_NAME.get(text);
  if (named !== undefined) return named;
  const parts = numbers(text, [0xffff, 0xffff]);
  return parts === undefined ? undefined : ((parts[0]! << 16) | parts[1]!) >>> 0;
}

/** `64496:1:2` for the three numbers from `first`. */
export function formatLargeCommunity(values: Uint32Array, first: number): string {
  return `${values[first]}:${values[first + 1]}:${values[first + 2]}`;
}

/** The three numbers; RFC 8092 section 4 allows no leading zeros. */
export function parseLargeCommunity(text: string): [number, number, number] | undefined {
  const parts = numbers(text, [U32, U32, U32]);
  return parts === undefined ? undefined : [parts[0]!, parts[1]!, parts[2]!];
}

/**
 * `rt:65000:100`, `soo:192.0.2.1:5`: a route target or site of origin with an AS (of two octets, or of four where the
 * number needs them) or an address in front. Everything else is `0x` and its 8 bytes, so that text always leads back
 * to the same bytes.
 */
export function formatExtendedCommunity(bytes: Uint8Array, at: number): string {
  const name = SUBTYPE_NAMES.get(bytes[at + 1]!);
  if (name !== undefined) {
    switch (bytes[at]) {
      case TWO_OCTET_AS:
        return `${name}:${getU16(bytes, at + 2)}:${getU32(bytes, at + 4)}`;
      case IPV4_ADDRESS:
        return `${name}:${formatIpv4(getU32(bytes, at + 2))}:${getU16(bytes, at + 6)}`;
      case FOUR_OCTET_AS:
        if (getU32(bytes, at + 2) > 0xffff)
          return `${name}:${getU32(bytes, at + 2)}:${getU16(bytes, at + 6)}`;
    }
  }
  return `0x${toHex(bytes.subarray(at, at + 8))}`;
}

/** The 8 bytes that such text stands for; `undefined` for any other text. */
export function parseExtendedCommunity(text: string): Uint8Array | undefined {
  if (/^0x[0-9a-fA-F]{16}$/.test(text)) return fromHex(text.slice(2));
  const match = /^([a-z]+):([^:]+):(\d+)$/.exec(text);
  const subtype = match === null ? undefined : SUBTYPES.get(match[1]!);
  if (match === null || subtype === undefined) return undefined;
  const [, , administrator, local] = match;
  const bytes = new Uint8Array(8);
  bytes[1] = subtype;
  if (administrator!.includes('.')) {
    const value = number(local!, 0xffff);
    const address = tryIpv4(administrator!);
    if (value === undefined || address === undefined) return undefined;
    bytes[0] = IPV4_ADDRESS;
    putU32(bytes, 2, address);
    putU16(bytes, 6, value);
    return bytes;
  }
  const asn = number(administrator!, U32);
  const value = number(local!, asn !== undefined && asn > 0xffff ? 0xffff : U32);
  if (asn === undefined || value === undefined) return undefined;
  if (asn > 0xffff) {
    bytes[0] = FOUR_OCTET_AS;
    putU32(bytes, 2, asn);
    putU16(bytes, 6, value);
  } else {
    bytes[0] = TWO_OCTET_AS;
    putU16(bytes, 2, asn);
    putU32(bytes, 4, value);
  }
  return bytes;
}

/**
 * Those extended communities that may cross the border of an AS: RFC 4360 section 6 has the others taken off. The
 * same array if all may.
 */
export function transitiveExtendedCommunities(bytes: Uint8Array): Uint8Array {
  let kept = 0;
  for (let at = 0; at < bytes.length; at += 8) if ((bytes[at]! & NON_TRANSITIVE) === 0) kept++;
  if (8 * kept === bytes.length) return bytes;
  const result = new Uint8Array(8 * kept);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 8) {
    if ((bytes[at]! & NON_TRANSITIVE) !== 0) continue;
    result.set(bytes.subarray(at, at + 8), to);
    to += 8;
  }
  return result;
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [GRACEFUL_SHUTDOWN, 'graceful-shutdown'],
  [ACCEPT_OWN, 'accept-own'],
  [LLGR_STALE, 'llgr-stale'],
  [NO_LLGR, 'no-llgr'],
  [BLACKHOLE, 'blackhole'],
  [NO_EXPORT, 'no-export'],
  [NO_ADVERTISE, 'no-advertise'],
  [NO_EXPORT_SUBCONFED, 'no-export-subconfed'],
  [NO_PEER, 'no-peer'],
]);
const BY_NAME: ReadonlyMap<string, number> = new Map([...NAMES].map(([value, name]) => [name, value]));

/** Types of extended communities: RFC 4360 section 3, RFC 5668; bit 0x40 says that one stays within the AS. */
const TWO_OCTET_AS = 0x00;
const IPV4_ADDRESS = 0x01;
const FOUR_OCTET_AS = 0x02;
const NON_TRANSITIVE = 0x40;

/** Subtypes that all three types share: RFC 4360 sections 4 and 5. */
const SUBTYPES: ReadonlyMap<string, number> = new Map([
  ['rt', 0x02],
  ['soo', 0x03],
]);
const SUBTYPE_NAMES: ReadonlyMap<number, string> = new Map(
  [...SUBTYPES].map(([name, value]) => [value, name]),
);

const U32 = 0xffffffff;

/** Numbers with colons between them, one for each limit. */
function numbers(text: string, limits: readonly number[]): number[] | undefined {
  const parts = text.split(':');
  if (parts.length !== limits.length) return undefined;
  const values = parts.map((part, i) => number(part, limits[i]!));
  return values.includes(undefined) ? undefined : (values as number[]);
}

function number(text: string, limit: number): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= limit ? value : undefined;
}

function tryIpv4(text: string): number | undefined {
  try {
    return parseIpv4(text);
  } catch {
    return undefined; // not an address: the caller says so of the whole text
  }
}
