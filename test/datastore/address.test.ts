import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AddressKey,
  contains,
  familyOf,
  formatAddress,
  formatPrefix,
  nextAddress,
  parseAddress,
  parsePrefix,
  previousAddress,
  rangeOf,
} from '#datastore/address.ts';

const bits = (family: 4 | 6) => (family === 4 ? 32 : 128);

/** The number that an address stands for: what the keys are checked against. */
function numberOf(address: AddressKey): bigint {
  let value = 0n;
  for (let i = 0; i < address.length; i++) value = (value << 16n) | BigInt(address.charCodeAt(i));
  return value;
}

function addressOf(value: bigint, family: 4 | 6): AddressKey {
  let key = '';
  for (let shift = bits(family) - 16; shift >= 0; shift -= 16) {
    key += String.fromCharCode(Number((value >> BigInt(shift)) & 0xffffn));
  }
  return key as AddressKey;
}

const family = fc.constantFrom<4 | 6>(4, 6);
const addresses = (of: 4 | 6) =>
  fc.bigInt(0n, (1n << BigInt(bits(of))) - 1n).map((value) => addressOf(value, of));
/** Not the IPv4-mapped ones: they are read as IPv4. */
const anyAddress = family
  .chain(addresses)
  .filter((address) => address.length === 2 || !address.startsWith('\0\0\0\0\0\uffff'));

describe('addresses', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['10.244.1.7', '10.244.1.7'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:0010::000A', 'fd00:10::a'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
  ])('%s is read and printed as %s', (text, canonical) => {
    expect(formatAddress(parseAddress(text)!)).toBe(canonical);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '256.0.0.1',
    '01.2.3.4',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '+1.2.3.4',
    '1.2.3.0x4',
    '1.2.3.4/32',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '1.2.3.4::',
    '::1.2.3',
    '::1.2.3.4:1',
    '1::192.168.01.1',
  ])('%j is no address', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('leading zeros are decimal where they are let through', () => {
    expect(formatAddress(parseAddress('010.001.000.08', { leadingZeros: true })!)).toBe('10.1.0.8');
    expect(formatPrefix(parsePrefix('010.0.0.0/08', { leadingZeros: true })!)).toBe('10.0.0.0/8');
    expect(parsePrefix('10.0.0.0/08')).toBeUndefined();
  });

  test('printing and reading are inverse, and Node agrees that it is an address', () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        const text = formatAddress(address);
        expect(parseAddress(text)).toBe(address);
        expect(familyOf(address) === 4 ? isIPv4(text) : isIPv6(text)).toBe(true);
      }),
    );
  });

  test('whatever is accepted, Node accepts', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789af:.'), maxLength: 24 });
    fc.assert(
      fc.property(text, (text) => {
        expect(parseAddress(text) !== undefined).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: 5_000 },
    );
  });

  test('keys sort like the numbers', () => {
    const pair = family.chain((of) => fc.tuple(addresses(of), addresses(of)));
    fc.assert(
      fc.property(pair, ([a, b]) => {
        expect(a < b).toBe(numberOf(a) < numberOf(b));
      }),
    );
  });

  test('next and previous are one away, and nothing is beyond the ends', () => {
    fc.assert(
      fc.property(family.chain(addresses), (address) => {
        const of = familyOf(address);
        const value = numberOf(address);
        const last = (1n << BigInt(bits(of))) - 1n;
        expect(nextAddress(address)).toBe(value === last ? undefined : addressOf(value + 1n, of));
        expect(previousAddress(address)).toBe(value === 0n ? undefined : addressOf(value - 1n, of));
      }),
    );
    for (const [first, last] of [
      ['0.0.0.0', '255.255.255.255'],
      ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ] as const) {
      expect(previousAddress(parseAddress(first)!)).toBeUndefined();
      expect(nextAddress(parseAddress(last)!)).toBeUndefined();
    }
    expect(nextAddress(parseAddress('10.0.255.255')!)).toBe(parseAddress('10.1.0.0'));
    expect(previousAddress(parseAddress('fd00:1::')!)).toBe(
      parseAddress('fd00:0:ffff:ffff:ffff:ffff:ffff:ffff'),
    );
  });
});

describe('prefixes', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['1.2.3.4/0', '0.0.0.0/0'],
    ['1.2.3.4/32', '1.2.3.4/32'],
    ['fd00:1:2::3/33', 'fd00:1::/33'],
    ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
    ['::ffff:10.1.2.3/80', '::/80'],
  ])('%s is %s', (text, canonical) => {
    expect(formatPrefix(parsePrefix(text)!)).toBe(canonical);
  });

  test.each([
    '10.0.0.0',
    '10.0.0.0/',
    '/8',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
    '10.0.0/8',
    '::/129',
    '::1/1/2',
  ])('%j is no prefix', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  test('the range of a prefix holds exactly the addresses that agree in its bits', () => {
    const cases = family.chain((of) =>
      fc.tuple(addresses(of), addresses(of), fc.integer({ min: 0, max: bits(of) })),
    );
    fc.assert(
      fc.property(cases, ([a, b, length]) => {
        const shift = BigInt(bits(familyOf(a)) - length);
        const range = rangeOf(parsePrefix(`${formatAddress(a)}/${length}`)!);
        fc.pre(familyOf(range.first) === familyOf(a));
        expect(contains(range, a)).toBe(true);
        expect(contains(range, b)).toBe(numberOf(a) >> shift === numberOf(b) >> shift);
        expect(numberOf(range.last) - numberOf(range.first) + 1n).toBe(1n << shift);
      }),
    );
  });

  test('no range holds addresses of the other family', () => {
    expect(contains(rangeOf(parsePrefix('::/0')!), parseAddress('1.2.3.4')!)).toBe(false);
    expect(contains(rangeOf(parsePrefix('0.0.0.0/0')!), parseAddress('::1')!)).toBe(false);
  });
});
