/**
 * The speaker against one real BGP daemon at a time, with many sessions between the same two namespaces: each pair of addresses
 * is a session of its own. docs/bgp-interop.md has which daemon shows what.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type NeighbourDescription, PEER_KINDS, type PeerKind } from '#lab/peers/description.ts';
import { margay as generated } from '#proto/generated/bgp.js';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import type { Peer } from '#test/helpers/peers/peer.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay, type Margay, type MargayConfig, md5Failures } from './margay.ts';

const v1 = generated.bgp.v1;

/** Needs four octets. */
const AS = 4200000001;
const PEER_AS = 4200000002;

/** Sessions by the third number of their addresses: 10.0.N.1 is ours, 10.0.N.2 the peer's. */
const PLAIN = 0;
const SECRET = 1;
const WRONG_SECRET = 2;
const GTSM = 3;
const LIMITED = 4;
const NO_POLICY = 5;
const DYNAMIC = 6;
const MIXED = 7;
const OURS = (n: number): string => `10.0.${n}.1`;
const THEIRS = (n: number): string => `10.0.${n}.2`;
const OUR_LOOPBACK = '10.255.0.1';
const THEIR_LOOPBACK = '10.255.0.2';
const OURS6 = 'fd00::1';
const THEIRS6 = 'fd00::2';

const BOTH = ['ipv4-unicast', 'ipv6-unicast'];

for (const kind of PEER_KINDS) {
  describe(`against ${kind}`, () => {
    const needs = peerTools(kind);
    beforeEach((ctx) => requires(ctx, ...needs));
    const stack = new AsyncDisposableStack();
    let a: Netns;
    let b: Netns;
    let margay: Margay;
    let peer: Peer;

    beforeAll(async () => {
      if (missing(...needs) !== undefined) return;
      a = stack.use(createNetns());
      b = stack.use(createNetns());
      const subnets = [PLAIN, SECRET, WRONG_SECRET, GTSM, LIMITED, NO_POLICY, DYNAMIC, MIXED];
      connect(
        { netns: a, addresses: [...subnets.map((n) => `${OURS(n)}/24`), `${OURS6}/64`] },
        { netns: b, addresses: [...subnets.map((n) => `${THEIRS(n)}/24`), `${THEIRS6}/64`] },
      );
      a.exec('ip', ['address', 'add', `${OUR_LOOPBACK}/32`, 'dev', 'lo']);
      b.exec('ip', ['address', 'add', `${THEIR_LOOPBACK}/32`, 'dev', 'lo']);
      a.exec('ip', ['route', 'add', THEIR_LOOPBACK, 'via', THEIRS(PLAIN)]);
      b.exec('ip', ['route', 'add', OUR_LOOPBACK, 'via', OURS(PLAIN)]);
      margay = stack.use(await launchMargay(a, margayConfig(kind)));
      peer = stack.use(await launchPeer(kind, b, peerDescription(kind)));
    }, 150_000);

    afterAll(() => stack.disposeAsync());

    test('sessions over IPv4 and IPv6, with MD5, GTSM, over several hops, from a prefix; none with another password', async () => {
      const up = [PLAIN, SECRET, GTSM, LIMITED, NO_POLICY, DYNAMIC, MIXED].map(THEIRS);
      await margay.established(...up, THEIRS6, THEIR_LOOPBACK);
      await waitFor(() => md5Failures(a) > 0, { what: 'segments with the wrong key', timeout: 45_000 });
      expect(await margay.state(THEIRS(WRONG_SECRET))).not.toBe('ESTABLISHED');
      const plain = await margay.neighbor(THEIRS(PLAIN));
      expect(plain).toMatchObject({ remoteAs: PEER_AS, remoteRouterId: '2.2.2.2', type: 'ebgp' });
      expect(plain.timers).toMatchObject({ holdNegotiated: 30, keepalive: 10 });
      expect(plain.capabilitiesReceived).toContain(`four-octet-as ${PEER_AS}`);
      expect(await margay.neighbor(THEIRS(DYNAMIC))).toMatchObject({ dynamic: true });
      const { prefixes } = await margay.api.listNeighbors({});
      expect(prefixes).toMatchObject([
        { prefix: '10.0.6.0/24', remoteAs: String(PEER_AS), limit: 100, neighbors: 1, established: 1 },
      ]);
      expect(await margay.cli('neighbors')).toMatch(
        new RegExp(`^10\\.0\\.6\\.0/24 +${PEER_AS} +1 of 100 at most +1$`, 'm'),
      );
      await peer.established(OURS(PLAIN));
      expect(await peer.neighbour(OURS(PLAIN))).toMatchObject({
        asn: AS,
        routerId: '1.1.1.1',
        holdTime: 30,
      });
    });

    test('routes in both directions and both families, with their attributes, into the kernel too', async () => {
      const path = await margay.path('198.51.100.0/24', THEIRS(PLAIN));
      expect(path).toMatchObject({ source: 'ebgp', nextHopReachable: true });
      expect(path.attributes).toMatchObject({
        origin: 'igp',
        asPath: String(PEER_AS),
        nextHop: THEIRS(PLAIN),
        med: 5,
        communities: ['7:7'],
        largeCommunities: [`${PEER_AS}:1:2`],
      });
      const six = await margay.path('2001:db8:b::/48', THEIRS6);
      expect(six.attributes).toMatchObject({ asPath: `${PEER_AS} 65010`, nextHop: THEIRS6 });
      expect(await peer.receives(OURS(PLAIN), '192.0.2.0/24')).toMatchObject({
        nextHop: OURS(PLAIN),
        asPath: String(AS),
        communities: ['64512:1'],
        largeCommunities: [`${AS}:3:4`],
      });
      expect(await peer.receives(OURS6, '2001:db8:a::/48')).toMatchObject({
        nextHop: OURS6,
        asPath: String(AS),
      });
      // By the link-local address where the peer gives one (RFC 2545 section 3), which it may not do on all sessions.
      const gateways = () => kernelRoutes(a, '-6', '2001:db8:b::/48').map(({ gateway }) => gateway);
      const expected = kind === 'gobgpd' ? /^fd00::2$/ : /^fe80::/;
      await waitFor(() => gateways().length === 1 && expected.test(gateways()[0] ?? ''), {
        what: 'the IPv6 route in the kernel',
        details: () => JSON.stringify(gateways()),
      });
      await waitFor(() => kernelRoutes(a, '-4', '192.0.2.0/24').length === 1, {
        what: 'our blackhole route',
      });
      expect(kernelRoutes(a, '-4', '192.0.2.0/24')).toMatchObject([{ type: 'blackhole', protocol: '109' }]);
    });

    test('IPv6 routes over an IPv4 session, and IPv4 routes over an IPv6 session', async () => {
      expect(await peer.receives(OURS(MIXED), '2001:db8:a::/48')).toMatchObject({ nextHop: OURS6 });
      const six = await margay.path('2001:db8:b::/48', THEIRS(MIXED));
      expect(six.attributes).toMatchObject({ asPath: `${PEER_AS} 65010` });
      if (kind === 'gobgpd') {
        // Its IPv4 address, mapped, to which there is no way. And of IPv4 routes it gives an IPv6 address as next hop over an
        // IPv6 session, which RFC 8950 allows only where it was agreed on.
        expect(six).toMatchObject({
          rejectedByFilter: true,
          decision: 'the next hop is in no subnet shared with the neighbour',
          attributes: { nextHop: `::ffff:${THEIRS(MIXED)}` },
        });
        return;
      }
      expect(six).toMatchObject({ rejectedByFilter: false, attributes: { nextHop: THEIRS6 } });
      const four = await peer.receives(OURS6, '192.0.2.0/24');
      expect(four.nextHop).toMatch(/^10\.0\.\d\.1$/);
      await margay.path('198.51.100.0/24', THEIRS6);
    });

    test('changes and withdrawals in both directions', async () => {
      await peer.announce({ prefix: '203.0.113.0/24', communities: ['7:1'] }, { prefix: '2001:db8:b1::/48' });
      await margay.path('203.0.113.0/24', THEIRS(PLAIN));
      await margay.path('2001:db8:b1::/48', THEIRS6);
      await peer.announce({ prefix: '203.0.113.0/24', communities: ['7:2'] });
      await margay.path(
        '203.0.113.0/24',
        THEIRS(PLAIN),
        ({ attributes }) => attributes?.communities?.[0] === '7:2',
      );
      await peer.withdraw('203.0.113.0/24', '2001:db8:b1::/48');
      await margay.gone('203.0.113.0/24', THEIRS(PLAIN));
      await margay.gone('2001:db8:b1::/48', THEIRS6);
      await waitFor(() => kernelRoutes(a, '-6', '2001:db8:b1::/48').length === 0, {
        what: 'the end of the kernel route',
      });

      const mine = { prefix: '192.0.2.128/25', med: 9 };
      await margay.api.advertise({ routes: [mine, { prefix: '2001:db8:a1::/48' }] });
      expect(await peer.receives(OURS(PLAIN), mine.prefix)).toMatchObject({ med: 9 });
      await peer.receives(OURS6, '2001:db8:a1::/48');
      await margay.api.advertise({ routes: [{ ...mine, med: 10 }] });
      await waitFor(async () => (await peer.receives(OURS(PLAIN), mine.prefix)).med === 10, {
        what: 'the changed MED',
      });
      await margay.api.withdraw({ prefixes: [mine.prefix, '2001:db8:a1::/48'] });
      await waitFor(
        async () => {
          const routes = [
            ...(await peer.received(OURS(PLAIN), 'ipv4')),
            ...(await peer.received(OURS6, 'ipv6')),
          ];
          return !routes.some(({ prefix }) => prefix === mine.prefix || prefix === '2001:db8:a1::/48');
        },
        { what: 'the withdrawals' },
      );
    });

    test('communities of all kinds, there and back; the well-known ones are obeyed', async (ctx) => {
      // What we send on one session comes back on another one, which lets our own AS in once.
      if (kind !== 'gobgpd') {
        const back = await margay.path('192.0.2.0/24', THEIRS(SECRET));
        expect(back.attributes).toMatchObject({
          asPath: `${PEER_AS} ${AS}`,
          communities: ['64512:1'],
          largeCommunities: [`${AS}:3:4`],
          extendedCommunities: ['rt:64512:100', 'soo:192.0.2.1:5'],
        });
      }
      // FRR does not send its own route with this community to another AS; gobgpd and BIRD do.
      if (kind === 'frr') return;
      await peer.announce({ prefix: '203.0.113.64/26', communities: ['65535:65281'] });
      await margay.path('203.0.113.64/26', THEIRS(PLAIN));
      await peer.announce({ prefix: '203.0.113.128/26' });
      await waitFor(async () => (await sentTo(THEIRS(SECRET))).includes('203.0.113.128/26'), {
        what: 'the route without a community is passed on',
      });
      expect(await sentTo(THEIRS(SECRET))).not.toContain('203.0.113.64/26');
      await peer.withdraw('203.0.113.64/26', '203.0.113.128/26');
      if (kind === 'gobgpd') ctx.skip('gobgpd does not send a path back to the AS that is in it');
    });

    test('route refresh, asked for by either side', async () => {
      const before = await margay.neighbor(THEIRS(PLAIN));
      await margay.api.resetNeighbor({ address: THEIRS(PLAIN), kind: 3 });
      await waitFor(
        async () => {
          const { sent, received } = await margay.neighbor(THEIRS(PLAIN));
          return sent!.refreshes! > before.sent!.refreshes! && received!.updates! > before.received!.updates!;
        },
        { what: 'the routes again' },
      );
      await margay.path('198.51.100.0/24', THEIRS(PLAIN), ({ stale }) => stale !== true);
      await peer.refresh(OURS(PLAIN));
      // FRR and gobgpd keep what they have received, so they need not ask.
      if (kind === 'bird') {
        await waitFor(
          async () => {
            const { sent, received } = await margay.neighbor(THEIRS(PLAIN));
            return (
              received!.refreshes! > before.received!.refreshes! && sent!.updates! > before.sent!.updates!
            );
          },
          { what: 'our routes again' },
        );
      }
      await peer.receives(OURS(PLAIN), '192.0.2.0/24');
      expect((await margay.neighbor(THEIRS(PLAIN))).flaps).toBe(0);
    });

    test('attributes that need an extended message reach whoever understands it, and nobody else', async () => {
      const largeCommunities = Array.from({ length: 400 }, (_, i) => `${AS}:9:${i}`);
      await margay.api.advertise({ routes: [{ prefix: '192.0.2.64/26', largeCommunities }] });
      if (kind === 'gobgpd') {
        await waitFor(async () => (await margay.paths('192.0.2.64/26')).length === 1, {
          what: 'our route',
        });
        expect(await sentTo(THEIRS(PLAIN))).not.toContain('192.0.2.64/26');
      } else {
        // One more by the export filter; read where it comes back, as it was sent there and here.
        await peer.receives(OURS(PLAIN), '192.0.2.64/26');
        const back = await margay.path('192.0.2.64/26', THEIRS(SECRET));
        expect(back.attributes!.largeCommunities).toHaveLength(401);
      }
      await margay.api.withdraw({ prefixes: ['192.0.2.64/26'] });
    });

    test('more prefixes than allowed end the session, and no other; after the restart time it is tried again', async () => {
      const prefixes = [0, 1, 2, 3, 4].map((i) => `100.64.${i}.0/24`);
      await peer.announce(...prefixes.map((prefix) => ({ prefix })));
      const ended = await waitFor(
        async () => {
          const limited = await margay.neighbor(THEIRS(LIMITED));
          return limited.state === v1.SessionState.IDLE && limited;
        },
        { what: 'the end of the session' },
      );
      expect(ended).toMatchObject({ flaps: 1 });
      expect(ended.lastError).toContain('Maximum Number of Prefixes');
      expect(await margay.state(THEIRS(PLAIN))).toBe('ESTABLISHED');
      await peer.withdraw(...prefixes);
      await waitFor(async () => (await margay.neighbor(THEIRS(LIMITED))).received!.opens! > 1, {
        what: 'another attempt',
        timeout: 45_000,
      });
    });

    test('without a policy an external neighbour is sent nothing and nothing of it is used', async () => {
      const family = async () => (await margay.neighbor(THEIRS(NO_POLICY))).families[0]!;
      await waitFor(async () => (await family()).received! > 0, { what: 'what it announces' });
      expect(await family()).toMatchObject({ accepted: 0, advertised: 0 });
      expect(await peer.received(OURS(NO_POLICY), 'ipv4')).toEqual([]);
    });

    test('shutdown by either side, with a message, and back', async () => {
      await margay.api.setNeighborEnabled({ address: THEIRS6, enabled: false, message: 'new cables' });
      await waitFor(async () => (await peer.neighbour(OURS6)).state !== 'established', {
        what: 'our shutdown',
      });
      await waitFor(async () => (await peer.received(OURS6, 'ipv6')).length === 0, {
        what: 'the end of our routes',
      });
      await margay.gone('2001:db8:b::/48', THEIRS6);
      expect(await margay.neighbor(THEIRS6)).toMatchObject({ enabled: false });
      await margay.api.setNeighborEnabled({ address: THEIRS6, enabled: true });
      await margay.established(THEIRS6);

      await peer.setEnabled(OURS(GTSM), false);
      await waitFor(
        async () => (await margay.neighbor(THEIRS(GTSM))).lastError.includes('Administrative Shutdown'),
        { what: 'their shutdown', details: () => margay.log.slice(-2000) },
      );
      await peer.setEnabled(OURS(GTSM), true);
      await margay.established(THEIRS(GTSM));
    });

    async function sentTo(neighbor: string): Promise<string[]> {
      return (await margay.routes('ADJ_RIB_OUT', neighbor)).map(({ prefix }) => prefix!);
    }
  });
}

function margayConfig(kind: PeerKind): MargayConfig {
  const open = { import: 'accept', export: 'accept', remoteAs: PEER_AS };
  return {
    routerId: '1.1.1.1',
    as: AS,
    originate: [{ prefix: '192.0.2.0/24', communities: ['64512:1'] }, { prefix: '2001:db8:a::/48' }].map(
      (each) => ({ ...each, blackhole: true }),
    ),
    peers: [
      {
        address: THEIRS(PLAIN),
        ...open,
        export: 'tagged',
        timers: { hold: 30 },
        // FRR 8.4 passes over requests of a neighbour that knows RFC 7313 until it has sent it an End-of-RIB, which it
        // sends only to those who announce graceful restart.
        enhancedRefresh: kind !== 'frr',
      },
      { address: THEIRS6, ...open, export: 'tagged', families: BOTH },
      { address: THEIRS(SECRET), ...open, export: 'learned', password: 'secret', allowOwnAs: 1 },
      { address: THEIRS(WRONG_SECRET), ...open, password: 'other' },
      { address: THEIRS(GTSM), ...open, export: 'learned', ttlSecurity: 1 },
      {
        address: THEIRS(LIMITED),
        ...open,
        export: 'reject',
        maxPrefixes: { limit: 4, restart: 3 },
        timers: { idleHold: 0.5, connectRetry: 1 },
      },
      { address: THEIRS(NO_POLICY), remoteAs: PEER_AS },
      { prefix: '10.0.6.0/24', ...open, export: 'reject' },
      {
        address: THEIRS(MIXED),
        ...open,
        export: 'own-prefixes',
        families: { 'ipv4-unicast': { export: 'reject' }, 'ipv6-unicast': {} },
      },
      { address: THEIR_LOOPBACK, ...open, export: 'reject', multihop: 3, sourceAddress: OUR_LOOPBACK },
    ],
    filters: {
      tagged: {
        statements: [
          {
            match: { sources: ['local'] },
            set: {
              communities: { add: ['rt:64512:100', 'soo:192.0.2.1:5', `${AS}:3:4`] },
            },
            action: 'accept',
          },
        ],
        otherwise: 'reject',
      },
      // Our own routes go out with these communities or not at all: FRR stays with the path that it has had first.
      learned: {
        statements: [{ match: { sources: ['local'] }, action: 'reject' }],
        otherwise: 'accept',
      },
    },
  };
}

function peerDescription(kind: PeerKind): Parameters<typeof launchPeer>[2] {
  const extended = kind === 'gobgpd' ? {} : { extendedMessages: true };
  const on = (n: number, more: Partial<NeighbourDescription> = {}): NeighbourDescription => ({
    address: OURS(n),
    localAddress: THEIRS(n),
    asn: AS,
    ...extended,
    ...more,
  });
  return {
    asn: PEER_AS,
    routerId: '2.2.2.2',
    neighbours: [
      on(PLAIN),
      {
        address: OURS6,
        localAddress: THEIRS6,
        asn: AS,
        families: kind === 'gobgpd' ? ['ipv6'] : ['ipv4', 'ipv6'],
      },
      on(SECRET, { password: 'secret' }),
      on(WRONG_SECRET, { password: 'secret' }),
      on(GTSM, { ttlSecurity: 1 }),
      on(LIMITED),
      on(NO_POLICY),
      on(DYNAMIC),
      on(MIXED, { families: ['ipv4', 'ipv6'] }),
      { address: OUR_LOOPBACK, localAddress: THEIR_LOOPBACK, asn: AS, multihop: 3 },
    ],
    announce: [
      {
        prefix: '198.51.100.0/24',
        med: 5,
        communities: ['7:7'],
        largeCommunities: [`${PEER_AS}:1:2`],
      },
      { prefix: '2001:db8:b::/48', asPath: [65010] },
    ],
  };
}

type KernelRoute = { readonly type?: string; readonly protocol?: string; readonly gateway?: string };

function kernelRoutes(ns: Netns, family: '-4' | '-6', prefix: string): KernelRoute[] {
  return (ns.ip(family, 'route', 'show', prefix) ?? []) as KernelRoute[];
}
