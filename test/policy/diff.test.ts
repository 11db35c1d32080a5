import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contains, familyOf } from '#datastore/address.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Party } from '#policy/evaluator/traffic.ts';
import { type Diff, type Difference, diffPolicies, type End } from '#policy/review/diff.ts';
import { describePorts, EndNames } from '#policy/review/ends.ts';
import { ALL_PORTS, includes, NO_PORTS, type PortSet, portsOf, without } from '#proto/ports.ts';
import { runs } from '#test/helpers/runs.ts';
import { addressesOf, anyCluster, pairsOf, resourcesOf, TRAFFIC, withYaml } from './clusters.ts';
import { trafficAt } from './compiled.ts';

function resources(yaml: string): Resource[] {
  const { objects, problems } = readFileContents('cluster.yaml', yaml);
  expect(problems).toEqual([]);
  return objects.map(({ resource }) => resource!);
}

const pods = `
{ apiVersion: v1, kind: Pod, metadata: { name: web-0, labels: { app: web } }, status: { podIPs: [{ ip: 10.0.0.1 }, { ip: "fd00::1" }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: web-1, labels: { app: web } }, status: { podIPs: [{ ip: 10.0.0.2 }, { ip: "fd00::2" }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: client, labels: { app: client } }, status: { podIPs: [{ ip: 10.0.0.3 }] } }
---
{ apiVersion: v1, kind: Pod, metadata: { name: new, labels: { app: client } } }
---
`;

const policy = (rules: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress: ${rules}
`;

function lines(before: string, after: string): string[] {
  const { compared, differences } = diffPolicies(resources(pods + before), resources(pods + after));
  const names = new EndNames(compared, 2);
  return differences.map(({ from, to, families, opened, closed }: Difference) => {
    const ends = `${names.describe(from)} -> ${names.describe(to)} (${families.join()})`;
    const parts = Object.entries({ opens: opened, closes: closed }).filter(([, { text }]) => text !== 'none');
    return `${ends}: ${parts.map(([what, ports]) => `${what} ${describePorts(ports)}`).join(', ')}`;
  });
}

describe('what a change changes', () => {
  test('nothing', () => {
    const twice = pods + pods.split('---')[0]!.replace('web-0', 'web-0-again');
    const gone = `{ apiVersion: v1, kind: Pod, metadata: { name: gone }, status: { podIPs: [{ ip: 10.0.0.9 }] } }`;
    expect(diffPolicies(resources(`${twice}---\n${gone}`), resources(twice))).toEqual({
      differences: [],
      policies: [],
      compared: ['client', 'new', 'web-0', 'web-1'].map((name) => `default/${name}`),
      withoutAddress: ['default/new'],
      skipped: ['default/gone', 'default/web-0-again'],
    });
    const written = policy('[{ ports: [{ port: 80, endPort: 81 }] }]');
    const otherwise = policy('[{ ports: [{ port: 81 }] }, { from: [], ports: [{ port: 80 }] }]');
    expect(lines(written, otherwise)).toEqual([]);
  });

  test('pods that are alike together, families where they differ, and addresses outside', () => {
    expect(
      lines(
        '',
        policy('[{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: 80 }] }]'),
      ),
    ).toEqual([
      'default/client, default/new -> default/web-0, default/web-1 (4): closes all but TCP/80',
      'default/new -> default/web-0, default/web-1 (6): closes all but TCP/80',
      'default/web-0, default/web-1 -> default/web-0, default/web-1 (4,6): closes all',
      'outside 0.0.0.0/0, ::/0 -> default/web-0, default/web-1 (4,6): closes all',
    ]);
  });

  test('what is opened and closed at once, by blocks', () => {
    const block = (cidr: string, port: number) =>
      policy(`[{ from: [{ ipBlock: { cidr: ${cidr} } }], ports: [{ port: ${port} }] }]`);
    expect(lines(block('192.0.2.0/24', 80), block('192.0.2.0/25', 81))).toEqual([
      'outside 192.0.2.0/25 -> default/web-0, default/web-1 (4): opens TCP/81, closes TCP/80',
      'outside 192.0.2.128/25 -> default/web-0, default/web-1 (4): closes TCP/80',
    ]);
  });
});

test('it says what became of policies: what they say counts, not how they are labelled', () => {
  const other = policy('[{ ports: [{ port: 80 }] }]').replace('name: web', 'name: web, labels: { x: y }');
  const named = (name: string, rules: string) => policy(rules).replace('name: web', `name: ${name}`);
  const before = resources(
    `${policy('[{ ports: [{ port: 80 }] }]')}---${named('old', '[]')}---${named('both', '[]')}`,
  );
  const after = resources(`${other}---${named('new', '[]')}---${named('both', '[{}]')}`);
  expect(diffPolicies(before, after).policies).toEqual([
    { policy: 'NetworkPolicy default/both', change: 'changed' },
    { policy: 'NetworkPolicy default/new', change: 'added' },
    { policy: 'NetworkPolicy default/old', change: 'removed' },
  ]);
});

describe('in few words', () => {
  const all = ['a/p1', 'a/p2', 'b/p1', 'b/p2', 'b/p3', 'b/p4', 'c/p1'];
  const names = new EndNames(all, 3);

  test.each([
    [all, 'all pods'],
    [['c/p1'], 'c/p1'],
    [['a/p1', 'a/p2', 'c/p1'], 'a/*, c/p1'],
    [['b/p1', 'b/p2', 'b/p3'], 'b/p1, b/p2, b/p3'],
    [all.filter((pod) => pod !== 'b/p4'), 'a/*, b/p1, b/p2, b/p3, c/p1'],
  ])('%j are %s', (pods, text) => {
    expect(names.describe({ pods })).toBe(text);
  });

  test('long lists end with how many more there are', () => {
    const many = Array.from({ length: 20 }, (_, i) => `b/p${i + 10}`);
    expect(new EndNames([...many, 'b/x'], 3).describe({ pods: many })).toBe('b/p10, b/p11, 18 more');
    const spread = many.map((pod) => pod.replace('/', `${pod.slice(-2)}/`));
    expect(new EndNames([...spread, 'b/x'], 3).describe({ pods: spread })).toBe(
      'b10/p10, b11/p11, b12/p12, b13/p13, b14/p14, 15 more',
    );
  });

  test('ports the shorter way', () => {
    const [tcp80] = [portsOf('TCP', [{ first: 80, last: 80 }])];
    expect(describePorts(tcp80)).toBe('TCP/80');
    expect(describePorts(without(ALL_PORTS, tcp80))).toBe('all but TCP/80');
    expect(describePorts(ALL_PORTS)).toBe('all');
    expect(describePorts(NO_PORTS)).toBe('none');
  });
});

/** Whether the difference says that this connection is opened or closed. */
function says(
  diff: Diff,
  from: Party,
  to: Party,
  family: number,
  what: (typeof TRAFFIC)[number],
): 'opened' | 'closed' | undefined {
  const isIn = (end: End, party: Party) => {
    if (party.kind === 'pod')
      return 'pods' in end && end.pods.includes(`${party.pod.namespace}/${party.pod.name}`);
    return 'addresses' in end && end.addresses.some((range) => contains(range, party.address!));
  };
  const has = (ports: PortSet) => includes(ports, what.protocol, what.port);
  const relevant = diff.differences.filter(
    (one) => (one.families as number[]).includes(family) && isIn(one.from, from) && isIn(one.to, to),
  );
  if (relevant.some(({ opened }) => has(opened))) return 'opened';
  return relevant.some(({ closed }) => has(closed)) ? 'closed' : undefined;
}

test('for generated changes, it says of every connection what the reference evaluator says', () => {
  fc.assert(
    fc.property(withYaml(anyCluster), withYaml(anyCluster), (one, two) => {
      // The same pods on both sides, with other policies and other labels of namespaces; addresses are each pod's own.
      const shared = one.filter(({ kind }) => kind === 'Pod');
      const rest = (manifests: typeof one) =>
        manifests.filter(({ kind }) => kind === 'NetworkPolicy' || kind === 'Namespace');
      const distinct = new Set<string>();
      const podsOnly = resourcesOf(shared).map((pod, i) => {
        if (pod.kind !== 'Pod') return pod;
        const addresses = pod.addresses.filter((address) => !distinct.has(address) && distinct.add(address));
        return { ...pod, addresses, nodeName: `node-${i}` };
      });
      const [before, after] = [rest(one), rest(two)].map((part) => [...podsOnly, ...resourcesOf(part)]) as [
        Resource[],
        Resource[],
      ];
      const diff = diffPolicies(before, after);
      const [was, is] = [new Cluster(before), new Cluster(after)];
      for (const [from, to] of pairsOf(addressesOf(podsOnly))) {
        const [source, destination] = [was.partyAt(from), was.partyAt(to)];
        if (source.kind === 'node' || destination.kind === 'node') continue;
        if (source.kind !== 'pod' && destination.kind !== 'pod') continue;
        if (source.kind === 'pod' && destination.kind === 'pod' && source.pod === destination.pod) continue;
        for (const what of TRAFFIC) {
          const [allowedBefore, allowedAfter] = [was, is].map(
            (cluster) => evaluate(cluster, trafficAt(cluster, from, to, what)).allowed,
          );
          const expected = allowedBefore === allowedAfter ? undefined : allowedAfter ? 'opened' : 'closed';
          expect([from, to, what, says(diff, source, destination, familyOf(from), what)]).toEqual([
            from,
            to,
            what,
            expected,
          ]);
        }
      }
    }),
    { numRuns: runs(300) },
  );
});
