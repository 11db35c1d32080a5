import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import { capabilityName, decodeCapability, encodeCapability } from '#bgp/wire/capabilities.ts';
import { AS_TRANS, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { decodeOpen, encodeOpen, type Open } from '#bgp/wire/open.ts';
import { decodeRouteRefresh } from '#bgp/wire/refresh.ts';

describe('an OPEN that can not be accepted has the NOTIFICATION of RFC 4271 6.2', () => {
  test.each([
    ['version 3, answered with the version that is', '03 fde9 00b4 0a000001 00', '2/1 0004'],
    ['version 5', '05 fde9 00b4 0a000001 00', '2/1 0004'],
    ['AS 0: RFC 7607', '04 0000 00b4 0a000001 00', '2/2 '],
    ['AS 0 in the capability', '04 5ba0 00b4 0a000001 08 02 06 41 04 00000000', '2/2 '],
    ['an AS that is not that of the capability', '04 fde9 00b4 0a000001 08 02 06 41 04 0000fdea', '2/2 '],
    ['a hold time of 1', '04 fde9 0001 0a000001 00', '2/6 '],
    ['a hold time of 2', '04 fde9 0002 0a000001 00', '2/6 '],
    ['identifier 0', '04 fde9 00b4 00000000 00', '2/3 '],
    ['an optional parameter that nobody knows', '04 fde9 00b4 0a000001 03 09 01 00', '2/4 '],
    ['the optional parameter for authentication, long gone', '04 fde9 00b4 0a000001 03 01 01 00', '2/4 '],
    ['parameters shorter than their length', '04 fde9 00b4 0a000001 05 02 02 02 00', '2/0 '],
    ['parameters longer than their length', '04 fde9 00b4 0a000001 03 02 02 02 00', '2/0 '],
    ['bytes behind an OPEN without parameters', '04 fde9 00b4 0a000001 00 00', '2/0 '],
    ['a parameter over the end', '04 fde9 00b4 0a000001 04 02 03 02 00', '2/0 '],
    ['half a parameter', '04 fde9 00b4 0a000001 01 02', '2/0 '],
    ['a capability over the end', '04 fde9 00b4 0a000001 06 02 04 41 04 0000', '2/0 '],
    ['half a capability', '04 fde9 00b4 0a000001 03 02 01 02', '2/0 '],
    ['a multiprotocol capability of three bytes', '04 fde9 00b4 0a000001 07 02 05 01 03 000100', '2/0 '],
    ['a four-octet AS capability of two bytes', '04 fde9 00b4 0a000001 06 02 04 41 02 fde9', '2/0 '],
    ['a route refresh capability with content', '04 fde9 00b4 0a000001 05 02 03 02 01 00', '2/0 '],
    ['extended parameters without their length', '04 fde9 00b4 0a000001 ff ff 00', '2/0 '],
    [
      'extended parameters shorter than their length',
      '04 fde9 00b4 0a000001 ff ff 0006 02 0002 0200',
      '2/0 ',
    ],
    ['half an extended parameter', '04 fde9 00b4 0a000001 ff ff 0002 02 00', '2/0 '],
    [
      'an extended length behind another parameter: RFC 9072 2',
      '04 fde9 00b4 0a000001 08 02 02 02 00 ff 02 02 00',
      '2/4 ',
    ],
  ])('%s', (_, hex, expected) => {
    const result = decodeOpen(fromHex(hex));
    if (result.kind !== 'fault') throw new Error('no fault');
    const { code, subcode, data } = result.notification;
    expect(`${code}/${subcode} ${toHex(data)}`).toBe(expected);
    expect(result.reason).not.toBe('');
  });

  test('a hold time of 0 or 3 is well', () => {
    expect(decodeOpen(fromHex('04 fde9 0000 0a000001 00'))).toMatchObject({ kind: 'open', holdTime: 0 });
    expect(decodeOpen(fromHex('04 fde9 0003 0a000001 00'))).toMatchObject({ kind: 'open', holdTime: 3 });
  });

  test('the extended form is told by its type, whatever the short length says: RFC 9072 2', () => {
    for (const short of ['ff', '05', '00']) {
      expect(decodeOpen(fromHex(`04 fde9 00b4 0a000001 ${short} ff 0005 02 0002 02 00`))).toMatchObject({
        capabilities: [{ kind: 'route-refresh' }],
      });
    }
  });

  test('AS_TRANS without the capability stands for itself, for the session to judge', () => {
    expect(decodeOpen(fromHex('04 5ba0 00b4 0a000001 00'))).toMatchObject({ kind: 'open', asn: AS_TRANS });
  });

  test('AS_TRANS beside a capability with a small number is that number', () => {
    const open = decodeOpen(fromHex('04 5ba0 00b4 0a000001 08 02 06 41 04 0000fde9'));
    expect(open).toMatchObject({ kind: 'open', asn: 65001 });
  });
});

describe('encoding an OPEN', () => {
  const base: Omit<Open, 'kind'> = { asn: 65001, holdTime: 90, identifier: 1, capabilities: [] };

  test('253 bytes of capabilities fit the short form, 254 do not: RFC 9072', () => {
    const filler = (length: number) => ({
      kind: 'unknown' as const,
      code: 200,
      value: new Uint8Array(length - 2),
    });
    const short = encodeOpen({ ...base, capabilities: [filler(253)] });
    expect(short[28]).toBe(255);
    expect(short[29]).toBe(2);
    const long = encodeOpen({ ...base, capabilities: [filler(200), filler(54)] });
    expect(toHex(long.subarray(28, 35))).toBe('ffff0101' + '0200fe');
    for (const message of [short, long])
      expect(decodeOpen(message.subarray(19))).toMatchObject({ kind: 'open' });
  });

  test('the extended form can be asked for, with capabilities and without', () => {
    for (const capabilities of [[], [{ kind: 'route-refresh' as const }]]) {
      const message = encodeOpen({ ...base, capabilities }, true);
      expect(toHex(message.subarray(28, 30))).toBe('ffff');
      expect(decodeOpen(message.subarray(19))).toEqual({ kind: 'open', ...base, capabilities });
    }
  });

  test('what fits no capability and no OPEN is refused', () => {
    const host = 'x'.repeat(254);
    expect(() => encodeCapability({ kind: 'fqdn', host, domain: '' })).toThrow(RangeError);
    const capabilities = Array.from({ length: 20 }, () => ({
      kind: 'fqdn' as const,
      host: 'y'.repeat(250),
      domain: '',
    }));
    expect(() => encodeOpen({ ...base, capabilities })).toThrow(RangeError);
  });

  test('an OPEN that was decoded keeps no reference to its message', () => {
    const message = encodeOpen({
      ...base,
      capabilities: [{ kind: 'unknown', code: 9, value: Uint8Array.of(3) }],
    });
    const open = decodeOpen(message.subarray(19));
    message.fill(0);
    expect(open).toMatchObject({ capabilities: [{ kind: 'unknown', code: 9, value: Uint8Array.of(3) }] });
  });
});

test('an extended next hop for a SAFI over 255 is passed over', () => {
  expect(decodeCapability(5, fromHex('0001 0101 0002  0001 0001 0002'))).toEqual({
    kind: 'extended-next-hop',
    entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }],
  });
});

test('capabilities have names, and those without have their code', () => {
  expect([2, 65, 71, 99].map(capabilityName)).toEqual([
    'route-refresh',
    'four-octet-as',
    'long-lived-graceful-restart',
    'capability 99',
  ]);
});

describe('a ROUTE-REFRESH', () => {
  test.each([0, 1, 2])('of subtype %i that is too long: RFC 7313 5, with the whole message', (subtype) => {
    const body = Uint8Array.of(0, 1, subtype, 1, 0);
    const result = decodeRouteRefresh(body);
    if (result.kind !== 'fault') throw new Error('no fault');
    expect(result.notification).toMatchObject({ code: 7, subcode: 1 });
    expect(toHex(result.notification.data)).toBe(`${'ff'.repeat(16)}001805${toHex(body)}`);
  });

  test('of a subtype that is not known is for the session to ignore, whatever its length', () => {
    expect(decodeRouteRefresh(Uint8Array.of(0, 2, 9, 1, 0, 0))).toEqual({
      kind: 'route-refresh',
      family: IPV6_UNICAST,
      subtype: 9,
    });
  });
});
