/**
 * Policies in the form that all kinds of them are brought into before they are compiled: tiers of ordered rules, each
 * about one atom of peers and a set of ports.
 */

import { formatAddress } from '#datastore/address.ts';
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from '#datastore/kinds/network-policy.ts';
import { ALL_PORTS, NO_PORTS, type PortSet, portsOf, unionOf } from '#proto/ports.ts';
import type { Direction } from '#proto/program.ts';
import { ALL, canonicalSelector } from '../selector.ts';
import type { PortName } from './atoms.ts';
import { rangesOf } from './blocks.ts';
import type { Action } from './decide.ts';
import { type PodSelector, textOf } from './selection.ts';

/** A place in the order of all policies. */
export interface Tier {
  readonly name: string;
  /** Lower is asked earlier. */
  readonly order: number;
  /** What becomes of traffic of a pod that a policy of the tier selects, if no rule is about it. */
  readonly unmatched: 'deny' | 'pass';
}

/** Kubernetes' NetworkPolicy: rules only accept, so that their order does not matter; what none accepts is denied. */
export const NETWORK_POLICY_TIER: Tier = { name: 'NetworkPolicy', order: 1_000, unmatched: 'deny' };

/** A policy of any kind. */
export interface GeneralPolicy {
  readonly key: string;
  readonly tier: Tier;
  /** Among the policies of its tier; those of one order are sorted by key. */
  readonly order: number;
  readonly subject: PodSelector;
  /** `undefined` for a direction that the policy is not about. */
  readonly ingress: readonly GeneralRule[] | undefined;
  readonly egress: readonly GeneralRule[] | undefined;
}

export interface GeneralRule {
  readonly action: Action;
  /** `undefined`: any peer. */
  readonly peer: PeerSpec | undefined;
  readonly ports: PortSet;
  /** Ingress only: names that the pod itself resolves. */
  readonly names: readonly PortName[];
}

/** What an atom is made from. */
export interface PeerSpec {
  readonly text: string;
  readonly pods: PodSelector | undefined;
  readonly ranges: ReturnType<typeof rangesOf> | undefined;
  /** Egress only: the name of a port, which each peer resolves; then `ports` of the rule is of no meaning. */
  readonly port: PortName | undefined;
}

/** Brings a NetworkPolicy into the general form. */
export function generalPolicy(policy: NetworkPolicy): GeneralPolicy {
  const { namespace, name, policyTypes } = policy;
  const rules = (direction: Direction) =>
    policy[direction].flatMap((rule) => generalRules(namespace, rule, direction));
  return {
    key: `${namespace}/${name}`,
    tier: NETWORK_POLICY_TIER,
    order: 0,
    subject: { namespaces: { name: namespace }, pods: canonicalSelector(policy.podSelector) },
    ingress: policyTypes.includes('Ingress') ? rules('ingress') : undefined,
    egress: policyTypes.includes('Egress') ? rules('egress') : undefined,
  };
}

function generalRules(namespace: string, rule: NetworkPolicyRule, direction: Direction): GeneralRule[] {
  const peers = rule.peers.length === 0 ? [undefined] : rule.peers.map((peer) => peerSpec(namespace, peer));
  const named = rule.ports.filter(({ port }) => typeof port === 'string');
  const names = named.map(({ port, protocol }): PortName => ({ name: port as string, protocol }));
  const numbered = rule.ports.filter(({ port }) => typeof port !== 'string');
  const ports = rule.ports.length === 0 ? ALL_PORTS : unionOf(numbered.map(portsOfPort));
  const action = 'accept';
  return peers.flatMap((peer): GeneralRule[] => {
    if (direction === 'ingress') return [{ action, peer, ports, names }];
    const byName = names.map(
      (name): GeneralRule => ({ action, peer: byPortName(peer, name), ports: NO_PORTS, names: [] }),
    );
    return ports === NO_PORTS ? byName : [{ action, peer, ports, names: [] }, ...byName];
  });
}

function portsOfPort({ protocol, port, endPort }: NetworkPolicyPort): PortSet {
  if (typeof port !== 'number') return portsOf(protocol);
  return portsOf(protocol, [{ first: port, last: endPort ?? port }]);
}

function peerSpec(namespace: string, peer: NetworkPolicyPeer): PeerSpec {
  if (peer.kind === 'block') {
    const ranges = rangesOf(peer);
    const text = ranges.map(({ first, last }) => `${formatAddress(first)}-${formatAddress(last)}`).join(',');
    return { text: `addresses ${text}`, pods: undefined, ranges, port: undefined };
  }
  const namespaces =
    peer.namespaceSelector === undefined ? { name: namespace } : canonicalSelector(peer.namespaceSelector);
  const pods = peer.podSelector === undefined ? ALL : canonicalSelector(peer.podSelector);
  return podSpec({ namespaces, pods });
}

function podSpec(pods: PodSelector): PeerSpec {
  return { text: textOf(pods), pods, ranges: undefined, port: undefined };
}

/** Those of the peers that have a port of this name. That can only be pods. */
function byPortName(peer: PeerSpec | undefined, port: PortName): PeerSpec {
  const pods = peer?.pods ?? { namespaces: ALL, pods: ALL };
  const base = peer ?? podSpec(pods);
  return { text: `${base.text} port ${port.protocol}/${port.name}`, pods, ranges: base.ranges, port };
}
