import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import { type Route, type RoutePathSpec, type RouteSpec, routeOf } from '#kernel/rtnetlink/route.ts';
import { RouteBatch, type RouteFailure } from '#kernel/rtnetlink/route-batch.ts';
import { difference, readRoutes } from '#kernel/rtnetlink/route-difference.ts';
import type { RouteTable } from '#kernel/rtnetlink/route-table.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { RouteTable6 } from '#kernel/rtnetlink/route-table6.ts';
import { sorted, World } from './world.ts';

const router = (family: 4 | 6, n: number) => (family === 4 ? `10.0.0.${n}` : `fd00::${n}`);

/** What routes can do with packets, with everything that can be said. */
function paths(family: 4 | 6, link: number): RoutePathSpec[] {
  const hop = (n: number) => ({ gateway: router(family, n), link });
  const stranger = family === 4 ? '172.16.9.9' : '2009::9';
  // Next hops stand in the order in which sets have them.
  const three = [{ ...hop(3), weight: 7 }, hop(9), { gateway: stranger, link, onlink: true }];
  return [
    { nextHops: [hop(2)] },
    { nextHops: [{ ...hop(2), onlink: true }] },
    { nextHops: [hop(3)], mtu: 1400 },
    { nextHops: [{ link }] },
    { nextHops: [hop(2), hop(3)] },
    { nextHops: family === 4 ? three : [three[2]!, three[0]!, three[1]!] },
    { nextHops: [{ gateway: stranger, link, onlink: true }] },
    { nextHops: [hop(4)], source: family === 4 ? '10.0.1.1' : 'fd00::1' },
    { type: 'blackhole' },
    { type: 'unreachable' },
    { type: 'prohibit' },
    ...(family === 4
      ? [
          { nextHops: [{ gateway: 'fe80::2', link }] },
          { nextHops: [hop(2), { gateway: 'fd00::2', link, weight: 3 }] },
        ]
      : []),
  ];
}

const PREFIXES = {
  4: ['0.0.0.0/0', '20.0.0.0/8', '20.0.0.0/16', '20.0.0.0/32', '20.0.0.1/32', '20.128.0.0/9', '21.7.0.0/19'],
  6: ['::/0', '2001:db8::/32', '2001:db8::/64', '2001:db8::/128', '2001:db8::1/128', '2001:db8:8000::/33'],
} as const;

describe('routes one by one', () => {
  test('in any sequence of add, replace and delete leave the kernel as the model has it', () => {
    const step = fc.record({
      verb: fc.constantFrom('add', 'replace', 'replace', 'delete'),
      family: fc.constantFrom(4, 6),
      prefix: fc.nat(4),
      path: fc.nat(20),
      metric: fc.constantFrom(32, 33),
      protocol: fc.constantFrom(80, 80, 81),
      table: fc.constantFrom(254, 1000),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 400, size: 'max' }), (steps) => {
        using world = new World();
        const { routes } = world.rt;
        const model = new Map<string, Route>();
        for (const { verb, family, prefix, path, metric, protocol, table } of steps) {
          const choices = paths(family as 4 | 6, world.v0);
          const spec: RouteSpec = {
            destination: PREFIXES[family as 4 | 6][prefix]!,
            protocol,
            metric,
            table,
            ...choices[path % choices.length],
          };
          const key = `${spec.destination} ${metric} ${table}`;
          const there = model.get(key);
          let refused = '';
          try {
            routes[verb as 'add'](spec);
          } catch (error) {
            if (!(error instanceof NetlinkError)) throw error;
            refused = error.code;
          }
          if (verb === 'add') expect(refused).toBe(there ? 'EEXIST' : '');
          if (verb === 'replace') expect(refused).toBe('');
          if (verb === 'delete') expect(refused).toBe(there?.protocol === protocol ? '' : 'ESRCH');
          if (refused !== '') continue;
          if (verb === 'delete') model.delete(key);
          else model.set(key, routeOf(spec));
        }
        // The kernel's own come and go with the links.
        const list = () => sorted(routes.list().filter((route) => route.protocol !== 2));
        expect(list()).toEqual(sorted([...model.values()]));
        for (const route of model.values()) routes.delete(route);
        expect(list()).toEqual([]);
      }),
      { numRuns: 8 },
    );
  });
});

for (const family of [4, 6] as const) {
  const newTable = (sets: NextHopSets, table = 254): RouteTable =>
    new (family === 4 ? RouteTable4 : RouteTable6)({ sets, table, protocol: 80, metric: 32, seed: 7 });
  const entries = (table: RouteTable): Map<string, number> => {
    const found = new Map<string, number>();
    for (let s = table.next(-1); s >= 0; s = table.next(s)) found.set(table.prefix(s), table.id(s));
    return found;
  };
  /** Makes the kernel have what is desired. */
  const sync = (world: World, desired: RouteTable, others: Route[] = []): RouteFailure[] => {
    using actual = newTable(desired.sets, desired.table);
    expect(readRoutes(world.rt.socket, actual, (route) => others.push(route))).toBe(true);
    const batch = new RouteBatch(world.rt.socket);
    const { added, replaced, deleted } = difference(desired, actual, batch);
    expect(batch.count).toBe(added + replaced + deleted);
    return batch.finish();
  };

  describe(`IPv${family} routes in tables`, () => {
    test('are in the kernel what the same routes one by one are, and read back as the same sets', () => {
      using bulk = new World();
      using single = new World();
      for (const table of [254, 4_000_000_000]) {
        const sets = new NextHopSets();
        const desired = newTable(sets, table);
        const prefixes = PREFIXES[family];
        const all = paths(family, bulk.v0);
        for (let i = 0; i < all.length; i++) {
          const octets = family === 4 ? `30.${i}.0.0/16` : `2001:${i}::/32`;
          for (const prefix of i < prefixes.length ? [prefixes[i]!, octets] : [octets]) {
            desired.setPrefix(prefix, sets.intern(family, all[i]!));
            single.rt.routes.add({ destination: prefix, protocol: 80, metric: 32, table, ...all[i] });
          }
        }
        expect(sync(bulk, desired)).toEqual([]);
        const actual = newTable(sets, table);
        readRoutes(bulk.rt.socket, actual, () => expect.unreachable());
        expect(entries(actual)).toEqual(entries(desired));
        expect(sync(bulk, desired)).toEqual([]);
      }
      expect(sorted(bulk.rt.routes.list({ protocol: 80 }))).toEqual(
        sorted(single.rt.routes.list({ protocol: 80 })),
      );
      const text = `-${family}`;
      expect(sorted(bulk.ip(text, 'route', 'show', 'table', 'all'))).toEqual(
        sorted(single.ip(text, 'route', 'show', 'table', 'all')),
      );
    });

    test('stay what is desired through changes on both sides, and the routes of others stay theirs', () => {
      const prefix = fc
        .integer({ min: 0, max: 40 })
        .map((n) => (family === 4 ? `20.${n}.0.0/16` : `2001:${n}::/32`));
      const path = fc.nat(9);
      const change = fc.oneof(
        fc.record({ who: fc.constant('desire'), prefix, path }),
        fc.record({ who: fc.constant('withdraw'), prefix, path }),
        // By somebody else: on our routes, and with a metric or protocol of their own.
        fc.record({ who: fc.constantFrom('put', 'remove'), prefix, path }),
        fc.record({ who: fc.constantFrom('theirs', 'another-metric'), prefix, path }),
      );
      fc.assert(
        fc.property(
          fc.array(fc.array(change, { maxLength: 60, size: 'max' }), { minLength: 6, maxLength: 6 }),
          (rounds) => {
            using world = new World();
            const { routes } = world.rt;
            const choices = paths(family, world.v0);
            const sets = new NextHopSets();
            const desired = newTable(sets);
            const theirs = new Map<string, Route>();
            for (const round of rounds) {
              for (const { who, prefix: destination, path: which } of round) {
                const base = { destination, protocol: 80, metric: 32, ...choices[which] };
                const there = routes
                  .list({ family, protocol: 80 })
                  .some((r) => r.destination === destination && r.metric === 32);
                if (who === 'desire') {
                  const id = sets.intern(family, choices[which]!);
                  desired.setPrefix(destination, id);
                  sets.release(id);
                } else if (who === 'withdraw') desired.deletePrefix(destination);
                else if (who === 'put') routes.replace(base);
                else if (who === 'remove' && there) routes.delete({ destination, protocol: 80, metric: 32 });
                else if (who === 'theirs')
                  theirs.set(destination, routes.replace({ ...base, protocol: 99, metric: 31 }));
                else if (who === 'another-metric') {
                  theirs.set(`${destination} 80`, routes.replace({ ...base, metric: 40 }));
                }
              }
              const others: Route[] = [];
              expect(sync(world, desired, others)).toEqual([]);
              using actual = newTable(sets);
              readRoutes(world.rt.socket, actual);
              expect(entries(actual)).toEqual(entries(desired));
              const list = routes.list({ family }).filter((route) => route.protocol !== 2);
              expect(list.filter((r) => r.protocol === 80 && r.metric === 32)).toHaveLength(desired.size);
              const foreign = [...theirs.values()];
              expect(sorted(list.filter((r) => r.protocol === 99 || r.metric === 40))).toEqual(
                sorted(foreign),
              );
              expect(sorted(others)).toEqual(sorted(foreign.filter((r) => r.protocol === 80)));
            }
            desired.clear();
            expect(sync(world, desired)).toEqual([]);
            expect(sets.size).toBe(0);
            for (const route of theirs.values()) routes.delete(route);
          },
        ),
        { numRuns: 6 },
      );
    });

    test('of which some are refused say which, why and what was asked, and the others are in force', () => {
      using world = new World();
      const sets = new NextHopSets();
      const good = sets.intern(family, { nextHops: [{ gateway: router(family, 2), link: world.v0 }] });
      const unreachable = family === 4 ? '99.0.0.1' : 'fd99::1';
      const bad = sets.intern(family, { nextHops: [{ gateway: unreachable, link: world.v0 }] });
      const table = newTable(sets);
      const prefix = (n: number) =>
        family === 4 ? `20.0.${n >> 8}.${n & 255}/32` : `2001::${n.toString(16)}/128`;
      const expected: string[] = [];
      for (let i = 1; i <= 3000; i++) {
        table.setPrefix(prefix(i), i % 1000 === 0 ? bad : good);
        if (i % 1000 === 0) expected.push(prefix(i));
      }
      const refused = sync(world, table);
      expect(sorted(refused.map((failure) => failure.destination))).toEqual(sorted(expected));
      for (const { operation, destination, error } of refused) {
        expect(operation).toBe('add');
        expect(error.object).toBe(`add route ${destination}`);
        expect(error.message).toMatch(
          family === 4
            ? /^add route [\d./]+: ENETUNREACH: Nexthop has invalid gateway/
            : /^add route [\da-f:/]+: EHOSTUNREACH: /,
        );
      }
      expect(world.rt.routes.list({ protocol: 80, family })).toHaveLength(2997);
      const batch = new RouteBatch(world.rt.socket);
      batch.delete(table, table.slotOfPrefix(prefix(1000)));
      batch.replace(table, table.slotOfPrefix(prefix(2000)));
      batch.add(table, table.slotOfPrefix(prefix(1)));
      batch.replace(table, table.slotOfPrefix(prefix(1)));
      expect(batch.finish().map((f) => `${f.operation} ${f.destination} ${f.error.code}`)).toEqual([
        `delete ${prefix(1000)} ESRCH`,
        `replace ${prefix(2000)} ${family === 4 ? 'ENETUNREACH' : 'EHOSTUNREACH'}`,
        `add ${prefix(1)} EEXIST`,
      ]);
    });

    test('of a kernel table that does not exist are none', () => {
      using world = new World();
      const table = newTable(new NextHopSets(), 777);
      expect(readRoutes(world.rt.socket, table)).toBe(true);
      expect(table.size).toBe(0);
    });

    test('with a DSCP byte, a source prefix or another metric are told as others', () => {
      using world = new World();
      const table = newTable(new NextHopSets());
      const base = { destination: PREFIXES[family][1], protocol: 80, type: 'blackhole' } as const;
      const special =
        family === 4
          ? { tos: 16 }
          : { from: 'fd00::/16', type: 'unicast' as const, nextHops: [{ link: world.v0 }] };
      const there = [
        world.rt.routes.add({ ...base, metric: 32, ...special }),
        world.rt.routes.add({ ...base, metric: 33 }),
      ];
      world.rt.routes.add({ ...base, metric: 32, protocol: 99 });
      const others: Route[] = [];
      readRoutes(world.rt.socket, table, (route) => others.push(route));
      expect(table.size).toBe(0);
      expect(sorted(others)).toEqual(sorted(there));
    });

    test('that somebody put behind one of ours by `ip route append` are told as others', () => {
      using world = new World();
      const sets = new NextHopSets();
      const table = newTable(sets);
      const prefix = family === 4 ? '20.0.0.0/8' : '2001::/16';
      const id = sets.intern(family, { type: 'blackhole' });
      table.setPrefix(prefix, id);
      expect(sync(world, table)).toEqual([]);
      world.type(`route append ${prefix} via ${router(family, 3)} proto 80 metric 32`);
      const others: Route[] = [];
      const actual = newTable(sets);
      readRoutes(world.rt.socket, actual, (route) => others.push(route));
      expect(actual.size + others.length).toBe(2);
      expect(others).toHaveLength(1);
    });
  });
}
