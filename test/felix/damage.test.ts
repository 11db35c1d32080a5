import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { DAMAGES, sectionsOf } from './damages.ts';

import { isolate, threePods } from './objects.ts';
import { World } from './world.ts';

/*
 * What others do to the table is undone within a second, counted, and logged once.
 */

let world: World;
const lines: string[] = [];
/** ms until the table was put right. */
const times: number[] = [];
beforeAll(async () => {
  const log = pino(
    { level: 'info' },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  world = new World(DEFAULT_SETTINGS, 3, log);
  await world.become(...threePods(world.fabric));
}, 60_000);
afterAll(() => world[Symbol.dispose]());
beforeEach(() => {
  lines.length = 0;
});

const nft = (script: string): string =>
  world.fabric.nodes[1]!.netns.exec('nft', ['-f', '-'], { input: `${script}\n` });
const listed = (): string =>
  world.fabric.nodes[1]!.netns.exec('nft', ['-s', 'list', 'table', 'inet', 'margay']);
describe.each(DAMAGES)('%s', (_what, script) => {
  test('is undone, counted and logged once', async () => {
    const dataplane = world.dataplanes[1]!;
    const before = listed();
    const { repairs } = dataplane.driver.counters;
    const start = performance.now();
    nft(script);
    await waitFor(() => dataplane.driver.counters.repairs > repairs, {
      what: 'the repair',
      interval: 1,
      details: () => lines.join(''),
    });
    times.push(performance.now() - start);
    expect(sectionsOf(listed())).toEqual(sectionsOf(before));
    expect(dataplane.driver.counters.repairs).toBe(repairs + 1);
    const said = lines.filter((line) => line.includes('somebody changed the table'));
    expect(said).toEqual([expect.stringContaining('"process":"nft"')]);
    const { found } = await world.disagreements(() => [['TCP', 5000]]);
    expect(found).toEqual([]);
  });
});

test('it takes less than a second, as a rule: a busy machine may hold up one', () => {
  expect(times.toSorted((a, b) => a - b)[times.length >> 1]).toBeLessThan(1000);
});

test('more than the kernel can tell of is undone too, counted and logged', async () => {
  const dataplane = world.dataplanes[1]!;
  const before = listed();
  const { repairs } = dataplane.driver.counters;
  const many = Array.from({ length: 60_000 }, (_, i) => `"x${i}" . 10.9.${i >> 8}.${i & 255}`);
  nft(`add element inet margay workloads4 { ${many.join(', ')} }`);
  await waitFor(() => dataplane.driver.counters.repairs > repairs, { what: 'the repair', interval: 1 });
  await waitFor(() => listed() === before, { what: 'the table as it was' });
  expect(lines.filter((line) => line.includes('somebody changed the table'))).not.toEqual([]);
});

test('tables of others are not touched, and what they do to them is none of our business', async () => {
  const dataplane = world.dataplanes[1]!;
  const { repairs, transactions } = dataplane.driver.counters;
  const theirs = 'table ip kube-proxy {\n\tchain forward {\n\t\tip daddr 10.96.0.1 drop\n\t}\n}\n';
  nft(theirs);
  await world.applied();
  const text = world.fabric.nodes[1]!.netns.exec('nft', ['list', 'table', 'ip', 'kube-proxy']);
  expect(text).toBe(theirs);
  nft('delete table ip kube-proxy');
  expect(dataplane.driver.counters).toMatchObject({ repairs, transactions });
});

test('changes that come between our own are undone too, and ours are kept', async () => {
  const dataplane = world.dataplanes[1]!;
  const before = dataplane.driver.counters.repairs;
  for (let i = 0; i < 20; i++) {
    // Before the monitor has told of it, and the loop has come round, our own change is on its way.
    try {
      nft(i % 2 === 0 ? 'flush chain inet margay forward' : 'delete table inet margay');
    } catch {
      // The last repair is still under way.
    }
    await world.become(
      [
        ...world.resources.filter(({ name }) => name !== 'extra'),
        ...(i % 3 === 0 ? [isolate('client', 'extra')] : []),
      ],
      world.placed,
    );
  }
  await waitFor(() => dataplane.driver.counters.repairs > before, { what: 'repairs' });
  await waitFor(() => world.fabric.nodes[1]!.netns.exec('nft', ['list', 'ruleset']).includes('jump to-pod'), {
    what: 'the last repair',
  });
  const { found } = await world.disagreements(() => [['TCP', 5000]]);
  expect(found).toEqual([]);
});

test('a ruleset that is there is read while others commit all the time', async () => {
  const { netns, namespace } = world.fabric.nodes[1]!;
  const noise = netns.spawn('bash', [
    '-c',
    'nft add table ip noise; nft add chain ip noise c; while :; do for i in $(seq 50); do echo "add rule ip noise c counter; add chain ip noise d$i"; done | nft -f -; nft flush table ip noise; done',
  ]);
  try {
    await waitFor(() => netns.exec('nft', ['list', 'tables']).includes('noise'), { what: 'the noise' });
    using dataplane = new NftablesDataplane({
      settings: DEFAULT_SETTINGS,
      log: pino({ level: 'silent' }),
      namespace,
    });
    const { transactions } = dataplane.driver.counters;
    dataplane.driver.find();
    for (let i = 0; i < 30; i++) {
      dataplane.driver.doubt();
      dataplane.driver.keep();
    }
    // It has been found, and as it was.
    expect(dataplane.driver.counters).toMatchObject({ transactions, unchanged: 30 });
  } finally {
    noise.kill('SIGKILL');
  }
});
