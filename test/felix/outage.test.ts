import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import type { RulesetKernel } from '#felix/dataplane/driver.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Nftables } from '#kernel/nftables/connection.ts';
import { TransactionError } from '#kernel/nftables/error.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { changesBetween } from '#test/policy/compiled.ts';
import { DAMAGES, knownIn, sectionsOf } from './damages.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { threePods } from './objects.ts';
import { World } from './world.ts';

/*
 * An agent that has come while the policy engine is away: it programs nothing, and what was in force stays so, whatever others do.
 */

let world: World;
let slots: readonly Slot[];
let dataplane: NftablesDataplane;
let lines: string[];
beforeAll(async () => {
  world = new World();
  ({ slots } = world.fabric);
  await world.become(...threePods(world.fabric));
  world.dataplanes[1]!.close();
}, 60_000);
afterAll(() => world[Symbol.dispose]());

const nft = (...args: string[]): string => world.fabric.nodes[1]!.netns.exec('nft', args);
const run = (script: string): string =>
  world.fabric.nodes[1]!.netns.exec('nft', ['-f', '-'], { input: `${script}\n` });
const listed = (): string => nft('-s', 'list', 'table', 'inet', 'margay');
const tables = (): string => nft('list', 'tables').trim();

/** An agent that does not know the policies; the pods are told to it, and one more. */
function begin(options: { readonly wrap?: (kernel: Nftables) => RulesetKernel } = {}): void {
  lines = [];
  const log = pino(
    { level: 'info' },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  dataplane = new NftablesDataplane({
    settings: DEFAULT_SETTINGS,
    log,
    namespace: world.fabric.nodes[1]!.namespace,
    ...options,
  });
  dataplane.start();
  for (const [of, slot] of world.placed) {
    if (slot.node === world.fabric.nodes[1]) dataplane.setEndpoint(endpointOf(slot, of));
  }
  dataplane.setEndpoint(endpointOf(slots[5]!, 'shop/newcomer'));
}

/** Now it does. */
async function tell(): Promise<void> {
  const compiler = new Compiler();
  compiler.open(world.fabric.nodes[1]!.name, agentSink(dataplane.programs, compiler));
  compiler.apply(changesBetween([], world.resources));
  compiler.flush();
  await dataplane.applied([], AbortSignal.timeout(10_000));
}

const applied = (): Promise<void> => dataplane.applied([], AbortSignal.timeout(10_000));
const policies = async (): Promise<unknown[]> => (await world.disagreements(() => [['TCP', 5000]])).found;

let before: string;
beforeEach(() => {
  before = listed();
  begin();
});
afterEach(async () => {
  dataplane.removeEndpoint('shop/newcomer');
  await tell();
  dataplane.close();
  expect(sectionsOf(listed())).toEqual(sectionsOf(before));
  expect(tables()).toBe('table inet margay');
});

test('programs nothing: the table is the same, with all its handles', async () => {
  const handles = nft('-a', 'list', 'table', 'inet', 'margay');
  await applied();
  dataplane.removeEndpoint('shop/closed');
  await applied();
  dataplane.setEndpoint(endpointOf(slots[4]!, 'shop/closed'));
  await applied();
  expect(nft('-a', 'list', 'table', 'inet', 'margay')).toBe(handles);
  expect(dataplane.driver.counters).toMatchObject({ transactions: 0, repairs: 0 });
  dataplane.removeEndpoint('shop/newcomer');
  await tell();
  // Nor has anything to be changed then, and the table is not read a second time.
  expect(dataplane.driver.counters).toMatchObject({ transactions: 0, repairs: 0 });
  expect(nft('-a', 'list', 'table', 'inet', 'margay')).toBe(handles);
});

describe.each(DAMAGES)('%s', (_what, script) => {
  test('is undone, counted and logged once', async () => {
    await applied();
    run(script);
    await waitFor(() => dataplane.driver.counters.repairs > 0, {
      what: 'the repair',
      interval: 1,
      details: () => lines.join(''),
    });
    expect(sectionsOf(listed())).toEqual(sectionsOf(before));
    expect(dataplane.driver.counters.repairs).toBe(1);
    const said = lines.filter((line) => line.includes('somebody changed the table'));
    expect(said).toEqual([expect.stringContaining('"process":"nft"')]);
    expect(dataplane.inSync).toBe(false);
    expect(await policies()).toEqual([]);
  });
});

test('damage comes again and again, and is undone each time', async () => {
  for (let round = 1; round <= DAMAGES.length; round++) {
    run(DAMAGES[(round * 5) % DAMAGES.length]![1]);
    await waitFor(() => dataplane.driver.counters.repairs >= round, { what: `repair ${round}`, interval: 1 });
    expect(sectionsOf(listed())).toEqual(sectionsOf(before));
  }
});

test('damage from before it came is not known for such until the policies are', async () => {
  dataplane.close();
  nft('delete', 'element', 'inet', 'margay', 'ingress-isolated', '{ "mgyslot5" }');
  const damaged = listed();
  begin();
  await applied();
  run('flush ruleset');
  await waitFor(() => dataplane.driver.counters.repairs > 0, { what: 'the repair', interval: 1 });
  expect(sectionsOf(listed())).toEqual(sectionsOf(damaged));
});

describe('a table that can not be put back has all pods closed in its place:', () => {
  const closed = async (): Promise<void> => {
    const isClosed = (): boolean => {
      const text = tables() === 'table inet margay' ? listed() : '';
      return text.includes('its policy is not known') && knownIn(text, 'ingress').length === 0;
    };
    await waitFor(isClosed, { what: 'the closed table', details: () => nft('list', 'ruleset') });
    const { found } = await world.disagreements(() => [['TCP', 5000]]);
    expect(found.length).toBeGreaterThan(0);
    for (const each of found) expect(each).toMatchObject({ expected: true, arrived: false });
  };

  test('there are things in it that no agent of ours can make', async () => {
    dataplane.close();
    run('add counter inet margay strange');
    begin();
    await applied();
    expect(listed()).toContain('strange');
    run('delete chain inet margay labels');
    await closed();
    expect(lines.filter((line) => line.includes('can not be made again'))).toHaveLength(1);
  });

  test('the kernel does not take it any more', async () => {
    dataplane.close();
    begin({
      wrap: (kernel) => ({
        dump: (table) => kernel.dump(table),
        elements: (table, set) => kernel.elements(table, set),
        tables: () => kernel.tables(),
        commit(transaction) {
          const index = transaction.findIndex(({ op }) => op === 'add elements');
          if (dataplane.inSync || index < 0) return kernel.commit(transaction);
          const operation = transaction[index]!;
          const error = new NetlinkError(operation.op, { errno: 12, text: '' });
          if (JSON.stringify(transaction).includes(FROM_PODS))
            throw new TransactionError(error, [{ index, operation, error }]);
          return kernel.commit(transaction);
        },
      }),
    });
    await applied();
    run('flush ruleset');
    await closed();
    expect(lines.filter((line) => line.includes('does not take it as it was'))).toHaveLength(1);
  });
});

/** A verdict of the map of pods, which a table with all pods closed has none of. */
const FROM_PODS = '"value":{"verdict":"return"}';

test.each([1, 2])('a replacement that was not finished (%i) is in force by its own name', async (last) => {
  await tell();
  dataplane.close();
  nft('add', 'counter', 'inet', 'margay', 'strange');
  let commits = 0;
  begin({
    wrap: (kernel) => ({
      dump: (table) => kernel.dump(table),
      elements: (table, set) => kernel.elements(table, set),
      tables: () => kernel.tables(),
      // As if it were killed there.
      commit(transaction) {
        if (++commits > last) throw new Error('killed');
        return kernel.commit(transaction);
      },
    }),
  });
  await tell().catch(() => undefined);
  dataplane.close();
  expect(tables()).toContain('margay-bridge');
  begin();
  await applied();
  expect(tables()).toBe('table inet margay');
  expect(await policies()).toEqual([]);
});

test('what there was is forgotten with the first policies', async () => {
  await tell();
  const compiled = listed();
  run('flush ruleset');
  await waitFor(() => dataplane.driver.counters.repairs > 0, { what: 'the repair', interval: 1 });
  expect(sectionsOf(listed())).toEqual(sectionsOf(compiled));
});
