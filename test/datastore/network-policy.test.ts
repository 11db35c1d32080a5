import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import { readResource } from '#datastore/resource.ts';

function reading(spec: string) {
  const object = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'p' },
    spec: parse(spec),
  };
  return readResource(object);
}

function valid(spec: string): NetworkPolicy {
  const result = reading(spec);
  if (result.outcome !== 'resource') throw new Error(JSON.stringify(result));
  return result.resource as NetworkPolicy;
}

const nothing = { matchLabels: {}, matchExpressions: [] };

describe('a policy is read', () => {
  test('with all that it can say', () => {
    const policy = valid(`
      podSelector:
        matchLabels: { app: web, example.com/tier: "" }
        matchExpressions:
        - { key: env, operator: In, values: [prod, test] }
        - { key: old, operator: DoesNotExist }
      policyTypes: [Egress, Ingress]
      ingress:
      - from:
        - podSelector: {}
        - namespaceSelector: { matchLabels: { team: a } }
          podSelector: { matchExpressions: [{ key: x, operator: Exists }] }
        - ipBlock: { cidr: 10.1.2.3/8, except: [10.1.0.0/16, 10.1.2.0/24] }
        ports:
        - port: 80
        - { port: http, protocol: UDP }
        - { port: 1000, endPort: 2000, protocol: SCTP }
        - {}
      egress:
      - to: [{ ipBlock: { cidr: "FD00:0::1/64" } }]
    `);
    expect(policy).toMatchObject({
      kind: 'NetworkPolicy',
      namespace: 'default',
      name: 'p',
      podSelector: {
        matchLabels: { app: 'web', 'example.com/tier': '' },
        matchExpressions: [
          { key: 'env', operator: 'In', values: ['prod', 'test'] },
          { key: 'old', operator: 'DoesNotExist', values: [] },
        ],
      },
      policyTypes: ['Ingress', 'Egress'],
      egress: [{ peers: [{ kind: 'block', cidr: 'fd00::/64', except: [] }], ports: [] }],
    });
    expect(policy.ingress).toEqual([
      {
        peers: [
          { kind: 'pods', podSelector: nothing, namespaceSelector: undefined },
          {
            kind: 'pods',
            podSelector: {
              matchLabels: {},
              matchExpressions: [{ key: 'x', operator: 'Exists', values: [] }],
            },
            namespaceSelector: { matchLabels: { team: 'a' }, matchExpressions: [] },
          },
          { kind: 'block', cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.1.2.0/24'] },
        ],
        ports: [
          { protocol: 'TCP', port: 80, endPort: undefined },
          { protocol: 'UDP', port: 'http', endPort: undefined },
          { protocol: 'SCTP', port: 1000, endPort: 2000 },
          { protocol: 'TCP', port: undefined, endPort: undefined },
        ],
      },
    ]);
  });

  test.each([
    ['nothing', '{}', ['Ingress']],
    ['ingress rules', '{ ingress: [{}] }', ['Ingress']],
    ['egress rules', '{ egress: [{}] }', ['Ingress', 'Egress']],
    ['an empty list of egress rules', '{ egress: [] }', ['Ingress']],
    ['Egress', '{ policyTypes: [Egress] }', ['Egress']],
    ['Ingress beside egress rules', '{ policyTypes: [Ingress], egress: [{}] }', ['Ingress']],
    ['Egress twice', '{ policyTypes: [Egress, Egress] }', ['Egress']],
    ['null', '{ policyTypes: null, egress: null }', ['Ingress']],
  ])('that says %s, with the types that follow', (_, spec, types) => {
    expect(valid(spec).policyTypes).toEqual(types);
  });

  test('that has no spec at all: it isolates the pods of the namespace for ingress', () => {
    const result = readResource({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'p' },
    });
    expect(result).toMatchObject({
      outcome: 'resource',
      resource: { podSelector: nothing, policyTypes: ['Ingress'], ingress: [], egress: [] },
    });
  });

  test('with absent, null and empty lists alike where they mean the same', () => {
    expect(valid('{ ingress: [{}] }').ingress).toEqual([{ peers: [], ports: [] }]);
    expect(valid('{ ingress: [{ from: [], ports: [] }] }').ingress).toEqual([{ peers: [], ports: [] }]);
    expect(valid('{ ingress: [{ from: null, ports: null }] }').ingress).toEqual([{ peers: [], ports: [] }]);
  });
});

/** Spec, path, found, and a part of what is expected. */
const REFUSED: readonly (readonly [string, string, string, string])[] = [
  // Unknown fields: a policy that says more than is enforced would be a hole.
  [
    '{ podselector: {} }',
    'spec.podselector',
    'an unknown field',
    'one of podSelector, policyTypes, ingress, egress',
  ],
  ['{ ingress: [{ form: [] }] }', 'spec.ingress[0].form', 'an unknown field', 'one of from, ports'],
  ['{ ingress: [{ to: [] }] }', 'spec.ingress[0].to', 'an unknown field', 'one of from, ports'],
  [
    '{ egress: [{ to: [{ podSelector: { app: web } }] }] }',
    'spec.egress[0].to[0].podSelector.app',
    'an unknown field',
    'one of matchLabels, matchExpressions',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, excepts: [] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.excepts',
    'an unknown field',
    'one of cidr, except',
  ],
  [
    '{ ingress: [{ ports: [{ port: 1, endport: 2 }] }] }',
    'spec.ingress[0].ports[0].endport',
    'an unknown field',
    'one of protocol, port, endPort',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: Exists, value: x }] } }',
    'spec.podSelector.matchExpressions[0].value',
    'an unknown field',
    'one of key, operator, values',
  ],
  // Shapes.
  ['7', 'spec', '7', 'a mapping'],
  ['{ ingress: {} }', 'spec.ingress', 'a mapping', 'a list'],
  ['{ ingress: [null] }', 'spec.ingress[0]', 'nothing', 'a mapping'],
  ['{ policyTypes: Ingress }', 'spec.policyTypes', '"Ingress"', 'a list'],
  // Types.
  ['{ policyTypes: [ingress] }', 'spec.policyTypes[0]', '"ingress"', 'Ingress or Egress'],
  ['{ policyTypes: [Ingress, Egress, Ingress] }', 'spec.policyTypes', 'a list of 3', 'at most two'],
  // Label syntax.
  [
    '{ podSelector: { matchLabels: { "a b": x } } }',
    'spec.podSelector.matchLabels["a b"]',
    '"a b"',
    'a label key',
  ],
  [
    '{ podSelector: { matchLabels: { "-a": x } } }',
    'spec.podSelector.matchLabels["-a"]',
    '"-a"',
    'a label key',
  ],
  [
    '{ podSelector: { matchLabels: { "/a": x } } }',
    'spec.podSelector.matchLabels["/a"]',
    '"/a"',
    'a label key',
  ],
  [
    '{ podSelector: { matchLabels: { "A.b/c": x } } }',
    'spec.podSelector.matchLabels["A.b/c"]',
    '"A.b/c"',
    'a label key',
  ],
  [
    '{ podSelector: { matchLabels: { "a/b/c": x } } }',
    'spec.podSelector.matchLabels["a/b/c"]',
    '"a/b/c"',
    'a label key',
  ],
  [
    `{ podSelector: { matchLabels: { ${'k'.repeat(64)}: x } } }`,
    `spec.podSelector.matchLabels.${'k'.repeat(64)}`,
    `"${'k'.repeat(57)}"...`,
    'a label key',
  ],
  [
    '{ podSelector: { matchLabels: { a: "b c" } } }',
    'spec.podSelector.matchLabels.a',
    '"b c"',
    'a label value',
  ],
  ['{ podSelector: { matchLabels: { a: b. } } }', 'spec.podSelector.matchLabels.a', '"b."', 'a label value'],
  ['{ podSelector: { matchLabels: { a: 1 } } }', 'spec.podSelector.matchLabels.a', '1', 'a label value'],
  [
    '{ podSelector: { matchLabels: { a: true } } }',
    'spec.podSelector.matchLabels.a',
    'true',
    'a label value',
  ],
  [
    `{ podSelector: { matchLabels: { a: ${'v'.repeat(64)} } } }`,
    'spec.podSelector.matchLabels.a',
    `"${'v'.repeat(57)}"...`,
    'a label value',
  ],
  // Operators and their values.
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: in, values: [b] }] } }',
    'spec.podSelector.matchExpressions[0].operator',
    '"in"',
    'In, NotIn, Exists or DoesNotExist',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a }] } }',
    'spec.podSelector.matchExpressions[0].operator',
    'nothing',
    'In, NotIn, Exists or DoesNotExist',
  ],
  [
    '{ podSelector: { matchExpressions: [{ operator: Exists }] } }',
    'spec.podSelector.matchExpressions[0].key',
    'nothing',
    'a label key',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: In }] } }',
    'spec.podSelector.matchExpressions[0].values',
    'nothing',
    'at least one value for In',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: NotIn, values: [] }] } }',
    'spec.podSelector.matchExpressions[0].values',
    'an empty list',
    'at least one value for NotIn',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] } }',
    'spec.podSelector.matchExpressions[0].values',
    'a list of 1',
    'no values for Exists',
  ],
  [
    '{ podSelector: { matchExpressions: [{ key: a, operator: In, values: ["?"] }] } }',
    'spec.podSelector.matchExpressions[0].values[0]',
    '"?"',
    'a label value',
  ],
  // Peers.
  [
    '{ ingress: [{ from: [{}] }] }',
    'spec.ingress[0].from[0]',
    'none of them',
    'podSelector, namespaceSelector or both, or ipBlock alone',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8 }, podSelector: {} }] }] }',
    'spec.ingress[0].from[0]',
    'ipBlock beside a selector',
    'podSelector, namespaceSelector or both, or ipBlock alone',
  ],
  // Blocks.
  ['{ ingress: [{ from: [{ ipBlock: {} }] }] }', 'spec.ingress[0].from[0].ipBlock.cidr', 'nothing', 'a CIDR'],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.1 } }] }] }',
    'spec.ingress[0].from[0].ipBlock.cidr',
    '"10.0.0.1"',
    'a CIDR',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/33 } }] }] }',
    'spec.ingress[0].from[0].ipBlock.cidr',
    '"10.0.0.0/33"',
    'a CIDR',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [11.0.0.0/16] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.except[0]',
    '"11.0.0.0/16"',
    'a smaller block inside 10.0.0.0/8',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.0.0.0/8] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.except[1]',
    '"10.0.0.0/8"',
    'a smaller block inside 10.0.0.0/8',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.0.0.0/7] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.except[0]',
    '"10.0.0.0/7"',
    'a smaller block inside 10.0.0.0/8',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: "::/0", except: [10.0.0.0/8] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.except[0]',
    '"10.0.0.0/8"',
    'a smaller block inside ::/0',
  ],
  [
    '{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [x] } }] }] }',
    'spec.ingress[0].from[0].ipBlock.except[0]',
    '"x"',
    'a CIDR',
  ],
  // Ports.
  [
    '{ ingress: [{ ports: [{ port: 0 }] }] }',
    'spec.ingress[0].ports[0].port',
    '0',
    'a port number from 1 to 65535',
  ],
  [
    '{ ingress: [{ ports: [{ port: 65536 }] }] }',
    'spec.ingress[0].ports[0].port',
    '65536',
    'a port number from 1 to 65535',
  ],
  [
    '{ ingress: [{ ports: [{ port: 80.5 }] }] }',
    'spec.ingress[0].ports[0].port',
    '80.5',
    'a port number from 1 to 65535',
  ],
  ['{ ingress: [{ ports: [{ port: "80" }] }] }', 'spec.ingress[0].ports[0].port', '"80"', 'a port name'],
  ['{ ingress: [{ ports: [{ port: HTTP }] }] }', 'spec.ingress[0].ports[0].port', '"HTTP"', 'a port name'],
  ['{ ingress: [{ ports: [{ port: a--b }] }] }', 'spec.ingress[0].ports[0].port', '"a--b"', 'a port name'],
  ['{ ingress: [{ ports: [{ port: -a }] }] }', 'spec.ingress[0].ports[0].port', '"-a"', 'a port name'],
  [
    '{ ingress: [{ ports: [{ port: abcdefghijklmnop }] }] }',
    'spec.ingress[0].ports[0].port',
    '"abcdefghijklmnop"',
    'a port name',
  ],
  [
    '{ ingress: [{ ports: [{ protocol: tcp }] }] }',
    'spec.ingress[0].ports[0].protocol',
    '"tcp"',
    'TCP, UDP or SCTP',
  ],
  [
    '{ ingress: [{ ports: [{ protocol: ICMP }] }] }',
    'spec.ingress[0].ports[0].protocol',
    '"ICMP"',
    'TCP, UDP or SCTP',
  ],
  [
    '{ ingress: [{ ports: [{ port: 90, endPort: 80 }] }] }',
    'spec.ingress[0].ports[0].endPort',
    '80',
    'a port that is not before port 90',
  ],
  [
    '{ ingress: [{ ports: [{ port: 90, endPort: 65536 }] }] }',
    'spec.ingress[0].ports[0].endPort',
    '65536',
    'a port number from 1 to 65535',
  ],
  [
    '{ ingress: [{ ports: [{ port: http, endPort: 90 }] }] }',
    'spec.ingress[0].ports[0].endPort',
    '90',
    'no endPort unless port is a number',
  ],
  [
    '{ ingress: [{ ports: [{ endPort: 90 }] }] }',
    'spec.ingress[0].ports[0].endPort',
    '90',
    'no endPort unless port is a number',
  ],
];

describe('a policy is refused', () => {
  test.each(REFUSED)('%s', (spec, path, found, expected) => {
    const result = reading(spec);
    expect(result).toMatchObject({ outcome: 'invalid', key: 'NetworkPolicy/default/p' });
    const faults = result.outcome === 'invalid' ? result.faults : [];
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ path, found });
    expect(faults[0]!.expected).toContain(expected);
  });

  test('with all its faults at once', () => {
    const result = reading(
      '{ ingress: [{ ports: [{ port: 0 }, { protocol: x }], frm: [] }], podSelector: 1 }',
    );
    const faults = result.outcome === 'invalid' ? result.faults : [];
    expect(faults.map(({ path }) => path).sort()).toEqual([
      'spec.ingress[0].frm',
      'spec.ingress[0].ports[0].port',
      'spec.ingress[0].ports[1].protocol',
      'spec.podSelector',
    ]);
  });
});

describe('what the API server accepts is accepted', () => {
  test.each([
    '{ ingress: [{ ports: [{ port: 1 }, { port: 65535 }, { port: 80, endPort: 80 }, { port: a }, { port: a-1 }] }] }',
    '{ podSelector: { matchLabels: { a: "", A_b.c-d: X_y.z-1, "a.b/c": v } } }',
    `{ podSelector: { matchLabels: { ${'k'.repeat(63)}: ${'v'.repeat(63)} } } }`,
    '{ ingress: [{ from: [{ ipBlock: { cidr: 010.0.0.0/08, except: [10.0.0.1/32] } }] }] }',
    '{ ingress: [{ from: [{ ipBlock: { cidr: 0.0.0.0/0 } }, { ipBlock: { cidr: "::/0", except: ["fd00::/8", "fd00:1::/32"] } }] }] }',
  ])('%s', (spec) => {
    expect(reading(spec).outcome).toBe('resource');
  });
});
