/**
 * All that the evaluator knows: the objects of a cluster, and who has which address.
 */

import { type AddressKey, parseAddress } from '#datastore/address.ts';
import { NAMESPACE_NAME_LABEL, type Namespace } from '#datastore/kinds/namespace.ts';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Node } from '#datastore/kinds/node.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import type { Labels } from '#datastore/schema.ts';
import type { Party } from './traffic.ts';

/** A cluster at one moment. */
export class Cluster {
  /** Sorted by namespace and name, as are the others: what is answered does not depend on the order of objects. */
  readonly pods: readonly Pod[];
  readonly policies: readonly NetworkPolicy[];
  readonly nodes: readonly Node[];
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #owners: ReadonlyMap<AddressKey, Party>;

  constructor(resources: Iterable<Resource>) {
    const all = [...resources].sort((a, b) => order(a.namespace, b.namespace) || order(a.name, b.name));
    this.pods = all.filter((resource) => resource.kind === 'Pod');
    this.policies = all.filter((resource) => resource.kind === 'NetworkPolicy');
    this.nodes = all.filter((resource) => resource.kind === 'Node');
    this.#namespaces = new Map(
      all.filter((resource) => resource.kind === 'Namespace').map((namespace) => [namespace.name, namespace]),
    );
    this.#owners = owners(this.pods, this.nodes);
  }

  /** Labels of a namespace. One that is not known (yet) has the label that every namespace has. */
  namespaceLabels(name: string): Labels {
    return this.#namespaces.get(name)?.labels ?? { [NAMESPACE_NAME_LABEL]: name };
  }

  /** Who is at an address. */
  partyAt(address: AddressKey): Party {
    return this.#owners.get(address) ?? { kind: 'outside', address };
  }

  pod(namespace: string, name: string): Pod | undefined {
    return this.pods.find((pod) => pod.namespace === namespace && pod.name === name);
  }
}

/**
 * Whether policies can be about this pod as such. One in the network of its node is, for the network, the node; one that
 * has finished is nothing any more, and its address may be another's.
 */
export function hasOwnNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && !pod.finished;
}

/** Of several that claim an address, pods come before nodes and the first by name before the others. */
function owners(pods: readonly Pod[], nodes: readonly Node[]): Map<AddressKey, Party> {
  const owners = new Map<AddressKey, Party>();
  const claim = (text: string, party: (address: AddressKey) => Party) => {
    const address = parseAddress(text);
    if (address !== undefined && !owners.has(address)) owners.set(address, party(address));
  };
  for (const pod of pods.filter(hasOwnNetwork)) {
    for (const text of pod.addresses) claim(text, (address) => ({ kind: 'pod', pod, address }));
  }
  for (const { name, addresses } of nodes) {
    for (const { address: text } of addresses)
      claim(text, (address) => ({ kind: 'node', node: name, address }));
  }
  for (const { nodeName, addresses } of pods.filter((pod) => pod.hostNetwork && !pod.finished)) {
    for (const text of addresses) claim(text, (address) => ({ kind: 'node', node: nodeName, address }));
  }
  return owners;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
