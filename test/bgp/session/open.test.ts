import { describe, expect, it } from 'vitest';
import { judgeOpen, localOpen } from '#bgp/session/open.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import { LOCAL_ID, peerOpen, settings } from './settings.ts';

const anyAs = [{ first: 1, last: 0xffffffff }];

function fault(...args: Parameters<typeof judgeOpen>): Fault {
  const verdict = judgeOpen(...args);
  if (verdict.kind !== 'fault') throw new Error('accepted');
  return verdict;
}

function accepted(...args: Parameters<typeof judgeOpen>) {
  const verdict = judgeOpen(...args);
  if (verdict.kind === 'fault') throw new Error(verdict.reason);
  return verdict;
}

describe('judging the OPEN of a neighbour', () => {
  it('refuses another AS than configured, and says both', () => {
    const { notification, reason } = fault(peerOpen({ asn: 64999 }), settings(), true);
    expect(notification).toMatchObject({ code: 2, subcode: 2 });
    expect(reason).toBe('the neighbour is in AS 64999, expected 64513');
  });

  it('refuses AS_TRANS as an AS of its own, whatever is configured (RFC 6793)', () => {
    const { notification } = fault(peerOpen({ asn: 23456 }), settings({ peerAs: anyAs }), true);
    expect(notification).toMatchObject({ code: 2, subcode: 2 });
  });

  it('takes any AS of a list of ranges', () => {
    const peerAs = [
      { first: 64513, last: 64513 },
      { first: 4_200_000_000, last: 4_200_000_010 },
    ];
    expect(accepted(peerOpen({ asn: 4_200_000_005 }), settings({ peerAs }), true).peerAs).toBe(4_200_000_005);
    expect(fault(peerOpen({ asn: 4_200_000_011 }), settings({ peerAs }), true).reason).toContain(
      'expected 64513, 4200000000-4200000010',
    );
  });

  it('refuses our own router id within the AS, and takes it from another one (RFC 6286)', () => {
    const open = peerOpen({ identifier: LOCAL_ID });
    const internal = settings({ peerAs: [{ first: 64512, last: 64512 }] });
    const { notification } = fault({ ...open, asn: 64512 }, internal, true);
    expect(notification).toMatchObject({ code: 2, subcode: 3 });
    expect(accepted(open, settings(), true).external).toBe(true);
  });

  it('refuses a neighbour with which no family is shared, naming ours', () => {
    const { notification } = fault(peerOpen(), settings({ families: [IPV6_UNICAST] }), true);
    expect(notification).toMatchObject({ code: 2, subcode: 7 });
    expect([...notification.data]).toEqual([1, 4, 0, 2, 0, 1]);
  });

  it('takes a neighbour without multiprotocol capability for one of IPv4 unicast', () => {
    const negotiated = accepted(peerOpen({ capabilities: [] }), settings(), true);
    expect(negotiated.families).toEqual([IPV4_UNICAST]);
    expect(negotiated).toMatchObject({
      as4: false,
      routeRefresh: false,
      enhancedRefresh: false,
      maxSend: 4096,
    });
  });

  it('agrees on nothing that needs capabilities when ours were left out', () => {
    const negotiated = accepted(peerOpen(), settings(), false);
    expect(negotiated.families).toEqual([IPV4_UNICAST]);
    expect(negotiated.as4).toBe(false);
    expect(negotiated.maxReceive).toBe(4096);
  });

  it.each([
    [90, 180, undefined, 90, 30],
    [180, 90, undefined, 90, 30],
    [90, 0, undefined, 0, 0],
    [0, 90, undefined, 0, 0],
    [90, 3, 20, 3, 1],
    [90, 90, 20, 90, 20],
    [10, 180, undefined, 10, 10 / 3],
  ])(
    'of hold times %i and %i with keepalive %s agrees on %i and %f s',
    (ours, theirs, keepalive, hold, interval) => {
      const negotiated = accepted(
        peerOpen({ holdTime: theirs }),
        settings({ holdTime: ours, keepalive }),
        true,
      );
      expect(negotiated.holdTime).toBe(hold);
      expect(negotiated.keepalive).toBe(interval);
    },
  );

  it('sends extended messages only to who takes them, and takes them only if it said so', () => {
    const open = peerOpen({ capabilities: [...peerOpen().capabilities, { kind: 'extended-message' }] });
    expect(accepted(open, settings(), true)).toMatchObject({ maxSend: 65535, maxReceive: 65535 });
    expect(accepted(open, settings({ extendedMessages: false }), true)).toMatchObject({
      maxSend: 65535,
      maxReceive: 4096,
    });
    expect(accepted(peerOpen(), settings(), true)).toMatchObject({ maxSend: 4096, maxReceive: 65535 });
  });
});

describe('our OPEN', () => {
  it('offers what is configured', () => {
    expect(localOpen(settings(), true).capabilities.map(({ kind }) => kind)).toEqual([
      'multiprotocol',
      'multiprotocol',
      'route-refresh',
      'enhanced-route-refresh',
      'extended-message',
      'four-octet-as',
    ]);
    const plain = localOpen(settings({ extendedMessages: false, enhancedRefresh: false }), true);
    expect(plain.capabilities.map(({ kind }) => kind)).not.toContain('extended-message');
    expect(plain.capabilities.map(({ kind }) => kind)).not.toContain('enhanced-route-refresh');
  });

  it('has no capabilities for a neighbour that can not read them', () => {
    expect(localOpen(settings(), false)).toMatchObject({ asn: 64512, holdTime: 90, capabilities: [] });
  });
});
