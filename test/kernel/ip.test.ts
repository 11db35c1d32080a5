import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AddressError,
  clearHostBits,
  formatAddress,
  formatIpv4,
  formatIpv6,
  formatPrefix,
  hasHostBits,
  ipv4Bytes,
  ipv6Bytes,
  ipv6Words,
  maskOf,
  parseAddress,
  parseInterfaceAddress,
  parseIpv4,
  parseIpv6,
  parsePrefix,
} from '#kernel/ip.ts';

describe('IPv4 addresses', () => {
  test('are read and printed', () => {
    for (const [text, value] of [
      ['0.0.0.0', 0],
      ['10.0.0.1', 0x0a000001],
      ['192.168.255.3', 0xc0a8ff03],
      ['255.255.255.255', 0xffffffff],
    ] as const) {
      expect(parseIpv4(text)).toBe(value);
      expect(formatIpv4(value)).toBe(text);
    }
  });

  test('in any other form are refused', () => {
    for (const text of [
      '',
      '.',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.',
      '.1.2.3',
      '1..2.3',
      '01.2.3.4',
      '1.2.3.00',
      '256.1.1.1',
      '1.2.3.4 ',
      ' 1.2.3.4',
      '+1.2.3.4',
      '0x1.2.3.4',
      '1.2.3.4/8',
      '16909060',
      '1.2.3.1000',
      '1.2.3.٣',
    ]) {
      expect(() => parseIpv4(text), text).toThrow(AddressError);
    }
    expect(() => parseIpv4('10.0.0.01')).toThrow(
      'IPv4 address: found "10.0.0.01", expected four numbers from 0 to 255 without leading zeros, with dots',
    );
  });

  test('of any value survive printing and reading', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => {
        const text = formatIpv4(value);
        expect(isIPv4(text)).toBe(true);
        expect(parseIpv4(text)).toBe(value);
        expect(formatAddress(ipv4Bytes(value))).toBe(text);
      }),
    );
  });
});

describe('IPv6 addresses', () => {
  test('are printed as RFC 5952 wants them', () => {
    for (const [written, printed] of [
      ['0:0:0:0:0:0:0:0', '::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['1:0:0:0:0:0:0:0', '1::'],
      // Section 4.1: leading zeros; 4.2.1: as short as can be; 4.2.2: one group is not shortened
      ['2001:0db8::0001', '2001:db8::1'],
      ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      // Section 4.2.3: the longest run, the first of equals
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['0:0:1:0:0:1:0:0', '::1:0:0:1:0:0'],
      // Section 4.3
      ['2001:DB8::ABCD', '2001:db8::abcd'],
      // Section 5
      ['::FFFF:192.0.2.1', '::ffff:192.0.2.1'],
      ['::ffff:c000:201', '::ffff:192.0.2.1'],
      ['::192.0.2.1', '::c000:201'],
      ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
      ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
      ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ]) {
      expect(formatIpv6(parseIpv6(written!)), written).toBe(printed);
    }
  });

  test('in any other form are refused', () => {
    for (const text of [
      '',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::1:2:3:4:5:6:7:8',
      '12345::',
      'g::',
      '1:',
      ':1',
      '1:2:3:4:5:6:7:',
      ':1:2:3:4:5:6:7',
      '::1%eth0',
      'fe80::1%1',
      '::1.2.3',
      '::1.2.3.04',
      '1.2.3.4::',
      '1:2:3:4:5:6:7:1.2.3.4',
      '::1.2.3.4:5',
      '1.2.3.4',
      '::1/64',
      '[::1]',
      ' ::1',
    ]) {
      expect(() => parseIpv6(text), text).toThrow(AddressError);
    }
  });

  test('of any value survive printing and reading, and any text is read as Node reads it', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = new Uint8Array(groups.flatMap((g) => [g >> 8, g & 255]));
        const text = formatIpv6(bytes);
        expect(isIPv6(text)).toBe(true);
        expect(parseIpv6(text)).toEqual(bytes);
        expect(ipv6Bytes(...ipv6Words(bytes))).toEqual(bytes);
        // An oracle for the form, except IPv4-mapped addresses, which URL prints without dots.
        if (!text.includes('.')) expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      }),
    );
    const piece = fc.constantFrom(':', '::', '0', '1', 'ab', 'ffff', '00001', '1.2.3.4', '.', 'g', '%');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 18 }), (pieces) => {
        const text = pieces.join('');
        let read = true;
        try {
          parseIpv6(text);
        } catch {
          read = false;
        }
        expect(read).toBe(isIPv6(text) && !text.includes('%'));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('prefixes', () => {
  test('are read and printed', () => {
    for (const text of ['0.0.0.0/0', '10.0.0.0/8', '10.1.2.3/32', '::/0', '2001:db8::/33', '::1/128']) {
      const { address, length } = parsePrefix(text);
      expect(formatPrefix(address, length)).toBe(text);
    }
  });

  test('with host bits are refused with the prefix that was meant', () => {
    expect(() => parsePrefix('10.0.0.1/24')).toThrow(
      'prefix with host bits: found "10.0.0.1/24", expected 10.0.0.0/24',
    );
    expect(() => parsePrefix('2001:db8::1/64')).toThrow(expect.objectContaining({ code: 'HOST_BITS' }));
    expect(parseInterfaceAddress('10.0.0.1/24')).toEqual({ address: ipv4Bytes(0x0a000001), length: 24 });
  });

  test('in any other form are refused', () => {
    for (const text of [
      '10.0.0.0',
      '10.0.0.0/',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/08',
      '10.0.0.0/-1',
      '/8',
    ]) {
      expect(() => parsePrefix(text), text).toThrow(AddressError);
    }
    expect(() => parsePrefix('::/1e1')).toThrow(
      'prefix length: found "::/1e1", expected 0 to 128 after the slash',
    );
    expect(() => parseAddress('10.0.0.0.1')).toThrow(AddressError);
  });

  test('have no host bits once these are cleared', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 4, maxLength: 4 }),
          fc.uint8Array({ minLength: 16, maxLength: 16 }),
        ),
        fc.nat(128),
        (address, wanted) => {
          const length = Math.min(wanted, address.length * 8);
          const bits = [...address].map((b) => b.toString(2).padStart(8, '0')).join('');
          expect(hasHostBits(address, length)).toBe(bits.slice(length).includes('1'));
          const cleared = address.slice();
          clearHostBits(cleared, length);
          const left = [...cleared].map((b) => b.toString(2).padStart(8, '0')).join('');
          expect(left).toBe(bits.slice(0, length).padEnd(bits.length, '0'));
        },
      ),
    );
    expect([0, 1, 8, 31, 32].map(maskOf)).toEqual([0, 0x80000000, 0xff000000, 0xfffffffe, 0xffffffff]);
  });
});
