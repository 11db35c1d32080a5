import fc from 'fast-check';
import { expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import { Programs } from '#felix/policy/programs.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { runs } from '#test/helpers/runs.ts';
import {
  addressesOf,
  anyCluster,
  type Manifest,
  nameOf,
  resourcesOf,
  TRAFFIC,
  withYaml,
} from '#test/policy/clusters.ts';
import { changesBetween, nodesOf } from '#test/policy/compiled.ts';

/*
 * Which connections a change may be about is said without looking at connections. It may name too many, and never too few: a
 * connection that is forbidden now and is not named would go on.
 */

const NOWHERE = { endpoint() {}, entry() {}, address() {}, blocks() {}, commit() {} };

test('every connection that a change forbids, or allows, is named', () => {
  let forbidden = 0;
  let skipped = 0;
  fc.assert(
    fc.property(withYaml(anyCluster), withYaml(anyCluster), (first, second) => {
      const before = resourcesOf(first);
      // Mostly the same objects: small changes are what it is for.
      const after = resourcesOf([...second.slice(0, 3), ...first.slice(1)].filter(unique()));
      const addresses = addressesOf([...before, ...after]);
      for (const node of new Set([...nodesOf(before), ...nodesOf(after)])) {
        const compiler = new Compiler();
        const programs = new Programs(NOWHERE);
        compiler.apply(changesBetween([], before));
        compiler.flush();
        compiler.open(node, agentSink(programs, compiler));
        programs.takeScope();
        const pods = new Map(
          [...before, ...after].flatMap((resource) =>
            resource.kind === 'Pod' && resource.nodeName === node
              ? [
                  [
                    `${resource.namespace}/${resource.name}`,
                    resource.addresses.map((text) => parseAddress(text)!),
                  ] as const,
                ]
              : [],
          ),
        );
        const verdicts = (): Map<string, string> => {
          const all = new Map<string, string>();
          for (const pod of pods.keys()) {
            for (const peer of addresses) {
              for (const { protocol, port } of TRAFFIC) {
                for (const direction of ['ingress', 'egress'] as const) {
                  const key = `${direction} ${pod} ${formatAddress(peer)} ${protocol} ${port}`;
                  all.set(key, programs.lookUp(direction, pod, peer, protocol, port));
                }
              }
            }
          }
          return all;
        };
        const was = verdicts();
        compiler.apply(changesBetween(before, after));
        compiler.flush();
        const scope = programs.takeScope();
        if (scope.forbidsNothing) skipped++;
        for (const [key, verdict] of verdicts()) {
          const old = was.get(key)!;
          if (old === verdict) continue;
          const [, pod, peer] = key.split(' ') as [string, `${string}/${string}`, string];
          const own = pods.get(pod)![0] ?? parseAddress('10.9.9.9')!;
          const podAt = (address: AddressKey) => (address === own ? pod : undefined);
          if (verdict === 'drop') forbidden++;
          expect({ key, named: scope.concerns(own, parseAddress(peer)!, podAt) }).toEqual({
            key,
            named: true,
          });
          if (verdict === 'drop')
            expect({ key, forbidsNothing: scope.forbidsNothing }).toEqual({ key, forbidsNothing: false });
        }
      }
    }),
    { numRuns: runs(150) },
  );
  expect(forbidden).toBeGreaterThan(20);
  expect(skipped).toBeGreaterThan(5);
}, 60_000);

function unique(): (manifest: Manifest) => boolean {
  const seen = new Set<string>();
  return (manifest) => {
    if (seen.has(nameOf(manifest))) return false;
    seen.add(nameOf(manifest));
    return true;
  };
}
