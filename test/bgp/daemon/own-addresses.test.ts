import { describe, expect, test } from 'vitest';
import { type Address, parseAddress } from '#bgp/config/address.ts';
import { type InterfaceAddress, ownAddresses, usableAddresses } from '#bgp/daemon/own-addresses.ts';
import { formatAddress, formatPrefix } from '#bgp/wire/address.ts';
import type { NextHop } from '#bgp/wire/types.ts';

const at = (text: string): Address => parseAddress(text)!;

function on(link: number, prefix: string): InterfaceAddress {
  const [address, length] = prefix.split('/');
  const { family, bytes } = at(address!);
  return { family, link, bytes, length: Number(length) };
}

const HOST = [
  on(1, '10.255.0.1/32'),
  on(1, 'fd00:255::1/128'),
  on(2, '10.0.0.1/24'),
  on(2, '10.0.9.1/24'),
  on(2, 'fd00::1/64'),
  on(2, 'fe80::1/64'),
  on(3, 'fe80::2/64'),
  on(3, '10.0.3.1/24'),
];

function text(hop: NextHop | undefined): string {
  if (hop === undefined) return 'none';
  return [hop.bytes, hop.linkLocal]
    .flatMap((bytes) => (bytes === undefined ? [] : [formatAddress(bytes)]))
    .join(' and ');
}

describe('next hops of a session', () => {
  test('over IPv4 to a neighbour on the link: its own address, and for IPv6 both addresses of the interface', () => {
    const own = ownAddresses(HOST, at('10.0.9.1'), at('10.0.9.2'));
    expect(text(own.self4)).toBe('10.0.9.1');
    expect(text(own.self6)).toBe('fd00::1 and fe80::1');
    expect(own.scope).toBe(2);
    expect(own.sharedSubnets!.map(formatPrefix)).toEqual(['10.0.0.0/24', '10.0.9.0/24', 'fd00::/64']);
  });

  test('over IPv6 to a neighbour on the link: its own address with the link-local one, and the first IPv4 address', () => {
    const own = ownAddresses(HOST, at('fd00::1'), at('fd00::2'));
    expect(text(own.self6)).toBe('fd00::1 and fe80::1');
    expect(text(own.self4)).toBe('10.0.0.1');
  });

  test('to a neighbour several hops away there is no link-local address, no shared subnet and no scope', () => {
    const own = ownAddresses(HOST, at('fd00:255::1'), at('fd00:77::1'));
    expect(text(own.self6)).toBe('fd00:255::1');
    expect(text(own.self4)).toBe('10.255.0.1');
    expect(own.sharedSubnets).toEqual([]);
    expect(own.scope).toBe(0);
  });

  test('between link-local addresses: the global one of the interface first, or the link-local one alone', () => {
    expect(text(ownAddresses(HOST, at('fe80::1%eth0'), at('fe80::9%eth0')).self6)).toBe(
      'fd00::1 and fe80::1',
    );
    const without = ownAddresses(HOST, at('fe80::2%eth1'), at('fe80::9%eth1'));
    expect(text(without.self6)).toBe('fe80::2');
    expect(without.scope).toBe(3);
  });

  test('of an interface without an IPv6 address of any use there is none', () => {
    const own = ownAddresses([on(5, '192.0.2.1/24')], at('192.0.2.1'), at('192.0.2.9'));
    expect(text(own.self6)).toBe('none');
  });

  test('a link-local address alone, as there is at boot, is none for a session between other addresses', () => {
    const own = ownAddresses(HOST, at('10.0.3.1'), at('10.0.3.2'));
    expect(text(own.self6)).toBe('none');
    expect(text(own.self4)).toBe('10.0.3.1');
  });
});

test('addresses that are not usable yet, or not for long, and those of loopback are left out', () => {
  const base = { link: 2, length: 64, family: 6, scope: 'global', flags: [] } as const;
  const usable = usableAddresses([
    { ...base, address: 'fd00::1' },
    { ...base, address: 'fd00::2', flags: ['tentative'] },
    { ...base, address: 'fd00::3', flags: ['deprecated'] },
    { ...base, address: '::1', length: 128, scope: 'host', link: 1 },
    { ...base, family: 4, address: '10.0.0.1', peer: '10.0.0.2', length: 30 },
  ]);
  expect(usable.map(({ bytes, length }) => `${formatAddress(bytes)}/${length}`)).toEqual([
    'fd00::1/64',
    '10.0.0.1/32',
  ]);
});
