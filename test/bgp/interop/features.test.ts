/**
 * What only some sessions have, against one real BGP daemon at a time: another AS towards a neighbour, its AS replaced in paths, a
 * password that changes, a word at the end; and what a reload of the running speaker does to sessions.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PEER_KINDS } from '#lab/peers/description.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import type { Peer } from '#test/helpers/peers/peer.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay, type Margay, type MargayConfig, md5Failures } from './margay.ts';

const AS = 64512;
const OTHER_AS = 65100;
const PEER_AS = 65200;

/** Sessions by the third number of their addresses: 10.0.N.1 is ours, 10.0.N.2 the peer's. */
const PLAIN = 0;
const OVERRIDE = 1;
const LOCAL = 2;
const SECRET = 3;
const ALL = [PLAIN, OVERRIDE, LOCAL, SECRET];
const OURS = (n: number): string => `10.0.${n}.1`;
const THEIRS = (n: number): string => `10.0.${n}.2`;

for (const kind of PEER_KINDS) {
  describe(`against ${kind}`, () => {
    const needs = peerTools(kind);
    beforeEach((ctx) => requires(ctx, ...needs));
    const stack = new AsyncDisposableStack();
    let ours: Netns;
    let margay: Margay;
    let peer: Peer;

    beforeAll(async () => {
      if (missing(...needs) !== undefined) return;
      ours = stack.use(createNetns());
      const b = stack.use(createNetns());
      connect(
        { netns: ours, addresses: ALL.map((n) => `${OURS(n)}/24`) },
        { netns: b, addresses: ALL.map((n) => `${THEIRS(n)}/24`) },
      );
      margay = stack.use(await launchMargay(ours, config()));
      peer = stack.use(
        await launchPeer(kind, b, {
          asn: PEER_AS,
          routerId: '2.2.2.2',
          neighbours: ALL.map((n) => ({
            address: OURS(n),
            localAddress: THEIRS(n),
            asn: n === LOCAL ? OTHER_AS : AS,
            ...(n === SECRET ? { password: 'first' } : {}),
          })),
          announce: [{ prefix: '198.51.100.0/24' }, { prefix: '203.0.113.0/24', asPath: [OTHER_AS] }],
        }),
      );
      await margay.established();
    }, 150_000);

    afterAll(() => stack.disposeAsync());

    test('another local AS is the one that the neighbour sees, and the one that must not come back', async () => {
      expect((await peer.receives(OURS(LOCAL), '192.0.2.0/24')).asPath).toBe(String(OTHER_AS));
      expect((await peer.receives(OURS(PLAIN), '192.0.2.0/24')).asPath).toBe(String(AS));
      expect(await margay.neighbor(THEIRS(LOCAL))).toMatchObject({ localAs: OTHER_AS, type: 'ebgp' });
      await margay.path(
        '198.51.100.0/24',
        THEIRS(LOCAL),
        ({ rejectedByFilter }) => rejectedByFilter !== true,
      );
      const looped = await margay.path('203.0.113.0/24', THEIRS(LOCAL));
      expect(looped).toMatchObject({ rejectedByFilter: true, decision: 'our own AS is in the path' });
      await margay.path('203.0.113.0/24', THEIRS(PLAIN), ({ rejectedByFilter }) => rejectedByFilter !== true);
    });

    test('AS override has a neighbour take its own routes back, where it would see a loop without it', async () => {
      // Which session brings a route first is left to chance: the best path may be another one for a moment.
      await waitFor(
        async () => (await peer.receives(OURS(OVERRIDE), '198.51.100.0/24')).asPath === `${AS} ${AS}`,
        { what: 'its own route, with our AS in the place of its own' },
      );
      // Sent on another session too, and refused there.
      const sent = async () =>
        (await margay.routes('ADJ_RIB_OUT', THEIRS(LOCAL))).map(({ prefix }) => prefix);
      await waitFor(async () => (await sent()).includes('198.51.100.0/24'), {
        what: 'the route sent on another session',
      });
      const taken = (await peer.received(OURS(LOCAL), 'ipv4')).map(({ prefix }) => prefix);
      expect(taken).not.toContain('198.51.100.0/24');
    });

    test('the reason of a shutdown is told, in both directions', async () => {
      await margay.api.setNeighborEnabled({
        address: THEIRS(PLAIN),
        enabled: false,
        message: 'new cables 7',
      });
      await waitFor(async () => (await peer.neighbour(OURS(PLAIN))).state !== 'established', {
        what: 'our shutdown',
      });
      const told = async () => JSON.stringify((await peer.neighbour(OURS(PLAIN))).raw) + peer.log;
      await waitFor(async () => (await told()).includes('new cables 7'), {
        what: 'our reason in its words',
        details: () => peer.log.slice(-1500),
      });
      await margay.api.setNeighborEnabled({ address: THEIRS(PLAIN), enabled: true });
      await margay.established(THEIRS(PLAIN));

      await peer.setEnabled(OURS(PLAIN), false, 'old disks 8');
      // gobgpd takes a reason and does not send it.
      const theirs = `received Cease / Administrative Shutdown${kind === 'gobgpd' ? '' : ': "old disks 8"'}`;
      await waitFor(() => margay.log.includes(JSON.stringify(theirs).slice(1, -1)), {
        what: 'its reason in our log',
        details: () => margay.log.slice(-1500),
      });
      await peer.setEnabled(OURS(PLAIN), true);
      await margay.established(THEIRS(PLAIN));
    });

    test('a changed password ends that session, and no other', async () => {
      const before = await changes();
      margay.write(config({ password: 'second' }));
      expect(await margay.api.reload({})).toMatchObject({ changed: 1, reset: [THEIRS(SECRET)] });
      // It would be back within a second, were the old password still good for anything.
      const failures = md5Failures(ours);
      await waitFor(() => md5Failures(ours) > failures + 2, { what: 'attempts in vain', timeout: 45_000 });
      expect(await margay.state(THEIRS(SECRET))).not.toBe('ESTABLISHED');
      expect(await changes()).toEqual({ ...before, [THEIRS(SECRET)]: expect.any(Number) });
      margay.write(config());
      await margay.api.reload({});
      await margay.established(THEIRS(SECRET));
      expect(await changes()).toEqual({ ...before, [THEIRS(SECRET)]: expect.any(Number) });
    });

    test('a reload of what no session depends on touches none; SIGHUP and the API do the same', async () => {
      const before = await changes();
      margay.write(config({ description: 'new words' }));
      margay.hangUp();
      await waitFor(async () => (await margay.neighbor(THEIRS(PLAIN))).description === 'new words', {
        what: 'the description',
      });
      margay.write(config({ clusterId: '9.9.9.9' }));
      expect(await margay.api.reload({})).toMatchObject({ changed: ALL.length, reset: [] });
      margay.write(config());
      expect(await margay.api.reload({})).toMatchObject({ reset: [] });
      expect(await changes()).toEqual(before);
    });

    test('another router id restarts all sessions, another AS those that it is for', async () => {
      margay.write(config({ routerId: '3.3.3.3' }));
      expect(await margay.api.reload({})).toMatchObject({ reset: ALL.map(THEIRS) });
      await margay.established();
      expect(await margay.api.getStatus({})).toMatchObject({ routerId: '3.3.3.3' });
      await waitFor(async () => (await peer.neighbour(OURS(LOCAL))).routerId === '3.3.3.3', {
        what: 'the peer to know the new router id',
      });

      const before = await changes();
      margay.write(config({ routerId: '3.3.3.3', as: 64999 }));
      expect(await margay.api.reload({})).toMatchObject({ reset: [PLAIN, OVERRIDE, SECRET].map(THEIRS) });
      await waitFor(async () => (await margay.neighbor(THEIRS(PLAIN))).lastError.includes('Bad Peer AS'), {
        what: 'what it says of another AS than it expects',
        timeout: 45_000,
        details: () => margay.log.slice(-1000),
      });
      expect((await changes())[THEIRS(LOCAL)]).toBe(before[THEIRS(LOCAL)]);
      expect(await margay.state(THEIRS(LOCAL))).toBe('ESTABLISHED');
      margay.write(config());
      await margay.api.reload({});
      await margay.established();
      await peer.receives(OURS(OVERRIDE), '198.51.100.0/24');
    }, 90_000);

    test('what takes a restart is refused as a whole, by name', async () => {
      margay.write(config({ description: 'not yet', api: { socket: '/run/elsewhere.sock' } }));
      await expect(margay.api.reload({})).rejects.toThrow('api: found another value than at the start');
      expect((await margay.neighbor(THEIRS(PLAIN))).description).toBe('');
      expect((await margay.api.getStatus({})).configError).toContain('a restart of the speaker');
      margay.write(config());
      await margay.api.reload({});
      expect((await margay.api.getStatus({})).configError).toBe('');
    });

    /** When each session last came or went. */
    async function changes(): Promise<Record<string, number>> {
      const { neighbors } = await margay.api.listNeighbors({});
      return Object.fromEntries(neighbors.map(({ address, changedAt }) => [address, changedAt!]));
    }
  });
}

type Changes = {
  readonly password?: string;
  readonly description?: string;
  readonly [field: string]: unknown;
};

function config({ password = 'first', description = '', ...general }: Changes = {}): MargayConfig {
  const peer = {
    remoteAs: PEER_AS,
    import: 'accept',
    export: 'accept',
    timers: { idleHold: 0.2, idleHoldMax: 1, connectRetry: 1 },
  };
  return {
    routerId: '1.1.1.1',
    as: AS,
    kernel: { enabled: false },
    originate: [{ prefix: '192.0.2.0/24' }],
    peers: [
      { address: THEIRS(PLAIN), ...peer, ...(description === '' ? {} : { description }) },
      // All sessions share a link, where a next hop would be left as it is: an address of the neighbour itself.
      { address: THEIRS(OVERRIDE), ...peer, asOverride: true, nextHop: 'self' },
      { address: THEIRS(LOCAL), ...peer, localAs: OTHER_AS, nextHop: 'self' },
      { address: THEIRS(SECRET), ...peer, password },
    ],
    ...general,
  };
}

describe('two routers in different ASes', () => {
  const needs = peerTools('bird', 'frr');
  beforeEach((ctx) => requires(ctx, ...needs));

  test('are both used where AS paths need only be equally long, from the reload on that says so', async () => {
    await using stack = new AsyncDisposableStack();
    const node = stack.use(createNetns());
    for (const [i, kind] of [
      [1, 'bird'],
      [2, 'frr'],
    ] as const) {
      const ns = stack.use(createNetns());
      connect({ netns: node, addresses: [`10.0.${i}.1/24`] }, { netns: ns, addresses: [`10.0.${i}.2/24`] });
      stack.use(
        await launchPeer(kind, ns, {
          asn: 65000 + i,
          routerId: `2.2.2.${i}`,
          neighbours: [{ address: `10.0.${i}.1`, asn: AS }],
          announce: [{ prefix: '198.51.100.0/24' }],
        }),
      );
    }
    const relax = (asPathRelax: boolean): MargayConfig => ({
      routerId: '1.1.1.1',
      as: AS,
      ecmp: { asPathRelax },
      peers: [1, 2].map((i) => ({ address: `10.0.${i}.2`, remoteAs: 65000 + i, import: 'accept' })),
    });
    const margay = stack.use(await launchMargay(node, relax(false)));
    await margay.established();
    const gateways = () => gatewaysOf(node, '198.51.100.0/24');
    await waitFor(async () => (await margay.paths('198.51.100.0/24')).length === 2, { what: 'both paths' });
    await waitFor(() => gateways().length === 1, { what: 'the better of both' });
    expect((await margay.paths('198.51.100.0/24')).map(({ multipath }) => multipath)).toEqual([false, false]);
    margay.write(relax(true));
    expect(await margay.api.reload({})).toMatchObject({ reset: [] });
    await waitFor(() => gateways().join() === '10.0.1.2,10.0.2.2', { what: 'both of them' });
    margay.write(relax(false));
    margay.hangUp();
    await waitFor(() => gateways().length === 1, { what: 'the better of both again' });
  });
});

function gatewaysOf(ns: Netns, prefix: string): string[] {
  const routes = (ns.ip('-4', 'route', 'show', prefix) ?? []) as {
    readonly gateway?: string;
    readonly nexthops?: readonly { readonly gateway: string }[];
  }[];
  return routes
    .flatMap(({ gateway, nexthops }) => nexthops?.map((hop) => hop.gateway) ?? gateway ?? [])
    .sort();
}
