/** Objects as they stand in files. */

import type { Manifest } from '../clusters.ts';

export function pod(name: string, nodeName: string, ip: string, labels: object = { app: 'web' }): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name, uid: `uid-${name}`, labels },
    spec: { nodeName, containers: [{ name: 'web', ports: [{ name: 'http', containerPort: 80 }] }] },
    status: { phase: 'Running', podIPs: [{ ip }] },
  };
}

/** Lets pods with the label into all pods of the namespace, on one port. */
export function policy(name: string, app = 'web', port: number | string = 80): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'default', name },
    spec: {
      podSelector: {},
      ingress: [{ from: [{ podSelector: { matchLabels: { app } } }], ports: [{ port }] }],
    },
  };
}
