/**
 * Objects for a story told in one namespace.
 */

import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Node } from '#datastore/kinds/node.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import type { Fabric, FabricNode, Slot } from './fabric.ts';

export function pod(name: string, slot: Slot, labels: Readonly<Record<string, string>>): Pod {
  return {
    kind: 'Pod',
    namespace: 'shop',
    name,
    uid: `uid-${name}`,
    labels,
    nodeName: slot.node.name,
    hostNetwork: false,
    finished: false,
    addresses: slot.addresses,
    ports: [],
  };
}

/** Pods of label `app=TO` may be reached by those of `app=FROM` at a TCP and UDP port, and by nobody else. */
export function allow(to: string, from: string, port: number, name = 'allow'): NetworkPolicy {
  return {
    ...isolate(to, name),
    ingress: [
      {
        peers: [
          {
            kind: 'pods',
            podSelector: { matchLabels: { app: from }, matchExpressions: [] },
            namespaceSelector: undefined,
          },
        ],
        ports: (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port, endPort: undefined })),
      },
    ],
  };
}

/** Pods of label `app=TO` may be reached by nobody. */
export function isolate(to: string, name = 'isolate'): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace: 'shop',
    name,
    uid: '',
    labels: {},
    podSelector: { matchLabels: { app: to }, matchExpressions: [] },
    policyTypes: ['Ingress'],
    ingress: [],
    egress: [],
  };
}

export function nodeObject({ name, addresses }: FabricNode): Node {
  return {
    kind: 'Node',
    namespace: '',
    name,
    uid: `uid-${name}`,
    labels: {},
    podCidrs: [],
    addresses: addresses.map((address) => ({ type: 'InternalIP', address })),
  };
}

/**
 * A client on the first node, and on the second a server that it may reach at port 5000 and a pod that nobody may: the objects, and where
 * the pods are.
 */
export function threePods({ nodes, slots }: Fabric): [Resource[], Map<string, Slot>] {
  const [client, server, closed] = [slots[0]!, slots[3]!, slots[4]!];
  return [
    [
      ...nodes.map(nodeObject),
      pod('client', client, { app: 'client' }),
      pod('server', server, { app: 'server' }),
      pod('closed', closed, { app: 'closed' }),
      allow('server', 'client', 5000),
      isolate('closed'),
    ],
    new Map([
      ['shop/client', client],
      ['shop/server', server],
      ['shop/closed', closed],
    ]),
  ];
}
