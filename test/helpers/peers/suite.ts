import { expect, test } from 'vitest';
import { type NeighbourDescription, type PeerKind, UnsupportedByPeerError } from '#lab/peers/description.ts';
import { connect, createNetns, type Netns } from '../netns.ts';
import { requires } from '../requires.ts';
import { waitFor } from '../wait.ts';
import { launchPeer, peerTools } from './launch.ts';
import type { Peer } from './peer.ts';
import { A4, B4, twoNamespaces } from './topology.ts';

/** What each kind of peer has to do alike, shown in sessions with another kind. */
export function peerSuite(kind: PeerKind, other: PeerKind): void {
  test('announces, changes and withdraws routes while it runs', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, {}, {});
    await net.a.announce({ prefix: '192.0.2.0/24', communities: ['65001:1'] });
    await net.a.announce({ prefix: '203.0.113.0/24' });
    expect((await net.b.receives(A4, '192.0.2.0/24')).communities).toEqual(['65001:1']);
    await net.b.receives(A4, '203.0.113.0/24');
    await net.a.announce({ prefix: '192.0.2.0/24', communities: ['65001:2'] });
    await waitFor(async () => (await net.b.receives(A4, '192.0.2.0/24')).communities[0] === '65001:2', {
      what: 'the changed community',
    });
    await net.a.withdraw('192.0.2.0/24');
    await waitFor(async () => (await net.b.received(A4, 'ipv4')).length === 1, { what: 'the withdrawal' });
    expect((await net.b.received(A4, 'ipv4'))[0]!.prefix).toBe('203.0.113.0/24');
  });

  test('announces another next hop than itself', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, {}, {});
    await net.a.announce({ prefix: '192.0.2.0/24', nextHop: '10.0.0.77' });
    expect((await net.b.receives(A4, '192.0.2.0/24')).nextHop).toBe('10.0.0.77');
  });

  test('is up with the right password, and not with a wrong one', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, { password: 'secret' }, { password: 'secret' });
    expect((await net.a.neighbour(B4)).state).toBe('established');
    await net.b.stop();
    await using wrong = await launchPeer(other, net.b.netns, {
      ...net.b.description,
      neighbours: [{ address: A4, asn: 65001, password: 'other' }],
    });
    const refused = () => md5Failures(net.a.netns) + md5Failures(net.b.netns);
    await waitFor(() => refused() > 0, { what: 'segments that the kernel refuses' });
    expect((await wrong.neighbour(A4)).state).not.toBe('established');
  });

  test('waits for the neighbour when it is passive', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, { passive: true }, {});
    const connections = net.a.netns.exec('ss', ['-Htn', 'state', 'established', 'sport', '=', ':179']);
    expect(connections).toContain(`${A4}:179`);
  });

  test('holds sessions with TTL security', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, { ttlSecurity: 1 }, { ttlSecurity: 1 });
    expect((await net.b.neighbour(A4)).state).toBe('established');
  });

  test('holds sessions over several hops', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    using net = twoNamespaces();
    const addresses = ['10.1.0.1', '10.1.0.2'] as const;
    for (const [index, ns] of [net.a, net.b].entries()) {
      ns.exec('ip', ['address', 'add', `${addresses[index]}/32`, 'dev', 'lo']);
      ns.exec('ip', ['route', 'add', addresses[1 - index]!, 'via', index === 0 ? B4 : A4]);
    }
    const neighbour = (index: number): NeighbourDescription => ({
      address: addresses[1 - index]!,
      asn: 65002 - index,
      localAddress: addresses[index]!,
      multihop: 5,
    });
    await using a = await launchPeer(kind, net.a, {
      asn: 65001,
      routerId: '1.1.1.1',
      neighbours: [neighbour(0)],
    });
    await using b = await launchPeer(other, net.b, {
      asn: 65002,
      routerId: '2.2.2.2',
      neighbours: [neighbour(1)],
    });
    await Promise.all([a.established(), b.established()]);
  });

  test('ends a session that brings too many prefixes', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, { maxPrefixes: 2 }, {});
    await net.b.announce({ prefix: '192.0.2.0/26' }, { prefix: '192.0.2.64/26' });
    await net.a.receives(B4, '192.0.2.64/26');
    await net.b.announce({ prefix: '192.0.2.128/26' });
    await waitFor(async () => (await net.a.neighbour(B4)).state !== 'established', {
      what: 'the end of the session',
    });
  });

  test('reflects routes between its internal clients', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    using net = twoNamespaces();
    using c = createNetns();
    connect({ netns: net.a, addresses: ['10.0.1.1/24'] }, { netns: c, addresses: ['10.0.1.2/24'] });
    c.exec('ip', ['route', 'add', '10.0.0.0/24', 'via', '10.0.1.1']);
    const client = (address: string) => ({ address, asn: 65001, routeReflectorClient: true });
    await using reflector = await launchPeer(kind, net.a, {
      asn: 65001,
      routerId: '1.1.1.1',
      clusterId: '9.9.9.9',
      neighbours: [client(B4), client('10.0.1.2')],
    });
    await using _b = await launchPeer(other, net.b, {
      asn: 65001,
      routerId: '2.2.2.2',
      neighbours: [{ address: A4, asn: 65001 }],
      announce: [{ prefix: '192.0.2.0/24', localPreference: 250 }],
    });
    await using d = await launchPeer(other, c, {
      asn: 65001,
      routerId: '3.3.3.3',
      neighbours: [{ address: '10.0.1.1', asn: 65001 }],
    });
    await reflector.established();
    expect(await d.receives('10.0.1.1', '192.0.2.0/24')).toMatchObject({
      asPath: '',
      nextHop: B4,
      localPreference: 250,
      originatorId: '2.2.2.2',
      clusterList: ['9.9.9.9'],
    });
  });

  test('can be shut down and enabled, and asked to be sent all routes again', async (ctx) => {
    requires(ctx, ...peerTools(kind, other));
    await using net = await session(kind, other, {}, {});
    await net.b.announce({ prefix: '192.0.2.0/24' });
    await net.a.receives(B4, '192.0.2.0/24');
    await net.a.refresh(B4);
    await net.a.setEnabled(B4, false);
    await waitFor(async () => (await net.b.neighbour(A4)).state !== 'established', { what: 'the shutdown' });
    await waitFor(async () => (await net.a.received(B4, 'ipv4')).length === 0, {
      what: 'the end of its routes',
    });
    await net.a.setEnabled(B4, true);
    await net.a.receives(B4, '192.0.2.0/24', 20_000);
  });

  test('says what is wrong when it can not start, and leaves nothing behind', async (ctx) => {
    requires(ctx, ...peerTools(kind));
    using ns = createNetns();
    const broken = launchPeer(kind, ns, { asn: 65001, routerId: 'no address', neighbours: [] });
    await expect(broken).rejects.toThrow(new RegExp(`^${kind} does not start:\\n[\\s\\S]*\\w`));
    expect(ns.processes()).toEqual([]);
  });

  if (kind === 'gobgpd') {
    test('refuses by name what it has no setting for', async () => {
      using ns = createNetns();
      const description = { asn: 65001, routerId: '1.1.1.1', neighbours: [], installRoutes: true };
      const refused = launchPeer(kind, ns, description);
      await expect(refused).rejects.toThrow(new UnsupportedByPeerError(kind, 'installRoutes'));
    });
    return;
  }

  test('puts what it selects into the kernel, over several next hops', async (ctx) => {
    requires(ctx, ...peerTools(kind, 'bird'));
    using net = twoNamespaces();
    using c = createNetns();
    connect({ netns: net.a, addresses: ['10.0.1.1/24'] }, { netns: c, addresses: ['10.0.1.2/24'] });
    await using a = await launchPeer(kind, net.a, {
      asn: 65001,
      routerId: '1.1.1.1',
      ecmp: 4,
      installRoutes: true,
      neighbours: [
        { address: B4, asn: 65002 },
        { address: '10.0.1.2', asn: 65002 },
      ],
    });
    const shared = { asn: 65002, announce: [{ prefix: '192.0.2.0/24' }] };
    await using b = await launchPeer('bird', net.b, {
      ...shared,
      routerId: '2.2.2.2',
      neighbours: [{ address: A4, asn: 65001 }],
    });
    await using d = await launchPeer('bird', c, {
      ...shared,
      routerId: '3.3.3.3',
      neighbours: [{ address: '10.0.1.1', asn: 65001 }],
    });
    await Promise.all([a.established(), b.established(), d.established()]);
    const gateways = await waitFor(
      () => {
        const [route] = net.a.ip('route', 'show', '192.0.2.0/24') as { nexthops?: { gateway: string }[] }[];
        return route?.nexthops?.map(({ gateway }) => gateway).sort();
      },
      { what: 'a route over both next hops' },
    );
    expect(gateways).toEqual([B4, '10.0.1.2']);
  });
}

/** An established IPv4 session between AS 65001 (a) and AS 65002 (b). */
async function session(
  kindA: PeerKind,
  kindB: PeerKind,
  settingsA: Partial<NeighbourDescription>,
  settingsB: Partial<NeighbourDescription>,
): Promise<{ a: Peer; b: Peer } & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  try {
    const net = stack.use(twoNamespaces());
    const a = stack.use(
      await launchPeer(kindA, net.a, {
        asn: 65001,
        routerId: '1.1.1.1',
        neighbours: [{ address: B4, asn: 65002, ...settingsA }],
      }),
    );
    const b = stack.use(
      await launchPeer(kindB, net.b, {
        asn: 65002,
        routerId: '2.2.2.2',
        neighbours: [{ address: A4, asn: 65001, ...settingsB }],
      }),
    );
    await Promise.all([a.established(), b.established()]);
    return { a, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Segments that the kernel dropped for their MD5 signature. */
function md5Failures(ns: Netns): number {
  const [names, values] = ns
    .exec('cat', ['/proc/net/netstat'])
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  const at = (name: string) => Number(values![names!.indexOf(name)]);
  return at('TCPMD5Failure') + at('TCPMD5NotFound') + at('TCPMD5Unexpected');
}
