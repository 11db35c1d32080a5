/**
 * Addresses and prefixes as text: IPv4 in dotted decimal, IPv6 as RFC 5952 writes it.
 *
 * Parsing is strict: no leading zeros in IPv4 (some read them as octal), no host bits behind a prefix's length, no
 * zone. What is wrong is said by an `AddressError`.
 */

import { getU32, putU32 } from './bytes.ts';

/** A prefix: `bytes` has 4 or 16 bytes, those past `length` bits are zero. */
export type Prefix = {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly length: number;
};

export type AddressErrorCode = 'not-an-address' | 'leading-zero' | 'not-a-length' | 'host-bits';

/** Thrown when text is not an address or a prefix. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code: AddressErrorCode;
  readonly found: string;
  /** What would have been right; for host bits, the prefix without them. */
  readonly expected: string;

  constructor(code: AddressErrorCode, found: string, expected: string) {
    super(`${JSON.stringify(found)}: ${code}, expected ${expected}`);
    this.code = code;
    this.found = found;
    this.expected = expected;
  }
}

/** `192.0.2.1` for the number 0xc0000201. */
export function formatIpv4(address: number): string {
  return `${(address >>> 24) & 0xff}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/**
 * The address as a number, as router ids, cluster ids and columns of prefixes hold it.
 *
 * @throws AddressError
 */
export function parseIpv4(text: string): number {
  const octets = parseDotted(text);
  if (octets === undefined) throw notAnAddress(text, 'four numbers from 0 to 255 with dots between them');
  return getU32(octets, 0);
}

/** The text of an address of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? formatIpv4(getU32(bytes, 0)) : formatIpv6(bytes, 0);
}

/**
 * The 4 or 16 bytes of an address.
 *
 * @throws AddressError
 */
export function parseAddress(text: string): Uint8Array {
  const bytes = text.includes(':') ? parseIpv6(text) : parseDotted(text);
  if (bytes === undefined) throw notAnAddress(text, 'an IPv4 or IPv6 address');
  return bytes;
}

/**
 * `2001:db8::1`: the 16 bytes from `at`, by RFC 5952 section 4; an IPv4-mapped address ends in dotted decimal
 * (section 5).
 */
export function formatIpv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[at + i]! << 8) | bytes[at + i + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${formatIpv4(getU32(bytes, at + 12))}`;
  }
  // The longest run of zero groups, the first of equally long ones, and at least two of them.
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    i = Math.max(i, end - 1);
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (runStart < 0) return hex(groups);
  return `${hex(groups.slice(0, runStart))}::${hex(groups.slice(runStart + runLength))}`;
}

/** `2001:db8::1` for four words of 32 bits, the highest first, as columns of prefixes hold them. */
export function formatIpv6Words(words: Uint32Array, first: number): string {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 4; i++) putU32(bytes, 4 * i, words[first + i]!);
  return formatIpv6(bytes, 0);
}

/** `10.0.0.0/8`, `2001:db8::/32`. */
export function formatPrefix({ bytes, length }: Prefix): string {
  return `${formatAddress(bytes)}/${length}`;
}

/**
 * The prefix that text such as `10.0.0.0/8` names. Bits past the length are an error; `expected` is then the prefix
 * without them.
 *
 * @throws AddressError
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf('/');
  if (slash < 0) throw new AddressError('not-a-length', text, 'address/length');
  const bytes = parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  const length = Number(digits);
  const most = 8 * bytes.length;
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || length > most) {
    throw new AddressError('not-a-length', text, `a length from 0 to ${most}`);
  }
  const family = bytes.length === 4 ? 4 : 6;
  const masked = bytes.slice();
  maskBits(masked, length);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== masked[i]) {
      throw new AddressError('host-bits', text, formatPrefix({ family, bytes: masked, length }));
    }
  }
  return { family, bytes, length };
}

/** Sets all bits past `length` to zero. */
export function maskBits(bytes: Uint8Array, length: number): void {
  const whole = length >>> 3;
  if (whole >= bytes.length) return;
  bytes[whole]! &= 0xff00 >>> (length & 7);
  bytes.fill(0, whole + 1);
}

function notAnAddress(text: string, expected: string): AddressError {
  return new AddressError('not-an-address', text, expected);
}

/** @throws AddressError for leading zeros, so that it can be told what they are. */
function parseDotted(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i]!;
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    if (part.length > 1 && part.startsWith('0')) {
      throw new AddressError('leading-zero', text, `${Number(part)} and not ${part}`);
    }
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  // A `::` stands for at least one group, and without one nothing may be missing.
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/**
 * Groups of hexadecimal digits between colons, the last one perhaps in dotted decimal where the text ends; none at
 * all is well.
 */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    if (atEnd && i === groups.length - 1 && group.includes('.')) {
      const dotted = parseDotted(group);
      if (dotted === undefined) return undefined;
      bytes.push(...dotted);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >>> 8, value & 0xff);
    }
  }
  return bytes;
}
