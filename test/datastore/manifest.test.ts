import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { manifestOf } from '#datastore/manifest.ts';
import { type Resource, readResource } from '#datastore/resource.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyManifest, resourcesOf } from '../policy/clusters.ts';

function readAgain(resource: Resource): unknown {
  // As it would come over a wire.
  const reading = readResource(JSON.parse(JSON.stringify(manifestOf(resource))));
  return reading.outcome === 'resource' ? reading.resource : reading;
}

describe('a manifest that is made of a resource reads as that resource', () => {
  test('for generated objects', () => {
    fc.assert(
      fc.property(anyManifest, (manifest) => {
        const [resource] = resourcesOf([manifest]) as [Resource];
        expect(readAgain(resource)).toEqual(resource);
      }),
      { numRuns: runs(500) },
    );
  });

  test.each([
    {
      kind: 'Node',
      spec: { podCIDR: '10.0.0.0/24' },
      status: { addresses: [{ type: 'Hostname', address: 'h' }] },
    },
    { kind: 'Namespace', metadata: { name: 'a', uid: 'u', labels: { a: 'b' } } },
    {
      kind: 'Pod',
      spec: {
        hostNetwork: true,
        containers: [{ ports: [{ containerPort: 1 }, { containerPort: 2, name: 'x', protocol: 'SCTP' }] }],
        initContainers: [{ restartPolicy: 'Always', ports: [{ containerPort: 3, name: 'y' }] }],
      },
      status: { phase: 'Failed', podIP: '10.0.0.1' },
    },
    {
      kind: 'Service',
      spec: {
        type: 'LoadBalancer',
        clusterIPs: ['10.96.0.1', 'fd00::1'],
        externalIPs: ['192.0.2.1'],
        externalTrafficPolicy: 'Local',
        selector: { a: 'b' },
        ports: [{ port: 80, targetPort: 'web', nodePort: 30_000, name: 'w' }, { port: 81 }],
      },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }, { hostname: 'x' }] } },
    },
    { kind: 'Service', spec: { clusterIP: 'None' } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'a', labels: { 'kubernetes.io/service-name': 's' } },
      addressType: 'IPv6',
      endpoints: [
        {
          addresses: ['fd00::1'],
          conditions: { ready: false, terminating: true },
          targetRef: { kind: 'Pod', name: 'p' },
        },
        { addresses: ['fd00::2'], nodeName: 'n' },
      ],
      ports: [{ name: 'x', protocol: 'UDP' }, { port: 1 }],
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      spec: {
        podSelector: { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'Exists' }] },
        policyTypes: ['Egress'],
        egress: [
          {},
          {
            to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }, { namespaceSelector: {} }],
            ports: [{ port: 1, endPort: 2, protocol: 'UDP' }, { port: 'x' }, {}],
          },
        ],
      },
    },
  ])('%j', (manifest) => {
    const reading = readResource({ apiVersion: 'v1', metadata: { name: 'a' }, ...manifest });
    if (reading.outcome !== 'resource') throw new Error(JSON.stringify(reading.faults));
    expect(readAgain(reading.resource)).toEqual(reading.resource);
  });
});
