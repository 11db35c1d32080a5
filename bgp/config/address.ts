/**
 * Addresses of neighbours: like any other, but a link-local one may carry the interface it is on.
 */

import * as wire from '#bgp/wire/address.ts';

export type Address = {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
  /** Interface of a link-local address, as in `fe80::1%eth0`. */
  readonly zone?: string;
};

/**
 * `undefined` if the text is not an address. IPv4-mapped IPv6 addresses are refused: what they stand for has a form of its own.
 */
export function parseAddress(text: string): Address | undefined {
  const percent = text.indexOf('%');
  const bytes = attempt(() => wire.parseAddress(percent < 0 ? text : text.slice(0, percent)));
  if (bytes === undefined || isMapped(bytes)) return undefined;
  const family = bytes.length === 4 ? 4 : 6;
  if (percent < 0) return { family, bytes };
  const zone = text.slice(percent + 1);
  return isLinkLocal(bytes) && /^[^\s/%]{1,15}$/.test(zone) ? { family, bytes, zone } : undefined;
}

/** `undefined` if the text is not a prefix, or names an address and not a network. */
export function parsePrefix(text: string): wire.Prefix | undefined {
  return attempt(() => wire.parsePrefix(text));
}

/** Canonical text; IPv6 by RFC 5952. */
export function formatAddress({ bytes, zone }: Address): string {
  const text = wire.formatAddress(bytes);
  return zone === undefined ? text : `${text}%${zone}`;
}

export function containsAddress(prefix: wire.Prefix, { family, bytes }: Address): boolean {
  if (prefix.family !== family) return false;
  const masked = bytes.slice();
  wire.maskBits(masked, prefix.length);
  return masked.every((byte, i) => byte === prefix.bytes[i]);
}

/** fe80::/10. */
export function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}

/** ::ffff:0:0/96. */
function isMapped(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes.every((byte, i) => (i < 10 ? byte === 0 : i > 11 || byte === 0xff));
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof wire.AddressError) return undefined;
    throw error;
  }
}
