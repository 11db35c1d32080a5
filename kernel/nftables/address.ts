import { AddressError, formatAddress, parseAddress } from '../ip.ts';
import { bytesOf, type Hex, hexFrom } from './hex.ts';

/** @throws AddressError when it is not an IPv4 address */
export function ipv4(text: string): Hex {
  const hex = address(text);
  if (hex.length !== 8) throw new AddressError('BAD_ADDRESS', 'address', text, 'an IPv4 address');
  return hex;
}

/** @throws AddressError when it is not an IPv6 address, or has a zone */
export function ipv6(text: string): Hex {
  const hex = address(text);
  if (hex.length !== 32) throw new AddressError('BAD_ADDRESS', 'address', text, 'an IPv6 address');
  return hex;
}

/** The bytes of an address of either family. */
export function address(text: string): Hex {
  return hexFrom(parseAddress(text));
}

/** An address of 4 or 16 bytes as text; IPv6 as RFC 5952 wants it. @throws RangeError for another size */
export function addressText(hex: Hex): string {
  const bytes = bytesOf(hex);
  if (bytes.length !== 4 && bytes.length !== 16)
    throw new RangeError(`address of ${bytes.length} bytes, expected 4 or 16`);
  return formatAddress(bytes);
}
