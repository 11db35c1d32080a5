/**
 * What the policy engine has compiled for this node, as values. A packet meets it so: a pod that is not isolated in a
 * direction accepts all; else what any peer may do counts, then what the class of the peer's address may do with this
 * pod, then `otherwise`. Both directions have to accept.
 */

import type { AddressKey, AddressRange, Family } from '#datastore/address.ts';
import type { PortSet, PortVerdicts } from '#proto/ports.ts';

/** `namespace/name`. */
export type PodKey = string;

/** Names an address class: 32 hexadecimal digits, the same for the same meaning on every node and after any restart. */
export type ClassId = string;

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

export interface EndpointProgram {
  readonly uid: string;
  /** As the cluster knows them; the node goes by those that it gave itself. */
  readonly addresses: readonly AddressKey[];
  readonly ingress: EndpointRules;
  readonly egress: EndpointRules;
}

export interface EndpointRules {
  /** Whether anything is to be looked up; if not, everything is accepted. */
  readonly isolated: boolean;
  /** Accepted whoever the peer is. */
  readonly anyPeer: PortSet;
  /** Accepted where the class of the peer says nothing. The rest is dropped. */
  readonly otherwise: PortSet;
}

/** Addresses of one class, except those that have one of their own. */
export interface BlockRange extends AddressRange {
  readonly class: ClassId;
}

/**
 * Takes changes of the programs key by key: what is said of a key takes the place of what was said of it before, and
 * `undefined` takes it away. Changes hold together from one `commit` to the next.
 */
export interface ProgramSink {
  endpoint(pod: PodKey, program: EndpointProgram | undefined): void;
  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void;
  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void;
  /** All ranges of a family, sorted and apart. */
  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void;
  /** What the addresses of a class have in common, in words. */
  meaning?(id: ClassId, text: readonly string[]): void;
  commit(): void;
}
