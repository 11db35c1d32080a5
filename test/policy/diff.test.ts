import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AddressKey, contains, familyOf } from '#datastore/address.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Party } from '#policy/evaluator/traffic.ts';
import { type Diff, type Difference, diffPolicies, type End } from '#policy/review/diff.ts';
import { describePorts, EndNames } from '#policy/review/ends.ts';
import { ALL_PORTS, includes, NO_PORTS, type PortSet, portsOf, without } from '#proto/ports.ts';
import { runs } from '#test/helpers/runs.ts';
import { addressesOf, anyCluster, resourcesOf, TRAFFIC, withYaml } from './clusters.ts';

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
    expect(new EndNames([...many, 'b/x'], 3).describe({ pods: many })).toBe('b/p10, b/p11, 18 more of b');
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

/** An end to ask about: an address, or a pod that has none. */
interface Asked {
  readonly address?: AddressKey;
  readonly pod?: Pod;
}

/** Who that is on one side. */
function partyOf(cluster: Cluster, { address, pod }: Asked): Party {
  if (pod === undefined) return cluster.partyAt(address!);
  return { kind: 'pod', pod: cluster.pod(pod.namespace, pod.name)!, address: undefined };
}

function isSamePod(a: Party, b: Party): boolean {
  return (
    a.kind === 'pod' && b.kind === 'pod' && a.pod.namespace === b.pod.namespace && a.pod.name === b.pod.name
  );
}

/** The same pods on both sides, each with addresses of its own or none, some with other labels and ports. */
const change = fc.tuple(withYaml(anyCluster), withYaml(anyCluster)).map(([one, two]) => {
  const rest = (manifests: typeof one) =>
    resourcesOf(manifests.filter(({ kind }) => kind === 'NetworkPolicy' || kind === 'Namespace'));
  const podsOf = (manifests: typeof one) =>
    resourcesOf(manifests).filter((one): one is Pod => one.kind === 'Pod');
  const taken = new Set<string>();
  const pods = podsOf(one).map((pod, i) => {
    const addresses = pod.addresses.filter((address) => !taken.has(address) && taken.add(address));
    return { ...pod, addresses, nodeName: `node-${i}` };
  });
  const others = new Map(podsOf(two).map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const changed = pods.map((pod) => {
    const { labels, ports } = others.get(`${pod.namespace}/${pod.name}`) ?? pod;
    return { ...pod, labels, ports };
  });
  return { pods, before: [...pods, ...rest(one)], after: [...changed, ...rest(two)] };
});

/** Whether blocks leave an address of the family that a pod without one can be given. */
function hasRoom(resources: readonly Resource[], family: number): boolean {
  const everything = family === 4 ? '0.0.0.0/0' : '::/0';
  return !resources.some(
    (one) =>
      one.kind === 'NetworkPolicy' &&
      [...one.ingress, ...one.egress].some(({ peers }) =>
        peers.some((peer) => peer.kind === 'block' && peer.cidr === everything),
      ),
  );
}

test('for generated changes, it says of every connection what the reference evaluator says', () => {
  fc.assert(
    fc.property(change, ({ pods, before, after }) => {
      const diff = diffPolicies(before, after);
      const [was, is] = [new Cluster(before), new Cluster(after)];
      const without = pods.filter(
        ({ addresses, hostNetwork, finished }) => addresses.length === 0 && !hostNetwork && !finished,
      );
      const asked: Asked[] = [
        ...addressesOf(pods).map((address) => ({ address })),
        ...without.map((pod) => ({ pod })),
      ];
      for (const [from, to] of asked.flatMap((from) => asked.map((to) => [from, to] as const))) {
        const [source, destination] = [partyOf(was, from), partyOf(was, to)];
        if (source.kind === 'node' || destination.kind === 'node') continue;
        if (source.kind !== 'pod' && destination.kind !== 'pod') continue;
        if (isSamePod(source, destination)) continue;
        const families = [4, 6].filter((family) =>
          [from, to].every(({ address }) =>
            address === undefined ? hasRoom([...before, ...after], family) : familyOf(address) === family,
          ),
        );
        for (const [family, what] of families.flatMap((family) =>
          TRAFFIC.map((what) => [family, what] as const),
        )) {
          const [allowedBefore, allowedAfter] = [was, is].map(
            (cluster) =>
              evaluate(cluster, {
                source: partyOf(cluster, from),
                destination: partyOf(cluster, to),
                ...what,
              }).allowed,
          );
          const expected = allowedBefore === allowedAfter ? undefined : allowedAfter ? 'opened' : 'closed';
          const label = [from, to, family, what];
          expect([...label, says(diff, source, destination, family, what)]).toEqual([...label, expected]);
        }
      }
    }),
    { numRuns: runs(300) },
  );
}, 120_000);
