import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { AddressSpec } from '#kernel/rtnetlink/addresses.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { sorted, World } from './world.ts';

/** What is set, and what a person would have typed for it. */
const TABLE: readonly [Omit<AddressSpec, 'link'>, string][] = [
  [{ address: '10.1.0.1', length: 24 }, '10.1.0.1/24'],
  [{ address: '10.1.0.2', length: 24, broadcast: '10.1.0.255' }, '10.1.0.2/24 brd 10.1.0.255'],
  [{ address: '10.2.0.1', length: 32, scope: 'link' }, '10.2.0.1/32 scope link'],
  [{ address: '10.3.0.1', peer: '10.3.9.0', length: 24 }, '10.3.0.1 peer 10.3.9.0/24'],
  [{ address: '10.4.0.1', length: 16, flags: ['no-prefix-route'] }, '10.4.0.1/16 noprefixroute'],
  [{ address: '10.5.0.1', length: 16, metric: 77 }, '10.5.0.1/16 metric 77'],
  [{ address: '127.1.0.1', length: 32 }, '127.1.0.1/32'],
  [{ address: 'fd01::1', length: 64, flags: ['no-dad'] }, 'fd01::1/64 nodad'],
  [{ address: 'fd02::1', length: 128, peer: 'fd02::2', flags: ['no-dad'] }, 'fd02::1 peer fd02::2/128 nodad'],
  [{ address: 'fe80::7', length: 64, flags: ['no-dad'] }, 'fe80::7/64 nodad'],
  [
    { address: 'fd03::1', length: 64, flags: ['no-dad', 'no-prefix-route'], metric: 9 },
    'fd03::1/64 nodad noprefixroute metric 9',
  ],
  [{ address: 'fd04::1', length: 64, flags: ['no-dad', 'home'] }, 'fd04::1/64 nodad home'],
];

describe('addresses', () => {
  test('read back as what was set, and `ip -j address` prints them as if `ip address add` had set them', async () => {
    using ours = new World();
    using theirs = new World();
    for (const [spec, typed] of TABLE) {
      ours.rt.addresses.add({ link: ours.v1, ...spec });
      theirs.type(`address add ${typed} dev v1`);
    }
    const list = ours.rt.addresses.list({ link: ours.v1 });
    for (const [spec] of TABLE) {
      const found = list.find((a) => a.address === spec.address);
      const scope = spec.address.startsWith('127.')
        ? 'host'
        : spec.address.startsWith('fe80')
          ? 'link'
          : 'global';
      const expected = {
        link: ours.v1,
        family: spec.address.includes(':') ? 6 : 4,
        scope,
        flags: [],
        ...spec,
      };
      // The second of a prefix: the kernel says so.
      const flags = spec.address === '10.1.0.2' ? ['secondary'] : expected.flags;
      expect(found).toEqual({ ...expected, flags });
    }
    expect(list).toHaveLength(TABLE.length);
    expect(list).toEqual(theirs.rt.addresses.list({ link: theirs.v1 }));
    expect(sorted(ours.ip('address', 'show', 'dev', 'v1'))).toEqual(
      sorted(theirs.ip('address', 'show', 'dev', 'v1')),
    );
    // Their routes are set a moment later.
    const printed = (world: World) =>
      ['-4', '-6'].map((family) => sorted(world.ip(family, 'route', 'show', 'table', 'all')));
    await waitFor(() => isDeepStrictEqual(printed(ours), printed(theirs)), { what: 'the same routes' });
  });

  test('that were read can be set elsewhere, and are the same there', () => {
    using a = new World();
    using b = new World();
    for (const [spec] of TABLE) a.rt.addresses.add({ link: a.v1, ...spec });
    // `ip` of today's distributions can not set this one.
    a.rt.addresses.add({ link: a.v1, address: 'fd06::1', length: 64, flags: ['no-dad'], protocol: 80 });
    const list = a.rt.addresses.list({ link: a.v1 });
    for (const address of list) b.rt.addresses.add(address);
    expect(sorted(b.rt.addresses.list({ link: b.v1 }))).toEqual(sorted(list));
  });

  test('have lifetimes, which replace renews', () => {
    using world = new World();
    const key = { link: world.v1, address: 'fd05::1', length: 64 };
    const get = () => world.rt.addresses.list({ link: world.v1, family: 6 })[0]!;
    world.rt.addresses.add({ ...key, flags: ['no-dad'], preferredLifetime: 500, validLifetime: 1000 });
    expect(get().preferredLifetime).toBeGreaterThan(490);
    expect(get().preferredLifetime).toBeLessThanOrEqual(500);
    expect(get().validLifetime).toBeGreaterThan(990);
    world.rt.addresses.replace({ ...key, flags: ['no-dad'], validLifetime: 2000 });
    expect(get().preferredLifetime).toBeGreaterThan(1990);
    world.rt.addresses.replace({ ...key, flags: ['no-dad'] });
    expect(get()).toEqual({ ...key, family: 6, scope: 'global', flags: ['no-dad'] });
    world.rt.addresses.replace({ ...key, flags: ['no-dad'], preferredLifetime: 0, validLifetime: 100 });
    expect(get()).toMatchObject({ flags: ['no-dad', 'deprecated'], preferredLifetime: 0 });
    expect(() => world.rt.addresses.replace({ ...key, preferredLifetime: 10, validLifetime: 5 })).toThrow(
      'preferredLifetime: found 10, expected a whole number from 0 to 5',
    );
  });

  test('are listed by family and by link, and deleted', () => {
    using world = new World();
    const { addresses } = world.rt;
    expect(addresses.list({ family: 4, link: world.v0 }).map((a) => a.address)).toEqual([
      '10.0.0.1',
      '10.0.1.1',
    ]);
    expect(addresses.list({ family: 6 }).map((a) => a.address)).toEqual(['::1', 'fd00::1']);
    addresses.delete({ link: world.v0, address: '10.0.0.1', length: 24 });
    addresses.add({ link: world.v1, address: '10.3.0.1', peer: '10.3.9.0', length: 24 });
    addresses.delete({ link: world.v1, address: '10.3.0.1', peer: '10.3.9.0', length: 24 });
    for (const address of addresses.list({ link: world.v0 })) addresses.delete(address);
    expect(addresses.list().map((a) => a.address)).toEqual(['127.0.0.1', '::1']);
  });

  test('that the kernel refuses raise an error that names them', () => {
    using world = new World();
    const { addresses } = world.rt;
    const key = { link: world.v0, address: '10.0.0.1', length: 24 };
    expect(() => addresses.add(key)).toThrow(
      `add address 10.0.0.1/24 of link ${world.v0}: EEXIST: ipv4: Address already assigned`,
    );
    try {
      addresses.delete({ ...key, address: '10.0.0.9' });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(NetlinkError);
      expect(error).toMatchObject({
        object: `delete address 10.0.0.9/24 of link ${world.v0}`,
        code: 'EADDRNOTAVAIL',
        kernelText: expect.stringMatching(/address not found/i),
      });
    }
    for (const bad of [
      { ...key, address: '10.0.0.256' },
      { ...key, length: 33 },
      { ...key, peer: 'fd00::2' },
      { ...key, link: 0 },
      { ...key, flags: ['nodad' as 'no-dad'] },
    ]) {
      expect(() => addresses.add(bad)).toThrow(ValueError);
    }
  });
});
