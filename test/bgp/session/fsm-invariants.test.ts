import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Input, Output, Side } from '#bgp/session/events.ts';
import { Fsm } from '#bgp/session/fsm.ts';
import type { SessionSettings } from '#bgp/session/settings.ts';
import { notification } from '#bgp/wire/notification.ts';
import { randomFrom } from './random.ts';
import { LOCAL_ID, peerOpen, settings } from './settings.ts';

/** What the outside knows of a connection from what the machine has said. */
type Seen = {
  up: boolean;
  sentOpen: boolean;
  gotOpen: boolean;
  established: boolean;
};

/** Follows the outputs of a machine and complains about each that is not legal. */
class Watcher {
  readonly fsm: Fsm;
  readonly timers = new Set<string>();
  readonly connections: { outgoing: Seen | undefined; incoming: Seen | undefined } = {
    outgoing: undefined,
    incoming: undefined,
  };
  readonly #settings: SessionSettings;

  constructor(changes: Partial<SessionSettings>, random: () => number) {
    this.#settings = settings(changes);
    this.fsm = new Fsm(this.#settings, random);
  }

  step(input: Input): void {
    if (input.type === 'timer')
      this.timers.delete('side' in input ? `${input.side} ${input.timer}` : input.timer);
    if (input.type === 'connected') {
      // It only comes for an attempt that is on the way.
      const attempt = this.connections.outgoing;
      if (attempt === undefined || attempt.up) return;
      attempt.up = true;
    }
    if (input.type === 'open') {
      const connection = this.connections[input.side];
      if (connection?.up === true) connection.gotOpen = true;
    }
    const outputs = this.fsm.step(input);
    this.#follow(outputs);
    if (input.type === 'incoming') {
      expect(outputs.filter(({ do: what }) => what === 'adopt' || what === 'refuse')).toHaveLength(1);
    }
    this.#check();
  }

  #follow(outputs: readonly Output[]): void {
    for (const [i, output] of outputs.entries()) {
      switch (output.do) {
        case 'connect':
          expect(this.#settings.passive).toBe(false);
          expect(this.connections.outgoing).toBeUndefined();
          this.connections.outgoing = { up: false, sentOpen: false, gotOpen: false, established: false };
          break;
        case 'adopt':
          expect(this.connections.incoming).toBeUndefined();
          this.connections.incoming = { up: true, sentOpen: false, gotOpen: false, established: false };
          break;
        case 'send': {
          const connection = this.connections[output.side]!;
          expect(connection?.up).toBe(true);
          switch (output.message.type) {
            case 'open':
              expect(connection.sentOpen).toBe(false);
              connection.sentOpen = true;
              break;
            case 'keepalive':
              expect(connection).toMatchObject({ sentOpen: true, gotOpen: true });
              break;
            case 'notification': {
              // Nothing but the close follows it on its connection.
              const next = outputs.slice(i + 1).find((later) => 'side' in later && later.do !== 'stopTimer');
              expect(next).toEqual({ do: 'close', side: output.side, abort: false });
              break;
            }
          }
          break;
        }
        case 'close': {
          const connection = this.connections[output.side];
          expect(connection).toBeDefined();
          const down = outputs[i + 1];
          expect(down?.do === 'down' && down.side === output.side).toBe(connection!.established);
          this.connections[output.side] = undefined;
          break;
        }
        case 'up':
          expect(this.connections[output.side]).toMatchObject({
            sentOpen: true,
            gotOpen: true,
            established: false,
          });
          expect(this.connections.outgoing?.established ?? false).toBe(false);
          expect(this.connections.incoming?.established ?? false).toBe(false);
          this.connections[output.side]!.established = true;
          break;
        case 'startTimer':
          expect(output.ms).toBeGreaterThanOrEqual(output.timer === 'idleHold' ? 0 : 1);
          expect(output.ms).toBeLessThanOrEqual(480_000);
          this.timers.add('side' in output ? `${output.side} ${output.timer}` : output.timer);
          break;
        case 'stopTimer':
          expect(this.timers.delete('side' in output ? `${output.side} ${output.timer}` : output.timer)).toBe(
            true,
          );
          break;
      }
    }
  }

  #check(): void {
    const { fsm, timers, connections } = this;
    expect(new Set(fsm.runningTimers)).toEqual(timers);
    for (const side of ['outgoing', 'incoming'] as const) {
      const connection = connections[side];
      const own = [...timers].filter((timer) => timer.startsWith(side)).map((timer) => timer.split(' ')[1]);
      expect(fsm.connectionState(side) === undefined).toBe(connection === undefined);
      expect(fsm.established === side).toBe(connection?.established ?? false);
      if (connection === undefined || !connection.up) expect(own).toEqual([]);
      else if (!connection.sentOpen) expect(own).toEqual(['delayOpen']);
      else if (!connection.established || fsm.negotiated!.holdTime > 0) expect(own).toContain('hold');
      if (!connection?.established) expect(own).not.toContain('sendHold');
    }
    if (timers.has('stable')) expect(fsm.established).toBeDefined();
    if (fsm.state === 'Idle') {
      expect(connections).toEqual({ outgoing: undefined, incoming: undefined });
      const expected = { new: [[]], stopped: [[]], hold: [['idleHold']], limit: [[], ['restart']] };
      expect(expected[fsm.idleReason!]).toContainEqual([...timers]);
    } else {
      expect(fsm.idleReason).toBeUndefined();
      const open = connections.outgoing?.up === true || connections.incoming !== undefined;
      // It never just sits there: it connects, or waits for a message with a timer, or is passive.
      expect(timers.has('connectRetry')).toBe(!open && !this.#settings.passive);
    }
  }
}

const side = fc.constantFrom<Side>('outgoing', 'incoming');
const opens = fc.constantFrom(
  peerOpen(),
  peerOpen({ identifier: LOCAL_ID - 1 }),
  peerOpen({ holdTime: 0 }),
  peerOpen({ asn: 1 }),
  peerOpen({ capabilities: [] }),
);
const notifications = fc.constantFrom(
  notification(6, 2),
  notification(6, 7),
  notification(2, 1),
  notification(2, 4),
  notification(4, 0),
);

/** Events as they come in a session that gets somewhere, and ones that never should. */
const inputs: fc.Arbitrary<Input> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Input>({ type: 'connected' }) },
  { weight: 3, arbitrary: fc.constant<Input>({ type: 'incoming' }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('open' as const), side, open: opens }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom('keepalive', 'update', 'routeRefresh', 'sent', 'progress'),
      side,
    }) as fc.Arbitrary<Input>,
  },
  { weight: 3, arbitrary: fc.constant<Input>({ type: 'start' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('timer' as const),
      timer: fc.constantFrom('connectRetry', 'idleHold', 'restart', 'stable'),
    }) as fc.Arbitrary<Input>,
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('timer' as const),
      timer: fc.constantFrom('delayOpen', 'hold', 'keepalive', 'sendHold'),
      side,
    }) as fc.Arbitrary<Input>,
  },
  fc.record({ type: fc.constant('lost' as const), side, error: fc.constant('reset') }),
  fc.record({ type: fc.constant('notification' as const), side, notification: notifications }),
  fc.record({
    type: fc.constant('malformed' as const),
    side,
    message: fc.constantFrom('header' as const, 'open' as const, 'update' as const, 'routeRefresh' as const),
    notification: fc.constant(notification(1, 1)),
    reason: fc.constant('broken'),
  }),
  fc.constant<Input>({ type: 'stop', notification: notification(6, 2) }),
  fc.constant<Input>({ type: 'reset', notification: notification(6, 4) }),
  fc.record({
    type: fc.constant('automaticStop' as const),
    notification: fc.constant(notification(6, 1)),
    restart: fc.constantFrom('hold' as const, 'now' as const, 'never' as const, { afterMs: 1000 }),
  }),
);

describe('random events', () => {
  it('never lead to an illegal message, two sessions, a stray timer or a dead end', () => {
    const variants = fc.record({
      passive: fc.boolean(),
      collisionDetectEstablished: fc.boolean(),
      delayOpenMs: fc.constantFrom(0, 1000),
      holdTime: fc.constantFrom(90, 3, 0),
      damp: fc.boolean(),
    });
    fc.assert(
      fc.property(
        variants,
        fc.array(inputs, { minLength: 1, maxLength: 80 }),
        fc.integer(),
        (changes, events, seed) => {
          const watcher = new Watcher(changes, randomFrom(seed));
          watcher.step({ type: 'start' });
          for (const event of events) watcher.step(event);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
