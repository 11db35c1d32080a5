/**
 * Changes of one node's programs that a reader has not been told yet: the newest of each key, however often it changed.
 */

import type { AddressKey, Family } from '#datastore/address.ts';
import type { PortVerdicts } from '#proto/ports.ts';
import type { ClassId, Direction, PodKey } from '#proto/program.ts';
import type { BlockRange, EndpointProgram, ProgramSink } from '../program/program.ts';

export class Pending implements Omit<ProgramSink, 'commit' | 'classGone'> {
  /** Whether it is told to somebody who knows nothing: then what is taken away need not be said. */
  readonly snapshot: boolean;
  readonly endpoints = new Map<PodKey, EndpointProgram | undefined>();
  readonly ingress = new PendingDirection();
  readonly egress = new PendingDirection();
  #entries = 0;

  constructor(snapshot: boolean) {
    this.snapshot = snapshot;
  }

  /** Keys that wait. A family's blocks are one key. */
  get size(): number {
    const { ingress, egress } = this;
    return this.endpoints.size + this.#entries + ingress.size + egress.size;
  }

  endpoint(pod: PodKey, program: EndpointProgram | undefined): void {
    this.#put(this.endpoints, pod, program);
  }

  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void {
    const { entries } = this[direction];
    let ofClass = entries.get(id);
    if (ofClass === undefined) {
      ofClass = new Map();
      entries.set(id, ofClass);
    }
    this.#entries -= ofClass.size;
    this.#put(ofClass, pod, verdicts);
    this.#entries += ofClass.size;
    if (ofClass.size === 0) entries.delete(id);
  }

  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void {
    this.#put(this[direction].addresses, address, id);
  }

  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void {
    this.#put(this[direction].blocks, family, this.snapshot && ranges.length === 0 ? undefined : ranges);
  }

  #put<K, V>(map: Map<K, V | undefined>, key: K, value: V | undefined): void {
    if (this.snapshot && value === undefined) map.delete(key);
    else map.set(key, value);
  }
}

/** What waits for one direction. */
export class PendingDirection {
  readonly entries = new Map<ClassId, Map<PodKey, PortVerdicts | undefined>>();
  readonly addresses = new Map<AddressKey, ClassId | undefined>();
  readonly blocks = new Map<Family, readonly BlockRange[] | undefined>();

  /** All but entries. */
  get size(): number {
    return this.addresses.size + this.blocks.size;
  }
}
