import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import { familyName } from '#bgp/wire/constants.ts';
import { describeError } from '#bgp/wire/errors.ts';
import { decodeUpdate, type Update, type UpdateFault } from '#bgp/wire/message.ts';
import type { CodecContext } from '#bgp/wire/types.ts';
import { MALFORMED, type Malformed } from './malformed.ts';
import { attributesText } from './readable.ts';
import { SESSIONS } from './vector.ts';

describe('a malformed UPDATE comes to what the RFC says', () => {
  test.each(MALFORMED.map((row) => [`${row.rule}: ${row.what}: ${row.becomes}`, row] as const))(
    '%s',
    (_, row) => {
      const result = decode(row);
      expect(outcome(result)).toBe(row.becomes);
      const error = result.errors.find(({ rule }) => rule === row.rule);
      expect(error, result.errors.map(({ rule, reason }) => `${rule}: ${reason}`).join('; ')).toBeDefined();
      expect(result.errors).toHaveLength(1);
      expect(toHex(error!.bytes)).toBe((row.shows ?? row.attributes).replace(/\s/g, ''));
      expect(error!.reason).not.toBe('');
    },
  );

  test.each([
    ['0.0.0.0', '400304 00000000'],
    ['of two bytes', '400302 0000'],
    ['flagged optional', 'c00304 c0000201'],
  ])('NEXT_HOP %s is ignored where the next hop is in MP_REACH_NLRI (RFC 4760 section 3)', (_, nextHop) => {
    const reach = '800e16 0002 01 10 20010db8000000000000000000000001 00 00';
    const attributes = `${reach}40010100 400206 0201 0000fde9 ${nextHop}`.replace(/\s/g, '');
    const length = (attributes.length / 2).toString(16).padStart(4, '0');
    const result = decodeUpdate(fromHex(`0000${length}${attributes}`), SESSIONS.as4);
    expect(result).toMatchObject({ kind: 'update', withdrawn: [], announced: [{}], errors: [] });
  });

  test('every discarded attribute leaves the route as it is without it', () => {
    const discarded = MALFORMED.filter(({ becomes, nlri }) => becomes === 'discard' && nlri !== '');
    expect(discarded.length).toBeGreaterThan(15);
    for (const row of discarded) {
      const result = decode(row) as Update;
      expect(result.announced).toHaveLength(1);
      const { origin, path, nextHop, unknown, ...rest } = attributesText(result.announced[0]!.attributes);
      expect({ origin, path, nextHop, rest, what: row.what }).toEqual({
        origin: 'igp',
        path: '65001',
        nextHop: '192.0.2.1',
        rest: {},
        what: row.what,
      });
    }
  });

  test('the data of a NOTIFICATION is the attribute, where RFC 4271 6.3 wants it', () => {
    for (const row of MALFORMED) {
      const match = /3\/(\d+)$/.exec(row.becomes);
      if (match === null) continue;
      const { notification } = decode(row) as UpdateFault;
      const expected = ['1', '10', '11'].includes(match[1]!)
        ? ''
        : (row.shows ?? row.attributes).replace(/\s/g, '');
      expect(toHex(notification.data), row.what).toBe(expected);
    }
  });

  test('a line for the log names what was found, the rule, the action and the bytes', () => {
    const good = '40 02 06 02 01 0000fde9  40 03 04 c0000201';
    const [error] = decode({ attributes: `40 01 01 03  ${good}`, nlri: '18 0a0102' }).errors;
    expect(describeError(error!)).toBe(
      'ORIGIN value 3, expected 0, 1 or 2 (RFC 7606 7.1: treat-as-withdraw): 40010103',
    );
    const [long] = decode({
      attributes: `40 01 01 00  ${good}  d0 08 0801 ${'00'.repeat(2049)}`,
      nlri: '18 0a0102',
    }).errors;
    expect(describeError(long!)).toMatch(
      /^COMMUNITIES length 2049, .*: d0080801(00){252}\.\.\. \(2053 bytes\)$/,
    );
  });

  test('of several errors the strongest counts, and all are reported: RFC 7606 3(h)', () => {
    const attributes = '40 01 01 03  40 02 06 02 01 0000fde9  40 03 04 c0000201  40 06 01 00  80 04 01 00';
    const result = decode({ attributes, nlri: '18 0a0102' });
    expect(outcome(result)).toBe('withdraw');
    expect(result.errors.map(({ action, rule }) => `${action} ${rule}`)).toEqual([
      'withdraw RFC 7606 7.1',
      'discard RFC 7606 7.6',
      'withdraw RFC 7606 7.4',
    ]);
    const worse = decode({ attributes: `${attributes}  40 63 00`, nlri: '18 0a0102' });
    expect(outcome(worse)).toBe('reset 3/2');
    expect(worse.errors).toHaveLength(4);
  });

  test('a treat-as-withdraw takes the routes of both NLRI and MP_REACH_NLRI back', () => {
    const result = decode({
      attributes:
        '80 0e 16 0002 01 10 20010db8 00000000 00000000 00000001 00 00  40 01 01 03  40 02 06 02 01 0000fde9  40 03 04 c0000201',
      nlri: '18 0a0102',
    }) as Update;
    expect(result.announced).toEqual([]);
    expect(result.withdrawn.map(({ family }) => familyName(family))).toEqual([
      'ipv4-unicast',
      'ipv6-unicast',
    ]);
  });

  test.each([
    [
      'the first AS is checked where the session asks for it: RFC 7606 7.2',
      { firstAs: 65009 },
      'RFC 7606 7.2',
    ],
    ['a set is refused where the session asks for it: RFC 9774 3', { rejectAsSets: true }, 'RFC 9774 3'],
  ])('%s', (_, extra, rule) => {
    const update = {
      attributes: '40 01 01 00  40 02 10 02 01 0000fde9 01 02 0000fdea 0000fdeb  40 03 04 c0000201',
      nlri: '18 0a0102',
    };
    expect(outcome(decode(update))).toBe('well');
    const result = decode(update, { ...SESSIONS.as4, ...extra });
    expect(outcome(result)).toBe('withdraw');
    expect(result.errors.map((error) => error.rule)).toEqual([rule]);
  });

  test('the first AS is that of the merged path: a neighbour with two-octet numbers may have a four-octet one', () => {
    const update = {
      attributes:
        '40 01 01 00  40 02 06 02 02 5ba0 fde9  40 03 04 c0000201  c0 11 0a 02 02 fa56ea01 0000fde9',
      nlri: '18 0a0102',
    };
    expect(outcome(decode(update, { ...SESSIONS.as2, firstAs: 4200000001 }))).toBe('well');
    expect(outcome(decode(update, { ...SESSIONS.as2, firstAs: 23456 }))).toBe('withdraw');
  });

  test('a confederation segment inside of an AS4_PATH is left out: RFC 6793 6', () => {
    const update = {
      attributes:
        '40 01 01 00  40 02 06 02 02 fde9 5ba0  40 03 04 c0000201  c0 11 10 03 01 0000fe4d 02 02 0000fde9 fa56ea01',
      nlri: '18 0a0102',
    };
    const result = decode(update, SESSIONS.as2) as Update;
    expect(result.errors).toEqual([]);
    expect(attributesText(result.announced[0]!.attributes).path).toBe('65001 4200000001');
  });

  test.each([
    ['Withdrawn Routes over the end', '0005 00 0000'],
    ['Withdrawn Routes up to the end, without room for the length of the attributes', '0002 0000'],
    ['attributes over the end', '0000 0004 400600'],
    ['a body of three bytes', '000000'],
    ['no body', ''],
  ])('lengths that do not fit the message reset the session with 3/1: %s', (_, body) => {
    const result = decodeUpdate(fromHex(body), SESSIONS.as4);
    expect(outcome(result)).toBe('reset 3/1');
  });

  test('a family that nobody agreed on is passed over, whatever its next hop', () => {
    const result = decode({ attributes: '80 0e 0b 0019 46 06 010203040506 00  40 01 01 00', nlri: '' });
    expect(result).toMatchObject({ kind: 'update', withdrawn: [], announced: [] });
  });
});

function decode(
  { withdrawn = '', attributes, nlri, session }: Pick<Malformed, 'attributes' | 'nlri'> & Partial<Malformed>,
  context: CodecContext = SESSIONS[session ?? 'as4'],
): Update | UpdateFault {
  const length = (hex: string): string => fromHex(hex).length.toString(16).padStart(4, '0');
  const body = `${length(withdrawn)}${withdrawn}${length(attributes)}${attributes}${nlri}`;
  return decodeUpdate(fromHex(body), context);
}

function outcome(result: Update | UpdateFault): string {
  if (result.kind === 'fault') {
    const { code, subcode } = result.notification;
    const disabled = result.errors.find(({ action }) => action === 'disable');
    return disabled === undefined
      ? `reset ${code}/${subcode}`
      : `disable ${familyName(disabled.family)} ${code}/${subcode}`;
  }
  if (result.errors.some(({ action }) => action === 'withdraw')) {
    expect(result.announced).toEqual([]);
    expect(result.withdrawn.length).toBeGreaterThan(0);
    return 'withdraw';
  }
  return result.errors.length > 0 ? 'discard' : 'well';
}
