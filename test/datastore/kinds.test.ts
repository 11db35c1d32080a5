import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Resource, readResource } from '#datastore/resource.ts';

function resource(source: string): Resource {
  const result = readResource(parse(source));
  if (result.outcome !== 'resource') throw new Error(JSON.stringify(result));
  return result.resource;
}

function faults(source: string): { path: string; found: string; expected: string }[] {
  const result = readResource(parse(source));
  if (result.outcome === 'resource') throw new Error('was valid');
  return result.faults.map(({ path, found, expected }) => ({ path, found, expected }));
}

describe('Pod', () => {
  test('what a running pod says, and nothing else', () => {
    const pod = resource(`
      apiVersion: v1
      kind: Pod
      metadata:
        name: web-0
        namespace: shop
        uid: 5f3c
        labels: { app: web, app.kubernetes.io/part-of: shop }
        managedFields: [{}]
        creationTimestamp: null
      spec:
        nodeName: n1
        containers:
        - name: web
          image: web
          ports: [{ name: http, containerPort: 8080 }, { name: dns, containerPort: 53, protocol: UDP }]
        - name: bare
        - name: other
          ports: [{ name: http, containerPort: 8081, hostPort: 9 }, { containerPort: 9000, protocol: SCTP }]
        initContainers:
        - name: once
          ports: [{ name: setup, containerPort: 1 }]
        - name: proxy
          restartPolicy: Always
          ports: [{ name: mesh, containerPort: 15001 }]
      status:
        phase: Running
        podIP: 10.0.0.7
        podIPs: [{ ip: 10.0.0.7 }, { ip: "FD00::0:7" }]
    `);
    expect(pod).toEqual({
      kind: 'Pod',
      namespace: 'shop',
      name: 'web-0',
      uid: '5f3c',
      labels: { app: 'web', 'app.kubernetes.io/part-of': 'shop' },
      nodeName: 'n1',
      hostNetwork: false,
      finished: false,
      addresses: ['10.0.0.7', 'fd00::7'],
      ports: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'dns', protocol: 'UDP', port: 53 },
        { name: 'http', protocol: 'TCP', port: 8081 },
        { name: '', protocol: 'SCTP', port: 9000 },
        { name: 'mesh', protocol: 'TCP', port: 15001 },
      ],
    });
  });

  test.each([
    ['kubernetes.io/config.mirror: 6576683a93d91d8e2119df2c2755f2f1', '6576683a93d91d8e2119df2c2755f2f1'],
    ['kubernetes.io/config.mirror: ""', '5f3c'],
    ['kubernetes.io/config.mirror: 7', '5f3c'],
    ['other: x', '5f3c'],
    ['', '5f3c'],
  ])('one that its node runs by itself has the uid that the node knows (%s)', (annotations, uid) => {
    const pod = resource(
      `{ apiVersion: v1, kind: Pod, metadata: { name: p, uid: 5f3c, annotations: { ${annotations} } } }`,
    );
    expect(pod).toMatchObject({ uid });
    expect(pod).not.toHaveProperty('annotations');
  });

  test('one that is not scheduled yet has neither node nor address', () => {
    const pod = resource(
      '{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: {}, status: { podIP: "" } }',
    );
    expect(pod).toMatchObject({ namespace: 'default', nodeName: '', addresses: [], ports: [], labels: {} });
  });

  test('an older node reports only podIP', () => {
    const pod = resource('{ apiVersion: v1, kind: Pod, metadata: { name: p }, status: { podIP: 10.0.0.1 } }');
    expect(pod).toMatchObject({ addresses: ['10.0.0.1'] });
  });

  test.each([
    ['Pending', false],
    ['Running', false],
    ['Unknown', false],
    ['Succeeded', true],
    ['Failed', true],
  ])('phase %s: finished is %s', (phase, finished) => {
    const pod = resource(`{ apiVersion: v1, kind: Pod, metadata: { name: p }, status: { phase: ${phase} } }`);
    expect(pod).toMatchObject({ finished });
  });

  test('faults are told with their paths', () => {
    expect(
      faults(`
        apiVersion: v1
        kind: Pod
        metadata: { name: p, labels: { a: [] } }
        spec: { hostNetwork: "yes", containers: [{}, { ports: [{ containerPort: 70000 }] }] }
        status: { podIPs: [{ ip: 10.0.0 }] }
      `),
    ).toEqual([
      {
        path: 'metadata.labels.a',
        found: 'an empty list',
        expected: expect.stringContaining('a label value'),
      },
      { path: 'spec.hostNetwork', found: '"yes"', expected: 'true or false' },
      {
        path: 'spec.containers[1].ports[0].containerPort',
        found: '70000',
        expected: 'a port number from 1 to 65535',
      },
      { path: 'status.podIPs[0].ip', found: '"10.0.0"', expected: 'an IP address' },
    ]);
  });
});

describe('Namespace', () => {
  test('always has the label with its name, as the API server gives it', () => {
    const namespace = resource(
      '{ apiVersion: v1, kind: Namespace, metadata: { name: a, labels: { team: x } } }',
    );
    expect(namespace.labels).toEqual({ team: 'x', 'kubernetes.io/metadata.name': 'a' });
    const liar = resource(
      '{ apiVersion: v1, kind: Namespace, metadata: { name: a, labels: { kubernetes.io/metadata.name: b } } }',
    );
    expect(liar.labels).toEqual({ 'kubernetes.io/metadata.name': 'a' });
  });
});

describe('Node', () => {
  test('addresses that are addresses, and pod CIDRs', () => {
    expect(
      resource(`
        apiVersion: v1
        kind: Node
        metadata: { name: n1 }
        spec: { podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, "fd00:1::/64"] }
        status:
          addresses:
          - { type: InternalIP, address: 192.0.2.1 }
          - { type: Hostname, address: n1 }
          - { type: InternalIP, address: "2001:DB8:0::1" }
      `),
    ).toMatchObject({
      namespace: '',
      podCidrs: ['10.1.0.0/24', 'fd00:1::/64'],
      addresses: [
        { type: 'InternalIP', address: '192.0.2.1' },
        { type: 'InternalIP', address: '2001:db8::1' },
      ],
    });
    expect(
      resource('{ apiVersion: v1, kind: Node, metadata: { name: n }, spec: { podCIDR: 10.1.0.0/24 } }'),
    ).toMatchObject({
      podCidrs: ['10.1.0.0/24'],
    });
  });
});

describe('Service and EndpointSlice', () => {
  test('a service with its defaults', () => {
    expect(
      resource(`
        apiVersion: v1
        kind: Service
        metadata: { name: s, namespace: a }
        spec:
          clusterIP: 10.96.0.1
          clusterIPs: [10.96.0.1, "fd00::1"]
          selector: { app: web }
          ports: [{ port: 80 }, { name: dns, port: 53, protocol: UDP, targetPort: dns, nodePort: 30053 }]
        status: { loadBalancer: { ingress: [{ ip: 203.0.113.5 }, { hostname: x.example }] } }
      `),
    ).toEqual({
      kind: 'Service',
      namespace: 'a',
      name: 's',
      uid: '',
      labels: {},
      type: 'ClusterIP',
      clusterAddresses: ['10.96.0.1', 'fd00::1'],
      headless: false,
      externalAddresses: [],
      loadBalancerAddresses: ['203.0.113.5'],
      loadBalancerClass: '',
      externalTrafficPolicy: 'Cluster',
      internalTrafficPolicy: 'Cluster',
      selector: { app: 'web' },
      ports: [
        { name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0 },
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 'dns', nodePort: 30053 },
      ],
    });
  });

  test('a headless service has no cluster address', () => {
    expect(
      resource(
        '{ apiVersion: v1, kind: Service, metadata: { name: s }, spec: { clusterIP: None, clusterIPs: [None] } }',
      ),
    ).toMatchObject({ headless: true, clusterAddresses: [] });
  });

  test('endpoints whose conditions are unknown count as ready', () => {
    const slice = resource(`
      apiVersion: discovery.k8s.io/v1
      kind: EndpointSlice
      metadata: { name: s-1, labels: { kubernetes.io/service-name: s } }
      addressType: IPv4
      endpoints:
      - { addresses: [10.0.0.1], nodeName: n1, targetRef: { kind: Pod, name: p } }
      - { addresses: [10.0.0.2], conditions: { ready: false, serving: true, terminating: true } }
      - { addresses: [10.0.0.3], conditions: { ready: false } }
      ports: [{ name: "", port: 80 }, { name: any, port: null, protocol: UDP }]
    `);
    const none = { nodeName: '', pod: '' };
    expect(slice).toMatchObject({
      service: 's',
      endpoints: [
        { addresses: ['10.0.0.1'], ready: true, serving: true, terminating: false, nodeName: 'n1', pod: 'p' },
        { addresses: ['10.0.0.2'], ready: false, serving: true, terminating: true, ...none },
        { addresses: ['10.0.0.3'], ready: false, serving: false, terminating: false, ...none },
      ],
      ports: [
        { name: '', protocol: 'TCP', port: 80 },
        { name: 'any', protocol: 'UDP', port: undefined },
      ],
    });
  });
});

describe('what an object is', () => {
  test.each([
    ['7', '', '7'],
    ['[]', '', 'an empty list'],
    ['{ kind: Pod }', 'apiVersion', 'nothing'],
    ['{ apiVersion: v1 }', 'kind', 'nothing'],
    ['{ apiVersion: v1, kind: 7 }', 'kind', '7'],
    ['{ apiVersion: v1, kind: Pod }', 'metadata', 'nothing'],
    ['{ apiVersion: v1, kind: Pod, metadata: {} }', 'metadata.name', 'nothing'],
    ['{ apiVersion: v1, kind: Pod, metadata: { name: A } }', 'metadata.name', '"A"'],
    ['{ apiVersion: v1, kind: Pod, metadata: { name: a, namespace: a.b } }', 'metadata.namespace', '"a.b"'],
  ])('%s is refused at %j', (source, path, found) => {
    expect(faults(source)).toMatchObject([{ path, found }]);
  });

  test.each([
    ['v1', 'ConfigMap', true],
    ['apps/v1', 'Deployment', true],
    ['networking.k8s.io/v1', 'Ingress', true],
    ['networking.k8s.io/v1', 'NetworkPolcy', false],
    ['networking.k8s.io/v1beta1', 'NetworkPolicy', false],
    ['projectcalico.org/v3', 'NetworkPolicy', false],
    ['projectcalico.org/v3', 'GlobalNetworkPolicy', false],
    ['policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy', false],
    ['apps/v1', 'Pod', false],
    ['v1', 'constructor', true],
  ])('%s %s is not read; that it does no harm: %s', (apiVersion, kind, harmless) => {
    expect(readResource({ apiVersion, kind, metadata: { name: 'x' } })).toMatchObject({
      outcome: 'foreign',
      harmless,
    });
  });

  test('an invalid object is known by its name where that is legible', () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', spec: 7 };
    expect(readResource({ ...pod, metadata: { name: 'p' } })).toMatchObject({ key: 'Pod/default/p' });
    expect(readResource({ ...pod, metadata: { name: 'p', namespace: 'a' } })).toMatchObject({
      key: 'Pod/a/p',
    });
    expect(readResource({ ...pod, metadata: { name: 'p', namespace: 7 } })).toMatchObject({ key: undefined });
    expect(readResource({ ...pod, metadata: { name: 7 } })).toMatchObject({ key: undefined });
    expect(readResource({ ...pod, metadata: 7 })).toMatchObject({ key: undefined });
    expect(
      readResource({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', namespace: 'a' }, spec: 7 }),
    ).toMatchObject({
      key: 'Node//n',
    });
  });
});
