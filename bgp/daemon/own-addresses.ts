/**
 * Which addresses of this host a session may give as next hop, and which subnets it shares with the neighbour.
 */

import { type Address, isLinkLocal } from '#bgp/config/address.ts';
import type { PeerSession } from '#bgp/rib/settings.ts';
import { maskBits, type Prefix, parseAddress } from '#bgp/wire/address.ts';
import { equalBytes } from '#bgp/wire/bytes.ts';
import type { NextHop } from '#bgp/wire/types.ts';
import type { Address as KernelAddress } from '#kernel/rtnetlink/address.ts';

/** An address of an interface. */
export type InterfaceAddress = {
  readonly family: 4 | 6;
  /** Index of the interface. */
  readonly link: number;
  readonly bytes: Uint8Array;
  readonly length: number;
};

export type OwnAddresses = Required<Pick<PeerSession, 'self4' | 'self6' | 'sharedSubnets' | 'scope'>>;

/** From what the kernel lists; addresses that can not be used (yet, or not for long) are left out. */
export function usableAddresses(listed: readonly KernelAddress[]): InterfaceAddress[] {
  return listed
    .filter(({ flags, scope }) => scope !== 'host' && !flags.some((flag) => UNUSABLE.includes(flag)))
    .map(({ family, link, address, peer, length }) => ({
      family,
      link,
      bytes: parseAddress(address),
      // The length of a point-to-point address belongs to the other end.
      length: peer === undefined ? length : family === 4 ? 32 : 128,
    }));
}

const UNUSABLE: readonly string[] = ['tentative', 'dad-failed', 'deprecated'];

/**
 * For the family that the session runs over, its own address; for the other one, an address of the same interface.
 * Towards a neighbour on the link an IPv6 next hop carries the link-local address as well (RFC 2545 section 3). By itself the
 * link-local address is given only on a session between link-local addresses, whose neighbour has shown that it knows them: at boot
 * it is there before the others, and over another session it would be a next hop that the neighbour may refuse, for a moment.
 *
 * @param local our end of the session
 */
export function ownAddresses(
  all: readonly InterfaceAddress[],
  local: Address,
  neighbour: Address,
): OwnAddresses {
  const link = all.find((each) => equalBytes(each.bytes, local.bytes))?.link ?? 0;
  const onLink = link === 0 ? [] : all.filter((each) => each.link === link);
  const subnets = onLink.filter(({ bytes }) => !isLinkLocal(bytes)).map(subnetOf);
  const direct = isLinkLocal(neighbour.bytes) || subnets.some((subnet) => contains(subnet, neighbour.bytes));
  const first = (family: 4 | 6): Uint8Array | undefined =>
    onLink.find((each) => each.family === family && !isLinkLocal(each.bytes))?.bytes;
  const linkLocal = direct
    ? isLinkLocal(local.bytes)
      ? local.bytes
      : onLink.find(({ bytes }) => isLinkLocal(bytes))?.bytes
    : undefined;
  const own = (family: 4 | 6): Uint8Array | undefined =>
    local.family === family && !isLinkLocal(local.bytes) ? local.bytes : first(family);
  return {
    self4: nextHop(4, own(4)),
    self6:
      own(6) === undefined
        ? nextHop(6, isLinkLocal(local.bytes) ? linkLocal : undefined)
        : nextHop(6, own(6), linkLocal),
    sharedSubnets: direct ? subnets : [],
    scope: direct ? link : 0,
  };
}

function nextHop(family: 4 | 6, bytes: Uint8Array | undefined, linkLocal?: Uint8Array): NextHop | undefined {
  return bytes && { family, bytes, ...(linkLocal && { linkLocal }) };
}

function subnetOf({ family, bytes, length }: InterfaceAddress): Prefix {
  const masked = bytes.slice();
  maskBits(masked, length);
  return { family, bytes: masked, length };
}

function contains(subnet: Prefix, address: Uint8Array): boolean {
  if (subnet.bytes.length !== address.length || subnet.length === 8 * address.length) return false;
  const masked = address.slice();
  maskBits(masked, subnet.length);
  return equalBytes(masked, subnet.bytes);
}
