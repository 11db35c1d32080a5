/**
 * What a lab consists of: names, addresses and AS numbers, worked out from a few wishes. A router at the top of the rack;
 * below it each node on a routed link of its own, in an AS of its own (as in RFC 7938); below each node its pods.
 */

import type { Family } from './peers/description.ts';

/** The program that the router at the top runs: its BGP daemon. */
export type TorKind = 'gobgpd' | 'bird' | 'frr' | 'margay';

/** In the order in which they are tried when nobody says which. */
export const TOR_KINDS: readonly TorKind[] = ['gobgpd', 'bird', 'frr', 'margay'];

/** What one can wish for. */
export interface LabOptions {
  /** What tells it from other labs on this machine: {@link LAB_NAME}. */
  readonly name: string;
  /** 1 to {@link MOST_NODES}. */
  readonly nodes: number;
  readonly families: readonly Family[];
  readonly tor: TorKind;
}

export const DEFAULT_LAB = 'lab';
/** Lower-case letters, digits and dashes. Namespaces and a folder bear it. */
export const LAB_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
export const MOST_NODES = 50;

export interface Topology {
  readonly name: string;
  readonly families: readonly Family[];
  readonly tor: TorPlace;
  readonly nodes: readonly NodePlace[];
  /** Prefixes that all pods of the lab are in. */
  readonly podNetworks: readonly string[];
}

export interface TorPlace {
  readonly kind: TorKind;
  readonly netns: string;
  readonly asn: number;
  readonly routerId: string;
  /** Addresses in the world outside of the cluster that the router stands for. */
  readonly outside: readonly string[];
  /** What it announces to the nodes, so that they can answer the world. */
  readonly announces: readonly string[];
}

export interface NodePlace {
  readonly name: string;
  readonly netns: string;
  readonly asn: number;
  readonly routerId: string;
  readonly podCidrs: readonly string[];
  /** Its interface towards the router. */
  readonly uplink: string;
  /** The router's interface towards it. */
  readonly downlink: string;
  /** The link's addresses, one for each family. */
  readonly link: readonly LinkAddresses[];
}

export interface LinkAddresses {
  readonly family: Family;
  readonly tor: string;
  readonly node: string;
  readonly length: number;
}

export function planLab({ name, nodes, families, tor }: LabOptions): Topology {
  const of = <T>(ipv4: T, ipv6: T): T[] => families.map((family) => (family === 'ipv4' ? ipv4 : ipv6));
  return {
    name,
    families,
    podNetworks: of('10.244.0.0/16', 'fd00:244::/32'),
    tor: {
      kind: tor,
      netns: namespaceOf(name, 'tor'),
      asn: 65000,
      routerId: '10.0.0.1',
      outside: of('192.0.2.1', '2001:db8::1'),
      announces: of('192.0.2.0/24', '2001:db8::/64'),
    },
    nodes: Array.from({ length: nodes }, (_, index): NodePlace => {
      const k = index + 1;
      return {
        name: `n${k}`,
        netns: namespaceOf(name, `n${k}`),
        asn: 65000 + k,
        routerId: `10.0.${k}.2`,
        podCidrs: of(`10.244.${k}.0/24`, `fd00:244:${k}::/64`),
        uplink: 'eth0',
        downlink: `n${k}`,
        link: of<LinkAddresses>(
          { family: 'ipv4', tor: `10.0.${k}.1`, node: `10.0.${k}.2`, length: 30 },
          { family: 'ipv6', tor: `fd00:0:${k}::1`, node: `fd00:0:${k}::2`, length: 64 },
        ),
      };
    }),
  };
}

/** Front of the names of all namespaces of a lab. A dot is in no lab's name, so no front is part of another. */
export function namespacePrefix(lab: string): string {
  return `margay-${lab}.`;
}

/** The namespace of the router or a node, as `ip netns` shows it. */
export function namespaceOf(lab: string, place: string): string {
  return `${namespacePrefix(lab)}${place}`;
}

/** The namespace of a pod. */
export function podNamespace(lab: string, namespace: string, pod: string): string {
  return `${namespacePrefix(lab)}pod.${namespace}.${pod}`;
}
