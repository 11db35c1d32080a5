import { describe, expect, test } from 'vitest';
import {
  asPathLength,
  asPathSize,
  countInAsPath,
  decodeAsPath,
  formatAsPath,
  mergeAs4Path,
  needsAs4Path,
  neighbourAs,
  originAs,
  parseAsPath,
  prependAsPath,
  putAsPath,
  withoutConfederation,
} from '#bgp/wire/as-path.ts';
import { toHex } from '#bgp/wire/bytes.ts';
import { AS_CONFED_SEQUENCE, AS_SEQUENCE, AS_SET } from '#bgp/wire/constants.ts';
import type { AsPath } from '#bgp/wire/types.ts';

const path = (text: string): AsPath => parseAsPath(text)!;

describe('text', () => {
  test.each([
    '',
    '65001',
    '65001 65002 65001',
    '65001 {65002 65003}',
    '(65101 65102) [65103 65104] 65001',
    '{1}',
    '4294967295',
  ])('%j goes to a path and back', (text) => {
    expect(formatAsPath(path(text))).toBe(text);
  });

  test('blanks do not matter', () => {
    expect(path(' 65001   {65002  65003}65004 ')).toEqual(path('65001 {65002 65003} 65004'));
  });

  test.each([
    'x',
    '65001,65002',
    '{65001',
    '65001}',
    '{65001)',
    '()',
    '0',
    '4294967296',
    '-1',
    '1.5',
    '65001 {} 2',
  ])('%j is not a path', (text) => {
    expect(parseAsPath(text)).toBeUndefined();
  });
});

describe('what the decision asks of a path', () => {
  test.each([
    ['', 0],
    ['65001 65002', 2],
    ['65001 {65002 65003 65004}', 2],
    ['(65101 65102) [65103] 65001', 1],
  ])('the length of %j is %i', (text, length) => {
    expect(asPathLength(path(text))).toBe(length);
  });

  test.each([
    ['', 0, 0],
    ['65001 65002', 65001, 65002],
    ['(65101) 65001 65002', 65001, 65002],
    ['{65001 65002} 65003', 0, 65003],
    ['65001 {65002}', 65001, 0],
    ['(65101)', 0, 0],
  ])('%j came from AS %i and starts in AS %i', (text, neighbour, origin) => {
    expect([neighbourAs(path(text)), originAs(path(text))]).toEqual([neighbour, origin]);
  });

  test('an AS is counted wherever it stands', () => {
    expect(countInAsPath(path('(7) 7 8 7 {7 9} [7]'), 7)).toBe(5);
    expect(countInAsPath(path('(7) 7 8'), 10)).toBe(0);
  });
});

describe('prepending', () => {
  test.each([
    ['', 1, '65000'],
    ['65001', 2, '65000 65000 65001'],
    ['{65001}', 1, '65000 {65001}'],
    ['(65101) 65001', 1, '65000 (65101) 65001'],
    ['65001', 0, '65001'],
  ])('%j %i times', (text, times, expected) => {
    expect(formatAsPath(prependAsPath(path(text), 65000, times))).toBe(expected);
  });

  test('in a confederation', () => {
    expect(formatAsPath(prependAsPath(path('65001'), 65101, 1, AS_CONFED_SEQUENCE))).toBe('(65101) 65001');
    expect(formatAsPath(prependAsPath(path('(65102) 65001'), 65101, 1, AS_CONFED_SEQUENCE))).toBe(
      '(65101 65102) 65001',
    );
  });

  test('leaves the path it was given as it is', () => {
    const given = path('65001 65002');
    prependAsPath(given, 65000, 3);
    expect(formatAsPath(given)).toBe('65001 65002');
  });
});

describe('on the wire', () => {
  test('sequences of more than 255 are written as several segments and read as one', () => {
    const asns = Array.from({ length: 600 }, (_, i) => i + 1);
    const long: AsPath = [{ type: AS_SEQUENCE, asns }];
    for (const as4 of [true, false]) {
      const bytes = new Uint8Array(asPathSize(long, as4));
      expect(putAsPath(long, as4, bytes, 0)).toBe(bytes.length);
      expect(bytes.length).toBe(3 * 2 + 600 * (as4 ? 4 : 2));
      expect(decodeAsPath(bytes, 0, bytes.length, as4)).toEqual(long);
    }
  });

  test('sets next to each other stay two, since each counts', () => {
    const two = path('{65001} {65002}');
    const bytes = new Uint8Array(asPathSize(two, true));
    putAsPath(two, true, bytes, 0);
    expect(decodeAsPath(bytes, 0, bytes.length, true)).toEqual(two);
  });

  test('numbers that two octets do not hold are AS_TRANS there', () => {
    const bytes = new Uint8Array(asPathSize(path('65535 65536'), false));
    putAsPath(path('65535 65536'), false, bytes, 0);
    expect(toHex(bytes)).toBe('0202ffff5ba0');
    expect([needsAs4Path(path('65535')), needsAs4Path(path('65535 65536'))]).toEqual([false, true]);
    expect(needsAs4Path(path('(65536) 65535'))).toBe(false);
  });

  test('segments of the confederation stay inside of it', () => {
    expect(formatAsPath(withoutConfederation(path('(65101) [65102] 65001 {65002}')))).toBe('65001 {65002}');
  });
});

describe('AS4_PATH into AS_PATH: RFC 6793 4.2.3', () => {
  test.each([
    ['of the same length', '23456 65001', '4200000001 65001', '4200000001 65001'],
    ['shorter: the head comes from AS_PATH', '65009 65008 23456', '4200000001', '65009 65008 4200000001'],
    ['longer: it is ignored', '23456', '4200000001 65001', '23456'],
    ['empty', '65001 65002', '', '65001 65002'],
    [
      'with a set in AS_PATH that counts one',
      '65009 {65010 65011} 23456',
      '4200000001',
      '65009 {65010 65011} 4200000001',
    ],
    [
      'with a set in AS4_PATH',
      '65009 23456 {23456 65003}',
      '4200000001 {4200000002 65003}',
      '65009 4200000001 {4200000002 65003}',
    ],
    ['a leading confederation sequence is kept', '(65101) 23456', '4200000001', '(65101) 4200000001'],
    [
      'one that touches what is kept is kept',
      '65009 (65101) 23456',
      '4200000001',
      '65009 (65101) 4200000001',
    ],
    ['one behind is not', '23456 (65101) 65002', '4200000001 65002', '4200000001 65002'],
    ['both empty', '', '', ''],
  ])('%s', (_, asPath, as4Path, expected) => {
    const merged = mergeAs4Path(path(asPath), path(as4Path));
    expect(formatAsPath(merged)).toBe(expected);
    expect(asPathLength(merged)).toBe(asPathLength(path(asPath)));
  });

  test('a merged sequence is one segment', () => {
    expect(mergeAs4Path(path('65009 23456'), path('4200000001'))).toEqual([
      { type: AS_SEQUENCE, asns: [65009, 4200000001] },
    ]);
    expect(mergeAs4Path(path('{65009} 23456'), path('4200000001'))).toEqual([
      { type: AS_SET, asns: [65009] },
      { type: AS_SEQUENCE, asns: [4200000001] },
    ]);
  });
});
