/**
 * Generated clusters whose pods stand in the slots of the fabric.
 */

import fc from 'fast-check';
import type { Resource } from '#datastore/resource.ts';
import { anyCluster, type Manifest, resourcesOf, withYaml } from '#test/policy/clusters.ts';
import { anyLabels } from '#test/policy/generate.ts';
import type { Fabric, Slot } from './fabric.ts';

const SLOTS = 6;

const slot = fc.record({
  taken: fc.constantFrom(true, true, true, true, true, false),
  namespace: fc.constantFrom('n0', 'n0', 'n1', 'n2'),
  labels: anyLabels,
  web: fc.constantFrom(1, 2, 3),
});

/** Policies and namespaces as they are generated for the compiler, and pods of our own in six places on two nodes. */
export const anyPlacedCluster: fc.Arbitrary<Manifest[]> = withYaml(
  fc.tuple(anyCluster, fc.array(slot, { minLength: SLOTS, maxLength: SLOTS })).map(([manifests, slots]) => [
    ...manifests.filter(({ kind }) => kind === 'NetworkPolicy' || kind === 'Namespace'),
    ...[0, 1].map(
      (i): Manifest => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: `node-${i}` },
        status: {
          addresses: [`10.0.0.${14 + i}`, `fd00::${(14 + i).toString(16)}`].map((address) => ({
            type: 'InternalIP',
            address,
          })),
        },
      }),
    ),
    ...slots.flatMap(({ taken, namespace, labels, web }, i): Manifest[] =>
      taken
        ? [
            {
              apiVersion: 'v1',
              kind: 'Pod',
              metadata: { namespace, name: `p${i}`, uid: `u${i}`, labels },
              spec: {
                nodeName: `node-${Math.floor(i / (SLOTS / 2))}`,
                containers: [
                  {
                    name: 'main',
                    ports: [
                      { name: 'web', containerPort: web, protocol: 'TCP' },
                      { name: 'dns', containerPort: web, protocol: 'UDP' },
                    ],
                  },
                ],
              },
              status: { phase: 'Running', podIPs: [{ ip: `10.0.0.${i + 1}` }, { ip: `fd00::${i + 1}` }] },
            },
          ]
        : [],
    ),
  ]),
);

export function placed(
  manifests: readonly Manifest[],
  fabric: Fabric,
): { resources: Resource[]; slots: Map<string, Slot> } {
  const resources = resourcesOf(manifests);
  const slots = new Map(
    resources.flatMap((resource) =>
      resource.kind === 'Pod'
        ? [[`${resource.namespace}/${resource.name}`, fabric.slots[Number(resource.name.slice(1))]!] as const]
        : [],
    ),
  );
  return { resources, slots };
}
