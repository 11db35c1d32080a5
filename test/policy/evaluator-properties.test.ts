import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Evaluator, Verdict } from '#policy/evaluator/traffic.ts';
import { runs } from '#test/helpers/runs.ts';
import { addressesOf, anyCluster, pairsOf, resourcesOf, TRAFFIC, withYaml } from './clusters.ts';

/** Verdicts on everything that there is to ask about; the addresses are those of `about`. */
function verdicts(
  resources: readonly Resource[],
  about = resources,
  tiers?: readonly Evaluator[],
): Verdict[] {
  const cluster = new Cluster(resources);
  return pairsOf(addressesOf(about)).flatMap(([from, to]) =>
    TRAFFIC.map((traffic) =>
      evaluate(
        cluster,
        { source: cluster.partyAt(from), destination: cluster.partyAt(to), ...traffic },
        tiers,
      ),
    ),
  );
}

/** With its two directions apart: what is denied in one says nothing about the other. */
function allowances(verdicts: readonly Verdict[]): boolean[] {
  return verdicts.flatMap(({ egress, ingress }) => [egress.allowed, ingress.allowed]);
}

const cluster = withYaml(anyCluster).map(resourcesOf);

function isPolicy(resource: Resource): resource is NetworkPolicy {
  return resource.kind === 'NetworkPolicy';
}

describe('policies', () => {
  test('without any, everything is allowed', () => {
    fc.assert(
      fc.property(cluster, (resources) => {
        const without = resources.filter((resource) => !isPolicy(resource));
        expect(verdicts(without).every(({ allowed }) => allowed)).toBe(true);
      }),
      { numRuns: runs(100) },
    );
  });

  test('the order of objects does not matter, not even for the reason', () => {
    const shuffled = cluster.chain((resources) =>
      fc.tuple(fc.constant(resources), fc.shuffledSubarray(resources, { minLength: resources.length })),
    );
    fc.assert(
      fc.property(shuffled, ([resources, other]) => {
        expect(verdicts(other, resources)).toEqual(verdicts(resources));
      }),
      { numRuns: runs(100) },
    );
  });

  test('a rule more never denies anything', () => {
    fc.assert(
      fc.property(cluster, fc.nat(), (resources, choice) => {
        const policies = resources.filter(isPolicy);
        fc.pre(policies.length > 1);
        const target = policies[choice % policies.length]!;
        const donor = policies[(choice + 1) % policies.length]!;
        const larger: NetworkPolicy = {
          ...target,
          ingress: [...target.ingress, ...donor.ingress],
          egress: [...target.egress, ...donor.egress],
        };
        const before = allowances(verdicts(resources));
        const after = allowances(
          verdicts(resources.map((resource) => (resource === target ? larger : resource))),
        );
        expect(before.every((allowed, i) => !allowed || after[i]!)).toBe(true);
      }),
      { numRuns: runs(200) },
    );
  });

  test('where everything is isolated already, a policy more never denies anything', () => {
    const isolated = ['n0', 'n1', 'n2'].map((namespace) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace, name: 'isolate' },
      spec: { policyTypes: ['Ingress', 'Egress'] },
    }));
    fc.assert(
      fc.property(cluster, fc.nat(), (resources, choice) => {
        const policies = resources.filter(isPolicy);
        fc.pre(policies.length > 0);
        const all = [...resources, ...resourcesOf(isolated)];
        const fewer = all.filter((resource) => resource !== policies[choice % policies.length]);
        const before = allowances(verdicts(fewer, all));
        const after = allowances(verdicts(all));
        expect(before.every((allowed, i) => !allowed || after[i]!)).toBe(true);
      }),
      { numRuns: runs(200) },
    );
  });

  test('what a pod is isolated from is told by the policies that isolate it, and what is allowed by a rule that is there', () => {
    fc.assert(
      fc.property(cluster, (resources) => {
        const policies = new Map(
          resources.filter(isPolicy).map((policy) => [`${policy.namespace}/${policy.name}`, policy]),
        );
        for (const { egress, ingress } of verdicts(resources)) {
          for (const [direction, { allowed, by }] of Object.entries({ egress, ingress })) {
            if (by.kind === 'isolated')
              expect({ allowed, none: by.policies.length }).not.toEqual({ allowed: true, none: 0 });
            if (by.kind !== 'rule') continue;
            const policy = policies.get(`${by.policy.namespace}/${by.policy.name}`)!;
            const rule = policy[direction as 'ingress' | 'egress'][by.rule]!;
            expect(allowed).toBe(true);
            expect(by.peer === undefined ? rule.peers.length === 0 : rule.peers[by.peer]).toBeTruthy();
            expect(by.port === undefined ? rule.ports.length === 0 : rule.ports[by.port]).toBeTruthy();
          }
        }
      }),
      { numRuns: runs(100) },
    );
  });
});

describe('tiers', () => {
  const saying = (verdict: 'accept' | 'deny' | 'next'): Evaluator => ({
    name: verdict,
    evaluate: (_, __, direction, subject) => {
      const policy = { kind: 'Test', namespace: '', name: `${direction} of ${subject.name}` };
      const by = { kind: 'rule' as const, tier: 'test', policy, rule: 0, peer: undefined, port: undefined };
      return verdict === 'next' ? { verdict } : { verdict, by };
    },
  });
  const resources = resourcesOf(
    ['p0', 'p1'].map((name, i) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'n0', name },
      status: { podIPs: [{ ip: `10.0.0.${i + 1}` }] },
    })),
  );
  const cluster = new Cluster(resources);
  const [source, destination] = addressesOf(resources)
    .slice(-2)
    .map((address) => cluster.partyAt(address)) as [never, never];
  const ask = (...tiers: Evaluator[]) =>
    evaluate(cluster, { source, destination, protocol: 'TCP', port: 80 }, tiers);

  test('the first that accepts or denies decides, and none means allowed', () => {
    expect(ask(saying('next'), saying('deny'), saying('accept')).allowed).toBe(false);
    expect(ask(saying('next'), saying('accept'), saying('deny')).allowed).toBe(true);
    expect(ask(saying('next')).egress).toEqual({ allowed: true, by: { kind: 'not-isolated' } });
    expect(ask(saying('deny')).ingress.by).toMatchObject({ policy: { name: 'ingress of p1' } });
    expect(ask(saying('deny')).egress.by).toMatchObject({ policy: { name: 'egress of p0' } });
  });
});
