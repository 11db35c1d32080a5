import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AddressError,
  formatAddress,
  formatIpv4,
  formatIpv6Words,
  formatPrefix,
  maskBits,
  parseAddress,
  parseIpv4,
  parsePrefix,
} from '#bgp/wire/address.ts';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
  transitiveExtendedCommunities,
} from '#bgp/wire/communities.ts';

describe('IPv4 addresses', () => {
  test('go to a number and back', () => {
    for (const text of ['0.0.0.0', '10.0.0.1', '192.0.2.255', '255.255.255.255']) {
      expect(formatIpv4(parseIpv4(text))).toBe(text);
    }
    expect(parseIpv4('192.0.2.1')).toBe(0xc0000201);
  });

  test.each([
    ['', 'BAD_ADDRESS'],
    ['10.0.0', 'BAD_ADDRESS'],
    ['10.0.0.0.1', 'BAD_ADDRESS'],
    ['10.0.0.256', 'BAD_ADDRESS'],
    ['10.0.0.-1', 'BAD_ADDRESS'],
    ['10.0.0.1 ', 'BAD_ADDRESS'],
    ['10.0.0.0x1', 'BAD_ADDRESS'],
    ['10.0.0.01', 'BAD_ADDRESS'],
    ['010.0.0.1', 'BAD_ADDRESS'],
  ])('%j is refused: %s', (text, code) => {
    expect(() => parseIpv4(text)).toThrow(
      expect.objectContaining({ name: 'AddressError', code, found: text }),
    );
  });
});

describe('IPv6 addresses', () => {
  // RFC 5952 sections 4 and 5.
  test.each([
    ['2001:0db8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
  ])('%s is printed as %s', (text, printed) => {
    expect(formatAddress(parseAddress(text))).toBe(printed);
  });

  test.each([
    '',
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
    '1:2:3:4:5:6:7:1.2.3.4',
    '::1:',
    ':1::',
  ])('%j is refused', (text) => {
    expect(() => parseAddress(text)).toThrow(AddressError);
  });

  test('any 16 bytes go to text and back, as bytes and as words', () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
      minLength: 8,
      maxLength: 8,
    });
    fc.assert(
      fc.property(groups, (values) => {
        const bytes = fromHex(values.map((value) => value.toString(16).padStart(4, '0')).join(''));
        const text = formatAddress(bytes);
        expect(toHex(parseAddress(text))).toBe(toHex(bytes));
        const words = Uint32Array.from(
          [0, 1, 2, 3],
          (i) => ((values[2 * i]! << 16) | values[2 * i + 1]!) >>> 0,
        );
        expect(formatIpv6Words(words, 0)).toBe(text);
        expect(text).not.toMatch(/:::|(^|:)0[0-9a-f]|[A-F]/);
      }),
    );
  });
});

describe('prefixes', () => {
  test.each(['0.0.0.0/0', '10.0.0.0/8', '192.0.2.1/32', '::/0', '2001:db8::/32', '2001:db8::1/128'])(
    '%s',
    (text) => {
      expect(formatPrefix(parsePrefix(text))).toBe(text);
    },
  );

  test('host bits are reported with the prefix that was meant', () => {
    expect(() => parsePrefix('10.1.2.3/16')).toThrow(
      expect.objectContaining({ code: 'HOST_BITS', found: '10.1.2.3/16', expected: '10.1.0.0/16' }),
    );
    expect(() => parsePrefix('2001:db8::1/64')).toThrow(
      expect.objectContaining({ expected: '2001:db8::/64' }),
    );
    expect(() => parsePrefix('10.0.0.1/31')).toThrow(expect.objectContaining({ expected: '10.0.0.0/31' }));
  });

  test.each([
    ['10.0.0.0', 'BAD_PREFIX'],
    ['10.0.0.0/', 'BAD_PREFIX'],
    ['10.0.0.0/33', 'BAD_PREFIX'],
    ['10.0.0.0/08', 'BAD_PREFIX'],
    ['10.0.0.0/-1', 'BAD_PREFIX'],
    ['10.0.0.0/8/8', 'BAD_PREFIX'],
    ['::/129', 'BAD_PREFIX'],
    ['/8', 'BAD_PREFIX'],
  ])('%j is refused: %s', (text, code) => {
    expect(() => parsePrefix(text)).toThrow(expect.objectContaining({ code }));
  });

  test('masking keeps exactly the first bits', () => {
    for (let length = 0; length <= 128; length++) {
      const bytes = new Uint8Array(16).fill(0xff);
      maskBits(bytes, length);
      const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
      expect(bits).toBe('1'.repeat(length).padEnd(128, '0'));
    }
  });
});

describe('communities', () => {
  test.each([
    '65000:1',
    '0:0',
    '65535:1234',
    'no-export',
    'no-advertise',
    'no-export-subconfed',
    'no-peer',
    'blackhole',
    'graceful-shutdown',
    'accept-own',
    'llgr-stale',
    'no-llgr',
  ])('%s', (text) => {
    expect(formatCommunity(parseCommunity(text)!)).toBe(text);
  });

  test('well-known ones are known by number too', () => {
    expect(formatCommunity(parseCommunity('65535:65281')!)).toBe('no-export');
    expect(parseCommunity('blackhole')).toBe(parseCommunity('65535:666'));
  });

  test.each([
    '',
    '1',
    '1:',
    ':1',
    '65536:1',
    '1:65536',
    '1:2:3',
    '-1:1',
    '01:1',
    'no-exports',
    'constructor',
    '1 :1',
  ])('%j is not one', (text) => {
    expect(parseCommunity(text)).toBeUndefined();
  });

  test('large ones', () => {
    const parsed = parseLargeCommunity('4200000001:0:4294967295')!;
    expect(formatLargeCommunity(Uint32Array.from(parsed), 0)).toBe('4200000001:0:4294967295');
    for (const text of ['1:2', '1:2:3:4', '4294967296:0:0', '1:02:3', ''])
      expect(parseLargeCommunity(text)).toBeUndefined();
  });

  test.each([
    ['rt:65000:100', '0002fde800000064'],
    ['rt:65000:4294967295', '0002fde8ffffffff'],
    ['soo:192.0.2.1:5', '0103c00002010005'],
    ['rt:4200000001:7', '0202fa56ea010007'],
    ['0x4300000000000001', '4300000000000001'],
    ['0x0202000000010007', '0202000000010007'],
  ])('extended ones: %s', (text, hex) => {
    expect(toHex(parseExtendedCommunity(text)!)).toBe(hex);
    expect(formatExtendedCommunity(fromHex(hex), 0)).toBe(text);
  });

  test.each([
    'rt:65000',
    'rt:65000:x',
    'rt:4200000001:65536',
    'rt:192.0.2.1:65536',
    'rt:192.0.2:1',
    'xx:1:1',
    'constructor:1:1',
    '0x00',
    'rt:1:4294967296',
  ])('%j is not an extended one', (text) => {
    expect(parseExtendedCommunity(text)).toBeUndefined();
  });

  test('any extended one goes to text and back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        (bytes, type, subtype) => {
          for (const value of [
            bytes,
            Uint8Array.from(bytes, (byte, i) => (i === 0 ? type : i === 1 ? subtype : byte)),
          ]) {
            expect(toHex(parseExtendedCommunity(formatExtendedCommunity(value, 0))!)).toBe(toHex(value));
          }
        },
      ),
    );
  });

  test('those that stay within the AS are taken off at its border', () => {
    const stays = fromHex('4300000000000001');
    const goes = fromHex('0002fde800000064');
    const both = Uint8Array.from([...stays, ...goes, ...stays, ...goes]);
    expect(toHex(transitiveExtendedCommunities(both))).toBe(toHex(goes).repeat(2));
    expect(transitiveExtendedCommunities(goes)).toBe(goes);
    expect(transitiveExtendedCommunities(stays)).toHaveLength(0);
  });
});
