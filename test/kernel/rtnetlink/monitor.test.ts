import { afterEach, describe, expect, test } from 'vitest';
import type { Change, RtnetlinkHandlers, RtnetlinkMonitorOptions } from '#kernel/rtnetlink/monitor.ts';
import { RtnetlinkMonitor } from '#kernel/rtnetlink/monitor.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import { RouteBatch } from '#kernel/rtnetlink/route-batch.ts';
import { RouteReader } from '#kernel/rtnetlink/route-reader.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { World } from './world.ts';

const open: RtnetlinkMonitor[] = [];
afterEach(async () => {
  for (const monitor of open.splice(0)) await monitor.closed();
});

function watch(
  world: World,
  handlers: Partial<RtnetlinkHandlers>,
  options: RtnetlinkMonitorOptions = {},
): void {
  const monitor = RtnetlinkMonitor.open(
    {
      overflow: () => expect.unreachable(),
      error: (error) => {
        throw error;
      },
      ...handlers,
    },
    { namespace: world.inside, ...options },
  );
  open.push(monitor);
}

/** A handler that keeps what it is called with, and a wait until it was called with something like `wanted`. */
function recorder<T>(): {
  seen: Change<T>[];
  handler: (change: Change<T>) => void;
  saw(wanted: object): Promise<void>;
} {
  const seen: Change<T>[] = [];
  return {
    seen,
    handler: (change) => void seen.push(change),
    saw: async (wanted) => {
      await waitFor(() => seen.some((change) => expect.objectContaining(wanted).asymmetricMatch(change)), {
        what: JSON.stringify(wanted),
        details: () => JSON.stringify(seen, undefined, 1),
      });
    },
  };
}

/** As a value in a change, among other fields. */
const like = (fields: object) => expect.objectContaining(fields);

describe('a monitor', () => {
  test('tells of links that come, change and go by the hand of `ip`', async () => {
    using world = new World();
    const links = recorder<import('#kernel/rtnetlink/link.ts').Link>();
    watch(world, { link: links.handler });
    world.type('link add w0 type veth peer name w1');
    await links.saw({ kind: 'set', value: like({ name: 'w0', kind: 'veth', up: false }) });
    world.type('link set w0 up');
    await links.saw({ kind: 'set', value: like({ name: 'w0', up: true }) });
    world.type('link set w0 mtu 1300 alias x');
    await links.saw({ kind: 'set', value: like({ name: 'w0', mtu: 1300, alias: 'x' }) });
    world.type('link del w0');
    await links.saw({ kind: 'removed', value: like({ name: 'w1' }) });
    await links.saw({ kind: 'removed', value: like({ name: 'w0' }) });
  });

  test('tells of addresses, routes, neighbours and rules that `ip` sets and removes', async () => {
    using world = new World();
    const addresses = recorder<import('#kernel/rtnetlink/address.ts').Address>();
    const routes = recorder<import('#kernel/rtnetlink/route.ts').Route>();
    const neighbours = recorder<import('#kernel/rtnetlink/neighbour.ts').Neighbour>();
    const rules = recorder<import('#kernel/rtnetlink/rule.ts').Rule>();
    watch(world, {
      address: addresses.handler,
      route: routes.handler,
      neighbour: neighbours.handler,
      rule: rules.handler,
    });
    for (const [verb, kind] of [
      ['add', 'set'],
      ['del', 'removed'],
    ]) {
      world.type(`address ${verb} 10.7.0.1/24 dev v0`);
      await addresses.saw({ kind, value: like({ address: '10.7.0.1', length: 24, link: world.v0 }) });
      await routes.saw({ kind, value: like({ destination: '10.7.0.0/24', protocol: 2, scope: 'link' }) });
      world.type(`address ${verb} fd07::1/64 dev v0 nodad`);
      await addresses.saw({ kind, value: like({ address: 'fd07::1', family: 6, flags: ['no-dad'] }) });
      world.type(`route ${verb} 20.0.0.0/8 via 10.0.0.2 proto 80 metric 9 table 300`);
      const nextHops = [{ gateway: '10.0.0.2', link: world.v0 }];
      await routes.saw({ kind, value: like({ destination: '20.0.0.0/8', table: 300, metric: 9, nextHops }) });
      world.type(`route ${verb} 2001:db8::/32 proto 80 nexthop via fd00::2 nexthop via fd00::3 weight 2`);
      const several = [
        { gateway: 'fd00::2', link: world.v0 },
        { gateway: 'fd00::3', link: world.v0, weight: 2 },
      ];
      if (kind === 'set') {
        await routes.saw({ kind, value: like({ destination: '2001:db8::/32', nextHops: several }) });
      } else {
        // Each next hop on its own.
        for (const { gateway, link } of several) {
          await routes.saw({ kind, value: like({ nextHops: [{ gateway, link }] }) });
        }
      }
      world.type(`neigh ${verb} 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0`);
      const there = verb === 'add';
      await neighbours.saw({
        kind: 'set',
        value: like({ address: '10.0.0.9', state: there ? 'permanent' : 'failed' }),
      });
      world.type(`rule ${verb} pref 50 from 10.0.0.0/8 lookup 300`);
      await rules.saw({ kind, value: like({ priority: 50, from: '10.0.0.0/8', table: 300 }) });
      world.type(`-6 rule ${verb} pref 51 lookup 300`);
      await rules.saw({ kind, value: like({ family: 6, priority: 51 }) });
    }
  });

  test('asks only for what has a handler', async () => {
    using world = new World();
    const rules = recorder<import('#kernel/rtnetlink/rule.ts').Rule>();
    watch(world, { rule: rules.handler });
    world.type('route add blackhole 20.0.0.0/8');
    world.type('rule add pref 50 lookup 300');
    await rules.saw({ kind: 'set', value: like({ priority: 50 }) });
    expect(rules.seen).toHaveLength(1);
  });

  test('does not tell what the named socket did, and tells what another did', async () => {
    using world = new World();
    using other = Rtnetlink.open(world.inside);
    const routes = recorder<import('#kernel/rtnetlink/route.ts').Route>();
    watch(world, { route: routes.handler }, { exceptFrom: world.rt.socket.port });
    for (const prefix of ['20.0.0.0/8', '2001::/16']) {
      const spec = { destination: prefix, protocol: 80, type: 'blackhole' } as const;
      world.rt.routes.add(spec);
      world.rt.routes.replace(spec);
      world.rt.routes.delete(spec);
    }
    for (const destination of ['20.0.0.0/8', '2001::/16']) {
      other.routes.add({ destination, protocol: 81, type: 'blackhole' });
    }
    await routes.saw({ kind: 'set', value: like({ destination: '2001::/16', protocol: 81 }) });
    const protocols = routes.seen.map((change) => change.value.protocol);
    // The kernel's own may come in between.
    expect(protocols.filter((protocol) => protocol !== 2)).toEqual([81, 81]);
  });

  test('says which link went down and took its IPv4 routes along, of which the kernel says nothing', async () => {
    using world = new World();
    const routes = recorder<import('#kernel/rtnetlink/route.ts').Route>();
    const flushed: number[] = [];
    watch(world, { route: routes.handler, flushed: (link) => flushed.push(link) });
    const link = world.v0;
    const hop = { gateway: '10.0.0.2', link };
    world.rt.routes.add({ destination: '20.0.0.0/8', protocol: 80, nextHops: [hop] });
    const v6 = { destination: '2001::/16', protocol: 80, nextHops: [{ gateway: 'fd00::2', link }] };
    world.rt.routes.add(v6);
    // New links, which are down, and a link that comes up are no reason.
    world.type('link add w0 type veth peer name w1');
    world.type('link set w0 up');
    world.type('link set w0 mtu 1300');
    world.rt.links.set('v0', { up: false });
    await routes.saw({ kind: 'removed', value: like({ destination: '2001::/16' }) });
    await waitFor(() => flushed.length > 0, { what: 'flushed' });
    expect(flushed).toEqual([link]);
    expect(world.rt.routes.list({ protocol: 80 })).toEqual([]);
    expect(routes.seen.filter((c) => c.kind === 'removed' && c.value.destination === '20.0.0.0/8')).toEqual(
      [],
    );
    // A link that is removed while it is up goes down first.
    const w0 = world.rt.links.indexOf('w0');
    world.rt.links.delete('w0');
    await waitFor(() => flushed.length > 1, { what: 'flushed' });
    expect(flushed).toEqual([link, w0]);
  });

  test('says which link lost an IPv4 address: with the last one go its IPv4 routes, of which the kernel says nothing', async () => {
    using world = new World();
    const routes = recorder<import('#kernel/rtnetlink/route.ts').Route>();
    const flushed: number[] = [];
    watch(world, { route: routes.handler, flushed: (link) => flushed.push(link) });
    const link = world.v0;
    const nextHops = [{ gateway: '10.0.0.2', link }];
    world.rt.routes.add({ destination: '20.0.0.0/8', protocol: 80, nextHops });
    const addresses = world.rt.addresses.list({ family: 4, link });
    for (const { address, length } of addresses) world.rt.addresses.delete({ link, address, length });
    await waitFor(() => flushed.length === addresses.length, { what: 'flushed' });
    expect(new Set(flushed)).toEqual(new Set([link]));
    expect(world.rt.routes.list({ protocol: 80 })).toEqual([]);
    expect(routes.seen.filter((c) => c.kind === 'removed' && c.value.destination === '20.0.0.0/8')).toEqual(
      [],
    );
    // An IPv6 address takes no IPv4 routes along.
    world.rt.addresses.add({ link, address: 'fd99::1', length: 64 });
    world.rt.addresses.delete({ link, address: 'fd99::1', length: 64 });
    world.rt.links.set('v0', { up: false });
    await waitFor(() => flushed.length > addresses.length, { what: 'flushed' });
    expect(flushed.length).toBe(addresses.length + 1);
  });

  test('that can not keep up says so, and a list after that has everything', async () => {
    using world = new World();
    const sets = new NextHopSets();
    const blackhole = sets.intern(4, { type: 'blackhole' });
    const table = new RouteTable4({ sets, table: 254, protocol: 80, metric: 1 });
    const batch = new RouteBatch(world.rt.socket);
    let overflows = 0;
    let listed = 0;
    watch(
      world,
      {
        route: () => {},
        overflow: () => {
          overflows++;
          listed = world.rt.routes.list({ protocol: 80 }).length;
        },
      },
      { bufferBytes: 4096 },
    );
    await waitFor(
      () => {
        if (overflows > 0) return true;
        const size = table.size;
        for (let i = 0; i < 5000; i++) {
          const address = 0x14000000 + size + i;
          table.set(address, 32, blackhole);
          batch.add(table, table.slot(address, 32));
        }
        expect(batch.finish()).toEqual([]);
        return false;
      },
      { what: 'an overflow' },
    );
    await waitFor(() => listed === table.size, { what: 'a list with everything' });
  });

  test('hands route messages as they are to a reader that makes no objects', async () => {
    using world = new World();
    const reader = new RouteReader(new NextHopSets());
    const seen: unknown[] = [];
    watch(world, {
      routeMessage: (message) => {
        expect(reader.read(message)).toBe(true);
        const { family, table, protocol, metric, length, word0 } = reader;
        if (protocol === 80) seen.push({ family, table, protocol, metric, length, word0: word0 >>> 0 });
      },
    });
    world.type('route add 20.1.0.0/16 via 10.0.0.2 proto 80 metric 9 table 300');
    world.type('route add 2001:db8::/32 via fd00::2 proto 80');
    await waitFor(() => seen.length === 2, { what: 'two messages' });
    expect(seen).toEqual([
      { family: 4, table: 300, protocol: 80, metric: 9, length: 16, word0: 0x14010000 },
      { family: 6, table: 254, protocol: 80, metric: 1024, length: 32, word0: 0x20010db8 },
    ]);
  });
});
