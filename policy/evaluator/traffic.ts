/**
 * What is asked of the evaluator, and what it answers.
 */

import type { AddressKey } from '#datastore/address.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Protocol } from '#datastore/schema.ts';
import type { Cluster } from './cluster.ts';

/** A new connection, as it is after the translation of service addresses. */
export interface Traffic {
  readonly source: Party;
  readonly destination: Party;
  /** `other` is any protocol without ports, such as ICMP. */
  readonly protocol: Protocol | 'other';
  /** Destination port; of no meaning for `other`. */
  readonly port: number;
}

/** An end of a connection. */
export type Party = PodParty | NodeParty | OutsideParty;

/** A pod with a network of its own. */
export interface PodParty {
  readonly kind: 'pod';
  readonly pod: Pod;
  /** `undefined` while it has none: then no block of addresses has it. */
  readonly address: AddressKey | undefined;
}

/** A node, or a pod that uses the node's network. */
export interface NodeParty {
  readonly kind: 'node';
  readonly node: string;
  readonly address: AddressKey;
}

export interface OutsideParty {
  readonly kind: 'outside';
  readonly address: AddressKey;
}

/** Egress is judged by the policies of the source, ingress by those of the destination. */
export type Direction = 'egress' | 'ingress';

/**
 * One tier of policies. In a row of them each says accept or deny, which is final for the direction, or leaves it to the
 * next.
 */
export interface Evaluator {
  readonly name: string;
  /** @param subject the end whose policies are asked: the source for egress, the destination for ingress */
  evaluate(cluster: Cluster, traffic: Traffic, direction: Direction, subject: Pod): Outcome;
}

export type Outcome =
  | { readonly verdict: 'accept'; readonly by: RuleMatch }
  | { readonly verdict: 'deny'; readonly by: RuleMatch | Isolation }
  | { readonly verdict: 'next' };

/** The rule that decided. */
export interface RuleMatch {
  readonly kind: 'rule';
  readonly tier: string;
  readonly policy: PolicyName;
  /** Index in `ingress` or `egress` of the spec. */
  readonly rule: number;
  /** Index in `from` or `to`; `undefined` if the rule names no peers. */
  readonly peer: number | undefined;
  /** Index in `ports`; `undefined` if the rule names no ports. */
  readonly port: number | undefined;
}

/** No rule allowed it, and policies isolate the pod. */
export interface Isolation {
  readonly kind: 'isolated';
  readonly tier: string;
  readonly policies: readonly PolicyName[];
  /** Rules that would have matched but for their peers, or but for their ports. */
  readonly near: readonly NearMiss[];
}

export interface NearMiss {
  readonly policy: PolicyName;
  readonly rule: number;
  readonly lacks: 'peer' | 'port';
}

export interface PolicyName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What became of one direction, and why. */
export interface DirectionVerdict {
  readonly allowed: boolean;
  readonly by: Reason;
}

export type Reason =
  | RuleMatch
  | Isolation
  /** A pod can always reach itself. */
  | { readonly kind: 'self' }
  /** A pod and its node can always reach each other. */
  | { readonly kind: 'own-node' }
  /** The end is no pod with a network of its own, so no policy is about it. */
  | { readonly kind: 'no-subject' }
  /** No policy isolates the pod. */
  | { readonly kind: 'not-isolated' };

/** Both directions have to allow it. */
export interface Verdict {
  readonly allowed: boolean;
  readonly egress: DirectionVerdict;
  readonly ingress: DirectionVerdict;
}
