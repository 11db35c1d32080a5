import type { AddressKey } from '#datastore/address.ts';
import { isSubset, type PortVerdicts, unionOf } from '#proto/ports.ts';
import type { EndpointRules, PodKey } from '#proto/program.ts';
import type { EndpointProgram } from './program.ts';

/**
 * Which connections changes of programs may be about: those of some pods, and those of some addresses with any pod. What
 * can only allow more is kept apart, since it matters to connections alone that were ended.
 */
export class ChangeScope {
  /** Local pods and peers some of whose connections may be forbidden now. */
  readonly pods = new Set<PodKey>();
  readonly peers = new Set<AddressKey>();
  /** Those that may only be allowed more. */
  readonly openedPods = new Set<PodKey>();
  readonly openedPeers = new Set<AddressKey>();
  /** Any connection may be forbidden now. */
  all = false;

  /** Whether nothing can have been forbidden. */
  get forbidsNothing(): boolean {
    return !this.all && this.pods.size === 0 && this.peers.size === 0;
  }

  get isEmpty(): boolean {
    return this.forbidsNothing && this.openedPods.size === 0 && this.openedPeers.size === 0;
  }

  endpoint(pod: PodKey, before: EndpointProgram | undefined, after: EndpointProgram | undefined): void {
    const opens =
      after !== undefined &&
      (before === undefined ||
        (before.uid === after.uid &&
          allowsAll(before.ingress, after.ingress) &&
          allowsAll(before.egress, after.egress)));
    (opens ? this.openedPods : this.pods).add(pod);
  }

  entry(pod: PodKey, before: PortVerdicts | undefined, after: PortVerdicts | undefined): void {
    const accepted = before === undefined || (after !== undefined && isSubset(before.accept, after.accept));
    const dropped = after === undefined || isSubset(after.drop, before?.drop ?? after.drop);
    const opens =
      accepted && dropped && (before !== undefined || after === undefined || after.drop.text === 'none');
    (opens ? this.openedPods : this.pods).add(pod);
  }

  /** @param mayForbid whether the new class, or none, may say less than the old one or none did */
  address(address: AddressKey, mayForbid: boolean): void {
    (mayForbid ? this.peers : this.openedPeers).add(address);
  }

  /** Takes over what another one has. */
  add(other: ChangeScope): void {
    for (const pod of other.pods) this.pods.add(pod);
    for (const peer of other.peers) this.peers.add(peer);
    for (const pod of other.openedPods) this.openedPods.add(pod);
    for (const peer of other.openedPeers) this.openedPeers.add(peer);
    this.all ||= other.all;
  }

  /** Whether a connection between two addresses may be judged otherwise now. */
  concerns(
    source: AddressKey,
    destination: AddressKey,
    podAt: (address: AddressKey) => PodKey | undefined,
  ): boolean {
    return this.all || this.#concernsEnd(source, podAt) || this.#concernsEnd(destination, podAt);
  }

  #concernsEnd(address: AddressKey, podAt: (address: AddressKey) => PodKey | undefined): boolean {
    if (this.peers.has(address) || this.openedPeers.has(address)) return true;
    const pod = podAt(address);
    return pod !== undefined && (this.pods.has(pod) || this.openedPods.has(pod));
  }
}

function allowsAll(before: EndpointRules, after: EndpointRules): boolean {
  if (!after.isolated) return true;
  if (!before.isolated) return after.anyPeer.text === 'all';
  return (
    isSubset(before.anyPeer, after.anyPeer) &&
    isSubset(before.otherwise, unionOf([after.anyPeer, after.otherwise]))
  );
}
