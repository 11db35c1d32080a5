/**
 * Prefixes and columns of addresses as BGP has them. Reading and printing the text of an address is the kernel layer's:
 * strict, and by RFC 5952.
 */

import * as ip from '#kernel/ip.ts';

export { AddressError, formatIpv4, formatIpv6, parseAddress, parseIpv4 } from '#kernel/ip.ts';

/** A prefix: `bytes` has 4 or 16 bytes, those past `length` bits are zero. */
export type Prefix = {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly length: number;
};

/** The text of an address of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  return ip.formatAddress(bytes);
}

/** `2001:db8::1` for four words of 32 bits, the highest first, as columns of prefixes hold them. */
export function formatIpv6Words(words: Uint32Array, first: number): string {
  return ip.formatIpv6(ip.ipv6Bytes(words[first]!, words[first + 1]!, words[first + 2]!, words[first + 3]!));
}

/** `10.0.0.0/8`, `2001:db8::/32`. */
export function formatPrefix({ bytes, length }: Prefix): string {
  return ip.formatPrefix(bytes, length);
}

/**
 * The prefix that text such as `10.0.0.0/8` names. Bits past the length are an error; `expected` is then the prefix
 * without them.
 *
 * @throws AddressError
 */
export function parsePrefix(text: string): Prefix {
  const { address, length } = ip.parsePrefix(text);
  return { family: address.length === 4 ? 4 : 6, bytes: address, length };
}

/** Sets all bits past `length` to zero. */
export function maskBits(bytes: Uint8Array, length: number): void {
  ip.clearHostBits(bytes, length);
}
