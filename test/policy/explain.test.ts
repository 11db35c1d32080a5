import { describe, expect, test } from 'vitest';
import { readFileContents } from '#datastore/directory/documents.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { describeAnswer, explain, QuestionError } from '#policy/evaluator/explain.ts';

const cluster = new Cluster(
  readFileContents(
    'cluster.yaml',
    `
{ apiVersion: v1, kind: Namespace, metadata: { name: shop, labels: { team: a } } }
---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: web, labels: { app: web } }
spec:
  nodeName: n1
  containers:
  - ports: [{ name: http, containerPort: 8080 }, { name: http, containerPort: 8081 }]
status: { podIPs: [{ ip: 10.0.0.1 }, { ip: "fd00::1" }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: default, name: client, labels: { app: client } }
spec: { nodeName: n2 }
status: { podIPs: [{ ip: 10.0.0.2 }, { ip: "fd00::2" }] }
---
{ apiVersion: v1, kind: Pod, metadata: { name: six }, status: { podIPs: [{ ip: "fd00::6" }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: four }, status: { podIPs: [{ ip: 10.0.0.4 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: new } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: second }, status: { podIPs: [{ ip: 10.0.0.2 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: seven }, status: { podIPs: [{ ip: 10.0.0.2 }, { ip: "fd00::7" }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: node, name: n8 }, status: { podIPs: [{ ip: 10.0.0.8 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { namespace: node, name: n1 }, status: { podIPs: [{ ip: 10.0.0.9 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: done }, status: { phase: Failed, podIPs: [{ ip: 10.0.0.4 }] } }
---
{ apiVersion: v1, kind: Node, metadata: { name: n1 }, status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
  - from:
    - ipBlock: { cidr: 198.51.100.0/24 }
    - podSelector: { matchLabels: { app: client } }
      namespaceSelector: {}
    ports: [{ port: 80 }, { port: http }]
  - from: [{ podSelector: {} }]
---
{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { namespace: shop, name: deny }, spec: {} }
`,
  ).objects.map(({ resource }) => resource!),
);

function ask(from: string, to: string, port: string): string[] {
  return explain(cluster, from, to, port).map((answer) => describeAnswer(cluster, answer));
}

describe('an answer says who decided', () => {
  test('a rule, by its place', () => {
    expect(ask('client', 'shop/web', 'TCP/80')[0]).toBe(
      `default/client (10.0.0.2) -> shop/web (10.0.0.1) TCP/80: allowed
  egress from default/client: allowed, no policy isolates it for egress
  ingress to shop/web: allowed by NetworkPolicy shop/web ingress[0] (from[1], ports[0])`,
    );
  });

  test('isolation, with the rules that come near and what would be needed', () => {
    expect(ask('10.0.0.2', '10.0.0.1', '81')).toEqual([
      `default/client (10.0.0.2) -> shop/web (10.0.0.1) TCP/81: denied
  egress from default/client: allowed, no policy isolates it for egress
  ingress to shop/web: denied, isolated by NetworkPolicy shop/deny, NetworkPolicy shop/web, and no rule of theirs allows it
    near: NetworkPolicy shop/web ingress[0] has the peer, but not the port
    near: NetworkPolicy shop/web ingress[1] has the port, but not the peer
    needed: a NetworkPolicy of namespace shop that selects app=web, with an ingress rule for TCP/81 from pods labelled app=client, namespace default labelled kubernetes.io/metadata.name=default`,
    ]);
    expect(ask('203.0.113.5', 'shop/web', 'other')[0]).toContain(
      'with an ingress rule for all ports from ipBlock with 203.0.113.5',
    );
  });

  test('the exceptions that no policy can change', () => {
    expect(ask('shop/web', 'shop/web', '1')[0]).toContain(
      'ingress to shop/web: allowed, a pod always reaches itself',
    );
    expect(ask('node:n1', 'shop/web', '1')[0]).toContain(
      'ingress to shop/web: allowed, a pod and its node always reach each other',
    );
    expect(ask('node:n1', 'shop/web', '1')[0]).toContain(
      'egress from node n1: allowed, policies are only about pods with a network of their own',
    );
  });
});

test('an answer stays short, however many policies there are', () => {
  const policy = (i: number) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p${i + 100} }
spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { of: n${i} } } }] }] }
`;
  const many = `
{ apiVersion: v1, kind: Pod, metadata: { name: a }, status: { podIPs: [{ ip: 10.0.0.1 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: b }, status: { podIPs: [{ ip: 10.0.0.2 }] } }
---${Array.from({ length: 30 }, (_, i) => policy(i)).join('---')}`;
  const { objects } = readFileContents('many.yaml', many);
  const crowd = new Cluster(objects.map(({ resource }) => resource!));
  const [answer] = explain(crowd, 'a', 'b', '80').map((answer) => describeAnswer(crowd, answer));
  const lines = answer!.split('\n');
  expect(lines).toHaveLength(14);
  expect(lines[2]).toContain('NetworkPolicy default/p108, 21 more, and no rule of theirs allows it');
  expect(lines.at(-2)).toBe('    21 more');
});

describe('what a question is about', () => {
  test('each family that both ends have, and each number of a named port', () => {
    const about = (from: string, to: string, port: string) =>
      ask(from, to, port).map((text) => text.split('\n')[0]);
    expect(about('client', 'shop/web', 'tcp/http')).toEqual([
      'default/client (10.0.0.2) -> shop/web (10.0.0.1) TCP/8080: allowed',
      'default/client (10.0.0.2) -> shop/web (10.0.0.1) TCP/8081: allowed',
      'default/client (fd00::2) -> shop/web (fd00::1) TCP/8080: allowed',
      'default/client (fd00::2) -> shop/web (fd00::1) TCP/8081: allowed',
    ]);
    expect(about('six', 'shop/web', 'UDP/1')).toEqual([
      'default/six (fd00::6) -> shop/web (fd00::1) UDP/1: denied',
    ]);
    expect(about('new', 'client', '1')).toHaveLength(2);
    expect(about('198.51.100.7', 'shop/web', '80')).toEqual([
      '198.51.100.7 -> shop/web (10.0.0.1) TCP/80: allowed',
    ]);
  });

  test('a pod by the addresses that are its own, a node before a pod of a namespace called node', () => {
    const sources = (from: string) => ask(from, 'client', '1').map((text) => text.split(' -> ')[0]);
    expect(sources('seven')).toEqual(['default/seven (fd00::7)']);
    expect(sources('node/n1')).toEqual(['node n1 (192.0.2.1)']);
    expect(sources('node/n8')).toEqual(['node/n8 (10.0.0.8)']);
  });

  test.each([
    ['nobody', 'client', '1', 'UNKNOWN_POD'],
    ['second', 'client', '1', 'NO_OWN_ADDRESS'],
    ['node/n7', 'client', '1', 'UNKNOWN_NODE'],
    ['done', 'client', '1', 'UNKNOWN_POD'],
    ['node:n7', 'client', '1', 'UNKNOWN_NODE'],
    ['six', 'four', '1', 'NO_COMMON_FAMILY'],
    ['client', 'shop/web', 'UDP/http', 'UNKNOWN_PORT'],
    ['client', '192.0.2.7', 'http', 'UNKNOWN_PORT'],
    ['client', 'shop/web', '65536', 'BAD_PORT'],
    ['client', 'shop/web', 'icmp/8', 'BAD_PORT'],
    ['client', 'shop/web', '', 'BAD_PORT'],
  ])('%s to %s on %j: %s', (from, to, port, code) => {
    expect(() => explain(cluster, from, to, port)).toThrow(expect.objectContaining({ code }));
    expect(() => explain(cluster, from, to, port)).toThrow(QuestionError);
  });
});
