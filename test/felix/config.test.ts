import { expect, test } from 'vitest';
import { ConfigError } from '#daemon/problem.ts';
import { formatPrefix } from '#datastore/address.ts';
import { loadConfig } from '#felix/config/load.ts';

function problems(source: string): string[] {
  try {
    loadConfig(source, 'felix.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

test('an empty file has every default but the name of the node', () => {
  expect(problems('')).toEqual([
    expect.stringMatching(/node.*found nothing, expected the name of the Node object/),
  ]);
  const config = loadConfig('', 'felix.yaml', { node: 'n1' });
  expect(config).toMatchObject({
    node: 'n1',
    policy: { address: 'unix:/run/margay/policy.sock', tls: undefined },
    api: { socket: '/run/margay/felix.sock' },
    dataplane: {
      podToHost: 'accept',
      hostToPod: 'accept',
      natOutgoing: [],
      natExcluded: [],
      serviceRanges: [],
    },
    log: { level: 'info' },
  });
  expect(config.dataplane.failsafeInbound).toContainEqual({ protocol: 'TCP', port: 22 });
});

test('the name in the file goes before that of the environment', () => {
  expect(loadConfig('node: n2', 'felix.yaml', { node: 'n1' }).node).toBe('n2');
});

test('pods reach the pools of the cluster by their own addresses, those with natOutgoing all else by that of the node', () => {
  const { dataplane } = loadConfig(
    `
node: n1
dataplane:
  pools:
    - { cidr: 10.244.0.0/16, natOutgoing: true }
    - { cidr: "fd00:1::/64" }
  natExcluded: [192.168.0.0/16]
`,
    'felix.yaml',
  );
  expect(dataplane.natOutgoing.map(formatPrefix)).toEqual(['10.244.0.0/16']);
  expect(dataplane.natExcluded.map(formatPrefix)).toEqual(['10.244.0.0/16', 'fd00:1::/64', '192.168.0.0/16']);
});

test('everything that is wrong is named with line, path, what was found and what was expected', () => {
  const source = `node: n1
dataplane:
  podToHost: maybe
  pools: [{ cidr: 10.244.0.1/16, natOutgoing: 1 }]
  failsafeInbound: [TCP/22, XYZ, TCP/0]
polisy: {}
`;
  expect(problems(source)).toEqual([
    expect.stringMatching(/:3.*dataplane\.podToHost: found .maybe., expected accept or drop/),
    expect.stringMatching(
      /:4.*dataplane\.pools\[0\]\.cidr: found .*10\.244\.0\.1\/16.*, expected a CIDR without host bits/,
    ),
    expect.stringMatching(/:4.*dataplane\.pools\[0\]\.natOutgoing: found 1, expected true or false/),
    expect.stringMatching(/:5.*dataplane\.failsafeInbound\[1\]: found .*XYZ.*, expected PROTOCOL\/PORT/),
    expect.stringMatching(/:5.*dataplane\.failsafeInbound\[2\]/),
    expect.stringMatching(/:6.*polisy.*policy/),
  ]);
});

test('an engine elsewhere is only spoken to by mutual TLS', () => {
  expect(problems('{ node: n1, policy: { address: "10.0.0.1:5480" } }')).toEqual([
    expect.stringMatching(/policy\.tls: found nothing, expected ca, certificate and key/),
  ]);
  const tls = '{ ca: /a, certificate: /b, key: /c }';
  expect(problems(`{ node: n1, policy: { address: "10.0.0.1:5480", tls: ${tls} } }`)).toEqual([]);
});

test('a field that is called like something every object has is as unknown as any other', () => {
  expect(problems('node: n1\ntoString: 1\nconstructor: {}')).toEqual([
    expect.stringMatching(/:2:1: toString: found an unknown field/),
    expect.stringMatching(/:3:1: constructor: found an unknown field/),
  ]);
});

test('the pod CIDRs are in the file or in the Node object, not in both and not nowhere', () => {
  const expected = 'expected the pod CIDRs of this node, or a datastore with its Node object';
  expect(problems('node: n1\npods: {}\n')).toEqual([
    `felix.yaml:2:1: pods.cidrs: found nothing, ${expected}`,
  ]);
  expect(problems('node: n1\npods: {cidrs: [10.1.0.0/24]}\ndatastore: {directory: /x}\n')).toEqual([
    'felix.yaml:3:12: datastore: found a mapping, expected nothing beside pods.cidrs: only pod CIDRs are read there',
  ]);
  expect(problems('node: n1\ndatastore: {kubernetes: {}}\n')).toEqual([
    'felix.yaml:2:12: datastore: found a mapping, expected nothing without pods: only pod CIDRs are read there',
  ]);
  const config = loadConfig('node: n1\npods: {}\ndatastore: {kubernetes: {kubeconfig: /k}}\n', 'felix.yaml');
  expect(config.datastore).toEqual({ kubernetes: { kubeconfig: '/k' } });
  expect(config.pods?.podCidrs).toBeUndefined();
});
