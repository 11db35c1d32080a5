/**
 * The reference evaluator: may this connection be made, and what decides it.
 */

import type { Pod } from '#datastore/kinds/pod.ts';
import { type Cluster, hasOwnNetwork } from './cluster.ts';
import { networkPolicies } from './network-policy.ts';
import type { Direction, DirectionVerdict, Evaluator, Party, Reason, Traffic, Verdict } from './traffic.ts';

/** The tiers of policies, the first asked first. */
export const TIERS: readonly Evaluator[] = [networkPolicies];

/** Judges a connection: the policies of the source have to allow it, and those of the destination too. */
export function evaluate(cluster: Cluster, traffic: Traffic, tiers: readonly Evaluator[] = TIERS): Verdict {
  const egress = evaluateDirection(cluster, traffic, 'egress', tiers);
  const ingress = evaluateDirection(cluster, traffic, 'ingress', tiers);
  return { allowed: egress.allowed && ingress.allowed, egress, ingress };
}

function evaluateDirection(
  cluster: Cluster,
  traffic: Traffic,
  direction: Direction,
  tiers: readonly Evaluator[],
): DirectionVerdict {
  const [subject, other] =
    direction === 'egress' ? [traffic.source, traffic.destination] : [traffic.destination, traffic.source];
  if (subject.kind !== 'pod' || !hasOwnNetwork(subject.pod)) return always('no-subject');
  if (isSamePod(subject.pod, other)) return always('self');
  if (isNodeOf(subject.pod, other)) return always('own-node');
  for (const tier of tiers) {
    const outcome = tier.evaluate(cluster, traffic, direction, subject.pod);
    if (outcome.verdict !== 'next') return { allowed: outcome.verdict === 'accept', by: outcome.by };
  }
  return always('not-isolated');
}

/** A pod can not block access to itself, also not by way of a service. */
function isSamePod(pod: Pod, other: Party): boolean {
  return other.kind === 'pod' && other.pod.namespace === pod.namespace && other.pod.name === pod.name;
}

/** Traffic between a pod and the node that it runs on is always allowed. */
function isNodeOf(pod: Pod, other: Party): boolean {
  return other.kind === 'node' && pod.nodeName !== '' && other.node === pod.nodeName;
}

function always(kind: Exclude<Reason['kind'], 'rule' | 'isolated'>): DirectionVerdict {
  return { allowed: true, by: { kind } };
}
