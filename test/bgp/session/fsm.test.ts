import { describe, expect, it } from 'vitest';
import type { Input, Output, Side } from '#bgp/session/events.ts';
import { Fsm } from '#bgp/session/fsm.ts';
import { type Notification, notification, shutdown } from '#bgp/wire/notification.ts';
import { EVENTS, type EventName, STATES, type StateName, TABLE } from './fsm-table.ts';
import { peerOpen, settings } from './settings.ts';

const CEASE_RESET = notification(6, 4);

describe('every event in every state', () => {
  for (const state of STATES) {
    for (const event of EVENTS) {
      const expected = TABLE[event][state] ?? '-';
      it(`${state}, ${event}: ${expected}`, () => {
        const fsm = bring(state);
        fsm.connectRetryCounter = 3;
        const before = fsm.state;
        const timers = new Set(fsm.runningTimers);
        const outputs = apply(fsm, event, state);

        const done = outputs.flatMap(describeOutput);
        if (fsm.connectRetryCounter === 0) done.push('counter=0');
        else if (fsm.connectRetryCounter !== 3) done.push(`counter+${fsm.connectRetryCounter - 3}`);
        const cell =
          done.length === 0 && fsm.state === before ? '-' : `${fsm.state}: ${done.join(', ')}`.trim();
        expect(cell).toBe(expected);
        if (expected === '-' && event !== 'stable timer') expect(fsm.runningTimers).toEqual(timers);
        checkTimers(fsm);
      });
    }
  }

  it('names only events and states that there are', () => {
    expect(Object.keys(TABLE)).toEqual([...EVENTS]);
    for (const row of Object.values(TABLE)) {
      for (const state of Object.keys(row)) expect(STATES).toContain(state);
    }
  });
});

/** Timers by state: RFC 4271 section 8.2.2. The last word of a name is the timer, a side before it that of the connection. */
function checkTimers(fsm: Fsm): void {
  const names = [...fsm.runningTimers].map((timer) => timer.split(' ').at(-1)!).sort();
  const unique = [...new Set(names)];
  switch (fsm.state) {
    case 'Idle':
      expect([[], ['idleHold'], ['restart']]).toContainEqual(names);
      break;
    case 'Connect':
    case 'Active':
      expect([['connectRetry'], ['delayOpen'], []]).toContainEqual(unique);
      break;
    case 'OpenSent':
      expect(unique).toEqual(['hold']);
      break;
    case 'OpenConfirm':
      expect(unique).toEqual(['hold', 'keepalive']);
      break;
    case 'Established':
      expect(['stable', 'sendHold', 'keepalive', 'hold']).toEqual(expect.arrayContaining(unique));
      expect(unique).toContain('hold');
  }
}

/** A machine in the named state. Jitter is at its most, so that timers have their full time. */
function bring(state: StateName): Fsm {
  const delayOpenMs = state === 'ConnectDelay' || state === 'ActiveDelay' ? 5000 : 0;
  const fsm = new Fsm(settings({ delayOpenMs }), () => 1);
  for (const input of PATHS[state]) fsm.step(input);
  return fsm;
}

const outgoing = 'outgoing' as const;
const PATHS: Readonly<Record<StateName, readonly Input[]>> = {
  Idle: [],
  IdleHold: [
    { type: 'start' },
    { type: 'connected' },
    { type: 'notification', side: outgoing, notification: CEASE_RESET },
    { type: 'start' },
    { type: 'reset', notification: CEASE_RESET },
  ],
  IdleLimit: [
    { type: 'start' },
    { type: 'automaticStop', notification: CEASE_RESET, restart: { afterMs: 60_000 } },
  ],
  Connect: [{ type: 'start' }],
  Active: [{ type: 'start' }, { type: 'lost', side: outgoing, error: 'refused' }],
  ConnectDelay: [{ type: 'start' }, { type: 'connected' }],
  ActiveDelay: [{ type: 'start' }, { type: 'lost', side: outgoing, error: 'refused' }, { type: 'incoming' }],
  OpenSent: [{ type: 'start' }, { type: 'connected' }],
  OpenConfirm: [{ type: 'start' }, { type: 'connected' }, { type: 'open', side: outgoing, open: peerOpen() }],
  Established: [
    { type: 'start' },
    { type: 'connected' },
    { type: 'open', side: outgoing, open: peerOpen() },
    { type: 'keepalive', side: outgoing },
  ],
};

function apply(fsm: Fsm, event: EventName, state: StateName): Output[] {
  const side: Side = state === 'ActiveDelay' ? 'incoming' : 'outgoing';
  const malformed = (message: 'header' | 'open' | 'update' | 'routeRefresh', code: number, subcode: number) =>
    fsm.step({
      type: 'malformed',
      side,
      message,
      notification: notification(code, subcode),
      reason: 'broken',
    });
  switch (event) {
    case '1,3 start':
      return fsm.step({ type: 'start' });
    case '4,5 start, passive':
      if (fsm.state === 'Idle') fsm.configure(settings({ passive: true }));
      return fsm.step({ type: 'start' });
    case '2 stop':
      return fsm.step({ type: 'stop', notification: shutdown(2, 'bye') });
    case '8 automatic stop':
      return fsm.step({ type: 'automaticStop', notification: notification(6, 8), restart: 'hold' });
    case '8 automatic stop with a restart after 5 minutes':
      return fsm.step({
        type: 'automaticStop',
        notification: notification(6, 1),
        restart: { afterMs: 300_000 },
      });
    case 'reset':
      return fsm.step({ type: 'reset', notification: CEASE_RESET });
    case '9 connect retry timer':
      return fsm.step({ type: 'timer', timer: 'connectRetry' });
    case '10 hold timer':
      return fsm.step({ type: 'timer', timer: 'hold', side });
    case '11 keepalive timer':
      return fsm.step({ type: 'timer', timer: 'keepalive', side });
    case '12 delay open timer':
      return fsm.step({ type: 'timer', timer: 'delayOpen', side });
    case '6,13 idle hold timer':
      return fsm.step({ type: 'timer', timer: 'idleHold' });
    case '7,13 idle hold timer, passive':
      if (fsm.state === 'Idle') fsm.configure(settings({ passive: true }));
      return fsm.step({ type: 'timer', timer: 'idleHold' });
    case 'restart timer':
      return fsm.step({ type: 'timer', timer: 'restart' });
    case 'stable timer':
      return fsm.step({ type: 'timer', timer: 'stable' });
    case '29 send hold timer':
      return fsm.step({ type: 'timer', timer: 'sendHold', side });
    case '14,17 incoming connection':
      return fsm.step({ type: 'incoming' });
    case '16 connected':
      return fsm.step({ type: 'connected' });
    case '18 connection lost':
      return fsm.step({ type: 'lost', side, error: 'reset by peer' });
    case '19,20 OPEN':
      return fsm.step({ type: 'open', side, open: peerOpen() });
    case '22 OPEN with a wrong AS':
      return fsm.step({ type: 'open', side, open: peerOpen({ asn: 64999 }) });
    case '21 header error':
      return malformed('header', 1, 1);
    case '22 malformed OPEN':
      return malformed('open', 2, 4);
    case '24 NOTIFICATION, version':
      return fsm.step({ type: 'notification', side, notification: notification(2, 1) });
    case '25 NOTIFICATION':
      return fsm.step({ type: 'notification', side, notification: notification(6, 2) });
    case '26 KEEPALIVE':
      return fsm.step({ type: 'keepalive', side });
    case '27 UPDATE':
      return fsm.step({ type: 'update', side });
    case '28 malformed UPDATE':
      return malformed('update', 3, 1);
    case 'ROUTE-REFRESH':
      return fsm.step({ type: 'routeRefresh', side });
    case 'malformed ROUTE-REFRESH':
      return malformed('routeRefresh', 7, 1);
    case 'UPDATE sent':
      return fsm.step({ type: 'sent', side });
    case 'TCP took data':
      return fsm.step({ type: 'progress', side });
  }
}

function describeOutput(output: Output): string[] {
  switch (output.do) {
    case 'send':
      if (output.message.type === 'notification') return [`send ${short(output.message.notification)}`];
      return [`send ${output.message.type.toUpperCase()}`];
    case 'close':
      return [output.abort ? 'abort' : 'close'];
    case 'refuse':
      return [output.notification === undefined ? 'refuse' : `refuse ${short(output.notification)}`];
    case 'startTimer':
      return [`${output.timer}=${output.ms}`];
    case 'stopTimer':
    case 'failure':
      return [];
    default:
      return [output.do];
  }
}

function short({ code, subcode }: Notification): string {
  return `${code}/${subcode}`;
}
