import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressError, formatAddress, isMapped, parseAddress, toMapped } from '#kernel/sys/address.ts';
import { AF_INET6, decodeSockaddr, encodeSockaddr } from '#kernel/sys/sockaddr.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('addresses', () => {
  test.each([
    ['0.0.0.0', '00000000'],
    ['192.0.2.255', 'c00002ff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['1::', '00010000000000000000000000000000'],
    ['2001:db8::a:b', '20010db80000000000000000000a000b'],
    ['fe80::1:0:0:1', 'fe800000000000000001000000000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ])('%s is parsed and printed', (text, bytes) => {
    expect(hex(parseAddress(text))).toBe(bytes);
    expect(formatAddress(parseAddress(text))).toBe(text);
  });

  // RFC 5952 sections 4.2.2, 4.2.3, 4.1, 4.3
  test.each([
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0DB8::000A', '2001:db8::a'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['0:0:0:0:0:ffff:192.0.2.1', '::ffff:192.0.2.1'],
  ])('%s is printed as %s', (text, printed) => {
    expect(formatAddress(parseAddress(text))).toBe(printed);
  });

  test.each([
    '',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    'fe80::1%eth0',
    ':::',
    '1:2:3:4:5:6:7',
    '10.0.0.0/8',
    'host',
  ])('%j is refused', (text) => expect(() => parseAddress(text)).toThrow(AddressError));

  test('what is printed parses to the same bytes, and Node takes it for an address too', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 16, maxLength: 16 }), (list) => {
        const bytes = Uint8Array.from(list);
        const text = formatAddress(bytes);
        expect(isIPv6(text)).toBe(true);
        expect(hex(parseAddress(text))).toBe(hex(bytes));
        if (!isMapped(bytes)) expect(text).toBe(new URL(`http://[${text}]`).hostname.slice(1, -1));
      }),
    );
  });
});

describe('sockaddr', () => {
  test('IPv4: family in host order, port and address in network order', () => {
    const bytes = encodeSockaddr({ address: '192.0.2.1', port: 179 });
    expect(hex(bytes)).toBe('020000b3c00002010000000000000000');
    expect(decodeSockaddr(bytes)).toEqual({ address: '192.0.2.1', port: 179 });
  });

  test('IPv6 with the index of its interface', () => {
    const value = { address: 'fe80::1', port: 3784, scopeId: 7 };
    const bytes = encodeSockaddr(value);
    expect(hex(bytes)).toBe('0a000ec800000000fe80000000000000000000000000000107000000');
    expect(decodeSockaddr(bytes)).toEqual(value);
  });

  test('an IPv4 address for an IPv6 socket is mapped, an IPv6 address for an IPv4 socket refused', () => {
    const bytes = encodeSockaddr({ address: '192.0.2.1', port: 1 }, AF_INET6);
    expect(decodeSockaddr(bytes).address).toBe('::ffff:192.0.2.1');
    expect(hex(toMapped(parseAddress('192.0.2.1')))).toBe(hex(bytes.subarray(8, 24)));
    expect(() => encodeSockaddr({ address: '::1', port: 1 }, 2)).toThrow('::1 on an IPv4 socket');
  });

  test('a port out of range and an unknown family are refused', () => {
    expect(() => encodeSockaddr({ address: '::', port: 65536 })).toThrow('port 65536, expected 0 to 65535');
    expect(() => decodeSockaddr(new Uint8Array([1, 0, 0, 0]))).toThrow('sockaddr of family 1');
  });
});
