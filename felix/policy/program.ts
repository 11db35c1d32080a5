/**
 * What the policy engine has compiled for this node, as values. A packet meets it so: a pod that is not isolated in a
 * direction accepts all; else what any peer may do counts, then what the class of the peer's address may do with this
 * pod, then `otherwise`. Both directions have to accept.
 */

import type { AddressKey, AddressRange, Family } from '#datastore/address.ts';
import type { PortVerdicts } from '#proto/ports.ts';
import type { ClassId, Direction, EndpointRules, PodKey } from '#proto/program.ts';

export interface EndpointProgram {
  readonly uid: string;
  /** As the cluster knows them; the node goes by those that it gave itself. */
  readonly addresses: readonly AddressKey[];
  readonly ingress: EndpointRules;
  readonly egress: EndpointRules;
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
