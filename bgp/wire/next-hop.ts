/**
 * Next hops: in NEXT_HOP (RFC 4271 section 5.1.3) and in MP_REACH_NLRI (RFC 4760 section 3, RFC 2545 section 3, RFC
 * 8950).
 */

import { AFI_IPV4, AFI_IPV6, afiOf, type Family, SAFI_UNICAST, safiOf } from './constants.ts';
import type { NextHop } from './types.ts';

/**
 * May the next hop of an MP_REACH_NLRI of this family have this length? Of families that this speaker does not carry
 * nothing is known, so any length may be right.
 */
export function isNextHopLength(family: Family, length: number, extendedNextHop: boolean): boolean {
  if (safiOf(family) !== SAFI_UNICAST) return true;
  if (afiOf(family) === AFI_IPV6) return length === 16 || length === 32;
  if (afiOf(family) === AFI_IPV4)
    return length === 4 || (extendedNextHop && (length === 16 || length === 32));
  return true;
}

/**
 * The next hop in 4, 16 or 32 bytes (copied). Of 32 bytes the second half is the link-local address; peers are known
 * to leave the global one empty, to give the link-local one twice, or to fill the second half with something else:
 * what is left is then the half that is of use.
 */
export function decodeNextHop(bytes: Uint8Array, start: number, end: number): NextHop {
  const length = end - start;
  if (length === 4) return { family: 4, bytes: bytes.slice(start, end), linkLocal: undefined };
  const first = bytes.slice(start, start + 16);
  if (length !== 32 || !isLinkLocal(bytes, start + 16))
    return { family: 6, bytes: first, linkLocal: undefined };
  const second = bytes.slice(start + 16, end);
  if (first.every((byte) => byte === 0) || isLinkLocal(first, 0)) {
    return { family: 6, bytes: isLinkLocal(first, 0) ? first : second, linkLocal: undefined };
  }
  return { family: 6, bytes: first, linkLocal: second };
}

/** How many bytes `putNextHop` writes: 4, 16, or 32 with a link-local address. */
export function nextHopSize(nextHop: NextHop): number {
  return nextHop.bytes.length + (nextHop.linkLocal?.length ?? 0);
}

/** Writes the next hop as MP_REACH_NLRI and NEXT_HOP carry it; where it ends. */
export function putNextHop(nextHop: NextHop, out: Uint8Array, at: number): number {
  out.set(nextHop.bytes, at);
  at += nextHop.bytes.length;
  if (nextHop.linkLocal !== undefined) {
    out.set(nextHop.linkLocal, at);
    at += nextHop.linkLocal.length;
  }
  return at;
}

/** Why no packet can be sent to an address. */
export type NextHopProblem = 'unspecified' | 'loopback' | 'multicast' | 'reserved';

/**
 * Is this the address of a host, as RFC 4271 section 6.3 asks of a next hop? `undefined` if it is. Whether it is an
 * address of ours, or on a link that we share with the neighbour, is for those to check who know our addresses.
 */
export function nextHopProblem({ family, bytes }: NextHop): NextHopProblem | undefined {
  const first = bytes[0]!;
  if (family === 4) {
    if (first === 0) return 'unspecified'; // "this network", 0.0.0.0 among it: RFC 1122 section 3.2.1.3
    if (first === 127) return 'loopback';
    if (first >= 240) return 'reserved'; // class E, 255.255.255.255 among it
    return first >= 224 ? 'multicast' : undefined; // class D
  }
  if (first === 0xff) return 'multicast';
  for (let i = 0; i < 15; i++) if (bytes[i] !== 0) return undefined;
  if (bytes[15] === 0) return 'unspecified';
  return bytes[15] === 1 ? 'loopback' : undefined;
}

/** fe80::/10: RFC 4291 section 2.5.6. */
export function isLinkLocal(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xfe && (bytes[at + 1]! & 0xc0) === 0x80;
}
