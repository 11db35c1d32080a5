/**
 * The speaker of a node under two top-of-rack routers: the kernel's routes through all that can happen to the speaker, and
 * the command line.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PeerDescription } from '#lab/peers/description.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import type { Peer } from '#test/helpers/peers/peer.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay, type Margay, type MargayConfig } from './margay.ts';

const TOR1 = '10.0.1.2';
const TOR2 = '10.0.2.2';
const SHARED = '198.51.100.0/24';
const SHARED6 = '2001:db8:b::/48';
const NEEDS = peerTools('bird', 'frr');

describe('a node under two routers', () => {
  const stack = new AsyncDisposableStack();
  let node: Netns;
  let margay: Margay;
  let tor1: Peer;
  let tor2: Peer;
  let config: MargayConfig;

  beforeEach((ctx) => requires(ctx, ...NEEDS));

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    node = stack.use(createNetns());
    config = nodeConfig('own-prefixes');
    const tors: Peer[] = [];
    for (const i of [1, 2]) {
      const ns = stack.use(createNetns());
      connect(
        { netns: node, addresses: [`10.0.${i}.1/24`, `fd00:${i}::1/64`] },
        { netns: ns, addresses: [`10.0.${i}.2/24`, `fd00:${i}::2/64`] },
      );
      tors.push(stack.use(await launchPeer(i === 1 ? 'bird' : 'frr', ns, torDescription(i))));
    }
    [tor1, tor2] = tors as [Peer, Peer];
    margay = stack.use(await launchMargay(node, config));
    await margay.established();
  }, 150_000);

  afterAll(() => stack.disposeAsync());

  test('uses both routers for a prefix that both announce, in both families, and one when the other withdraws', async () => {
    await twoWays();
    await waitFor(async () => gateways('-6', SHARED6).length === 2, { what: 'two IPv6 next hops' });
    const paths = await margay.paths(SHARED);
    expect(paths.filter(({ best }) => best)).toHaveLength(1);
    expect(paths.filter(({ multipath }) => multipath)).toHaveLength(1);
    await tor2.withdraw(SHARED);
    await waitFor(() => isDeep(gateways('-4', SHARED), [TOR1]), { what: 'one next hop' });
    await tor2.announce({ prefix: SHARED });
    await twoWays();
  });

  test('a prefix of this node goes to both routers, and what they say of it is not believed', async () => {
    await tor1.receives('10.0.1.1', '10.244.1.0/24');
    await tor2.receives('10.0.2.1', '10.244.1.0/24');
    await tor1.announce({ prefix: '10.244.1.64/26' });
    await margay.path('10.244.1.64/26', TOR1);
    await tor1.announce({ prefix: '203.0.113.0/24' });
    await waitFor(() => gateways('-4', '203.0.113.0/24').length === 1, { what: 'another route of it' });
    expect(gateways('-4', '10.244.1.64/26')).toEqual([]);
    await tor1.withdraw('10.244.1.64/26', '203.0.113.0/24');
  });

  test('a subnet that this node gets an address in is its own from then on, and free again without it', async () => {
    await tor1.announce({ prefix: '203.0.113.0/24' }, { prefix: '2001:db8:c::/64' });
    const both = () =>
      [gateways('-4', '203.0.113.0/24').length, gateways('-6', '2001:db8:c::/64').length].join();
    await waitFor(() => both() === '1,1', { what: 'what the router announces' });
    // The kernel's own route to an IPv6 subnet has a worse metric than ours: hosts there would be out of reach.
    for (const address of ['203.0.113.1/24', '2001:db8:c::1/64']) {
      node.exec('ip', ['address', 'add', address, 'dev', 'eth0']);
    }
    await waitFor(() => both() === '0,0', { what: 'the subnets of this node left alone' });
    expect(routes('-6', '2001:db8:c::/64')).toMatchObject([{ protocol: 'kernel' }]);
    for (const address of ['203.0.113.1/24', '2001:db8:c::1/64']) {
      node.exec('ip', ['address', 'del', address, 'dev', 'eth0']);
    }
    await waitFor(() => both() === '1,1', { what: 'what the router announces, again' });
    // An address of this node.
    await tor1.announce({ prefix: '10.0.1.1/32' });
    await margay.path('10.0.1.1/32', TOR1);
    await tor1.announce({ prefix: '203.0.113.0/25' });
    await waitFor(() => gateways('-4', '203.0.113.0/25').length === 1, { what: 'another route of it' });
    expect(gateways('-4', '10.0.1.1/32')).toEqual([]);
    await tor1.withdraw('203.0.113.0/24', '2001:db8:c::/64', '10.0.1.1/32', '203.0.113.0/25');
  });

  test('a route that somebody deletes or replaces is back within a second', async () => {
    const monitor = await watchRoutes(node, '-ts');
    const before = margay.cpuTimes();
    node.exec('ip', ['route', 'del', SHARED]);
    await twoWays();
    node.exec('ip', ['route', 'replace', SHARED, 'via', TOR1, 'metric', '32', 'proto', '109']);
    await twoWays();
    node.exec('ip', ['route', 'del', '10.244.1.0/24']);
    await waitFor(() => routes('-4', '10.244.1.0/24').length === 1, { what: 'the blackhole route' });
    const lines = await monitor();
    // How long each was wrong is what the kernel tells, not how long it takes to look; time in which others had the cores is
    // not the speaker's.
    const waited = margay.cpuTimes().waited - before.waited;
    const changes = lines.flatMap((line) => {
      const [, time, change] = /^\[(.*?)\] *(.*)$/.exec(line) ?? [];
      return change === undefined ? [] : [{ time: Date.parse(time!), change }];
    });
    const repairs = [
      [`Deleted ${SHARED} `, `${SHARED} `],
      [`${SHARED} via ${TOR1} `, `${SHARED} `],
      ['Deleted blackhole 10.244.1.0/24 ', 'blackhole 10.244.1.0/24 '],
    ] as const;
    let from = 0;
    for (const [damage, repair] of repairs) {
      const at = (start: string) =>
        changes.findIndex(({ change }, i) => i >= from && change.startsWith(start));
      const broken = at(damage);
      expect(broken, damage).toBeGreaterThanOrEqual(0);
      from = broken + 1;
      const mended = at(repair);
      expect(mended, repair).toBeGreaterThan(broken);
      expect(changes[mended]!.time - changes[broken]!.time - waited, repair).toBeLessThan(1000);
      from = mended + 1;
    }
  });

  test('routes of others are not touched', async () => {
    node.exec('ip', ['route', 'add', '203.0.113.0/24', 'via', TOR1, 'proto', 'static', 'metric', '7']);
    await tor1.announce({ prefix: '203.0.113.0/24' });
    await waitFor(() => routes('-4', '203.0.113.0/24').length === 2, { what: 'ours beside theirs' });
    await tor1.withdraw('203.0.113.0/24');
    await waitFor(() => routes('-4', '203.0.113.0/24').length === 1, { what: 'theirs alone' });
    expect(routes('-4', '203.0.113.0/24')).toMatchObject([{ protocol: 'static', metric: 7 }]);
  });

  test('a router whose link goes down is left out at once, and used again when it is back', async () => {
    node.exec('ip', ['link', 'set', 'eth1', 'down']);
    await waitFor(() => isDeep(gateways('-4', SHARED), [TOR1]), { what: 'one next hop' });
    node.exec('ip', ['link', 'set', 'eth1', 'up']);
    // IPv6 addresses went with the link.
    node.exec('ip', ['address', 'replace', 'fd00:2::1/64', 'dev', 'eth1', 'nodad']);
    await margay.established();
    await twoWays();
  });

  test('a reload touches only what changed', async () => {
    const before = await margay.neighbor(TOR1);
    config = nodeConfig('tagged');
    margay.write(config);
    margay.hangUp();
    await waitFor(
      async () => (await tor1.receives('10.0.1.1', '10.244.1.0/24')).communities.includes('64512:5'),
      {
        what: 'the community that the filter now sets',
      },
    );
    expect((await tor2.receives('10.0.2.1', '10.244.1.0/24')).communities).toEqual([]);
    expect(await margay.neighbor(TOR1)).toMatchObject({ flaps: before.flaps, changedAt: before.changedAt });

    const peers = config.peers as { address: string }[];
    const [first, ...rest] = peers;
    margay.write({ ...config, peers: [{ ...first, timers: { hold: 30, idleHold: 0.2 } }, ...rest] });
    expect(await margay.api.reload({})).toMatchObject({ added: 0, removed: 0, changed: 1, reset: [TOR1] });
    await margay.established();
    expect((await margay.neighbor(TOR1)).timers).toMatchObject({ holdNegotiated: 30 });
    const second = await margay.neighbor(TOR2);
    expect(second.timers).toMatchObject({ holdNegotiated: 90 });

    margay.write({ ...config, as: 'no number' });
    await expect(margay.api.reload({})).rejects.toThrow('found "no number", expected an AS number');
    expect((await margay.api.getStatus({})).configError).toContain('an AS number');
    margay.write(config);
    await margay.api.reload({});
    await margay.established();
    await twoWays();
    expect((await margay.neighbor(TOR2)).changedAt).toBe(second.changedAt);
  });

  test("other settings of the kernel's routes take effect without a session that ends or a moment without a route", async () => {
    const before = (await margay.api.listNeighbors({})).neighbors.map(({ changedAt }) => changedAt);
    const same = async () =>
      expect((await margay.api.listNeighbors({})).neighbors.map(({ changedAt }) => changedAt)).toEqual(
        before,
      );
    const places = (...more: string[]): string[] =>
      ((node.ip('-4', 'route', 'show', ...more, SHARED) ?? []) as KernelRoute[]).map(
        ({ protocol, metric }) => `${protocol} ${metric}`,
      );
    const reload = async (kernel: object): Promise<void> => {
      margay.write({ ...config, kernel });
      expect(await margay.api.reload({})).toMatchObject({ changed: 0, reset: [] });
    };
    const monitor = await watchRoutes(node);
    await reload({ metric: 50 });
    await waitFor(() => places().join() === '109 50', {
      what: 'the other metric',
      details: () => places().join(),
    });
    const seen = (await monitor()).filter((line) => line.includes(SHARED));
    const added = seen.findIndex((line) => !line.startsWith('Deleted') && line.includes('metric 50'));
    const deleted = seen.findIndex((line) => line.startsWith('Deleted') && line.includes('metric 32'));
    expect(added).toBeGreaterThanOrEqual(0);
    expect(deleted).toBeGreaterThan(added);
    await waitFor(
      () =>
        routes('-4', '10.244.1.0/24')
          .map(({ metric }) => metric)
          .join() === '50',
      {
        what: 'the other metric of the blackhole route',
      },
    );
    expect(routes('-4', '10.244.1.0/24')).toMatchObject([{ type: 'blackhole', metric: 50 }]);

    await reload({ metric: 50, protocol: 110 });
    await waitFor(() => places().join() === '110 50', { what: 'the other protocol' });
    await reload({ metric: 50, protocol: 110, table: 77 });
    await waitFor(() => places('table', '77').join() === '110 50', { what: 'the other table' });
    await waitFor(() => places().join() === '', { what: 'nothing where they were' });
    await reload({ metric: 50, protocol: 110, table: 77, families: ['ipv4-unicast'] });
    const six = () => ((node.ip('-6', 'route', 'show', 'table', '77') ?? []) as unknown[]).length;
    await waitFor(() => six() === 0, { what: 'the end of the IPv6 routes' });
    expect(places('table', '77')).toEqual(['110 50']);
    await reload({ enabled: false });
    await waitFor(() => places('table', '77').join() === '', { what: 'no routes at all' });
    expect((await margay.api.getStatus({})).kernel).toMatchObject({ enabled: false, routes: 0 });
    await reload(config.kernel as object);
    await twoWays();
    await waitFor(() => gateways('-6', SHARED6).length === 2, { what: 'two IPv6 next hops' });
    await same();
    // What happens to them afterwards is seen to as ever.
    node.exec('ip', ['route', 'del', SHARED]);
    await twoWays();
  }, 150_000);

  test('the command line shows it all, as tables and as JSON', { timeout: 90_000 }, async () => {
    const table = await margay.cli('neighbors');
    expect(table).toMatch(/^NEIGHBOUR +AS +STATE/);
    expect(table).toMatch(/^10\.0\.1\.2 +65000 +Established/m);
    const neighbors = JSON.parse(await margay.cli('neighbors', '-o', 'json')) as { address: string }[];
    expect(neighbors.map(({ address }) => address)).toEqual([TOR1, TOR2, 'fd00:1::2', 'fd00:2::2']);
    expect(await margay.cli('neighbor', TOR1)).toMatch(/^capabilities received: .*route-refresh/m);
    expect(await margay.cli('status')).toMatch(/^neighbours: +4 of 4 established/m);
    const route = await margay.cli('route', '198.51.100.7');
    expect(route).toMatch(/^198\.51\.100\.0\/24$/m);
    expect(route).toMatch(/^> via 10\.0\..\.2, from 10\.0\..\.2 \(ebgp\), .*: best by router id$/m);
    expect(route).toMatch(/^= via .*: in use beside the best path$/m);
    expect(route).toMatch(/^ +AS path 65000, origin igp/m);
    const looked = JSON.parse(await margay.cli('route', '198.51.100.7', '-o', 'json')) as { prefix: string };
    expect(looked.prefix).toBe(SHARED);
    expect(await margay.cli('rib', '--in', TOR1)).toContain(SHARED);
    expect(await margay.cli('rib', '--out', TOR1)).toContain('10.244.1.0/24');
    expect(await margay.cli('advertise', '10.9.0.0/24', '--community', '64512:9')).toContain('1 new');
    expect(await tor2.receives('10.0.2.1', '10.9.0.0/24')).toMatchObject({ communities: ['64512:9'] });
    expect(await margay.cli('rib', '--originated')).toContain('10.9.0.0/24');
    expect(await margay.cli('withdraw', '10.9.0.0/24')).toContain('withdrawn: 1');
    expect(await margay.cli('reset', TOR1, '--soft-out')).toContain('reset: 1');
    await expect(margay.cli('withdraw', '10.9.0.0/24')).rejects.toThrow('not among what was advertised');
    await expect(margay.cli('neighbor', '10.9.9.9')).rejects.toThrow('there is none');
  });

  test('events of sessions and best paths, as they happen', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of margay.api.watchEvents({ routes: true }, { signal: stop.signal })) {
        if (event.session) seen.push(`${event.session.neighbor} ${event.session.to}`);
        if (event.route) seen.push(`${event.route.prefix} ${event.route.best?.neighbor ?? 'gone'}`);
      }
    })();
    let med = 0;
    // The stream starts some time after it was asked for.
    await waitFor(
      async () => {
        await tor1.announce({ prefix: '203.0.113.0/24', med: ++med });
        return seen.includes(`203.0.113.0/24 ${TOR1}`);
      },
      { what: 'the new route' },
    );
    await tor1.withdraw('203.0.113.0/24');
    await waitFor(() => seen.includes('203.0.113.0/24 gone'), { what: 'its end' });
    await margay.api.resetNeighbor({ address: TOR1, message: 'for a test' });
    await waitFor(() => seen.includes(`${TOR1} 6`), { what: 'the session again', timeout: 45_000 });
    stop.abort();
    await watching;
  });

  for (const [how, signal] of [
    ['stopped', 'SIGTERM'],
    ['killed', 'SIGKILL'],
  ] as const) {
    test(`${how}, it leaves its routes in the kernel, and the next start keeps the right ones and removes the others`, async () => {
      await margay.established();
      await twoWays();
      await tor1.announce({ prefix: '203.0.113.0/24' });
      await waitFor(() => gateways('-4', '203.0.113.0/24').length === 1, { what: 'the route' });
      const status = await margay.kill(signal);
      expect(status).toBe(signal === 'SIGTERM' ? 0 : null);
      await waitFor(async () => (await tor1.neighbour('10.0.1.1')).state !== 'established', {
        what: 'its end',
      });
      expect(gateways('-4', SHARED)).toEqual([TOR1, TOR2]);
      expect(routes('-4', '10.244.1.0/24')).toMatchObject([{ type: 'blackhole' }]);
      // What changes while it is not there.
      await tor1.withdraw('203.0.113.0/24');
      const monitor = await watchDeletions(node, SHARED);
      await margay.start();
      await margay.established();
      await waitFor(() => gateways('-4', '203.0.113.0/24').length === 0, {
        what: 'the end of the route that nobody announces any more',
        timeout: 45_000,
      });
      await twoWays();
      expect(await monitor()).toEqual([]);
    });
  }

  test('says everything that is wrong with a configuration, a line each, and exits with 1', async () => {
    margay.write({ ...config, as: 0, routerId: 'x' });
    await margay.kill('SIGTERM');
    const failed = await margay.start().then(
      () => undefined,
      (error: Error) => error.message,
    );
    expect(failed).toContain('margay ended with 1');
    expect(failed).toMatch(/^error: .*routerId: found "x", expected/m);
    expect(failed).toMatch(/^error: .*as: found 0, expected an AS number/m);
    margay.write(config);
  });

  async function twoWays(): Promise<void> {
    await waitFor(() => isDeep(gateways('-4', SHARED), [TOR1, TOR2]), {
      what: 'two next hops',
      timeout: 45_000,
      details: () => margay.log.slice(-3000),
    });
  }

  function routes(family: '-4' | '-6', prefix: string): KernelRoute[] {
    return (node.ip(family, 'route', 'show', prefix) ?? []) as KernelRoute[];
  }

  /** Those of our protocol. */
  function gateways(family: '-4' | '-6', prefix: string): string[] {
    return routes(family, prefix)
      .filter(({ protocol }) => protocol === '109')
      .flatMap(({ gateway, nexthops }) => nexthops?.map((hop) => hop.gateway) ?? (gateway ? [gateway] : []))
      .sort();
  }
});

interface KernelRoute {
  readonly type?: string;
  readonly protocol?: string;
  readonly metric?: number;
  readonly gateway?: string;
  readonly nexthops?: readonly { readonly gateway: string }[];
}

function isDeep(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}

/** Notes deletions of a prefix from now on; the returned function ends that and says which there were. */
async function watchDeletions(ns: Netns, prefix: string): Promise<() => Promise<string[]>> {
  const lines = await watchRoutes(ns);
  return async () => (await lines()).filter((line) => line.startsWith(`Deleted ${prefix}`));
}

/** Notes changes of routes from when it resolves; the returned function ends that and says which there were up to then. */
async function watchRoutes(ns: Netns, ...options: string[]): Promise<() => Promise<string[]>> {
  const args = ['-o', ...options, 'monitor', 'route'];
  const child = ns.spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const told = (marker: string) =>
    waitFor(
      () => {
        ns.exec('ip', ['route', 'replace', 'blackhole', marker]);
        ns.exec('ip', ['route', 'del', 'blackhole', marker]);
        return text.includes(marker);
      },
      { what: 'the monitor to tell of a route' },
    );
  await told('203.0.113.1');
  return async () => {
    await told('203.0.113.2');
    child.kill('SIGTERM');
    await ended;
    return text.split('\n');
  };
}

function nodeConfig(exportToFirst: string): MargayConfig {
  const tor = {
    remoteAs: 65000,
    import: 'accept',
    export: 'own-prefixes',
    timers: { idleHold: 0.2, connectRetry: 1 },
  };
  return {
    routerId: '1.1.1.1',
    as: 64512,
    originate: [{ prefix: '10.244.1.0/24' }],
    peers: [
      { address: TOR1, ...tor, export: exportToFirst },
      { address: TOR2, ...tor },
      { address: 'fd00:1::2', ...tor },
      { address: 'fd00:2::2', ...tor },
    ],
    filters: {
      tagged: {
        statements: [
          { match: { sources: ['local'] }, set: { communities: { add: ['64512:5'] } }, action: 'accept' },
        ],
        otherwise: 'reject',
      },
    },
    kernel: { metric: 32 },
  };
}

function torDescription(i: number): PeerDescription {
  return {
    asn: 65000,
    routerId: `2.2.2.${i}`,
    neighbours: [
      { address: `10.0.${i}.1`, asn: 64512 },
      { address: `fd00:${i}::1`, asn: 64512 },
    ],
    announce: [{ prefix: SHARED }, { prefix: SHARED6 }],
  };
}
