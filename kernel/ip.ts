/**
 * IP addresses and prefixes: text to bytes and back, strictly. Addresses are 4 or 16 bytes in network order; where a
 * single IPv4 address is a number it is the unsigned 32-bit one (10.0.0.1 is 0x0a000001).
 *
 * What is printed is canonical (IPv6 by RFC 5952), so two texts printed here are equal exactly when the addresses are.
 * What is read may be written in any way that RFC 4291 section 2.2 allows, but not with leading zeros in IPv4 (octal to
 * some, decimal to others), nor with a zone (`%eth0`): the interface is always an argument of its own.
 */

/** What is wrong with a text: no address, no prefix, or a prefix with bits set after its length. */
export type AddressFault = 'BAD_ADDRESS' | 'BAD_PREFIX' | 'HOST_BITS';

/** Thrown when a text is not the address or prefix that it should be. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code: AddressFault;
  readonly found: string;
  readonly expected: string;

  constructor(code: AddressFault, what: string, found: string, expected: string) {
    super(`${what}: found ${JSON.stringify(found)}, expected ${expected}`);
    this.code = code;
    this.found = found;
    this.expected = expected;
  }
}

/** An address with the number of leading bits that count. The other bits are zero, unless a function says otherwise. */
export interface Prefix {
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** 0 to 32, or to 128. */
  readonly length: number;
}

/**
 * Reads an IPv4 address, four decimal numbers with dots.
 *
 * @throws AddressError
 */
export function parseIpv4(text: string): number {
  const value = ipv4In(text, 0, text.length);
  if (value < 0) throw badAddress('IPv4 address', text, IPV4_FORM);
  return value;
}

/** Prints an IPv4 address. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/**
 * Reads an IPv6 address into 16 new bytes; the last two groups may be written as IPv4.
 *
 * @throws AddressError
 */
export function parseIpv6(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  if (!ipv6In(text, text.length, bytes)) throw badAddress('IPv6 address', text, IPV6_FORM);
  return bytes;
}

/**
 * Prints the IPv6 address in the 16 bytes from `at` on (RFC 5952): lower case, no leading zeros, the first longest run
 * of two or more zero groups as `::`; IPv4-mapped addresses with the IPv4 part in dots (section 5).
 */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  let runStart = -1;
  let runLength = 1; // a single zero group is not shortened (section 4.2.2)
  let zeros = 0;
  for (let i = 0; i < 8; i++) {
    zeros = (bytes[at + 2 * i]! | bytes[at + 2 * i + 1]!) === 0 ? zeros + 1 : 0;
    if (zeros > runLength) {
      runLength = zeros;
      runStart = i + 1 - zeros;
    }
  }
  if (runStart === 0 && runLength === 5 && bytes[at + 10] === 0xff && bytes[at + 11] === 0xff) {
    return `::ffff:${formatIpv4(readU32(bytes, at + 12))}`;
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === runStart) {
      text += '::';
      i += runLength - 1;
      continue;
    }
    if (i > 0 && i !== runStart + runLength) text += ':';
    text += ((bytes[at + 2 * i]! << 8) | bytes[at + 2 * i + 1]!).toString(16);
  }
  return text;
}

/**
 * Reads an IPv4 or IPv6 address: 4 or 16 new bytes.
 *
 * @throws AddressError
 */
export function parseAddress(text: string): Uint8Array<ArrayBuffer> {
  const bytes = addressIn(text, text.length);
  if (bytes === undefined) throw badAddress('address', text, 'an IPv4 or IPv6 address');
  return bytes;
}

/** Prints the address in the `size` bytes (4 or 16) from `at` on. */
export function formatAddress(bytes: Uint8Array, at = 0, size = bytes.length - at): string {
  if (size === 4) return formatIpv4(readU32(bytes, at));
  if (size === 16) return formatIpv6(bytes, at);
  throw new AddressError('BAD_ADDRESS', 'address', `${size} bytes`, '4 or 16 bytes');
}

/**
 * Reads a prefix such as `10.0.0.0/8`. Bits after the length must be zero.
 *
 * @throws AddressError also for host bits (`HOST_BITS`), with the prefix that was probably meant as `expected`
 */
export function parsePrefix(text: string): Prefix {
  const prefix = parseInterfaceAddress(text);
  if (!hasHostBits(prefix.address, prefix.length)) return prefix;
  clearHostBits(prefix.address, prefix.length);
  throw new AddressError(
    'HOST_BITS',
    'prefix with host bits',
    text,
    formatPrefix(prefix.address, prefix.length),
  );
}

/**
 * Reads an address with a prefix length as an interface has it, such as `10.0.0.1/8`: host bits are kept.
 *
 * @throws AddressError
 */
export function parseInterfaceAddress(text: string): Prefix & { readonly address: Uint8Array<ArrayBuffer> } {
  const slash = text.indexOf('/');
  if (slash < 0) throw new AddressError('BAD_PREFIX', 'prefix', text, 'an address, a slash and a length');
  const address = addressIn(text, slash);
  if (address === undefined) {
    throw new AddressError('BAD_PREFIX', 'prefix', text, 'an IPv4 or IPv6 address before the slash');
  }
  const bits = address.length * 8;
  const length = decimalIn(text, slash + 1, text.length, bits);
  if (length < 0) throw new AddressError('BAD_PREFIX', 'prefix length', text, `0 to ${bits} after the slash`);
  return { address, length };
}

/** Prints an address and a length: `10.0.0.0/8`. */
export function formatPrefix(address: Uint8Array, length: number): string {
  return `${formatAddress(address)}/${length}`;
}

/** The network mask of an IPv4 prefix length, as an unsigned number: 8 gives 0xff000000. */
export function maskOf(length: number): number {
  return length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
}

/** Whether bits after the first `length` are set. */
export function hasHostBits(address: Uint8Array, length: number): boolean {
  let at = length >>> 3;
  if (at < address.length && address[at]! & (0xff >>> (length & 7))) return true;
  for (at++; at < address.length; at++) if (address[at] !== 0) return true;
  return false;
}

/** Sets the bits after the first `length` to zero, in place. */
export function clearHostBits(address: Uint8Array, length: number): void {
  const at = length >>> 3;
  if (at < address.length) address[at] = address[at]! & ~(0xff >>> (length & 7));
  address.fill(0, at + 1);
}

/** The 32-bit number in network order at `at`, unsigned. */
export function readU32(bytes: Uint8Array, at = 0): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Writes a 32-bit number in network order at `at`. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The four bytes of an IPv4 address. */
export function ipv4Bytes(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  return bytes;
}

/** The address as four 32-bit numbers, the highest first: what the columns of IPv6 prefixes hold. */
export function ipv6Words(bytes: Uint8Array, at = 0): [number, number, number, number] {
  return [readU32(bytes, at), readU32(bytes, at + 4), readU32(bytes, at + 8), readU32(bytes, at + 12)];
}

/** The 16 bytes of an address given as four 32-bit numbers, the highest first. */
export function ipv6Bytes(w0: number, w1: number, w2: number, w3: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  writeU32(bytes, 0, w0);
  writeU32(bytes, 4, w1);
  writeU32(bytes, 8, w2);
  writeU32(bytes, 12, w3);
  return bytes;
}

const IPV4_FORM = 'four numbers from 0 to 255 without leading zeros, with dots';
const IPV6_FORM = 'groups of up to four hexadecimal digits with colons, at most one "::", no zone';
const DOT = 46;
const ZERO = 48;
const COLON = 58;

function badAddress(what: string, found: string, expected: string): AddressError {
  return new AddressError('BAD_ADDRESS', what, found, expected);
}

function addressIn(text: string, end: number): Uint8Array<ArrayBuffer> | undefined {
  for (let i = 0; i < end && i < 5; i++) {
    const c = text.charCodeAt(i);
    if (c === COLON) break;
    if (c !== DOT) continue;
    const value = ipv4In(text, 0, end);
    return value < 0 ? undefined : ipv4Bytes(value);
  }
  const bytes = new Uint8Array(16);
  return ipv6In(text, end, bytes) ? bytes : undefined;
}

/** Decimal digits without leading zeros from `start` to `end`, or -1. */
function decimalIn(text: string, start: number, end: number, most: number): number {
  if (start >= end || end - start > 3) return -1;
  if (end - start > 1 && text.charCodeAt(start) === ZERO) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= most ? value : -1;
}

/** The IPv4 address from `start` to `end`, or -1. */
function ipv4In(text: string, start: number, end: number): number {
  let value = 0;
  let octets = 0;
  let from = start;
  for (let i = start; i <= end; i++) {
    if (i < end && text.charCodeAt(i) !== DOT) continue;
    const octet = decimalIn(text, from, i, 255);
    if (octet < 0 || ++octets > 4) return -1;
    value = value * 256 + octet;
    from = i + 1;
  }
  return octets === 4 ? value : -1;
}

/** Reads the IPv6 address in the first `end` characters into `bytes`, which are zero. */
function ipv6In(text: string, end: number, bytes: Uint8Array): boolean {
  let at = 0; // bytes written
  let gap = -1; // where "::" stands
  let i = 0;
  if (end >= 2 && text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (at >= 16) return false;
    const from = i;
    let group = 0;
    let c = 0;
    for (; i < end; i++) {
      c = text.charCodeAt(i);
      const digit = hexDigit(c);
      if (digit < 0) break;
      if (i - from === 4) return false;
      group = (group << 4) | digit;
    }
    if (i < end && c === DOT) {
      const value = at <= 12 ? ipv4In(text, from, end) : -1;
      if (value < 0) return false;
      writeU32(bytes, at, value);
      at += 4;
      i = end;
      break;
    }
    if (i === from) return false;
    bytes[at++] = group >>> 8;
    bytes[at++] = group;
    if (i === end) break;
    if (c !== COLON) return false;
    i++;
    if (i < end && text.charCodeAt(i) === COLON) {
      if (gap >= 0) return false;
      gap = at;
      i++;
    } else if (i === end) return false;
  }
  if (gap < 0) return at === 16;
  // "::" stands for at least one group.
  if (at > 14) return false;
  bytes.copyWithin(16 - (at - gap), gap, at);
  bytes.fill(0, gap, 16 - (at - gap));
  return true;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const lower = c | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
