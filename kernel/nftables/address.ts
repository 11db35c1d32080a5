import { formatAddress, parseIpv4, parseIpv6 } from '../ip.ts';
import { bytesOf, type Hex, hexFrom, hexNumber } from './hex.ts';

/** @throws AddressError when it is not an IPv4 address */
export function ipv4(text: string): Hex {
  return hexNumber(parseIpv4(text), 4);
}

/** @throws AddressError when it is not an IPv6 address, or has a zone */
export function ipv6(text: string): Hex {
  return hexFrom(parseIpv6(text));
}

/** An address of 4 or 16 bytes as text; IPv6 as RFC 5952 wants it. @throws RangeError for another size */
export function addressText(hex: Hex): string {
  const bytes = bytesOf(hex);
  if (bytes.length !== 4 && bytes.length !== 16)
    throw new RangeError(`address of ${bytes.length} bytes, expected 4 or 16`);
  return formatAddress(bytes);
}
