import { describe, expect, test } from 'vitest';
import { parseAddress } from '#kernel/ip.ts';
import { AF_INET6, decodeSockaddr, encodeSockaddr, toMapped } from '#kernel/sys/sockaddr.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

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
