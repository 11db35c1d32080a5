import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { PEER_KINDS, type PeerDescription } from '#lab/peers/description.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import { A4, A6, B4, B6, type TwoNamespaces, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Speaker } from './speaker.ts';

let spaces: TwoNamespaces;
let a: NetworkNamespace;
beforeEach(() => {
  spaces = twoNamespaces();
  a = NetworkNamespace.named(spaces.a.name);
});
afterEach(() => {
  a.close();
  spaces[Symbol.dispose]();
});

/** Ourselves in namespace `a`, with the neighbour in `b`. */
function speaker(fields = '', address = B4): Speaker {
  const more = fields === '' ? '' : `, ${fields}`;
  return new Speaker(
    `routerId: ${A4}\nas: 64512\npeers:\n  - {address: "${address}", remoteAs: 64513${more}}`,
    a,
  );
}

const QUICK = 'timers: {connectRetry: 1, idleHold: 0.2, idleHoldMax: 1}';
const TIMEOUT = 45_000;

describe.each(PEER_KINDS)(
  '%s',
  (kind) => {
    beforeEach((ctx) => requires(ctx, ...peerTools(kind)));

    const description = (changes: Partial<PeerDescription['neighbours'][number]> = {}): PeerDescription => ({
      asn: 64513,
      routerId: B4,
      neighbours: [{ address: A4, asn: 64512, ...changes }],
    });

    it('comes up when both sides connect, with one session', async () => {
      using us = speaker(`${QUICK}, families: [ipv4-unicast, ipv6-unicast]`);
      await using them = await launchPeer(
        kind,
        spaces.b,
        description({ holdTime: 9, families: ['ipv4', 'ipv6'] }),
      );
      await them.established();
      const peer = await us.reaches(B4, 'Established', TIMEOUT);
      expect(peer.session!.negotiated).toMatchObject({
        peerAs: 64513,
        holdTime: 9,
        as4: true,
        routeRefresh: true,
        families: [IPV4_UNICAST, IPV6_UNICAST],
      });
      const state = await them.neighbour(A4);
      expect(state).toMatchObject({ routerId: A4, holdTime: 9 });
      // It stays: neither side has a second connection that is still to be resolved.
      await waitFor(() => peer.received.keepalive >= 2, { what: 'KEEPALIVEs to go on', timeout: TIMEOUT });
      expect(us.downs).toEqual([]);
    });

    it('comes up over IPv6 when only we connect', async () => {
      using us = speaker(QUICK, B6);
      await using them = await launchPeer(kind, spaces.b, description({ address: A6, passive: true }));
      await them.established();
      const peer = await us.reaches(B6, 'Established', TIMEOUT);
      expect(peer.session).toMatchObject({ side: 'outgoing', negotiated: { families: [IPV6_UNICAST] } });
    });

    it('comes up when only it connects', async () => {
      using us = speaker(`passive: true, ${QUICK}`);
      await using them = await launchPeer(kind, spaces.b, description());
      await them.established();
      expect((await us.reaches(B4, 'Established', TIMEOUT)).session!.side).toBe('incoming');
    });

    it('comes back after it was killed and started anew', async () => {
      using us = speaker(QUICK);
      {
        await using them = await launchPeer(kind, spaces.b, description());
        await them.established();
        await us.reaches(B4, 'Established', TIMEOUT);
        await them.kill();
      }
      await waitFor(() => us.downs.length === 1, { what: 'the session to be down' });
      await using again = await launchPeer(kind, spaces.b, description());
      await again.established();
      await us.reaches(B4, 'Established', TIMEOUT);
    });

    it('with another AS than we expect gets Bad Peer AS, and we say what was found', async () => {
      using us = speaker(QUICK);
      await using _them = await launchPeer(kind, spaces.b, { ...description(), asn: 64999 });
      await us.fails(
        B4,
        'sent OPEN Message Error / Bad Peer AS (the neighbour is in AS 64999, expected 64513)',
        TIMEOUT,
      );
      // A connection that gobgpd resets may come between, and is the last error then until the next attempt.
      await waitFor(() => us.peer(B4).lastError?.text.includes('Bad Peer AS') === true, {
        what: 'the last error to tell of the AS',
        timeout: TIMEOUT,
        details: () => us.failures(B4).join('\n'),
      });
      expect(us.ups).toEqual([]);
    });

    it('that expects another AS of us says so', async () => {
      using us = speaker(QUICK);
      await using _them = await launchPeer(kind, spaces.b, description({ asn: 64998 }));
      await us.fails(B4, 'received OPEN Message Error / Bad Peer AS', TIMEOUT);
    });

    it('with the same password comes up, with another one stays away', async () => {
      using us = speaker(`password: good, ${QUICK}`);
      {
        await using them = await launchPeer(kind, spaces.b, description({ password: 'good' }));
        await them.established();
        await us.reaches(B4, 'Established', TIMEOUT);
      }
      await waitFor(() => us.downs.length === 1, { what: 'the session to be down' });
      await using _them = await launchPeer(kind, spaces.b, description({ password: 'bad' }));
      const tries = () =>
        us.events.filter((event) => event.kind === 'state' && event.to === 'Connect').length;
      const before = tries();
      await waitFor(() => tries() >= before + 2 || us.peer(B4).connectRetryCounter >= 3, {
        what: 'attempts',
        timeout: TIMEOUT,
      });
      expect(us.ups).toHaveLength(1);
    });

    it('is told why we shut down, and tells us why it does', async () => {
      using us = speaker(QUICK);
      // Passive: what its refused attempts to come back end with would take the place of the reason.
      await using them = await launchPeer(kind, spaces.b, description({ passive: true }));
      await them.established();
      const peer = await us.reaches(B4, 'Established', TIMEOUT);
      peer.stop('moving to rack 7');
      await waitFor(async () => (await them.neighbour(A4)).state !== 'established', { what: 'it to notice' });
      const told = async () => JSON.stringify((await them.neighbour(A4)).raw) + them.log;
      await waitFor(async () => /moving to rack 7|dministrative Shutdown/i.test(await told()), {
        what: 'our reason in its words',
        details: () => them.log.slice(-1000),
      });
      peer.start();
      await us.reaches(B4, 'Established', TIMEOUT);
      await them.setEnabled(A4, false);
      await us.fails(B4, 'received Cease / Administrative Shutdown', TIMEOUT);
      expect(peer.lastError?.text).toContain('Administrative Shutdown');
    });

    it('at one hop comes up with TTL security on both sides', async () => {
      using us = speaker(`ttlSecurity: 1, ${QUICK}`);
      await using them = await launchPeer(kind, spaces.b, description({ ttlSecurity: 1 }));
      await them.established();
      await us.reaches(B4, 'Established', TIMEOUT);
    });
  },
  60_000,
);
