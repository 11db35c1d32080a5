import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Labels } from '#datastore/schema.ts';

/*
 * Objects of one namespace, made without a detour by YAML.
 */

export function labelledPod(name: string, nodeName: string, address: string, labels: Labels): Pod {
  return {
    kind: 'Pod',
    namespace: 'shop',
    name,
    uid: `uid-${name}`,
    labels,
    nodeName,
    hostNetwork: false,
    finished: false,
    addresses: [address],
    ports: [],
  };
}

/** Pods of label `peer=peer-I` may reach the server at some ports. */
export function policyFor(
  i: number,
  ports: readonly number[],
  protocol: 'TCP' | 'UDP' = 'UDP',
): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace: 'shop',
    name: `policy-${i}`,
    uid: '',
    labels: {},
    podSelector: { matchLabels: { app: 'server' }, matchExpressions: [] },
    policyTypes: ['Ingress'],
    ingress: [
      {
        peers: [
          {
            kind: 'pods',
            podSelector: { matchLabels: { peer: `peer-${i}` }, matchExpressions: [] },
            namespaceSelector: undefined,
          },
        ],
        ports: ports.map((port) => ({ protocol, port, endPort: undefined })),
      },
    ],
    egress: [],
  };
}
