import { describe, expect, it } from 'vitest';
import { describeFailure, type Input, type Output, type Side } from '#bgp/session/events.ts';
import { Fsm } from '#bgp/session/fsm.ts';
import { IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { notification, shutdown } from '#bgp/wire/notification.ts';
import { LOCAL_ID, peerOpen, settings } from './settings.ts';

const LOWER = LOCAL_ID - 1;
const HIGHER = LOCAL_ID + 1;

function machine(changes: Parameters<typeof settings>[0] = {}, random = () => 1): Fsm {
  return new Fsm(settings(changes), random);
}

function steps(fsm: Fsm, ...inputs: Input[]): Output[] {
  return inputs.flatMap((input) => fsm.step(input));
}

/** Both connections open, neither OPEN received. */
function collide(fsm: Fsm): void {
  steps(fsm, { type: 'start' }, { type: 'incoming' }, { type: 'connected' });
}

function open(side: Side, identifier: number, asn = 64513): Input {
  return { type: 'open', side, open: peerOpen({ identifier, asn }) };
}

function closed(outputs: readonly Output[]): Side[] {
  return outputs.flatMap((output) => (output.do === 'close' ? [output.side] : []));
}

function notifications(outputs: readonly Output[]): string[] {
  return outputs.flatMap((output) => {
    if (output.do !== 'send' || output.message.type !== 'notification') return [];
    const { code, subcode } = output.message.notification;
    return [`${output.side} ${code}/${subcode}`];
  });
}

function idleHold(outputs: readonly Output[]): number | undefined {
  for (const output of outputs)
    if (output.do === 'startTimer' && output.timer === 'idleHold') return output.ms;
  return undefined;
}

describe('a collision', () => {
  const sides: Side[] = ['outgoing', 'incoming'];
  for (const first of sides) {
    const second: Side = first === 'outgoing' ? 'incoming' : 'outgoing';
    it(`with OPEN first on the ${first} connection keeps the one that the higher router id opened`, () => {
      for (const [identifier, kept] of [
        [LOWER, 'outgoing'],
        [HIGHER, 'incoming'],
      ] as const) {
        const fsm = machine();
        collide(fsm);
        expect(closed(steps(fsm, open(first, identifier)))).toEqual([]);
        const outputs = steps(fsm, open(second, identifier));
        const lost = kept === 'outgoing' ? 'incoming' : 'outgoing';
        expect(closed(outputs)).toEqual([lost]);
        expect(notifications(outputs)).toEqual([`${lost} 6/7`]);
        expect(fsm.connectionState(kept)).toBe('OpenConfirm');
        expect(fsm.connectionState(lost)).toBeUndefined();
        expect(fsm.state).toBe('OpenConfirm');
        steps(fsm, { type: 'keepalive', side: kept });
        expect(fsm.established).toBe(kept);
      }
    });
  }

  it('with equal router ids keeps the connection that the higher AS opened (RFC 6286)', () => {
    for (const [asn, kept] of [
      [64511, 'outgoing'],
      [64513, 'incoming'],
    ] as const) {
      const fsm = machine({ peerAs: [{ first: 64511, last: 64513 }] });
      collide(fsm);
      steps(fsm, open('outgoing', LOCAL_ID, asn), open('incoming', LOCAL_ID, asn));
      expect(fsm.connectionState(kept)).toBe('OpenConfirm');
      expect(fsm.connectionState(kept === 'outgoing' ? 'incoming' : 'outgoing')).toBeUndefined();
    }
  });

  it('gives up connecting once the OPEN on the other connection is there', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, { type: 'incoming' });
    expect(closed(steps(fsm, open('incoming', LOWER)))).toEqual(['outgoing']);
    expect(fsm.connectionState('outgoing')).toBeUndefined();
  });

  it('ends with the connection that is Established first, if it is the one to keep', () => {
    const fsm = machine();
    collide(fsm);
    const outputs = steps(fsm, open('outgoing', LOWER), { type: 'keepalive', side: 'outgoing' });
    expect(fsm.established).toBe('outgoing');
    expect(closed(outputs)).toEqual(['incoming']);
    expect(notifications(outputs)).toEqual(['incoming 6/7']);
  });

  describe('that the connection would lose which is confirmed first', () => {
    /** The neighbour is dominant: its own connection is to be kept, and ours has its KEEPALIVE already. */
    function confirmed(): Fsm {
      const fsm = machine();
      collide(fsm);
      steps(fsm, open('outgoing', HIGHER), { type: 'keepalive', side: 'outgoing' });
      expect(fsm.state).toBe('OpenConfirm');
      expect(fsm.runningTimers).toContain('outgoing collision');
      return fsm;
    }

    it('waits for the OPEN on the other one', () => {
      const fsm = confirmed();
      expect(notifications(steps(fsm, open('incoming', HIGHER)))).toEqual(['outgoing 6/7']);
      steps(fsm, { type: 'keepalive', side: 'incoming' });
      expect(fsm.established).toBe('incoming');
    });

    it.each<[string, Input]>([
      ['the other one is closed', { type: 'lost', side: 'incoming', error: 'closed' }],
      [
        'the other one is given up',
        { type: 'notification', side: 'incoming', notification: notification(6, 7) },
      ],
      ['an UPDATE comes', { type: 'update', side: 'outgoing' }],
      ['another KEEPALIVE comes', { type: 'keepalive', side: 'outgoing' }],
      ['it has waited long enough', { type: 'timer', timer: 'collision', side: 'outgoing' }],
    ])('goes on when %s', (_what, input) => {
      const fsm = confirmed();
      const outputs = steps(fsm, input);
      expect(fsm.established).toBe('outgoing');
      expect(fsm.connectionState('incoming')).toBeUndefined();
      expect(outputs.filter((output) => output.do === 'up')).toHaveLength(1);
      expect(fsm.runningTimers).not.toContain('outgoing collision');
    });

    it('ends like any other when all is stopped', () => {
      const fsm = confirmed();
      const outputs = steps(fsm, { type: 'stop', notification: notification(6, 2) });
      expect(outputs.some((output) => output.do === 'up')).toBe(false);
      expect(fsm.runningTimers.size).toBe(0);
    });
  });

  it('goes on with the other connection when the neighbour closes one', () => {
    const fsm = machine();
    collide(fsm);
    steps(fsm, open('outgoing', HIGHER));
    steps(fsm, { type: 'notification', side: 'outgoing', notification: notification(6, 7) });
    expect(fsm.state).toBe('OpenSent');
    steps(fsm, open('incoming', HIGHER), { type: 'keepalive', side: 'incoming' });
    expect(fsm.established).toBe('incoming');
  });

  it('refuses a connection while Established, and asks the old one for a sign of life', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, { type: 'connected' }, open('outgoing', LOWER), {
      type: 'keepalive',
      side: 'outgoing',
    });
    expect(steps(fsm, { type: 'incoming' })).toEqual([
      { do: 'startTimer', side: 'outgoing', timer: 'keepalive', ms: 1000 },
      { do: 'refuse', notification: undefined },
    ]);
    // A second attempt does not put the KEEPALIVE off.
    expect(steps(fsm, { type: 'incoming' })).toEqual([{ do: 'refuse', notification: undefined }]);
    steps(fsm, { type: 'timer', timer: 'keepalive', side: 'outgoing' });
    expect(steps(fsm, { type: 'incoming' })).toHaveLength(2);
  });

  it('lets a new connection take over an Established one where that is wanted', () => {
    const fsm = machine({ collisionDetectEstablished: true });
    steps(fsm, { type: 'start' }, { type: 'connected' }, open('outgoing', HIGHER), {
      type: 'keepalive',
      side: 'outgoing',
    });
    steps(fsm, { type: 'incoming' });
    const outputs = steps(fsm, open('incoming', HIGHER));
    expect(closed(outputs)).toEqual(['outgoing']);
    expect(outputs.map((output) => output.do)).toContain('down');
    steps(fsm, { type: 'keepalive', side: 'incoming' });
    expect(fsm.established).toBe('incoming');
  });

  it('takes the newer of two connections that the neighbour opened', () => {
    const fsm = machine({ passive: true });
    steps(fsm, { type: 'start' }, { type: 'incoming' });
    const outputs = steps(fsm, { type: 'incoming' });
    expect(notifications(outputs)).toEqual(['incoming 6/7']);
    expect(outputs.map((output) => output.do)).toContain('adopt');
    expect(fsm.state).toBe('OpenSent');
  });
});

describe('waiting after a failure', () => {
  const fail: Input[] = [
    { type: 'connected' },
    { type: 'open', side: 'outgoing', open: peerOpen({ asn: 1 }) },
  ];
  const again: Input = { type: 'timer', timer: 'idleHold' };

  it('doubles up to the maximum', () => {
    const fsm = machine({ idleHoldMaxMs: 10_000 });
    const waits: (number | undefined)[] = [];
    steps(fsm, { type: 'start' });
    for (let i = 0; i < 6; i++) {
      waits.push(idleHold(steps(fsm, ...fail)));
      steps(fsm, again);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  it('does not double where oscillations are not damped', () => {
    const fsm = machine({ damp: false });
    steps(fsm, { type: 'start' });
    for (let i = 0; i < 3; i++) {
      expect(idleHold(steps(fsm, ...fail))).toBe(1000);
      steps(fsm, again);
    }
  });

  it('is none after a session that lasted, and starts over from the beginning', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, ...fail, again, ...fail, again);
    steps(fsm, { type: 'connected' }, open('outgoing', LOWER), { type: 'keepalive', side: 'outgoing' });
    steps(fsm, { type: 'timer', timer: 'stable' });
    expect(idleHold(steps(fsm, { type: 'lost', side: 'outgoing', error: 'reset' }))).toBe(0);
    steps(fsm, again);
    expect(idleHold(steps(fsm, ...fail))).toBe(1000);
  });

  it('goes on growing when sessions do not last', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' });
    const flap: Input[] = [
      { type: 'connected' },
      open('outgoing', LOWER),
      { type: 'keepalive', side: 'outgoing' },
      { type: 'lost', side: 'outgoing', error: 'reset' },
    ];
    expect(idleHold(steps(fsm, ...flap))).toBe(1000);
    expect(idleHold(steps(fsm, again, ...flap))).toBe(2000);
  });

  it('is over at once when an operator resets or starts the neighbour', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, ...fail);
    expect(idleHold(steps(fsm, { type: 'reset', notification: notification(6, 4) }))).toBe(0);
    steps(fsm, again, ...fail);
    steps(fsm, { type: 'start' });
    expect(fsm.state).toBe('Connect');
  });
});

describe('jitter', () => {
  it('shortens timers to no less than three quarters', () => {
    const retry = (random: number) => {
      const [, output] = machine({}, () => random).step({ type: 'start' });
      return output?.do === 'startTimer' ? output.ms : undefined;
    };
    expect(retry(0)).toBe(3750);
    expect(retry(0.5)).toBe(4375);
    expect(retry(0.999999)).toBe(5000);
  });

  it('never makes KEEPALIVEs come more often than once a second', () => {
    const fsm = machine({ holdTime: 3 }, () => 0);
    const outputs = steps(fsm, { type: 'start' }, { type: 'connected' }, open('outgoing', LOWER));
    expect(outputs).toContainEqual({ do: 'startTimer', side: 'outgoing', timer: 'keepalive', ms: 1000 });
  });
});

describe('a hold time of zero', () => {
  it('runs neither hold, keepalive nor send hold timer in Established', () => {
    const fsm = machine({ holdTime: 0 });
    const outputs = steps(fsm, { type: 'start' }, { type: 'connected' }, open('outgoing', LOWER));
    expect(outputs.some((output) => output.do === 'startTimer' && output.timer === 'keepalive')).toBe(false);
    expect([...fsm.runningTimers]).toEqual(['outgoing hold']);
    steps(fsm, { type: 'keepalive', side: 'outgoing' });
    expect([...fsm.runningTimers]).toEqual(['stable']);
    steps(fsm, { type: 'update', side: 'outgoing' }, { type: 'sent', side: 'outgoing' });
    expect([...fsm.runningTimers]).toEqual(['stable']);
  });
});

describe('the send hold timer (RFC 9687)', () => {
  function sendHold(changes: Parameters<typeof settings>[0]): number | undefined {
    const fsm = machine(changes);
    const outputs = steps(fsm, { type: 'start' }, { type: 'connected' }, open('outgoing', LOWER), {
      type: 'keepalive',
      side: 'outgoing',
    });
    for (const output of outputs)
      if (output.do === 'startTimer' && output.timer === 'sendHold') return output.ms;
    return undefined;
  }

  it('is eight minutes, or twice a long hold time', () => {
    expect(sendHold({ holdTime: 90 })).toBe(480_000);
    expect(sendHold({ holdTime: 180 })).toBe(480_000);
  });

  it('is what is configured, but longer than the hold time, or off', () => {
    expect(sendHold({ sendHold: 200 })).toBe(200_000);
    expect(sendHold({ sendHold: 10 })).toBe(91_000);
    expect(sendHold({ sendHold: 0 })).toBeUndefined();
  });
});

describe('capabilities', () => {
  const unsupported: Input = { type: 'notification', side: 'outgoing', notification: notification(2, 4) };
  const again: Input = { type: 'timer', timer: 'idleHold' };

  function capabilitiesSent(outputs: readonly Output[]): number | undefined {
    for (const output of outputs) {
      if (output.do === 'send' && output.message.type === 'open')
        return output.message.open.capabilities.length;
    }
    return undefined;
  }

  it('are left out after Unsupported Optional Parameter, and offered again after that session', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, { type: 'connected' }, unsupported);
    expect(capabilitiesSent(steps(fsm, again, { type: 'connected' }))).toBe(0);
    steps(
      fsm,
      { type: 'open', side: 'outgoing', open: peerOpen({ capabilities: [] }) },
      {
        type: 'keepalive',
        side: 'outgoing',
      },
    );
    expect(fsm.negotiated?.as4).toBe(false);
    steps(fsm, { type: 'lost', side: 'outgoing', error: 'reset' });
    expect(capabilitiesSent(steps(fsm, again, { type: 'connected' }))).toBeGreaterThan(0);
  });

  it('are offered again when leaving them out did not help', () => {
    const fsm = machine();
    steps(
      fsm,
      { type: 'start' },
      { type: 'connected' },
      unsupported,
      again,
      { type: 'connected' },
      unsupported,
    );
    expect(capabilitiesSent(steps(fsm, again, { type: 'connected' }))).toBeGreaterThan(0);
  });

  it('stay for any other error, and where nothing would be left to carry', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, { type: 'connected' });
    steps(fsm, { type: 'notification', side: 'outgoing', notification: notification(2, 7) }, again);
    expect(capabilitiesSent(steps(fsm, { type: 'connected' }))).toBeGreaterThan(0);

    const ipv6 = machine({ families: [IPV6_UNICAST] });
    steps(ipv6, { type: 'start' }, { type: 'connected' }, unsupported, again);
    expect(capabilitiesSent(steps(ipv6, { type: 'connected' }))).toBeGreaterThan(0);
  });
});

describe('stopping', () => {
  it('stays down until started, and refuses the neighbour with Connection Rejected', () => {
    const fsm = machine();
    steps(fsm, { type: 'start' }, { type: 'stop', notification: shutdown(2, 'moving to rack 7') });
    expect(fsm.idleReason).toBe('stopped');
    expect(fsm.runningTimers.size).toBe(0);
    expect(steps(fsm, { type: 'reset', notification: notification(6, 4) })).toEqual([]);
    expect(steps(fsm, { type: 'incoming' })).toEqual([{ do: 'refuse', notification: notification(6, 5) }]);
    steps(fsm, { type: 'start' });
    expect(fsm.state).toBe('Connect');
  });

  it('after a limit stays down until its timer, a reset, or for good', () => {
    const limit = (restart: 'never' | { afterMs: number }): Input => ({
      type: 'automaticStop',
      notification: notification(6, 1),
      restart,
    });
    const timed = machine();
    steps(timed, { type: 'start' }, limit({ afterMs: 60_000 }));
    expect([...timed.runningTimers]).toEqual(['restart']);
    steps(timed, { type: 'timer', timer: 'restart' });
    expect(timed.state).toBe('Connect');

    const forGood = machine();
    steps(forGood, { type: 'start' }, limit('never'));
    expect(forGood.idleReason).toBe('limit');
    expect(forGood.runningTimers.size).toBe(0);
    steps(forGood, { type: 'reset', notification: notification(6, 4) }, { type: 'timer', timer: 'idleHold' });
    expect(forGood.state).toBe('Connect');
  });
});

describe('why a connection ended', () => {
  it.each([
    [
      { kind: 'sent', notification: notification(2, 2), reason: 'the neighbour is in AS 1, expected 2' },
      'sent OPEN Message Error / Bad Peer AS (the neighbour is in AS 1, expected 2)',
    ],
    [
      { kind: 'received', notification: shutdown(2, 'moving to rack 7') },
      'received Cease / Administrative Shutdown: "moving to rack 7"',
    ],
    [{ kind: 'lost', error: 'connection reset by the neighbour' }, 'connection reset by the neighbour'],
    [{ kind: 'unexpected', message: 'UPDATE' }, 'unexpected UPDATE before any OPEN'],
    [{ kind: 'stuck', seconds: 480 }, 'Send Hold Timer Expired: the neighbour took no data for 480 s'],
  ] as const)('%o reads %s', (failure, text) => {
    expect(describeFailure(failure)).toBe(text);
  });
});
