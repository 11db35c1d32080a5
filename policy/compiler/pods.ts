/**
 * The pods of a cluster, in groups that policies can not tell apart, and who has which address.
 */

import { type AddressKey, parseAddress } from '#datastore/address.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Labels, Protocol } from '#datastore/schema.ts';
import type { PodKey } from '#proto/program.ts';
import type { Atom } from './atoms.ts';

/** Pods of one namespace with the same labels and the same named ports. */
export interface PodGroup {
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** Only those with a name; sorted. */
  readonly ports: readonly NamedPort[];
  readonly pods: Set<PodEntry>;
  /** Addresses that its pods have. */
  readonly addresses: Set<AddressKey>;
  /** Atoms that ask for pods and whose pods its pods are among. */
  readonly atoms: Set<Atom>;
}

export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface PodEntry {
  readonly key: PodKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Empty until it is scheduled. */
  readonly node: string;
  readonly group: PodGroup;
  /** That it claims; another pod may have them. */
  readonly claims: readonly AddressKey[];
}

export interface PodsListener {
  groupAdded(group: PodGroup): void;
  /** It has no pods any more. */
  groupRemoved(group: PodGroup): void;
  /** A pod is there that was not, is not there any more, or is another one than before. */
  podChanged(before: PodEntry | undefined, after: PodEntry | undefined): void;
  /** An address is another pod's now. */
  addressMoved(address: AddressKey, from: PodEntry | undefined, to: PodEntry | undefined): void;
}

/** Pods with a network of their own that have not finished; others are not known here. */
export class Pods {
  readonly #listener: PodsListener;
  readonly #pods = new Map<PodKey, PodEntry>();
  readonly #groups = new Map<string, PodGroup>();
  /** Who claims an address; the first has it. */
  readonly #claimants = new Map<AddressKey, readonly PodEntry[]>();

  constructor(listener: PodsListener) {
    this.#listener = listener;
  }

  get size(): number {
    return this.#pods.size;
  }

  get groups(): number {
    return this.#groups.size;
  }

  put(pod: Pod): void {
    const key = `${pod.namespace}/${pod.name}`;
    const before = this.#pods.get(key);
    if (pod.hostNetwork || pod.finished) {
      this.#replace(key, before, undefined);
      return;
    }
    const claims = pod.addresses.map((text) => parseAddress(text)!).sort();
    const parts = { key, namespace: pod.namespace, name: pod.name, uid: pod.uid, node: pod.nodeName, claims };
    const groupKey = keyOfGroup(pod);
    if (before !== undefined && before.group.key === groupKey && isSame(before, parts)) return;
    const after = { ...parts, group: this.#group(groupKey, pod) };
    this.#replace(key, before, after);
  }

  delete(key: PodKey): void {
    this.#replace(key, this.#pods.get(key), undefined);
  }

  /** The addresses that a pod claims and has. */
  addressesOf(pod: PodEntry): AddressKey[] {
    return pod.claims.filter((address) => this.#claimants.get(address)![0] === pod);
  }

  #replace(key: PodKey, before: PodEntry | undefined, after: PodEntry | undefined): void {
    if (before === undefined && after === undefined) return;
    if (after === undefined) this.#pods.delete(key);
    else this.#pods.set(key, after);
    if (after !== undefined) {
      if (after.group.pods.size === 0) this.#listener.groupAdded(after.group);
      after.group.pods.add(after);
    }
    before?.group.pods.delete(before);
    this.#listener.podChanged(before, after);
    for (const address of new Set([...(before?.claims ?? []), ...(after?.claims ?? [])])) {
      this.#claim(address, before, after?.claims.includes(address) ? after : undefined);
    }
    if (before !== undefined && before.group.pods.size === 0) {
      this.#groups.delete(before.group.key);
      this.#listener.groupRemoved(before.group);
    }
  }

  /** Takes the claim of one pod away and puts that of another one in. */
  #claim(address: AddressKey, away: PodEntry | undefined, added: PodEntry | undefined): void {
    const before = this.#claimants.get(address) ?? [];
    const after = before.filter((pod) => pod !== away);
    if (added !== undefined) after.splice(after.filter((pod) => isBefore(pod, added)).length, 0, added);
    if (after.length === 0) this.#claimants.delete(address);
    else this.#claimants.set(address, after);
    const [from] = before;
    const [to] = after;
    if (from === to) return;
    from?.group.addresses.delete(address);
    to?.group.addresses.add(address);
    this.#listener.addressMoved(address, from, to);
  }

  #group(key: string, pod: Pod): PodGroup {
    let group = this.#groups.get(key);
    if (group === undefined) {
      const { namespace, labels } = pod;
      const sets = { pods: new Set<PodEntry>(), addresses: new Set<AddressKey>(), atoms: new Set<Atom>() };
      group = { key, namespace, labels, ports: namedPorts(pod), ...sets };
      this.#groups.set(key, group);
    }
    return group;
  }
}

function keyOfGroup(pod: Pod): string {
  const labels = Object.entries(pod.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const ports = namedPorts(pod).map(({ name, protocol, port }) => [name, protocol, port]);
  return JSON.stringify([pod.namespace, labels, ports]);
}

/** Sorted, each once. */
function namedPorts(pod: Pod): NamedPort[] {
  const byText = new Map(
    pod.ports
      .filter(({ name }) => name !== '')
      .map((port) => [`${port.name}/${port.protocol}/${port.port}`, port]),
  );
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, port]) => port);
}

function isSame(a: Omit<PodEntry, 'group'>, b: Omit<PodEntry, 'group'>): boolean {
  return (
    a.uid === b.uid &&
    a.node === b.node &&
    a.claims.length === b.claims.length &&
    a.claims.every((address, i) => address === b.claims[i])
  );
}

/** By namespace and name, as in the reference evaluator. */
function isBefore(a: PodEntry, b: PodEntry): boolean {
  return a.namespace === b.namespace ? a.name < b.name : a.namespace < b.namespace;
}
