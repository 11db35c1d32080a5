/**
 * Events in a cluster to measure with, a thousand of each kind: in the namespaces of the first node's pods, so that what
 * happens there concerns it.
 */

import { keyOf, type Resource } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';
import { APPS, type BenchCluster, NAMESPACES, namespace, pod, policy } from './cluster.ts';

export interface EventKind {
  readonly name: string;
  readonly about: 'pod' | 'policy';
  readonly change: (i: number) => Change;
}

/** In the order in which they have to come. */
export function eventsOf({ pods, policies, nodes }: BenchCluster): EventKind[] {
  const places = nodes.length;
  const homes = pods.filter(({ nodeName }) => nodeName === nodes[0]);
  const home = (i: number) => Number(homes[i % homes.length]!.namespace.slice('ns-'.length));
  const number = (i: number) => pods.length + NAMESPACES * (i + 1) + home(i);
  const another = (i: number) => policy(policies.length + NAMESPACES * i + home(i));
  const opened = (i: number) => ({
    ...another(i),
    ingress: [{ peers: [], ports: [{ protocol: 'TCP' as const, port: 7_000 + i, endPort: undefined }] }],
  });
  const ofPod = (name: string, change: EventKind['change']): EventKind => ({ name, about: 'pod', change });
  const ofPolicy = (name: string, change: EventKind['change']): EventKind => ({
    name,
    about: 'policy',
    change,
  });
  return [
    ofPod('pod with known labels', (i) => put(pod(number(i), places))),
    ofPod('pod deleted', (i) => remove(pod(number(i), places))),
    ofPod('pod with new labels', (i) => put(pod(number(i), places, { new: `label-${i}` }))),
    ofPod('pod gets other labels', (i) => put(pod(number(i), places, { app: `app-${i % 20}` }))),
    ofPolicy('policy added', (i) => put(another(i))),
    ofPolicy('policy changed', (i) => put(opened(i))),
    ofPolicy('policy deleted', (i) => remove(another(i))),
    ofPolicy('namespace gets a label', (i) => put(namespace(home(i), { 'new-label': 'x' }))),
    ofPolicy('namespace changes team', (i) => put(namespace(home(i), { team: `team-${i % 25}` }))),
  ];
}

/** A pod that all nodes know, since all of the cluster may reach its application. */
export function sharedPod({ pods, nodes }: BenchCluster): EventKind {
  const number = (i: number) => 2 * pods.length + NAMESPACES * APPS * i;
  return { name: 'pod that all may reach', about: 'pod', change: (i) => put(pod(number(i), nodes.length)) };
}

export function put(resource: Resource): Change {
  return { type: 'put', resource };
}

function remove(resource: Resource): Change {
  return { type: 'delete', key: keyOf(resource) };
}
