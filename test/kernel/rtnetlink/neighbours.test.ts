import { describe, expect, test } from 'vitest';
import type { NeighbourSpec } from '#kernel/rtnetlink/neighbours.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { isMulticast, sorted, World } from './world.ts';

const mac = '02:00:00:00:00:09';

/** What is set, and what a person would have typed for it. */
const TABLE: readonly [Omit<NeighbourSpec, 'link'>, string][] = [
  [{ address: '10.0.0.2', hardwareAddress: mac }, '10.0.0.2 lladdr 02:00:00:00:00:09'],
  [
    { address: '10.0.0.3', hardwareAddress: mac, protocol: 80 },
    '10.0.0.3 lladdr 02:00:00:00:00:09 protocol 80',
  ],
  [
    { address: '10.0.0.4', hardwareAddress: mac, state: 'no-arp' },
    '10.0.0.4 lladdr 02:00:00:00:00:09 nud noarp',
  ],
  [
    { address: '10.0.0.5', hardwareAddress: mac, state: 'stale' },
    '10.0.0.5 lladdr 02:00:00:00:00:09 nud stale',
  ],
  [
    { address: '10.0.0.6', hardwareAddress: mac, externallyLearned: true, state: 'reachable' },
    '10.0.0.6 lladdr 02:00:00:00:00:09 nud reachable extern_learn',
  ],
  [
    { address: 'fd00::2', hardwareAddress: mac, router: true, protocol: 80 },
    'fd00::2 lladdr 02:00:00:00:00:09 router protocol 80',
  ],
  [{ address: '169.254.1.1', proxy: true }, 'proxy 169.254.1.1'],
  [{ address: 'fe80::1', proxy: true, protocol: 80 }, 'proxy fe80::1 protocol 80'],
];

function printed(world: World, args: string[]): unknown[] {
  const entries = world.ip(...args) as { dst: string }[];
  return sorted(entries.filter((entry) => !isMulticast(entry.dst)));
}

describe('neighbours', () => {
  test('read back as what was set, and `ip -j neigh` prints them as if `ip neigh add` had set them', () => {
    using ours = new World();
    using theirs = new World();
    for (const [spec, typed] of TABLE) {
      ours.rt.neighbours.add({ link: ours.v0, ...spec });
      theirs.type(`neigh add ${typed} dev v0`);
    }
    const found = ours.rt.neighbours.list({ link: ours.v0 }).filter((n) => !isMulticast(n.address));
    expect(sorted(found.map((n) => n.address))).toEqual(sorted(TABLE.map(([spec]) => spec.address)));
    for (const [spec] of TABLE) {
      expect(found.find((n) => n.address === spec.address)).toEqual({
        family: spec.address.includes(':') ? 6 : 4,
        link: ours.v0,
        state: spec.proxy ? 'none' : 'permanent',
        proxy: false,
        router: false,
        externallyLearned: false,
        ...spec,
      });
    }
    for (const args of [
      ['neigh', 'show', 'dev', 'v0', 'nud', 'all'],
      ['neigh', 'show', 'proxy'],
    ]) {
      expect(printed(ours, args)).toEqual(printed(theirs, args));
      expect(printed(ours, args)).not.toEqual([]);
    }
  });

  test('that were read can be set elsewhere, and are the same there', () => {
    using a = new World();
    using b = new World();
    for (const [spec] of TABLE) a.rt.neighbours.add({ link: a.v0, ...spec });
    const list = a.rt.neighbours.list({ link: a.v0 }).filter((n) => !isMulticast(n.address));
    for (const neighbour of list) b.rt.neighbours.replace(neighbour);
    const there = b.rt.neighbours.list({ link: b.v0 });
    for (const neighbour of list) expect(there).toContainEqual(neighbour);
  });

  test('are listed by family, link and kind, replaced and deleted', () => {
    using world = new World();
    const { neighbours } = world.rt;
    const link = world.v0;
    for (const [spec] of TABLE) neighbours.add({ link, ...spec });
    const texts = (filter: Parameters<typeof neighbours.list>[0]) =>
      neighbours.list(filter).flatMap((n) => (isMulticast(n.address) ? [] : n.address));
    expect(texts({ family: 6, link, proxy: false })).toEqual(['fd00::2']);
    expect(texts({ proxy: true, family: 4 })).toEqual(['169.254.1.1']);
    expect(texts({ link: world.v1, family: 4 })).toEqual([]);
    neighbours.replace({ link, address: '10.0.0.2', hardwareAddress: '02:00:00:00:00:0A' });
    expect(neighbours.list({ family: 4, link }).find((n) => n.address === '10.0.0.2')).toMatchObject({
      hardwareAddress: '02:00:00:00:00:0a',
    });
    for (const [spec] of TABLE) neighbours.delete({ link, ...spec });
    expect(texts({ link })).toEqual([]);
    expect(() => neighbours.delete({ link, address: '169.254.1.1', proxy: true })).toThrow(
      `delete proxy neighbour 169.254.1.1 of link ${link}: ENOENT`,
    );
  });

  test('that can not be are refused', () => {
    using world = new World();
    const { neighbours } = world.rt;
    const spec = { link: world.v0, address: '10.0.0.2', hardwareAddress: mac };
    neighbours.add(spec);
    expect(() => neighbours.add(spec)).toThrow(`add neighbour 10.0.0.2 of link ${world.v0}: EEXIST`);
    expect(() => neighbours.add({ link: world.v0, address: '10.0.0.3' })).toThrow(ValueError);
    expect(() => neighbours.add({ ...spec, hardwareAddress: '02-00-00-00-00-09' })).toThrow(ValueError);
    expect(() => neighbours.add({ ...spec, state: 'noarp' as 'no-arp' })).toThrow(
      'state: found "noarp", expected one of none, incomplete',
    );
    expect(() => neighbours.add({ ...spec, link: 99 })).toThrow('ENODEV');
  });
});
