import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Resource } from '#datastore/resource.ts';
import { runs } from '#test/helpers/runs.ts';
import { type Manifest, nameOf } from '#test/policy/clusters.ts';
import { anyPlacedCluster, placed } from './cluster.ts';
import type { Probe, ProbeProtocol } from './prober.ts';
import { Sender, type Stream } from './sender.ts';
import { verdictsOf, World } from './world.ts';

/*
 * The kernel against the reference evaluator: each cluster follows on the one before it, in the same kernels.
 */

/** The least that is asked for. It takes as long as it takes: there is no time after which fewer would do. */
const CLUSTERS = runs(200);
const CHANGES = runs(200);

let world: World;
let sender: Sender;
beforeAll(() => {
  world = new World();
  sender = new Sender();
}, 60_000);
afterAll(() => {
  sender[Symbol.dispose]();
  world[Symbol.dispose]();
});

const TCP = [1, 2, 3, 4, 5, 8, 65535];
const OTHERS = [1, 3, 9];

/** Not every port of every pair, but every pair, and all of them in time. */
function traffic(pair: number): (readonly [ProbeProtocol, number])[] {
  return [
    ['TCP', TCP[pair % TCP.length]!],
    ['TCP', TCP[(pair * 3 + 1) % TCP.length]!],
    ['UDP', OTHERS[pair % OTHERS.length]!],
    ['SCTP', OTHERS[(pair + 1) % OTHERS.length]!],
    ['other', 0],
  ];
}

test(`packets of ${CLUSTERS} generated clusters meet what the evaluator says`, async () => {
  let clusters = 0;
  let allowed = 0;
  let denied = 0;
  await fc.assert(
    fc.asyncProperty(anyPlacedCluster, fc.nat(1000), async (manifests, offset) => {
      const { resources, slots } = placed(manifests, world.fabric);
      await world.become(resources, slots);
      const outcome = await world.disagreements((pair) => traffic(pair + offset));
      allowed += outcome.allowed;
      denied += outcome.denied;
      expect(outcome.found).toEqual([]);
      clusters++;
    }),
    { numRuns: CLUSTERS },
  );
  expect(clusters).toBeGreaterThanOrEqual(CLUSTERS);
  expect(Math.min(allowed, denied)).toBeGreaterThan(20 * CLUSTERS);
}, 600_000);

/** Of each object whether it becomes what the next cluster has, or stays as it is; as many as there may be. */
const anyChange = fc.tuple(
  anyPlacedCluster,
  fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
  fc.nat(1000),
);

function mixed(
  known: readonly Manifest[],
  next: readonly Manifest[],
  becomes: readonly boolean[],
): Manifest[] {
  // There is one pod in a place, whatever namespace it is of.
  const keyOf = (manifest: Manifest): string =>
    manifest.kind === 'Pod' ? String((manifest.metadata as { name: string }).name) : nameOf(manifest);
  const was = new Map(known.map((one) => [keyOf(one), one]));
  const is = new Map(next.map((one) => [keyOf(one), one]));
  return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((key, i): Manifest[] => {
    // Nodes are there throughout: what one may do with its own pods does not hang on the object.
    const one = (key.startsWith('Node/') || becomes[i % becomes.length] ? is : was).get(key);
    return one ? [one] : [];
  });
}

/**
 * What may be said of a packet that is sent while things change. The nodes at its ends change one after the other, so that each
 * direction is told apart: one that forbids it before and afterwards forbids it throughout. Anything else may be either.
 */
function throughout(before: readonly Resource[], after: readonly Resource[], probes: readonly Probe[]) {
  const [was, is] = [verdictsOf(before, probes), verdictsOf(after, probes)];
  return probes.map((_, i): boolean | undefined => {
    if (was[i]!.allowed && is[i]!.allowed) return true;
    const never = (['ingress', 'egress'] as const).some(
      (direction) => !was[i]![direction].allowed && !is[i]![direction].allowed,
    );
    return never ? false : undefined;
  });
}

/** Packets in one round, others each time: so many that a change meets several rounds. */
const AT_ONCE = 100;

test(`nor do packets that are sent while policies, labels and pods change, ${CHANGES} times`, async () => {
  let changes = 0;
  const sent = { allowed: 0, denied: 0 };
  let manifests: readonly Manifest[] = [];
  await world.become([], new Map());
  await fc.assert(
    fc.asyncProperty(anyChange, async ([next, becomes, offset]) => {
      manifests = mixed(manifests, next, becomes);
      const { resources, slots } = placed(manifests, world.fabric);
      const comesOrGoes = [...world.placed, ...slots]
        .filter(([pod, slot]) => world.placed.get(pod) !== slots.get(pod) && slot)
        .map(([, { prober }]) => prober);
      const probes = world
        .probes((pair) => traffic(pair + offset))
        .filter(({ from, to }) => !comesOrGoes.includes(from) && !comesOrGoes.includes(to));
      const expected = throughout(world.resources, resources, probes);
      const step = Math.max(1, Math.ceil(probes.length / AT_ONCE));
      const chosen = probes.flatMap((probe, i) =>
        expected[i] === undefined || (i + offset) % step > 0 ? [] : [{ probe, expected: expected[i] }],
      );
      await sender.begin(
        chosen.map(({ probe: { from, to, ...rest }, expected }): Stream => {
          return { ...rest, from: from.name, to: to.name, expected };
        }),
      );
      await world.become(resources, slots);
      const counts = await sender.end();
      world.forgetFlows();
      counts.forEach(({ sent: all, arrived, answered }, i) => {
        const { probe, expected } = chosen[i]!;
        sent[expected ? 'allowed' : 'denied'] += all;
        const wanted = expected ? all : 0;
        const isTcp = probe.protocol === 'TCP';
        expect({ stream: world.describe(probe), arrived, answered: isTcp ? answered : wanted }).toEqual({
          stream: world.describe(probe),
          arrived: wanted,
          answered: wanted,
        });
      });
      changes++;
    }),
    // Each change follows on the one before it: there is nothing to shrink.
    { numRuns: CHANGES, endOnFailure: true },
  );
  console.info(`${changes} changes; ${sent.allowed} packets that may pass, ${sent.denied} that may not`);
  expect(changes).toBeGreaterThanOrEqual(CHANGES);
  expect(Math.min(sent.allowed, sent.denied)).toBeGreaterThan(20 * CHANGES);
}, 600_000);
