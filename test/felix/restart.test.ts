import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { DENIED_LABEL, MARKED_STATUS } from '#felix/dataplane/chains.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import type { RulesetKernel } from '#felix/dataplane/driver.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { FlowStatus } from '#kernel/conntrack/flow.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { changesBetween } from '#test/policy/compiled.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { threePods } from './objects.ts';
import { Sender, type Stream } from './sender.ts';
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
  await world.become(...threePods(world.fabric));
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

test('a connection that an earlier version has ended is marked before a table is in force that goes by the mark', async () => {
  const { name, namespace } = world.fabric.nodes[1]!;
  const conntrack = world.conntracks[1]!;
  const client = slots[0]!.addresses[0]!;
  const closed = slots[4]!.addresses[0]!;
  conntrack.create({
    family: 4,
    original: { source: client, destination: closed, protocol: 17, sourcePort: 1, destinationPort: 5000 },
    timeout: 100,
    status: FlowStatus.seenReply,
    labels: [DENIED_LABEL],
  });
  // As if it were that version's.
  nft('flush', 'chain', 'inet', 'margay', 'forward');
  const open: number[] = [];
  const wrap = (kernel: RulesetKernel): RulesetKernel => ({
    dump: (table) => kernel.dump(table),
    elements: (table, set) => kernel.elements(table, set),
    tables: () => kernel.tables(),
    commit(transaction) {
      const flows = conntrack.list({ label: DENIED_LABEL });
      open.push(flows.filter(({ status }) => (status & MARKED_STATUS) === 0).length);
      return kernel.commit(transaction);
    },
  });
  using dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace, wrap });
  for (const [of, slot] of world.placed)
    if (slot.node.name === name) dataplane.setEndpoint(endpointOf(slot, of));
  dataplane.start();
  const compiler = new Compiler();
  compiler.open(name, agentSink(dataplane.programs, compiler));
  compiler.apply(changesBetween([], world.resources));
  compiler.flush();
  await dataplane.applied([], AbortSignal.timeout(10_000));
  expect(open.length).toBeGreaterThan(0);
  expect(open.every((count) => count === 0)).toBe(true);
  expect(conntrack.list({ label: DENIED_LABEL })).toHaveLength(1);
  conntrack.deleteMatching({});
});

/** What no version of ours puts there, so that the table can not be changed into what it should be. */
const strange = (): string => nft('add', 'counter', 'inet', 'margay', 'strange');
const tables = (): string[] =>
  nft('list', 'tables')
    .split('\n')
    .filter((line) => line !== '');

test('a table that has to be replaced as a whole loses no packet', async () => {
  const [client, server] = [slots[0]!, slots[3]!];
  const streams = [0, 1].flatMap((family) =>
    [true, false].map(
      (allowed): Stream => ({
        from: client.netns.path,
        to: (allowed ? server : slots[4]!).netns.path,
        source: client.addresses[family]!,
        destination: (allowed ? server : slots[4]!).addresses[family]!,
        protocol: 'UDP',
        port: 5000,
        expected: allowed,
      }),
    ),
  );
  using sender = new Sender();
  await sender.begin(streams);
  using dataplane = await restarted();
  for (let round = 1; round <= 60; round++) {
    strange();
    await waitFor(() => dataplane.driver.counters.repairs === round, {
      what: `repair ${round}`,
      interval: 1,
    });
  }
  expect(listed()).not.toContain('strange');
  for (const [i, { sent, arrived }] of (await sender.end()).entries()) {
    const allowed = streams[i]!.expected;
    expect(sent).toBeGreaterThan(1_000);
    expect({ allowed, arrived }).toEqual({ allowed, arrived: allowed ? sent : 0 });
  }
  expect(tables()).toEqual(['table inet margay']);
}, 120_000);

test.each([1, 2, 3, 4, 5])(
  'a replacement that ends at its transaction %i is ended by the next agent',
  async (last) => {
    strange();
    const { name, namespace } = world.fabric.nodes[1]!;
    let commits = 0;
    /** As if it were killed there. */
    const wrap = (kernel: RulesetKernel): RulesetKernel => ({
      dump: (table) => kernel.dump(table),
      elements: (table, set) => kernel.elements(table, set),
      tables: () => kernel.tables(),
      commit(transaction) {
        if (++commits > last) throw new Error('killed');
        return kernel.commit(transaction);
      },
    });
    {
      using dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace, wrap });
      for (const [of, slot] of world.placed) {
        if (slot.node.name === name) dataplane.setEndpoint(endpointOf(slot, of));
      }
      const compiler = new Compiler();
      compiler.open(name, agentSink(dataplane.programs, compiler));
      compiler.apply(changesBetween([], world.resources));
      compiler.flush();
      await dataplane.applied([], AbortSignal.timeout(10_000)).catch(() => undefined);
    }
    // Whatever is there: a table that packets come into, of one name or another.
    expect(nft('list', 'ruleset')).toContain('hook forward');
    using _next = await restarted();
    expect(tables()).toEqual(['table inet margay']);
    expect(listed()).not.toContain('strange');
  },
);
