import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { fault, notification, shutdown, shutdownCommunication } from '#bgp/wire/notification.ts';
import { encodeEndOfRib } from '#bgp/wire/pack.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { type TwoNamespaces, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { ScriptedListener, ScriptedPeer } from './scripted.ts';
import { peerOpen } from './settings.ts';
import { Speaker } from './speaker.ts';

const US = '10.0.0.1';
const THEM = '10.0.0.2';

let spaces: TwoNamespaces;
let a: NetworkNamespace;
let b: NetworkNamespace;
beforeAll(() => {
  spaces = twoNamespaces();
  a = NetworkNamespace.named(spaces.a.name);
  b = NetworkNamespace.named(spaces.b.name);
});
afterAll(() => {
  a.close();
  b.close();
  spaces[Symbol.dispose]();
});

/** A speaker with one neighbour, whose fields are given as those of a flow mapping. */
function speaker(fields = ''): Speaker {
  const more = fields === '' ? '' : `, ${fields}`;
  return new Speaker(`routerId: ${US}\nas: 64512\npeers:\n  - {address: ${THEM}, remoteAs: 64513${more}}`, a);
}

function dial(): ScriptedPeer {
  return ScriptedPeer.connect({ namespace: b, address: US, port: 179, source: { address: THEM, port: 0 } });
}

const QUICK = 'timers: {connectRetry: 1, idleHold: 0.1}';

describe('a neighbour', () => {
  it('is connected to, and comes up with what both agreed on', async () => {
    using listener = new ScriptedListener(b, THEM);
    using us = speaker();
    const them = await listener.next();
    const open = await them.next('open');
    expect(open).toMatchObject({ asn: 64512, holdTime: 90, identifier: 0x0a000001 });
    them.send(peerOpen({ holdTime: 30 }));
    await them.next('keepalive');
    them.send({ kind: 'keepalive' });
    const peer = await us.reaches(THEM, 'Established');
    expect(us.ups).toMatchObject([
      {
        peer: THEM,
        session: {
          side: 'outgoing',
          negotiated: { holdTime: 30, peerAs: 64513, families: [IPV4_UNICAST] },
          localAddress: { bytes: Uint8Array.of(10, 0, 0, 1) },
          remotePort: 179,
        },
      },
    ]);
    expect(peer.received).toMatchObject({ open: 1, keepalive: 1 });
    expect(peer.sent).toMatchObject({ open: 1, keepalive: 1 });
    expect([...peer.timers().keys()].sort()).toEqual([
      'outgoing hold',
      'outgoing keepalive',
      'outgoing sendHold',
      'stable',
    ]);
    expect(us.events.flatMap((event) => (event.kind === 'state' ? [event.to] : []))).toEqual([
      'Connect',
      'OpenSent',
      'OpenConfirm',
      'Established',
    ]);
  });

  it('may connect itself, whatever the bytes are cut into', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.next('open');
    const { encodeMessage } = await import('#bgp/wire/message.ts');
    const bytes = [peerOpen(), { kind: 'keepalive' as const }].flatMap((message) =>
      encodeMessage(message, { as4: true, ebgp: true }),
    );
    them.socket.setNoDelay(true);
    for (const byte of Buffer.concat(bytes)) them.send(Uint8Array.of(byte));
    await us.reaches(THEM, 'Established');
    expect(us.ups[0]!.session.side).toBe('incoming');
  });

  it('is tried again after it refused, and found when it listens', async () => {
    using us = speaker(QUICK);
    await us.fails(THEM, 'connection refused (ECONNREFUSED)');
    expect(us.peer(THEM).state).toBe('Active');
    using listener = new ScriptedListener(b, THEM);
    await (await listener.next()).establish();
    await us.reaches(THEM, 'Established');
  });

  it('hands over UPDATEs, and what is wrong with one ends the session with the notification asked for', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    them.send(encodeEndOfRib(IPV4_UNICAST), encodeEndOfRib(IPV4_UNICAST));
    await waitFor(() => us.updates.length === 2, { what: 'two UPDATEs' });
    us.onUpdate = () => fault('broken on purpose', 3, 1);
    them.send(encodeEndOfRib(IPV4_UNICAST), encodeEndOfRib(IPV4_UNICAST));
    expect((await them.next('notification')).notification).toMatchObject({ code: 3, subcode: 1 });
    await them.closed();
    expect(us.updates).toHaveLength(3); // nothing after the one that ended it
    expect(us.downs).toEqual([THEM]);
    expect(us.peer(THEM).lastError?.text).toBe(
      'sent UPDATE Message Error / Malformed Attribute List (broken on purpose)',
    );
  });

  it('gets what the RIB has, in order and counted', async () => {
    using us = speaker('passive: true');
    us.outgoing.set(THEM, [encodeEndOfRib(IPV4_UNICAST), encodeEndOfRib(IPV6_UNICAST)]);
    using them = dial();
    await them.establish();
    expect(await them.next('update')).toMatchObject({ endOfRib: IPV4_UNICAST });
    expect(await them.next('update')).toMatchObject({ endOfRib: IPV6_UNICAST });
    us.outgoing.set(THEM, [encodeEndOfRib(IPV4_UNICAST)]);
    us.peer(THEM).wake();
    await them.next('update');
    expect(us.peer(THEM).sent.update).toBe(3);
  });

  it.each([
    [
      'another AS',
      peerOpen({ asn: 64999 }),
      2,
      2,
      'OPEN Message Error / Bad Peer AS (the neighbour is in AS 64999, expected 64513)',
    ],
    [
      'a hold time of 2 s',
      peerOpen({ holdTime: 2 }),
      2,
      6,
      'OPEN Message Error / Unacceptable Hold Time (hold time 2 s, expected 0 or 3 and more)',
    ],
    [
      'a router id of 0',
      peerOpen({ identifier: 0 }),
      2,
      3,
      'OPEN Message Error / Bad BGP Identifier (BGP identifier 0)',
    ],
    [
      'no family in common',
      peerOpen({
        capabilities: [
          { kind: 'multiprotocol', family: IPV6_UNICAST },
          { kind: 'four-octet-as', asn: 64513 },
        ],
      }),
      2,
      7,
      'OPEN Message Error / Unsupported Capability (no common family, ours: ipv4-unicast)',
    ],
  ])('with %s is told so', async (_what, open, code, subcode, text) => {
    using us = speaker('passive: true');
    using them = dial();
    await them.next('open');
    them.send(open);
    expect((await them.next('notification')).notification).toMatchObject({ code, subcode });
    await them.closed();
    expect(them.error).toBeUndefined(); // the notification was not lost in a reset
    expect(us.peer(THEM).lastError?.text).toBe(`sent ${text}`);
    expect(us.peer(THEM)).toMatchObject({ state: 'Idle', idleReason: 'hold' });
  });

  it('that sends garbage is told so', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.next('open');
    them.send(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n'));
    expect((await them.next('notification')).notification).toMatchObject({ code: 1, subcode: 1 });
    await them.closed();
    expect(us.peer(THEM).lastError?.text).toContain('Connection Not Synchronized');
  });

  it('that speaks out of turn is told so', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.next('open');
    them.send(encodeEndOfRib(IPV4_UNICAST));
    expect((await them.next('notification')).notification).toMatchObject({ code: 5, subcode: 1 });
    await us.fails(THEM, 'Unexpected Message in OpenSent (UPDATE)');
  });

  it('that shuts down says why', async () => {
    using us = speaker(`passive: true, ${QUICK}`);
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    them.send({ kind: 'notification', notification: shutdown(2, 'moving to rack 7') });
    them.socket.end();
    await us.reaches(THEM, 'Idle');
    expect(us.peer(THEM).lastError?.text).toBe(
      'received Cease / Administrative Shutdown: "moving to rack 7"',
    );
    expect(us.peer(THEM).flaps).toBe(1);
  });

  it('that dies is noticed, and comes back', async () => {
    using us = speaker(`passive: true, ${QUICK}`);
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    them.socket.resetAndDestroy();
    await us.fails(THEM, 'connection reset by the neighbour (ECONNRESET)');
    expect(us.downs).toEqual([THEM]);
    await us.reaches(THEM, 'Active');
    using again = dial();
    await again.establish();
    await us.reaches(THEM, 'Established');
  });

  it('that falls silent is given up after the hold time', async () => {
    using us = speaker('passive: true, timers: {hold: 3}');
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    await waitFor(() => them.received.some(({ kind }) => kind === 'notification'), {
      what: 'a notification',
    });
    expect(them.received.at(-1)).toMatchObject({
      kind: 'notification',
      notification: { code: 4, subcode: 0 },
    });
    expect(them.count('keepalive')).toBeGreaterThanOrEqual(3); // ours went on
    expect(us.peer(THEM).lastError?.text).toBe('sent Hold Timer Expired');
  });

  it('is not taken for silent while what it sent waits to be read', async () => {
    using us = speaker('passive: true, timers: {hold: 3}');
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    const keepalives = setInterval(() => them.send({ kind: 'keepalive' }), 500);
    // This process does nothing at all for longer than the hold time. The neighbour's KEEPALIVEs are its own, so they are
    // sent before.
    for (let i = 0; i < 3; i++) them.send({ kind: 'keepalive' });
    const end = performance.now() + 3500;
    while (performance.now() < end);
    await waitFor(() => us.peer(THEM).received.keepalive >= 6, { what: 'KEEPALIVEs after the pause' });
    clearInterval(keepalives);
    expect(us.peer(THEM).state).toBe('Established');
    expect(us.downs).toEqual([]);
  });

  it('is stopped with a message, refused while stopped, and started again', async () => {
    using us = speaker(`passive: true, ${QUICK}`);
    using them = dial();
    await them.establish();
    const peer = await us.reaches(THEM, 'Established');
    peer.stop('maintenance until noon');
    const { notification: farewell } = await them.next('notification');
    expect(shutdownCommunication(farewell)).toBe('maintenance until noon');
    await them.closed();
    expect(peer).toMatchObject({ state: 'Idle', idleReason: 'stopped' });
    using early = dial();
    expect((await early.next('notification')).notification).toMatchObject({ code: 6, subcode: 5 });
    await early.closed();
    peer.start();
    using late = dial();
    await late.establish();
    await us.reaches(THEM, 'Established');
  });

  it('is reset, and is there again at once', async () => {
    using listener = new ScriptedListener(b, THEM);
    using us = speaker();
    const them = await listener.next();
    await them.establish();
    (await us.reaches(THEM, 'Established')).reset('new policy');
    expect((await them.next('notification')).notification).toMatchObject({ code: 6, subcode: 4 });
    await (await listener.next()).establish();
    await us.reaches(THEM, 'Established');
  });

  it('over its limit of prefixes is told the limit, and stays down', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    const peer = await us.reaches(THEM, 'Established');
    peer.limitExceeded(IPV6_UNICAST, 1000, undefined);
    const { notification: why } = await them.next('notification');
    expect(why).toMatchObject({ code: 6, subcode: 1, data: Uint8Array.of(0, 2, 1, 0, 0, 3, 232) });
    expect(peer).toMatchObject({ state: 'Idle', idleReason: 'limit' });
    expect(peer.timers().size).toBe(0);
  });

  it('over its limit of prefixes comes back when that was asked for', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    const peer = await us.reaches(THEM, 'Established');
    peer.limitExceeded(IPV4_UNICAST, 1000, 0.2);
    await them.closed();
    await us.reaches(THEM, 'Active');
    using again = dial();
    await again.establish();
    await us.reaches(THEM, 'Established');
  });
});

describe('refresh', () => {
  it('is asked only of a neighbour that offers it, and for what is carried', async () => {
    using us = speaker(`passive: true, ${QUICK}`);
    using them = dial();
    await them.establish();
    const peer = await us.reaches(THEM, 'Established');
    expect(peer.requestRefresh(IPV6_UNICAST)).toBe(false);
    expect(peer.requestRefresh(IPV4_UNICAST)).toBe(true);
    expect(await them.next('route-refresh')).toMatchObject({ family: IPV4_UNICAST, subtype: 0 });
    them.socket.destroy();
    await us.reaches(THEM, 'Active');
    using plain = dial();
    await plain.establish(peerOpen({ capabilities: [] }));
    await us.reaches(THEM, 'Established');
    expect(peer.requestRefresh(IPV4_UNICAST)).toBe(false);
  });

  it('of a family or a kind that was not agreed on is passed over', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    for (const [family, subtype] of [
      [IPV6_UNICAST, 0],
      [IPV4_UNICAST, 1],
      [IPV4_UNICAST, 9],
      [IPV4_UNICAST, 0],
    ] as const) {
      them.send({ kind: 'route-refresh', family, subtype });
    }
    await waitFor(() => us.peer(THEM).received.routeRefresh === 4, { what: 'four requests' });
    expect(us.refreshes).toEqual([{ kind: 'route-refresh', family: IPV4_UNICAST, subtype: 0 }]);
    expect(us.peer(THEM).state).toBe('Established');
  });

  it('of a wrong length ends the session (RFC 7313)', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    const bytes = new Uint8Array(24).fill(0xff, 0, 16);
    bytes.set([0, 24, 5, 0, 1, 0, 1], 16);
    them.send(bytes);
    expect((await them.next('notification')).notification).toMatchObject({ code: 7, subcode: 1 });
  });
});

describe('a collision', () => {
  // Our router id is 10.0.0.1.
  it.each([
    ['outgoing', 0x0a000000],
    ['incoming', 0x0a000002],
  ] as const)('leaves the %s connection for a neighbour with router id %i', async (side, identifier) => {
    using listener = new ScriptedListener(b, THEM);
    using us = speaker('timers: {connectRetry: 60}');
    const theirs = await listener.next();
    await theirs.next('open');
    using ours = dial();
    await ours.next('open');
    // Both are open now. Their OPEN comes on both.
    for (const connection of [theirs, ours]) connection.send(peerOpen({ identifier }));
    const [kept, lost] = side === 'outgoing' ? [theirs, ours] : [ours, theirs];
    await waitFor(() => lost.received.some(({ kind }) => kind === 'notification'), {
      what: 'the loser to be told',
    });
    expect(lost.received.at(-1)).toMatchObject({ notification: notification(6, 7) });
    await kept.next('keepalive');
    kept.send({ kind: 'keepalive' });
    await us.reaches(THEM, 'Established');
    expect(us.ups.map(({ session }) => session.side)).toEqual([side]);
    expect(us.peer(THEM).lastError).toBeUndefined();
    await lost.closed();
    expect(us.peer(THEM).state).toBe('Established');
  });

  it('that is about to be decided does not forbid the extended messages that we offered', async () => {
    using listener = new ScriptedListener(b, THEM);
    using us = speaker('timers: {connectRetry: 60}');
    const theirs = await listener.next();
    await theirs.next('open');
    using ours = dial();
    await ours.next('open');
    // Our connection would win, so theirs is not a session before a second is over or they behave as if it were.
    ours.send(peerOpen({ identifier: 0x0a000000 }), { kind: 'keepalive' });
    const update = new Uint8Array(5000);
    update.fill(0xff, 0, 16);
    update.set([5000 >> 8, 5000 & 0xff, 2], 16);
    ours.send(update);
    await us.reaches(THEM, 'Established');
    await waitFor(() => us.updates.length === 1, { what: 'the UPDATE' });
    expect(us.ups.map(({ session }) => session.side)).toEqual(['incoming']);
    expect(us.downs).toEqual([]);
  });

  it('with an Established session closes the new connection and makes sure that the old one lives', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    await us.reaches(THEM, 'Established');
    const before = them.count('keepalive');
    using second = dial();
    await second.closed();
    // The next one is due after 22 s at the earliest.
    await waitFor(() => them.count('keepalive') > before, { what: 'an early KEEPALIVE' });
    expect(us.peer(THEM).state).toBe('Established');
  });
});

describe('a burst', () => {
  it('of UPDATEs keeps neither KEEPALIVEs nor another neighbour waiting', async () => {
    spaces.b.exec('ip', ['address', 'add', '10.0.0.3/24', 'dev', 'eth0']);
    using us = new Speaker(
      `routerId: ${US}\nas: 64512\npeers:\n  - {address: ${THEM}, remoteAs: 64513, passive: true, timers: {hold: 3}}\n  - {address: 10.0.0.3, remoteAs: 64513, passive: true, timers: {hold: 3}}`,
      a,
    );
    us.countOnly = true;
    // Every UPDATE costs half a millisecond, so that the burst takes some five seconds, more than the hold time.
    us.onUpdate = () => {
      const end = performance.now() + 0.5;
      while (performance.now() < end);
      return undefined;
    };
    using busy = dial();
    using quiet = ScriptedPeer.connect({
      namespace: b,
      address: US,
      port: 179,
      source: { address: '10.0.0.3', port: 0 },
    });
    await busy.establish();
    await quiet.establish(peerOpen({ identifier: 0x0a000003 }));
    const keepalives = setInterval(() => quiet.send({ kind: 'keepalive' }), 900);
    const update = encodeEndOfRib(IPV4_UNICAST);
    busy.send(Buffer.concat(Array<Uint8Array>(10_000).fill(update)));
    const start = performance.now();
    await waitFor(() => us.updateCount === 10_000, { what: 'the burst to be over', timeout: 150_000 });
    const seconds = (performance.now() - start) / 1000;
    clearInterval(keepalives);
    expect(us.downs).toEqual([]);
    // One in a second, or nearly.
    for (const them of [busy, quiet]) expect(them.count('keepalive')).toBeGreaterThan(seconds * 0.8 - 1);
  }, 180_000);
});

describe('a neighbour that does not read', () => {
  it('takes up a bounded amount of memory, and gets the rest when it reads again', async () => {
    using us = speaker('passive: true');
    using them = dial();
    await them.establish();
    const peer = await us.reaches(THEM, 'Established');
    them.socket.pause();
    const total = 64 * 1024 * 1024;
    const part = Buffer.concat(Array<Uint8Array>(2000).fill(encodeEndOfRib(IPV4_UNICAST)));
    const parts = Math.ceil(total / part.length);
    us.outgoing.set(THEM, Array<Uint8Array>(parts).fill(part));
    peer.wake();
    await waitFor(() => peer.queued > 0, { what: 'bytes to wait' });
    let left = -1;
    await waitFor(
      () => {
        const same = us.outgoing.get(THEM)!.length === left;
        left = us.outgoing.get(THEM)!.length;
        return same;
      },
      { what: 'the writing to stop', interval: 200 },
    );
    expect(us.outgoing.get(THEM)!.length).toBeGreaterThan(0);
    expect(peer.queued).toBeLessThan(512 * 1024);
    let bytes = 0;
    them.socket.removeAllListeners('data');
    them.socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    them.socket.resume();
    await waitFor(() => bytes >= parts * part.length, { what: 'everything', timeout: 45_000 });
    expect(us.downs).toEqual([]);
  });
});
