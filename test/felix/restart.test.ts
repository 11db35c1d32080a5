import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { changesBetween } from '#test/policy/compiled.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { allow, isolate, nodeObject, pod } from './objects.ts';
import { SILENT, World } from './world.ts';

/*
 * A new agent finds the table of the one before, and changes what is not as it should be: nothing else is touched, since what
 * is replaced loses packets that are under way in it.
 */

let world: World;
let slots: readonly Slot[];
beforeAll(async () => {
  world = new World();
  ({ slots } = world.fabric);
  await world.become(
    [
      ...world.fabric.nodes.map(nodeObject),
      pod('client', slots[0]!, { app: 'client' }),
      pod('server', slots[3]!, { app: 'server' }),
      pod('closed', slots[4]!, { app: 'closed' }),
      allow('server', 'client', 5000),
      isolate('closed'),
    ],
    new Map([
      ['shop/client', slots[0]!],
      ['shop/server', slots[3]!],
      ['shop/closed', slots[4]!],
    ]),
  );
  // What becomes of the table from here on is the newcomer's doing.
  for (const dataplane of world.dataplanes) dataplane.close();
}, 60_000);
afterAll(() => world[Symbol.dispose]());

/** An agent that begins now. */
async function restarted(resources = world.resources): Promise<NftablesDataplane> {
  const { name, namespace } = world.fabric.nodes[1]!;
  const dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace });
  for (const [of, slot] of world.placed) {
    if (slot.node.name === name) dataplane.setEndpoint(endpointOf(slot, of));
  }
  dataplane.start();
  const compiler = new Compiler();
  compiler.open(name, agentSink(dataplane.programs, compiler));
  compiler.apply(changesBetween([], resources));
  compiler.flush();
  await dataplane.applied([], AbortSignal.timeout(10_000));
  return dataplane;
}

/** With handles: a thing made anew has another. */
const listed = (): string => nft('-a', 'list', 'table', 'inet', 'margay');
const nft = (...args: string[]): string => world.fabric.nodes[1]!.netns.exec('nft', args);

test('a table that is as it should be is not touched', async () => {
  const before = listed();
  using dataplane = await restarted();
  expect(dataplane.driver.counters).toMatchObject({ transactions: 0, refused: 0 });
  expect(dataplane.driver.counters.unchanged).toBeGreaterThan(0);
  expect(listed()).toBe(before);
});
