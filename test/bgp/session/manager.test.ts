import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareConfigs } from '#bgp/config/difference.ts';
import { kernelSockets, type Sockets } from '#bgp/session/transport/sockets.ts';
import { IPV4_UNICAST } from '#bgp/wire/constants.ts';
import { notification } from '#bgp/wire/notification.ts';
import { close } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openListener } from '#kernel/sys/tcp.ts';
import { type TwoNamespaces, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { load } from '../config/config.ts';
import { ScriptedListener, ScriptedPeer } from './scripted.ts';
import { peerOpen } from './settings.ts';
import { Speaker } from './speaker.ts';

const US = '10.0.0.1';
const HEAD = `routerId: ${US}\nas: 64512\n`;
const QUICK = 'timers: {connectRetry: 1, idleHold: 0.1}';

let spaces: TwoNamespaces;
let a: NetworkNamespace;
let b: NetworkNamespace;
beforeAll(() => {
  spaces = twoNamespaces();
  for (const host of [3, 4, 5]) spaces.b.exec('ip', ['address', 'add', `10.0.0.${host}/24`, 'dev', 'eth0']);
  a = NetworkNamespace.named(spaces.a.name);
  b = NetworkNamespace.named(spaces.b.name);
});
afterAll(() => {
  a.close();
  b.close();
  spaces[Symbol.dispose]();
});

function dial(host: number, options: Partial<Parameters<typeof ScriptedPeer.connect>[0]> = {}): ScriptedPeer {
  return ScriptedPeer.connect({
    namespace: b,
    address: US,
    port: 179,
    source: { address: `10.0.0.${host}`, port: 0 },
    ...options,
  });
}

function reconfigure(us: Speaker, source: string): void {
  const after = load(source);
  us.sessions.reconfigure(after, compareConfigs(us.current, after));
  us.current = after;
}

function kinds(us: Speaker): string[] {
  return us.events.flatMap((event) => {
    if (event.kind === 'added' || event.kind === 'removed') return [`${event.kind} ${event.peer.name}`];
    return event.kind === 'rejected' ? [`rejected ${event.address}: ${event.reason}`] : [];
  });
}

describe('who connects', () => {
  it('from nowhere that is configured is rejected with a reason', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true}`, a);
    using stranger = dial(3);
    expect((await stranger.next('notification')).notification).toMatchObject({ code: 6, subcode: 5 });
    await stranger.closed();
    expect(kinds(us)).toEqual(['rejected 10.0.0.3: no such neighbour is configured']);
  });

  it('from a prefix becomes a neighbour for as long as it is connected, up to a limit', async () => {
    using us = new Speaker(
      `${HEAD}peers:\n  - {prefix: 10.0.0.0/24, limit: 2, remoteAs: [64513, 65000-65010]}\n  - {prefix: 10.0.0.4/31, remoteAs: 7}`,
      a,
    );
    using two = dial(2);
    using three = dial(3);
    await two.establish(peerOpen({ asn: 65003, identifier: 2 }));
    await three.establish(peerOpen({ identifier: 3 }));
    await us.reaches('10.0.0.2', 'Established');
    expect(us.ups.map(({ session }) => session.negotiated.peerAs).sort()).toEqual([64513, 65003]);
    // The longest prefix says what is expected.
    using five = dial(5);
    await five.establish(peerOpen({ asn: 7, identifier: 5 }));
    await us.reaches('10.0.0.5', 'Established');

    spaces.b.exec('ip', ['address', 'add', '10.0.0.9/24', 'dev', 'eth0']);
    using nine = dial(9);
    expect((await nine.next('notification')).notification).toMatchObject({ code: 6, subcode: 5 });
    two.socket.destroy();
    await waitFor(() => us.sessions.peer('10.0.0.2') === undefined, { what: '10.0.0.2 to be forgotten' });
    using again = dial(9);
    await again.establish(peerOpen({ identifier: 9 }));
    await us.reaches('10.0.0.9', 'Established');
    expect(kinds(us)).toEqual([
      'added 10.0.0.2',
      'added 10.0.0.3',
      'added 10.0.0.5',
      'rejected 10.0.0.9: 10.0.0.0/24 has its 2 neighbours already',
      'removed 10.0.0.2',
      'added 10.0.0.9',
    ]);
    expect([...us.sessions.peers].map(({ name }) => name)).toEqual(['10.0.0.3', '10.0.0.5', '10.0.0.9']);
  });

  it('from a prefix with the wrong AS is told so and forgotten', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {prefix: 10.0.0.0/24, remoteAs: 7}`, a);
    using them = dial(2);
    await them.next('open');
    them.send(peerOpen());
    expect((await them.next('notification')).notification).toMatchObject({ code: 2, subcode: 2 });
    await waitFor(() => us.sessions.peer('10.0.0.2') === undefined, { what: '10.0.0.2 to be forgotten' });
    expect(us.failures('10.0.0.2')).toEqual([
      'sent OPEN Message Error / Bad Peer AS (the neighbour is in AS 64513, expected 7)',
    ]);
  });

  it('from a prefix may be stopped by an operator, and is kept out until started', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {prefix: 10.0.0.0/24, remoteAs: 64513}`, a);
    using them = dial(2);
    await them.establish();
    (await us.reaches('10.0.0.2', 'Established')).stop('out');
    await them.closed();
    using again = dial(2);
    expect((await again.next('notification')).notification).toMatchObject({ code: 6, subcode: 5 });
    us.peer('10.0.0.2').start();
    await waitFor(() => us.sessions.peer('10.0.0.2') === undefined, { what: 'no trace of it' });
    using allowed = dial(2);
    await allowed.establish();
    await us.reaches('10.0.0.2', 'Established');
  });
});

describe('a neighbour from a prefix that gets an entry of its own', () => {
  it('is not one of the prefix any more, and comes up with what the entry says', async () => {
    const range = `${HEAD}peers:\n  - {prefix: 10.0.0.0/24, remoteAs: 64513}\n`;
    using us = new Speaker(range, a);
    using two = dial(2);
    using three = dial(3);
    await two.establish();
    await three.establish(peerOpen({ identifier: 3 }));
    const before = await us.reaches('10.0.0.2', 'Established');
    await us.reaches('10.0.0.3', 'Established');
    reconfigure(
      us,
      `${range}  - {address: 10.0.0.2, remoteAs: 64513, passive: true, timers: {hold: 30}, description: own}`,
    );
    expect((await two.next('notification')).notification).toMatchObject({ code: 6, subcode: 3 });
    expect(us.downs).toEqual(['10.0.0.2']);
    using again = dial(2);
    await again.establish();
    const after = await us.reaches('10.0.0.2', 'Established');
    expect(after).not.toBe(before);
    expect(after.session!.negotiated.holdTime).toBe(30);
    expect(kinds(us)).toEqual(['added 10.0.0.2', 'added 10.0.0.3', 'removed 10.0.0.2']);
    // And back: what the prefix lets in.
    reconfigure(us, range);
    using third = dial(2);
    await third.establish();
    await us.reaches('10.0.0.2', 'Established');
    expect(us.peer('10.0.0.2').config.key).toBe('10.0.0.0/24');
    expect(us.downs).not.toContain('10.0.0.3');
  });
});

describe('a neighbour that connects again at once', () => {
  it('after it has ended its session is let in', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {prefix: 10.0.0.0/24, remoteAs: 64513}`, a);
    for (let round = 1; round <= 5; round++) {
      using them = dial(2);
      await them.establish();
      await waitFor(() => us.ups.length === round, { what: 'the session to be up' });
      them.send({ kind: 'notification', notification: notification(6, 4) });
      them.socket.destroySoon();
    }
  });

  it('after we have reset the session is let in', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true}`, a);
    for (let round = 1; round <= 5; round++) {
      using them = dial(2);
      await them.establish();
      await waitFor(() => us.ups.length === round, { what: 'the session to be up' });
      us.peer('10.0.0.2').reset();
    }
  });
});

describe('signatures and hops', () => {
  const peers = (fields: string) =>
    `${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true, ${QUICK}, ${fields}}\n`;

  it('with the right password a session comes up, from either side; with a wrong one there is not even a connection', async () => {
    using us = new Speaker(peers('password: right'), a);
    using wrong = dial(2, { md5: 'wrong' });
    using none = dial(2);
    using right = dial(2, { md5: 'right' });
    await right.establish();
    await us.reaches('10.0.0.2', 'Established');
    expect([wrong.received, none.received]).toEqual([[], []]);
    us.peer('10.0.0.2').stop();
    await right.closed();

    const fd = openListener({
      namespace: b,
      address: '10.0.0.3',
      port: 179,
      md5: [{ peer: { address: US }, key: 'three' }],
    });
    using listener = new ScriptedListener(b, fd);
    using out = new Speaker(
      `${HEAD}listen: []\npeers:\n  - {address: 10.0.0.3, remoteAs: 64513, password: three}`,
      a,
    );
    await (await listener.next()).establish();
    await out.reaches('10.0.0.3', 'Established');
  });

  it('a changed password resets that session and disturbs no other', async () => {
    const both = (password: string) =>
      `${peers(`password: ${password}`)}  - {address: 10.0.0.3, remoteAs: 64513, passive: true, password: three}\n  - {prefix: 10.0.0.4/31, remoteAs: 64513, password: range}`;
    using us = new Speaker(both('old'), a);
    using two = dial(2, { md5: 'old' });
    using three = dial(3, { md5: 'three' });
    using four = dial(4, { md5: 'range' });
    for (const [i, them] of [two, three, four].entries())
      await them.establish(peerOpen({ identifier: 2 + i }));
    for (const host of [2, 3, 4]) await us.reaches(`10.0.0.${host}`, 'Established');
    reconfigure(us, both('new'));
    expect((await two.next('notification')).notification).toMatchObject({ code: 6, subcode: 6 });
    await us.reaches('10.0.0.2', 'Active');
    using late = dial(2, { md5: 'old' });
    using right = dial(2, { md5: 'new' });
    await right.establish();
    await us.reaches('10.0.0.2', 'Established');
    expect(late.received).toEqual([]);
    expect(us.downs).toEqual(['10.0.0.2']);
    // Without a password, the neighbour must not sign.
    reconfigure(us, peers('description: open'));
    using plain = dial(2);
    await plain.next('open');
  });

  it('a password that the kernel has no room for keeps out that neighbour and no other, until there is room', async () => {
    let full = true;
    const real = kernelSockets(a);
    const sockets: Sockets = {
      connect: (target) => real.connect(target),
      prepare: (socket, hops) => real.prepare(socket, hops),
      firstTtl: (socket) => real.firstTtl(socket),
      listen: (...args) => {
        const listening = real.listen(...args);
        return {
          family: listening.family,
          get port() {
            return listening.port;
          },
          setKey(neighbor, password) {
            if (full && password === 'two') throw Object.assign(new Error('no room'), { code: 'ENOMEM' });
            listening.setKey(neighbor, password);
          },
          close: () => listening.close(),
        };
      },
    };
    const source = `${peers('password: two')}  - {address: 10.0.0.3, remoteAs: 64513, passive: true, password: three}\n`;
    using us = new Speaker(source, a, sockets);
    using three = dial(3, { md5: 'three' });
    await three.establish(peerOpen({ identifier: 3 }));
    await us.reaches('10.0.0.3', 'Established');
    // Without a key the kernel lets anybody through.
    using unsigned = dial(2);
    expect((await unsigned.next('notification')).notification).toMatchObject({ code: 6, subcode: 5 });
    expect(us.peer('10.0.0.2').state).toBe('Active');
    full = false;
    reconfigure(us, source);
    using none = dial(2);
    using right = dial(2, { md5: 'two' });
    await right.establish();
    await us.reaches('10.0.0.2', 'Established');
    expect(none.received).toEqual([]);
    expect(us.downs).toEqual([]);
    expect(us.events.filter(({ kind }) => kind === 'keyFailed')).toMatchObject([{ neighbor: '10.0.0.2' }]);
  });

  it('TTL security takes a neighbour on the link, and not one that is farther away', async () => {
    using us = new Speaker(peers('ttlSecurity: 1'), a);
    using far = dial(2, { ttl: 254 });
    using near = dial(2, { ttl: 255, minTtl: 255 });
    await near.establish();
    await us.reaches('10.0.0.2', 'Established');
    far.send(peerOpen());
    near.send({ kind: 'keepalive' });
    await waitFor(() => us.peer('10.0.0.2').received.keepalive >= 2, { what: 'a KEEPALIVE from the link' });
    expect(us.downs).toEqual([]);
  });

  it('TTL security reads nothing that came from farther away, however early it was sent', async () => {
    for (const entry of ['address: 10.0.0.2', 'prefix: 10.0.0.0/24']) {
      using us = new Speaker(
        `${HEAD}peers:\n  - {${entry}, remoteAs: 64513, passive: true, ttlSecurity: 2}`,
        a,
      );
      using far = dial(2, { ttl: 253 });
      // With the handshake, so that it is there before anybody could look at the connection.
      far.send(peerOpen());
      far.send({ kind: 'keepalive' });
      await waitFor(() => kinds(us).length > 0, { what: 'what becomes of it' });
      expect(kinds(us)).toEqual(['rejected 10.0.0.2: it came with TTL 253, ttlSecurity expects 254 or more']);
      await far.closed();
      expect(far.received).toEqual([]);
      using near = dial(2, { ttl: 254 });
      await near.establish();
      await us.reaches('10.0.0.2', 'Established');
    }
  });

  it('without multihop an external neighbour is one hop away', async () => {
    // What is sent with a TTL of 1 does not pass a router; a scripted neighbour that drops all else shows it.
    spaces.b.exec('nft', [
      'add table ip hops; add chain ip hops input { type filter hook input priority 0; }',
    ]);
    spaces.b.exec('nft', ['add rule ip hops input tcp sport 1024-65535 tcp dport 179 ip ttl != 1 drop']);
    try {
      using listener = new ScriptedListener(b, '10.0.0.2');
      using us = new Speaker(`${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513}`, a);
      await (await listener.next()).establish();
      await us.reaches('10.0.0.2', 'Established');
    } finally {
      spaces.b.exec('nft', ['delete table ip hops']);
    }
  });
});

describe('a new configuration', () => {
  const peer = (host: number, fields = '') =>
    `  - {address: 10.0.0.${host}, remoteAs: 64513, passive: true${fields === '' ? '' : `, ${fields}`}}\n`;

  it('leaves sessions alone whose settings did not change, resets those that did, drops those that went', async () => {
    using us = new Speaker(`${HEAD}peers:\n${peer(2)}${peer(3)}${peer(4)}`, a);
    const them = [dial(2), dial(3), dial(4)];
    for (const [i, each] of them.entries()) await each.establish(peerOpen({ identifier: 2 + i }));
    for (const host of [2, 3, 4]) await us.reaches(`10.0.0.${host}`, 'Established');
    reconfigure(
      us,
      `${HEAD}log: {level: debug}\npeers:\n${peer(5)}${peer(3, 'timers: {hold: 30}')}${peer(2, 'description: same')}`,
    );
    expect((await them[1]!.next('notification')).notification).toMatchObject({ code: 6, subcode: 6 });
    expect((await them[2]!.next('notification')).notification).toMatchObject({ code: 6, subcode: 3 });
    expect(us.downs.sort()).toEqual(['10.0.0.3', '10.0.0.4']);
    expect(us.peer('10.0.0.2').state).toBe('Established');
    expect(us.peer('10.0.0.2').config.description).toBe('same');
    expect(us.sessions.peer('10.0.0.4')).toBeUndefined();
    await us.reaches('10.0.0.3', 'Active');
    using again = dial(3);
    expect(await again.next('open')).toMatchObject({ holdTime: 30 });
    using added = dial(5);
    await added.next('open');
    for (const each of them) each.socket.destroy();
  });

  it('disables with a message, and enables', async () => {
    using us = new Speaker(`${HEAD}peers:\n${peer(2)}`, a);
    using them = dial(2);
    await them.establish();
    await us.reaches('10.0.0.2', 'Established');
    reconfigure(us, `${HEAD}peers:\n${peer(2, 'enabled: false, shutdownMessage: see ticket 17')}`);
    const { notification: farewell } = await them.next('notification');
    expect(new TextDecoder().decode(farewell.data.subarray(1))).toBe('see ticket 17');
    expect(us.peer('10.0.0.2').idleReason).toBe('stopped');
    reconfigure(us, `${HEAD}peers:\n${peer(2)}`);
    using again = dial(2);
    await again.establish();
    await us.reaches('10.0.0.2', 'Established');
  });

  it('changes what is listened on', async () => {
    using us = new Speaker(`${HEAD}listen: [{address: 0.0.0.0}]\npeers:\n${peer(2)}`, a);
    reconfigure(us, `${HEAD}listen: [{address: 0.0.0.0, port: 1179}]\npeers:\n${peer(2)}`);
    using old = dial(2);
    await old.closed();
    expect(old.error).toBe('ECONNREFUSED');
    using them = dial(2, { port: 1179 });
    await them.establish();
    await us.reaches('10.0.0.2', 'Established');
  });
});

describe('listening', () => {
  it('on a port that somebody else has is tried again', async () => {
    const fd = openListener({ address: '0.0.0.0', port: 179, namespace: a });
    using us = new Speaker(
      `${HEAD}listen: [{address: 0.0.0.0}]\npeers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true}`,
      a,
    );
    expect(us.events[0]).toMatchObject({ kind: 'listenFailed', port: 179, error: { code: 'EADDRINUSE' } });
    close(fd);
    await waitFor(() => us.events.some(({ kind }) => kind === 'listening'), { what: 'listening' });
    using them = dial(2);
    await them.establish();
    await us.reaches('10.0.0.2', 'Established');
  });

  it('ends with a farewell to all', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true}`, a);
    using them = dial(2);
    await them.establish();
    await us.reaches('10.0.0.2', 'Established');
    const closed = us.sessions.close({ text: 'upgrade' });
    expect((await them.next('notification')).notification).toMatchObject({ code: 6, subcode: 2 });
    them.socket.end();
    await closed;
    using late = dial(2);
    await late.closed();
    expect(late.error).toBe('ECONNREFUSED');
  });

  it('ends without a farewell where neighbours are to keep our routes', async () => {
    using us = new Speaker(`${HEAD}peers:\n  - {address: 10.0.0.2, remoteAs: 64513, passive: true}`, a);
    using them = dial(2);
    await them.establish();
    await us.reaches('10.0.0.2', 'Established');
    await us.sessions.close('silent');
    await them.closed();
    expect(them.count('notification')).toBe(0);
  });
});

describe('over IPv6', () => {
  it('a session carries IPv4 too', async () => {
    using us = new Speaker(
      `${HEAD}peers:\n  - {address: "fd00::2", remoteAs: 64513, passive: true, families: [ipv4-unicast, ipv6-unicast]}`,
      a,
    );
    using them = ScriptedPeer.connect({ namespace: b, address: 'fd00::1', port: 179 });
    await them.establish();
    await us.reaches('fd00::2', 'Established');
    expect(us.ups[0]!.session.negotiated.families).toEqual([IPV4_UNICAST]);
    expect(us.sessions.peer('fd00:0::2')).toBe(us.peer('fd00::2'));
  });
});

describe('two speakers', () => {
  it('that start at once come to one session, also after one of them is gone for a while', async () => {
    const config = (us: number, them: number) =>
      `routerId: 10.0.0.${us}\nas: ${64511 + us}\npeers:\n  - {address: 10.0.0.${them}, remoteAs: ${64511 + them}, ${QUICK}}`;
    using one = new Speaker(config(1, 2), a);
    const two = new Speaker(config(2, 1), b);
    await Promise.all([one.reaches('10.0.0.2', 'Established'), two.reaches('10.0.0.1', 'Established')]);
    expect(one.peer('10.0.0.2').session!.side).not.toBe(two.peer('10.0.0.1').session!.side);
    two[Symbol.dispose]();
    await waitFor(() => one.downs.length === 1, { what: 'the session to be down' });
    using three = new Speaker(config(2, 1), b);
    await Promise.all([one.reaches('10.0.0.2', 'Established'), three.reaches('10.0.0.1', 'Established')]);
  });
});
