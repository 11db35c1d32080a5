import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '#bgp/session/clock.ts';
import type { SessionHandler } from '#bgp/session/handler.ts';
import { Peer } from '#bgp/session/peer.ts';
import { Lingering } from '#bgp/session/transport/link.ts';
import type { Sockets } from '#bgp/session/transport/sockets.ts';
import { Turns } from '#bgp/session/transport/turns.ts';
import { encodeMessage, type Message } from '#bgp/wire/message.ts';
import { loadPeer } from '../config/config.ts';
import { peerOpen, settings } from './settings.ts';

/** Time and turns of the event loop that pass when the test says so. */
class ManualClock implements Clock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];
  #deferred: (() => void)[] = [];

  readonly now = () => this.#now;
  readonly date = () => this.#now;
  readonly defer = (run: () => void) => {
    this.#deferred.push(run);
  };
  readonly after = (ms: number, run: () => void) => {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /** What was deferred, in the order it was, the last first if told so. */
  goRound(order: 'first' | 'last' = 'first'): void {
    const runs = this.#deferred;
    this.#deferred = [];
    if (order === 'last') runs.reverse();
    for (const run of runs) run();
  }

  /** Timers fire in their order; nothing else happens meanwhile, as if the event loop were busy. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = end;
  }
}

let clock: ManualClock;
let wire: Duplex;
let sent: number;
let peer: Peer;

beforeEach(async () => {
  clock = new ManualClock();
  sent = 0;
  wire = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      sent++;
      done();
    },
  });
  const sockets: Sockets = {
    connect: () => wire as Socket,
    listen: () => {
      throw new Error('nobody listens here');
    },
    prepare: () => {},
    firstTtl: () => undefined,
  };
  const handler: SessionHandler = {
    up: () => {},
    down: () => {},
    update: () => undefined,
    refresh: () => {},
    take: () => [],
    event: () => {},
  };
  peer = new Peer({
    address: { family: 4, bytes: Uint8Array.of(10, 0, 0, 2) },
    config: loadPeer('address: 10.0.0.2, remoteAs: 64513'),
    settings: settings(),
    clock,
    random: () => 1,
    sockets,
    turns: new Turns(clock),
    lingering: new Lingering(),
    handler,
  });
  peer.start();
  wire.emit('connect');
  await receive(peerOpen(), { kind: 'keepalive' });
  clock.goRound();
  expect(peer.state).toBe('Established');
});

/** Bytes arrive; they are looked at when the event loop goes round. */
async function receive(...messages: Message[]): Promise<void> {
  for (const message of messages) {
    for (const bytes of encodeMessage(message, { as4: true, ebgp: true })) wire.push(bytes);
  }
  await new Promise((resolve) => setImmediate(resolve)); // the stream hands them over in a turn of its own
}

describe('the hold timer', () => {
  it('ends the session when nothing came', () => {
    clock.pass(90_000);
    clock.goRound();
    expect(peer.state).toBe('Idle');
    expect(peer.lastError?.text).toBe('sent Hold Timer Expired');
  });

  it('looks once more after the sockets had their turn', async () => {
    clock.pass(90_000); // the process stood still, and timers come first
    await receive({ kind: 'keepalive' });
    clock.goRound();
    expect(peer.state).toBe('Established');
    clock.pass(89_999);
    clock.goRound();
    expect(peer.state).toBe('Established');
  });

  it('waits for what has arrived and has not been looked at', async () => {
    clock.pass(89_000);
    await receive({ kind: 'keepalive' });
    clock.pass(1000);
    clock.goRound('last'); // the timer is asked before the input is read
    expect(peer.state).toBe('Established');
    clock.pass(89_000);
    clock.goRound();
    expect(peer.state).toBe('Established');
    clock.pass(1000);
    clock.goRound();
    expect(peer.state).toBe('Idle');
  });
});

it('KEEPALIVEs go out at a third of the hold time', () => {
  const before = sent;
  clock.pass(30_000);
  expect(sent).toBe(before + 1);
  clock.pass(30_000);
  expect(sent).toBe(before + 2);
  expect(peer.timers().get('outgoing hold')).toBe(30_000);
});
