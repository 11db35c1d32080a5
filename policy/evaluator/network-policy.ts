/**
 * NetworkPolicy of `networking.k8s.io/v1`, sentence by sentence. The sentences are those of the API reference
 * (NetworkPolicySpec and what it is made of) and of the concept page on network policies.
 *
 * It is slow and meant to be: what is compiled is tested against it.
 */

import { type AddressKey, contains, parsePrefix, rangeOf } from '#datastore/address.ts';
import type {
  BlockPeer,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
  PodPeer,
} from '#datastore/kinds/network-policy.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { LabelRequirement, LabelSelector } from '#datastore/label-selector.ts';
import type { Labels } from '#datastore/schema.ts';
import type { Cluster } from './cluster.ts';
import type {
  Direction,
  Evaluator,
  NearMiss,
  Outcome,
  Party,
  PolicyName,
  RuleMatch,
  Traffic,
} from './traffic.ts';

export const networkPolicies: Evaluator = { name: 'NetworkPolicy', evaluate };

/**
 * A pod that no policy selects for a direction is not isolated in it, and all traffic is allowed. One that is isolated
 * may have what at least one of those policies allows: policies add up, and their order does not matter.
 */
function evaluate(cluster: Cluster, traffic: Traffic, direction: Direction, subject: Pod): Outcome {
  const policies = cluster.policies.filter((policy) => isolates(policy, subject, direction));
  if (policies.length === 0) return { verdict: 'next' };
  const near: NearMiss[] = [];
  for (const policy of policies) {
    for (const [index, rule] of rulesOf(policy, direction).entries()) {
      const match = matchRule(cluster, policy, rule, traffic, direction);
      const of = nameOf(policy);
      if (match.peer !== 'none' && match.port !== 'none') {
        return { verdict: 'accept', by: ruleMatch(of, index, match.peer, match.port) };
      }
      if (match.peer !== 'none') near.push({ policy: of, rule: index, lacks: 'port' });
      if (match.port !== 'none') near.push({ policy: of, rule: index, lacks: 'peer' });
    }
  }
  return { verdict: 'deny', by: { kind: 'isolated', tier: TIER, policies: policies.map(nameOf), near } };
}

const TIER = 'NetworkPolicy';

/** A policy isolates the pods of its own namespace that its podSelector selects, in the directions of its types. */
function isolates(policy: NetworkPolicy, pod: Pod, direction: Direction): boolean {
  return (
    policy.namespace === pod.namespace &&
    policy.policyTypes.includes(direction === 'ingress' ? 'Ingress' : 'Egress') &&
    matchesLabels(policy.podSelector, pod.labels)
  );
}

/** Ingress rules allow sources (`from`), egress rules destinations (`to`). */
function rulesOf(policy: NetworkPolicy, direction: Direction): readonly NetworkPolicyRule[] {
  return direction === 'ingress' ? policy.ingress : policy.egress;
}

/** Where a list matches: an index, `all` if it is empty or absent, `none` if it does not. */
type ListMatch = number | 'all' | 'none';

/** A rule allows traffic that matches both its peers and its ports. */
function matchRule(
  cluster: Cluster,
  policy: NetworkPolicy,
  rule: NetworkPolicyRule,
  traffic: Traffic,
  direction: Direction,
): { readonly peer: ListMatch; readonly port: ListMatch } {
  const other = direction === 'ingress' ? traffic.source : traffic.destination;
  return {
    peer: matchAny(rule.peers, (peer) => matchesPeer(cluster, policy, peer, other)),
    port: matchAny(rule.ports, (port) => matchesPort(port, traffic)),
  };
}

/** The items of a list are alternatives. An empty or absent list matches everything. */
function matchAny<T>(list: readonly T[], matches: (item: T) => boolean): ListMatch {
  if (list.length === 0) return 'all';
  const index = list.findIndex(matches);
  return index < 0 ? 'none' : index;
}

/** A peer is described by its addresses or by its labels, never by both. */
function matchesPeer(
  cluster: Cluster,
  policy: NetworkPolicy,
  peer: NetworkPolicyPeer,
  party: Party,
): boolean {
  return peer.kind === 'block'
    ? matchesBlock(peer, party.address)
    : matchesPods(cluster, policy, peer, party);
}

/** An ipBlock matches the addresses of its cidr that are in none of its exceptions, whoever has them. */
function matchesBlock(block: BlockPeer, address: AddressKey | undefined): boolean {
  if (address === undefined) return false;
  return isInside(block.cidr, address) && !block.except.some((except) => isInside(except, address));
}

/**
 * Selectors match pods only, not nodes and so not pods in the network of a node. Without a namespaceSelector they are
 * those of the policy's own namespace; with one, those of the namespaces that it selects. Without a podSelector they are
 * all pods there; with one, those that it selects.
 */
function matchesPods(cluster: Cluster, policy: NetworkPolicy, peer: PodPeer, party: Party): boolean {
  if (party.kind !== 'pod') return false;
  const { pod } = party;
  const inNamespace =
    peer.namespaceSelector === undefined
      ? pod.namespace === policy.namespace
      : matchesLabels(peer.namespaceSelector, cluster.namespaceLabels(pod.namespace));
  return inNamespace && (peer.podSelector === undefined || matchesLabels(peer.podSelector, pod.labels));
}

/**
 * A port matches traffic of its protocol: without a port, to every port; with a number, to that port; with an endPort
 * too, to the ports up to it; with a name, to the ports that the destination pod has by that name.
 */
function matchesPort(port: NetworkPolicyPort, traffic: Traffic): boolean {
  if (port.protocol !== traffic.protocol) return false;
  if (port.port === undefined) return true;
  if (typeof port.port === 'string') return namedPorts(traffic.destination, port).includes(traffic.port);
  return port.port <= traffic.port && traffic.port <= (port.endPort ?? port.port);
}

/** The ports of the destination that have this name and protocol. What is no pod has none. */
function namedPorts(destination: Party, { port: name, protocol }: NetworkPolicyPort): number[] {
  const ports = destination.kind === 'pod' ? destination.pod.ports : [];
  return ports.filter((port) => port.name === name && port.protocol === protocol).map(({ port }) => port);
}

/** A selector matches labels that have all its matchLabels and satisfy all its matchExpressions; an empty one, any. */
function matchesLabels(selector: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(selector.matchLabels).every(([key, value]) => labelOf(labels, key) === value) &&
    selector.matchExpressions.every((requirement) => satisfies(requirement, labels))
  );
}

/** In and Exists ask for the label to be there; NotIn and DoesNotExist are satisfied where it is not. */
function satisfies({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function isInside(cidr: string, address: AddressKey): boolean {
  const prefix = parsePrefix(cidr);
  return prefix !== undefined && contains(rangeOf(prefix), address);
}

function ruleMatch(policy: PolicyName, rule: number, peer: ListMatch, port: ListMatch): RuleMatch {
  const index = (match: ListMatch) => (typeof match === 'number' ? match : undefined);
  return { kind: 'rule', tier: TIER, policy, rule, peer: index(peer), port: index(port) };
}

function nameOf({ kind, namespace, name }: NetworkPolicy): PolicyName {
  return { kind, namespace, name };
}
