/**
 * The example application: three tiers in two namespaces, and who is meant to reach whom.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Manifest } from './datastore.ts';
import type { Topology } from './topology.ts';

export type Tier = 'frontend' | 'api' | 'database';

export interface TierPlan {
  readonly tier: Tier;
  readonly namespace: string;
  readonly port: number;
  /** The port's name. */
  readonly portName: string;
}

export const TIERS: readonly TierPlan[] = [
  { tier: 'frontend', namespace: 'shop', port: 8080, portName: 'http' },
  { tier: 'api', namespace: 'shop', port: 9090, portName: 'api' },
  { tier: 'database', namespace: 'data', port: 5432, portName: 'postgres' },
];

/** Who reaches whom once the policies are applied: a tier from another, or from outside of the cluster. */
export const INTENDED: readonly (readonly [from: Tier | 'outside', to: Tier])[] = [
  ['outside', 'frontend'],
  ['frontend', 'api'],
  ['api', 'database'],
];

export const DEFAULT_PODS = 5;
/** One of each tier. */
export const LEAST_PODS = 3;
export const MOST_PODS = 500;

/** The NetworkPolicies of the example. */
export const POLICY_FILE = fileURLToPath(new URL('examples/three-tier.yaml', import.meta.url));

export function examplePolicies(): string {
  return readFileSync(POLICY_FILE, 'utf8');
}

/** The objects that a cluster has by itself: its nodes, and a namespace. */
export function clusterObjects({ nodes }: Topology): Manifest[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } },
    ...nodes.map(
      ({ name, podCidrs, link }): Manifest => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels: { 'kubernetes.io/hostname': name } },
        spec: { podCIDR: podCidrs[0], podCIDRs: podCidrs },
        status: { addresses: link.map(({ node }) => ({ type: 'InternalIP', address: node })) },
      }),
    ),
  ];
}

/** The application as manifests: its namespaces, and `pods` pods, spread over the nodes. */
export function applicationManifests({ nodes }: Topology, pods: number): string {
  const namespaces = [...new Set(TIERS.map(({ namespace }) => namespace))];
  // Two of each five are frontends, two are api, one is a database.
  const pattern = [0, 1, 2, 0, 1];
  const count = [0, 0, 0];
  for (let i = 0; i < pods; i++) count[pattern[i % pattern.length]!]! += 1;
  let placed = 0;
  const manifests: Manifest[] = [
    ...namespaces.map((name): Manifest => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    ...TIERS.flatMap((plan, index) =>
      Array.from({ length: count[index]! }, (_, i) =>
        podManifest({
          name: `${plan.tier}-${i + 1}`,
          namespace: plan.namespace,
          labels: { app: plan.tier },
          nodeName: nodes[placed++ % nodes.length]!.name,
          ports: [{ name: plan.portName, containerPort: plan.port }],
        }),
      ),
    ),
  ];
  return manifests.map((manifest) => stringify(manifest)).join('---\n');
}

export interface PodPlan {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The lab chooses one if it is not given. */
  readonly nodeName?: string;
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
}

export function podManifest({ name, namespace, labels, nodeName, ports }: PodPlan): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      ...(nodeName === undefined ? {} : { nodeName }),
      containers: [{ name: 'main', image: 'lab', ports }],
    },
  };
}
