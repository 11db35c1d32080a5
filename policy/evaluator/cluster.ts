/**
 * All that the evaluator knows: the objects of a cluster, and who has which address.
 */

import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import { NAMESPACE_NAME_LABEL, type Namespace } from '#datastore/kinds/namespace.ts';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Node } from '#datastore/kinds/node.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import type { Labels } from '#datastore/schema.ts';
import type { Party } from './traffic.ts';

/**
 * A cluster at one moment. What is answered does not depend on the order of objects. An engine needs a new one after each
 * change, so nothing is made for all pods before it is asked for.
 */
export class Cluster {
  /** Sorted by namespace and name. */
  readonly policies: readonly NetworkPolicy[];
  readonly nodes: readonly Node[];
  readonly #pods: readonly Pod[];
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #parties = new Map<AddressKey, Party>();
  #sortedPods: readonly Pod[] | undefined;

  constructor(resources: Iterable<Resource>) {
    const pods: Pod[] = [];
    const policies: NetworkPolicy[] = [];
    const nodes: Node[] = [];
    const namespaces = new Map<string, Namespace>();
    for (const resource of resources) {
      if (resource.kind === 'Pod') pods.push(resource);
      else if (resource.kind === 'NetworkPolicy') policies.push(resource);
      else if (resource.kind === 'Node') nodes.push(resource);
      else if (resource.kind === 'Namespace') namespaces.set(resource.name, resource);
    }
    this.policies = policies.sort(byName);
    this.nodes = nodes.sort(byName);
    this.#pods = pods;
    this.#namespaces = namespaces;
  }

  /** Sorted by namespace and name. */
  get pods(): readonly Pod[] {
    this.#sortedPods ??= [...this.#pods].sort(byName);
    return this.#sortedPods;
  }

  /** Labels of a namespace. One that is not known (yet) has the label that every namespace has. */
  namespaceLabels(name: string): Labels {
    return this.#namespaces.get(name)?.labels ?? { [NAMESPACE_NAME_LABEL]: name };
  }

  /** Who is at an address. Of several that claim it, pods come before nodes and the first by name before the others. */
  partyAt(address: AddressKey): Party {
    let party = this.#parties.get(address);
    if (party === undefined) {
      party = this.#find(address);
      this.#parties.set(address, party);
    }
    return party;
  }

  pod(namespace: string, name: string): Pod | undefined {
    return this.#pods.find((pod) => pod.name === name && pod.namespace === namespace);
  }

  #find(address: AddressKey): Party {
    const text = formatAddress(address);
    const claimants = this.#pods.filter((pod) => !pod.finished && pod.addresses.includes(text)).sort(byName);
    const pod = claimants.find(hasOwnNetwork);
    if (pod !== undefined) return { kind: 'pod', pod, address };
    const node = this.nodes.find(({ addresses }) =>
      addresses.some((other) => parseAddress(other.address) === address),
    );
    const name = node?.name ?? claimants[0]?.nodeName;
    return name === undefined ? { kind: 'outside', address } : { kind: 'node', node: name, address };
  }
}

/**
 * Whether policies can be about this pod as such. One in the network of its node is, for the network, the node; one that
 * has finished is nothing any more, and its address may be another's.
 */
export function hasOwnNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && !pod.finished;
}

function byName(a: Resource, b: Resource): number {
  return order(a.namespace, b.namespace) || order(a.name, b.name);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
