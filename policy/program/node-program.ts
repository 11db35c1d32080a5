import { type AddressKey, type Family, familyOf, findRange } from '#datastore/address.ts';
import type { Protocol } from '#datastore/schema.ts';
import {
  ALL_PORTS,
  includes,
  NO_VERDICTS,
  type PortSet,
  type PortVerdict,
  type PortVerdicts,
  unionOf,
  verdictOn,
  without,
} from '#proto/ports.ts';
import type { ClassId, Direction, PodKey } from '#proto/program.ts';
import type { BlockRange, EndpointProgram, ProgramSink } from './program.ts';

/** All programs of a node, put together from their changes. */
export class NodeProgram implements ProgramSink {
  readonly endpoints = new Map<PodKey, EndpointProgram>();
  readonly ingress = new DirectionProgram();
  readonly egress = new DirectionProgram();

  endpoint(pod: PodKey, program: EndpointProgram | undefined): void {
    put(this.endpoints, pod, program);
  }

  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void {
    const { classes } = this[direction];
    const entries = classes.get(id) ?? new Map<PodKey, PortVerdicts>();
    put(entries, pod, verdicts);
    put(classes, id, entries.size === 0 ? undefined : entries);
  }

  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void {
    put(this[direction].addresses, address, id);
  }

  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void {
    this[direction].blocks[family] = ranges;
  }

  classGone(): void {}

  commit(): void {}

  /**
   * What the node does with a new connection of one of its pods, step by step as a packet meets the programs.
   *
   * @param peer the address of the other end
   */
  lookUp(
    direction: Direction,
    pod: PodKey,
    peer: AddressKey,
    protocol: Protocol | 'other',
    port: number,
  ): PortVerdict {
    const rules = this.endpoints.get(pod)?.[direction];
    if (rules === undefined || !rules.isolated) return 'accept';
    if (includes(rules.anyPeer, protocol, port)) return 'accept';
    const entries = this[direction].classes.get(this[direction].classOf(peer) ?? '');
    const verdicts = entries?.get(pod);
    const verdict = verdicts && verdictOn(verdicts, protocol, port);
    return verdict ?? (includes(rules.otherwise, protocol, port) ? 'accept' : 'drop');
  }

  /** All that `lookUp` would accept from or to an address. */
  acceptedPorts(direction: Direction, pod: PodKey, peer: AddressKey): PortSet {
    const rules = this.endpoints.get(pod)?.[direction];
    if (rules === undefined || !rules.isolated) return ALL_PORTS;
    const { accept, drop } =
      this[direction].classes.get(this[direction].classOf(peer) ?? '')?.get(pod) ?? NO_VERDICTS;
    return unionOf([rules.anyPeer, accept, without(rules.otherwise, drop)]);
  }
}

/** One direction of a node's programs. */
export class DirectionProgram {
  readonly classes = new Map<ClassId, Map<PodKey, PortVerdicts>>();
  readonly addresses = new Map<AddressKey, ClassId>();
  readonly blocks: Record<Family, readonly BlockRange[]> = { 4: [], 6: [] };

  /** The class of an address: its own if it is a pod's that has one, else that of the range it is in. */
  classOf(address: AddressKey): ClassId | undefined {
    return this.addresses.get(address) ?? findRange(this.blocks[familyOf(address)], address)?.class;
  }
}

function put<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
