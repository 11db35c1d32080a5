/**
 * What is compiled: the programs of a node, as values that a dataplane loads and looks up. See the README for how a
 * packet meets them.
 */

import type { AddressKey, AddressRange, Family } from '#datastore/address.ts';
import type { PortVerdicts } from '#proto/ports.ts';
import type { ClassId, Direction, EndpointRules, PodKey } from '#proto/program.ts';

/** The part of a program that is about one pod of the node, whether it has addresses yet or not. */
export interface EndpointProgram {
  readonly uid: string;
  /** As the cluster knows them. The node that sets up the pod knows them earlier. Sorted. */
  readonly addresses: readonly AddressKey[];
  readonly ingress: EndpointRules;
  readonly egress: EndpointRules;
}

/** Addresses of one class; those of pods that are in the map of addresses are not meant. */
export interface BlockRange extends AddressRange {
  readonly class: ClassId;
}

/**
 * Takes the changes of one node's programs, key by key: whatever is said of a key replaces what was said of it before,
 * and `undefined` takes it away. Changes hold together from one `commit` to the next.
 */
export interface ProgramSink {
  endpoint(pod: PodKey, program: EndpointProgram | undefined): void;
  /** What peers of a class may do with a pod, beyond what any peer may. */
  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void;
  /** The class of a pod's address. */
  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void;
  /** The classes of all other addresses: all ranges of a family, sorted and apart. */
  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void;
  /** In one direction no address is of the class any more, so that nothing is said of it. */
  classGone(id: ClassId): void;
  commit(): void;
}
