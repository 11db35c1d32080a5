/**
 * Attributes, neighbours and messages for the tests of the RIB.
 */

import { AS_SEQUENCE } from '#bgp/wire/constants.ts';
import type { AsPath, PathAttributes } from '#bgp/wire/types.ts';

/** Attributes with next hop 192.0.2.1 and nothing else that is not needed. */
export function attributesOf(given: Partial<PathAttributes>): PathAttributes {
  return {
    origin: 0,
    asPath: [],
    nextHop: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1), linkLocal: undefined },
    med: undefined,
    localPref: undefined,
    atomicAggregate: false,
    aggregator: undefined,
    communities: new Uint32Array(0),
    extendedCommunities: new Uint8Array(0),
    largeCommunities: new Uint32Array(0),
    originatorId: undefined,
    clusterList: new Uint32Array(0),
    unknown: [],
    partial: undefined,
    ...given,
  };
}

export function sequence(...asns: number[]): AsPath {
  return asns.length === 0 ? [] : [{ type: AS_SEQUENCE, asns }];
}

/** `10.1.0.0/16` as bytes and length. Only IPv4. */
export function prefix(text: string): { readonly bytes: Uint8Array; readonly length: number } {
  const [address, length] = text.split('/');
  return { bytes: Uint8Array.from(address!.split('.').map(Number)), length: Number(length) };
}

export function ipv4(text: string): Uint8Array {
  return Uint8Array.from(text.split('.').map(Number));
}
