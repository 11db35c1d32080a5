/**
 * What of Node objects the speaker is made of, and nothing else of them: whatever else changes on a node every few seconds changes
 * nothing here.
 */

import { familyOf, parseAddress } from '#datastore/address.ts';
import type { Node } from '#datastore/kinds/node.ts';
import type { Labels } from '#datastore/schema.ts';

export type NodeFacts = {
  readonly name: string;
  /** The first InternalIP of each family, canonical, in the order of the object. */
  readonly addresses: readonly string[];
  /** Canonical. */
  readonly podCidrs: readonly string[];
};

export type ClusterFacts = {
  readonly own: NodeFacts & { readonly labels: Labels };
  /** All other nodes, by name. */
  readonly others: readonly NodeFacts[];
};

/** `undefined` as long as there is no Node object of this node: a list without it is none to go by. */
export function factsOf(nodes: Iterable<Node>, name: string): ClusterFacts | undefined {
  let own: ClusterFacts['own'] | undefined;
  const others: NodeFacts[] = [];
  for (const node of nodes) {
    if (node.name === name) own = { ...nodeFacts(node), labels: node.labels };
    else others.push(nodeFacts(node));
  }
  return own && { own, others: others.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

function nodeFacts({ name, addresses, podCidrs }: Node): NodeFacts {
  const internal = addresses.filter(({ type }) => type === 'InternalIP').map(({ address }) => address);
  const first = (family: 4 | 6) => internal.find((address) => familyOf(parseAddress(address)!) === family);
  const kept = [first(4), first(6)];
  return { name, addresses: internal.filter((address) => kept.includes(address)), podCidrs };
}
