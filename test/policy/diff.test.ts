import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AddressKey, familyOf, parseAddress } from '#datastore/address.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Party } from '#policy/evaluator/traffic.ts';
import { type Diff, describeDifference, diffPolicies, type End } from '#policy/review/diff.ts';
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

const lines = (before: string, after: string) =>
  diffPolicies(resources(pods + before), resources(pods + after)).differences.map(describeDifference);

describe('what a change changes', () => {
  test('nothing', () => {
    expect(diffPolicies(resources(pods), resources(pods))).toEqual({
      differences: [],
      skipped: ['default/new'],
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
      'default/client -> default/web-0, default/web-1 (IPv4): closes TCP/0-79,81-65535 UDP/all SCTP/all other',
      'default/web-0, default/web-1 -> default/web-0, default/web-1: closes all',
      '0.0.0.0-255.255.255.255 -> default/web-0, default/web-1 (IPv4): closes all',
      '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> default/web-0, default/web-1 (IPv6): closes all',
    ]);
  });

  test('what is opened and closed at once, by blocks', () => {
    const block = (cidr: string, port: number) =>
      policy(`[{ from: [{ ipBlock: { cidr: ${cidr} } }], ports: [{ port: ${port} }] }]`);
    expect(lines(block('192.0.2.0/24', 80), block('192.0.2.0/25', 81))).toEqual([
      '192.0.2.0-192.0.2.127 -> default/web-0, default/web-1 (IPv4): opens TCP/81, closes TCP/80',
      '192.0.2.128-192.0.2.255 -> default/web-0, default/web-1 (IPv4): closes TCP/80',
    ]);
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
    if (!('addresses' in end)) return false;
    return end.addresses.some((range) => {
      const [first, last] = range.split('-').map((text) => parseAddress(text)!) as [AddressKey, AddressKey];
      return first.length === party.address!.length && first <= party.address! && party.address! <= last;
    });
  };
  const has = (text: string) =>
    text === 'all' ||
    text.split(' ').some((part) => {
      const [protocol, ports] = part.split('/');
      if (protocol !== what.protocol) return false;
      return (
        ports === undefined ||
        ports === 'all' ||
        ports.split(',').some((range) => {
          const [first, last = first] = range.split('-').map(Number) as [number, number?];
          return first <= what.port && what.port <= last!;
        })
      );
    });
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
