import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KernelEvent, KernelRoutes, type Target, type TargetFeed } from '#bgp/kernel/kernel-routes.ts';
import type { Way } from '#bgp/kernel/next-hop-resolver.ts';
import type { Resolution } from '#bgp/rib/next-hops.ts';
import { ipv6Words, parseAddress, parsePrefix, readU32 } from '#kernel/ip.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';

const PROTOCOL = 80;
/**
 * A machine at rest takes well under a second; a busy one needs that for `ip` alone. Nothing but a notification leads to
 * a repair, so that more time hides no other way. Milliseconds.
 */
const PUT_RIGHT = 30_000;

/** What a test wants to be in the kernel, as a feed. */
class Wishes implements TargetFeed {
  #changes: [string, Target][] = [];

  want(prefix: string, target: Target): void {
    this.#changes.push([prefix, target]);
  }

  take(limit: number, visit: Parameters<TargetFeed['take']>[1]): number {
    const taken = this.#changes.splice(0, limit);
    for (const [prefix, target] of taken) {
      const { address, length } = parsePrefix(prefix);
      if (address.length === 4) visit(readU32(address) | 0, 0, 0, 0, length, target);
      else visit(...ipv6Words(address), length, target);
    }
    return taken.length;
  }
}

interface Shown {
  dst: string;
  gateway?: string;
  dev?: string;
  type?: string;
  metric?: number;
  protocol: string;
  nexthops?: { gateway?: string; dev: string; weight: number }[];
}

describe('routes of the speaker in the kernel', () => {
  let node: Netns;
  let tor: Netns;
  let inside: NetworkNamespace;
  let events: KernelEvent[];
  const open: KernelRoutes[] = [];

  beforeEach(() => {
    node = createNetns();
    tor = createNetns();
    for (const [i, name] of ['up0', 'up1'].entries()) {
      connect(
        { netns: node, name, addresses: [`192.0.2.${i * 16 + 1}/28`, `2001:db8:${i}::1/64`] },
        { netns: tor, name: `down${i}`, addresses: [`192.0.2.${i * 16 + 2}/28`, `2001:db8:${i}::2/64`] },
      );
    }
    inside = NetworkNamespace.named(node.name);
    events = [];
  });

  afterEach(async () => {
    for (const kernel of open.splice(0)) await kernel.close();
    inside.close();
    node[Symbol.dispose]();
    tor[Symbol.dispose]();
  });

  function start(
    setResolution: (id: number, resolution: Resolution) => void = () => {},
    metric = 32,
  ): KernelRoutes {
    const kernel = new KernelRoutes({
      namespace: inside,
      families: [4, 6],
      table: 254,
      protocol: PROTOCOL,
      metric,
      seed: 1,
      onEvent: (event) => events.push(event),
    });
    open.push(kernel);
    kernel.start(setResolution);
    return kernel;
  }

  let tracked = 0;
  /** Tracks a next hop; its resolution is in the map that `start` was given a writer of. */
  function track(kernel: KernelRoutes, address: string): number {
    const id = ++tracked;
    const bytes = parseAddress(address);
    kernel.resolver.added(id, { family: bytes.length === 4 ? 4 : 6, bytes }, 0);
    return id;
  }

  function way(kernel: KernelRoutes, address: string, resolutions: Map<number, Resolution>): Way {
    const resolution = resolutions.get(track(kernel, address))!;
    expect(resolution.reachable).toBe(true);
    return resolution.gateway as Way;
  }

  const ours = (...more: string[]): Shown[] =>
    (node.ip(...more, 'route', 'show', 'proto', String(PROTOCOL)) as Shown[] | undefined) ?? [];
  const text = (route: Shown): string => {
    const hops =
      route.nexthops ?? (route.gateway === undefined ? [] : [{ gateway: route.gateway, dev: route.dev }]);
    return `${route.type === 'blackhole' ? 'blackhole ' : ''}${route.dst} ${hops.map((h) => `${h.gateway}%${h.dev}`).join(' ')}`.trim();
  };
  const shown = (): string[] => [...ours(), ...ours('-6')].map(text).sort();

  test('routes go in, change, and go; ECMP is one route with several next hops; a blackhole needs none', () => {
    const resolutions = new Map<number, Resolution>();
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const a = way(kernel, '192.0.2.2', resolutions);
    const b = way(kernel, '192.0.2.18', resolutions);
    const a6 = way(kernel, '2001:db8:0::2', resolutions);
    const wishes4 = new Wishes();
    const wishes6 = new Wishes();
    wishes4.want('10.1.0.0/24', [a]);
    wishes4.want('10.2.0.0/24', [b, a]);
    wishes4.want('10.3.0.0/24', 'blackhole');
    wishes6.want('2001:db8:a::/48', [a6]);
    expect(kernel.process(4, wishes4, 100)).toBe(3);
    expect(kernel.process(6, wishes6, 100)).toBe(1);
    expect(shown()).toEqual([
      '10.1.0.0/24 192.0.2.2%up0',
      '10.2.0.0/24 192.0.2.18%up1 192.0.2.2%up0',
      '2001:db8:a::/48 2001:db8::2%up0',
      'blackhole 10.3.0.0/24',
    ]);
    expect(ours()[0]).toMatchObject({ metric: 32 });
    wishes4.want('10.1.0.0/24', [b]);
    wishes4.want('10.2.0.0/24', undefined);
    kernel.process(4, wishes4, 100);
    expect(shown()).toEqual([
      '10.1.0.0/24 192.0.2.18%up1',
      '2001:db8:a::/48 2001:db8::2%up0',
      'blackhole 10.3.0.0/24',
    ]);
    expect(kernel.counters).toMatchObject({ desired: 3, installed: 3, refused: 0, repaired: 0 });
    expect(events).toEqual([]);
  });

  test('what others remove or change of ours is put right; routes of others are not touched', async () => {
    const resolutions = new Map<number, Resolution>();
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const a = way(kernel, '192.0.2.2', resolutions);
    const a6 = way(kernel, '2001:db8:0::2', resolutions);
    const b6 = way(kernel, '2001:db8:1::2', resolutions);
    const wishes4 = new Wishes();
    const wishes6 = new Wishes();
    for (let i = 0; i < 500; i++) wishes4.want(`10.${i >> 8}.${i & 255}.0/24`, [a]);
    wishes6.want('2001:db8:a::/48', [a6, b6]);
    kernel.process(4, wishes4, 1000);
    kernel.process(6, wishes6, 1000);
    const before = shown();
    expect(before).toHaveLength(501);
    node.exec('ip', ['route', 'add', '10.99.0.0/24', 'via', '192.0.2.2']);

    node.exec('ip', ['route', 'flush', 'proto', String(PROTOCOL)]);
    await waitFor(() => shown().length === 501, { what: 'flushed routes to be back', timeout: PUT_RIGHT });
    node.exec('ip', [
      'route',
      'replace',
      '10.0.7.0/24',
      'via',
      '192.0.2.18',
      'metric',
      '32',
      'proto',
      String(PROTOCOL),
    ]);
    node.exec('ip', ['-6', 'route', 'del', '2001:db8:a::/48', 'via', '2001:db8:1::2']);
    await waitFor(() => JSON.stringify(shown()) === JSON.stringify(before), {
      what: 'changed routes to be right',
      timeout: PUT_RIGHT,
    });
    node.exec('ip', [
      'route',
      'add',
      '10.0.7.128/25',
      'via',
      '192.0.2.2',
      'proto',
      String(PROTOCOL),
      'metric',
      '32',
    ]);
    expect(kernel.counters.repaired).toBeGreaterThanOrEqual(502);
    expect((node.ip('route', 'show', '10.99.0.0/24') as Shown[]).map(text)).toEqual([
      '10.99.0.0/24 192.0.2.2%up0',
    ]);
  });

  test("another's route in the place of ours is reported and left alone; ours goes in when it is gone", async () => {
    const resolutions = new Map<number, Resolution>();
    node.exec('ip', ['route', 'add', '10.1.0.0/24', 'via', '192.0.2.18', 'metric', '32', 'proto', 'static']);
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const wishes = new Wishes();
    wishes.want('10.1.0.0/24', [way(kernel, '192.0.2.2', resolutions)]);
    kernel.process(4, wishes, 100);
    expect(events).toMatchObject([{ kind: 'refused', taken: true, failure: { destination: '10.1.0.0/24' } }]);
    expect(kernel.lastError).toContain('10.1.0.0/24');
    expect(shown()).toEqual([]);
    node.exec('ip', ['route', 'del', '10.1.0.0/24', 'proto', 'static']);
    await waitFor(() => shown()[0] === '10.1.0.0/24 192.0.2.2%up0', { what: 'our route' });
    await waitFor(() => kernel.lastError === '', { what: 'the fault to be over' });
  });

  test('a new start keeps what an earlier run left until the tables have converged', async () => {
    const resolutions = new Map<number, Resolution>();
    const first = start((id, resolution) => resolutions.set(id, resolution));
    const wishes = new Wishes();
    const a = way(first, '192.0.2.2', resolutions);
    for (const prefix of ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24']) wishes.want(prefix, [a]);
    first.process(4, wishes, 100);
    await first.close();
    expect(shown()).toHaveLength(3);

    const second = start((id, resolution) => resolutions.set(id, resolution));
    const again = way(second, '192.0.2.2', resolutions);
    const other = way(second, '192.0.2.18', resolutions);
    wishes.want('10.1.0.0/24', [again]);
    wishes.want('10.2.0.0/24', [other]);
    second.process(4, wishes, 100);
    expect(shown()).toEqual([
      '10.1.0.0/24 192.0.2.2%up0',
      '10.2.0.0/24 192.0.2.18%up1',
      '10.3.0.0/24 192.0.2.2%up0',
    ]);
    expect(second.converged()).toBe(1);
    expect(shown()).toEqual(['10.1.0.0/24 192.0.2.2%up0', '10.2.0.0/24 192.0.2.18%up1']);
  });

  test('what an earlier run left with another metric goes too, and nothing of others', async () => {
    const resolutions = new Map<number, Resolution>();
    const set = (id: number, resolution: Resolution) => resolutions.set(id, resolution);
    const first = start(set, 20);
    const wishes = new Wishes();
    wishes.want('10.1.0.0/24', [way(first, '192.0.2.2', resolutions)]);
    wishes.want('10.2.0.0/24', 'blackhole');
    first.process(4, wishes, 100);
    const [one, two] = ['2001:db8::2', '2001:db8:1::2'].map((each) => way(first, each, resolutions));
    wishes.want('fd00:1::/64', [one!, two!]);
    first.process(6, wishes, 100);
    await first.close();
    expect(shown()).toHaveLength(3);
    node.exec('ip', ['route', 'add', '10.1.0.0/24', 'via', '192.0.2.2', 'proto', 'static', 'metric', '25']);

    const second = start(set);
    wishes.want('10.1.0.0/24', [way(second, '192.0.2.18', resolutions)]);
    second.process(4, wishes, 100);
    expect(shown()).toHaveLength(4);
    expect(second.converged()).toBe(3);
    expect(shown()).toEqual(['10.1.0.0/24 192.0.2.18%up1']);
    expect(node.ip('route', 'show', 'proto', 'static')).toMatchObject([{ dst: '10.1.0.0/24', metric: 25 }]);
  });

  test('a next hop behind a link that goes down is unreachable, and reachable when it is up again', async () => {
    const resolutions = new Map<number, Resolution>();
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const id = track(kernel, '192.0.2.2');
    const behind = track(kernel, '198.51.100.1');
    expect(resolutions.get(id)).toMatchObject({ reachable: true, metric: 0 });
    expect(resolutions.get(behind)!.reachable).toBe(false);
    node.exec('ip', ['route', 'add', '198.51.100.0/24', 'via', '192.0.2.18', 'metric', '7']);
    await waitFor(() => resolutions.get(behind)!.reachable, { what: 'a static route to the next hop' });
    expect(resolutions.get(behind)).toMatchObject({
      metric: 7,
      gateway: { nextHops: [{ gateway: '192.0.2.18' }] },
    });
    tor.exec('ip', ['link', 'set', 'down0', 'down']);
    await waitFor(() => !resolutions.get(id)!.reachable, { what: 'the loss of the link' });
    tor.exec('ip', ['link', 'set', 'down0', 'up']);
    await waitFor(() => resolutions.get(id)!.reachable, { what: 'the link to be back' });
    node.exec('ip', ['link', 'set', 'up1', 'down']);
    await waitFor(() => !resolutions.get(behind)!.reachable, { what: 'the loss of the static route' });
  });

  test('when notifications were lost, all is read again, and what others did meanwhile is put right', async () => {
    const resolutions = new Map<number, Resolution>();
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const wishes = new Wishes();
    wishes.want('198.51.100.0/24', [way(kernel, '192.0.2.2', resolutions)]);
    kernel.process(4, wishes, 10);
    // More than the thread that listens may hand over unread, and than its socket holds, while this thread is blocked.
    const hops = ' nexthop via 192.0.2.18 dev up1'.repeat(32);
    const flood = Array.from({ length: 28_000 }, (_, i) => {
      return `route add 100.64.${i >>> 8}.${i & 255}/32 table 99${hops}\n`;
    });
    node.exec('ip', ['-batch', '-'], { input: `${flood.join('')}route del 198.51.100.0/24\n` });
    await waitFor(() => events.some(({ kind }) => kind === 'overflow'), {
      what: 'overflow',
      timeout: PUT_RIGHT,
    });
    await waitFor(() => shown().includes('198.51.100.0/24 192.0.2.2%up0'), {
      what: 'our route again',
      timeout: PUT_RIGHT,
    });
  }, 150_000);

  test('IPv4 routes that went with their link come back with it', async () => {
    const resolutions = new Map<number, Resolution>();
    const kernel = start((id, resolution) => resolutions.set(id, resolution));
    const wishes = new Wishes();
    wishes.want('10.1.0.0/24', [way(kernel, '192.0.2.2', resolutions)]);
    kernel.process(4, wishes, 100);
    node.exec('ip', ['link', 'set', 'up0', 'down']);
    expect(shown()).toEqual([]);
    node.exec('ip', ['link', 'set', 'up0', 'up']);
    await waitFor(() => shown().length === 1, { what: 'the route' });
  });

  test.each([
    ['127.0.0.0/8', 'loopback'],
    ['127.1.2.3/32', 'loopback'],
    ['224.0.0.0/4', 'multicast'],
    ['fe80::/64', 'link-local'],
    ['::1/128', 'loopback'],
    ['10.244.1.0/24', 'within a prefix of this node'],
    ['10.244.1.77/32', 'within a prefix of this node'],
    ['2001:db8:f:1::/64', 'within a prefix of this node'],
    ['192.0.2.1/32', 'an address of this host'],
    ['2001:db8::1/128', 'an address of this host'],
    ['192.0.2.0/28', 'a subnet of this host'],
    ['2001:db8:1::/64', 'a subnet of this host'],
    ['0.0.0.0/0', 'nothing wrong with it'],
    ['::/0', 'nothing wrong with it'],
    ['10.244.0.0/16', 'nothing wrong with it'],
    ['10.244.2.0/24', 'nothing wrong with it'],
    ['192.0.2.0/24', 'nothing wrong with it'],
    ['192.0.2.2/32', 'nothing wrong with it'],
    ['2001:db8:f:2::/64', 'nothing wrong with it'],
  ])('a neighbour that announces %s: %s', (prefix, expected) => {
    const { guard } = start();
    guard.setOwn([
      { words: [0x0af40100], length: 24 },
      { words: [0x20010db8, 0x000f0001, 0, 0], length: 64 },
    ]);
    const { address, length } = parsePrefix(prefix);
    const found = guard.refuses(address, length);
    expect(found ?? 'nothing wrong with it').toContain(expected);
  });

  test('what this host gets or loses, the guard is asked about again, also after a link was down', async () => {
    const kernel = new KernelRoutes({
      namespace: inside,
      families: [4, 6],
      table: 254,
      protocol: PROTOCOL,
      metric: 32,
      seed: 1,
      onEvent: (event) => events.push(event),
    });
    open.push(kernel);
    const told = new Set<string>();
    kernel.start(
      () => {},
      (prefixes) => {
        for (const prefix of prefixes) told.add(prefix);
      },
    );
    const { address, length } = parsePrefix('198.51.100.0/24');
    expect(kernel.guard.refuses(address, length)).toBeUndefined();
    node.exec('ip', ['address', 'add', '198.51.100.1/24', 'dev', 'up0']);
    await waitFor(() => told.has('198.51.100.0/24') && told.has('198.51.100.1/32'), {
      what: 'the new subnet and address',
      timeout: PUT_RIGHT,
    });
    expect(kernel.guard.refuses(address, length)).toContain('subnet of this host');
    told.clear();
    node.exec('ip', ['link', 'set', 'up0', 'down']);
    await waitFor(() => told.has('198.51.100.0/24') && told.has('2001:db8::/64'), {
      what: 'the end of them',
      timeout: PUT_RIGHT,
      details: () => [...told].join(' '),
    });
    expect(kernel.guard.refuses(address, length)).toBeUndefined();
  });
});
