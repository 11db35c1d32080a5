import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '#test/helpers/runs.ts';
import { anyPlacedCluster, placed } from './cluster.ts';
import type { ProbeProtocol } from './prober.ts';
import { World } from './world.ts';

/*
 * The kernel against the reference evaluator: each cluster follows on the one before it, in the same kernels, so that
 * policies, labels and pods change under way.
 */

let world: World;
beforeAll(() => {
  world = new World();
}, 60_000);
afterAll(() => world[Symbol.dispose]());

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

test('packets of generated clusters meet what the evaluator says', async () => {
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
    }),
    { numRuns: runs(200), interruptAfterTimeLimit: 100_000 },
  );
  expect(Math.min(allowed, denied)).toBeGreaterThan(1000);
}, 120_000);
