import { describe, expect, test } from 'vitest';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { type NextHop, type RouteSpec, routeOf } from '#kernel/rtnetlink/route.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { sorted, World } from './world.ts';

/** What is installed, made with the index of `v0`, and what a person would have typed for it. */
const TABLE: readonly [(link: number) => RouteSpec, string][] = [
  [
    (link) => ({ destination: '20.0.0.0/24', protocol: 80, nextHops: [{ gateway: '10.0.0.2', link }] }),
    '20.0.0.0/24 via 10.0.0.2 proto 80',
  ],
  [
    (link) => ({
      destination: '20.0.1.0/24',
      protocol: 80,
      metric: 32,
      table: 1000,
      source: '10.0.1.1',
      mtu: 1400,
      nextHops: [{ gateway: '10.0.0.2', link }],
    }),
    '20.0.1.0/24 via 10.0.0.2 proto 80 metric 32 table 1000 src 10.0.1.1 mtu 1400',
  ],
  [
    (link) => ({ destination: '20.0.2.7/32', protocol: 80, nextHops: [{ link }] }),
    '20.0.2.7/32 dev v0 proto 80 scope link',
  ],
  [
    (link) => ({ destination: '0.0.0.0/0', protocol: 80, nextHops: [{ gateway: '10.0.0.2', link }] }),
    'default via 10.0.0.2 proto 80',
  ],
  [
    (link) => ({
      destination: '20.0.3.0/24',
      protocol: 80,
      nextHops: [{ gateway: '172.16.9.9', link, onlink: true }],
    }),
    '20.0.3.0/24 via 172.16.9.9 dev v0 onlink proto 80',
  ],
  [
    (link) => ({
      destination: '20.0.4.0/24',
      protocol: 80,
      nextHops: [
        { gateway: '10.0.0.2', link, weight: 3 },
        { gateway: '10.0.1.7', link },
        { gateway: '172.16.9.9', link, onlink: true, weight: 256 },
      ],
    }),
    '20.0.4.0/24 proto 80 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.1.7 nexthop via 172.16.9.9 dev v0 onlink weight 256',
  ],
  [
    (link) => ({ destination: '20.0.5.0/24', protocol: 80, nextHops: [{ gateway: 'fd00::2', link }] }),
    '20.0.5.0/24 via inet6 fd00::2 proto 80',
  ],
  [
    (link) => ({
      destination: '20.0.6.0/24',
      protocol: 80,
      nextHops: [
        { gateway: 'fe80::2', link },
        { gateway: '10.0.0.2', link },
        { link, weight: 2 },
      ],
    }),
    '20.0.6.0/24 proto 80 nexthop via inet6 fe80::2 dev v0 nexthop via 10.0.0.2 nexthop dev v0 weight 2',
  ],
  [
    (link) => ({
      destination: '20.0.7.0/24',
      protocol: 80,
      tos: 16,
      nextHops: [{ gateway: '10.0.0.2', link }],
    }),
    '20.0.7.0/24 tos 0x10 via 10.0.0.2 proto 80',
  ],
  [() => ({ destination: '20.1.0.0/16', protocol: 80, type: 'blackhole' }), 'blackhole 20.1.0.0/16 proto 80'],
  [
    () => ({ destination: '20.2.0.0/16', protocol: 80, type: 'unreachable', metric: 4294967295 }),
    'unreachable 20.2.0.0/16 proto 80 metric 4294967295',
  ],
  [
    () => ({ destination: '20.3.0.0/16', protocol: 80, type: 'prohibit', table: 4000000000 }),
    'prohibit 20.3.0.0/16 proto 80 table 4000000000',
  ],
  [() => ({ destination: '20.4.0.0/16', protocol: 80, type: 'throw' }), 'throw 20.4.0.0/16 proto 80'],
  [
    (link) => ({ destination: '2001:db8::/64', protocol: 80, nextHops: [{ gateway: 'fd00::2', link }] }),
    '2001:db8::/64 via fd00::2 proto 80',
  ],
  [
    (link) => ({
      destination: '2001:db8:1::/64',
      protocol: 80,
      metric: 32,
      table: 1000,
      source: 'fd00::1',
      mtu: 1400,
      nextHops: [{ gateway: 'fe80::2', link }],
    }),
    '2001:db8:1::/64 via fe80::2 dev v0 proto 80 metric 32 table 1000 src fd00::1 mtu 1400',
  ],
  [
    (link) => ({ destination: '2001:db8::7/128', protocol: 80, nextHops: [{ link }] }),
    '2001:db8::7/128 dev v0 proto 80',
  ],
  [
    (link) => ({ destination: '::/0', protocol: 80, nextHops: [{ gateway: 'fd00::2', link }] }),
    '-6 default via fd00::2 proto 80',
  ],
  [
    (link) => ({
      destination: '2001:db8:3::/64',
      protocol: 80,
      nextHops: [{ gateway: '2009::9', link, onlink: true }],
    }),
    '2001:db8:3::/64 via 2009::9 dev v0 onlink proto 80',
  ],
  [
    (link) => ({
      destination: '2001:db8:4::/64',
      protocol: 80,
      nextHops: [
        { gateway: 'fd00::2', link, weight: 3 },
        { gateway: 'fe80::7', link },
        { gateway: '2009::9', link, onlink: true, weight: 256 },
      ],
    }),
    '2001:db8:4::/64 proto 80 nexthop via fd00::2 weight 3 nexthop via fe80::7 dev v0 nexthop via 2009::9 dev v0 onlink weight 256',
  ],
  [
    (link) => ({
      destination: '2001:db8:5::/64',
      from: 'fd00:7::/64',
      protocol: 80,
      nextHops: [{ gateway: 'fd00::2', link }],
    }),
    '2001:db8:5::/64 from fd00:7::/64 via fd00::2 proto 80',
  ],
  [() => ({ destination: '2001:1::/32', protocol: 80, type: 'blackhole' }), 'blackhole 2001:1::/32 proto 80'],
  [
    () => ({ destination: '2001:2::/32', protocol: 80, type: 'unreachable', metric: 4294967295 }),
    'unreachable 2001:2::/32 proto 80 metric 4294967295',
  ],
  [
    () => ({ destination: '2001:3::/32', protocol: 80, type: 'prohibit', table: 4000000000 }),
    'prohibit 2001:3::/32 proto 80 table 4000000000',
  ],
];

const BOTH = [
  { family: 4, prefix: '20.0.0.0/24', router: (n: number) => `10.0.0.${n}` },
  { family: 6, prefix: '2001:db8::/64', router: (n: number) => `fd00::${n}` },
] as const;

describe('routes', () => {
  test('read back as what was installed, and `ip -j route` prints them as if `ip route add` had', () => {
    using ours = new World();
    using theirs = new World();
    for (const [spec, typed] of TABLE) {
      const installed = ours.rt.routes.add(spec(ours.v0));
      const found = ours.rt.routes.list({ table: installed.table, protocol: 80, family: installed.family });
      expect(found).toContainEqual(installed);
      theirs.type(typed.replace(/^(-6 )?/, '$1route add '));
    }
    const list = ours.rt.routes.list({ protocol: 80 });
    expect(sorted(list)).toEqual(sorted(TABLE.map(([spec]) => routeOf(spec(ours.v0)))));
    expect(list).toEqual(theirs.rt.routes.list({ protocol: 80 }));
    for (const family of ['-4', '-6']) {
      const printed = ours.ip(family, 'route', 'show', 'table', 'all');
      expect(printed.length).toBeGreaterThan(10);
      expect(sorted(printed)).toEqual(sorted(theirs.ip(family, 'route', 'show', 'table', 'all')));
    }
  });

  test('that were read can be installed elsewhere, and are the same there', () => {
    using a = new World();
    using b = new World();
    for (const [spec] of TABLE) a.rt.routes.add(spec(a.v0));
    for (const route of a.rt.routes.list({ protocol: 80 })) expect(b.rt.routes.add(route)).toEqual(route);
    expect(sorted(b.rt.routes.list())).toEqual(sorted(a.rt.routes.list()));
  });

  test('are listed by table, protocol, type and link, and a table without routes is empty', () => {
    using world = new World();
    const { routes } = world.rt;
    for (const [spec] of TABLE) routes.add(spec(world.v0));
    routes.add({ destination: '30.0.0.0/8', protocol: 81, nextHops: [{ link: 1 }] });
    const texts = (filter: Parameters<typeof routes.list>[0]) =>
      routes.list(filter).map((r) => r.destination);
    expect(texts({ table: 1000 })).toEqual(['20.0.1.0/24', '2001:db8:1::/64']);
    expect(texts({ protocol: 81 })).toEqual(['30.0.0.0/8']);
    expect(texts({ type: 'prohibit' })).toEqual(['20.3.0.0/16', '2001:3::/32']);
    expect(texts({ link: 1, family: 4, table: 254 })).toEqual(['30.0.0.0/8']);
    expect(texts({ table: 77 })).toEqual([]);
  });

  test('of IPv6 with metric 0 are refused, since the kernel would make it 1024', () => {
    using world = new World();
    const spec = { destination: '2001:db8::/64', protocol: 80, type: 'blackhole' } as const;
    expect(() => world.rt.routes.add({ ...spec, metric: 0 })).toThrow(
      'route 2001:db8::/64: metric: found 0, expected a whole number from 1 to 4294967295',
    );
    expect(world.rt.routes.add(spec).metric).toBe(1024);
  });

  test('with a value that can not be are refused before anything is sent', () => {
    using world = new World();
    const link = world.v0;
    const spec = { destination: '20.0.0.0/24', protocol: 80, nextHops: [{ gateway: '10.0.0.2', link }] };
    const hop = { gateway: '10.0.0.2', link };
    const v6 = { destination: '2001:db8::/64', protocol: 80 };
    for (const [change, message] of [
      [{ destination: '20.0.0.1/24' }, 'destination: found "20.0.0.1/24", expected 20.0.0.0/24'],
      [{ nextHops: [] }, 'nextHops: found 0, expected at least one'],
      [{ nextHops: [{}] }, 'nextHops: found "{}", expected a gateway, a link or both'],
      [{ nextHops: [hop, hop] }, `found "via 10.0.0.2 dev ${link}", expected each next hop once`],
      [
        { nextHops: [{ ...hop, weight: 257 }, { link }] },
        'weight: found 257, expected a whole number from 1 to 256',
      ],
      [
        { nextHops: [{ gateway: 'fd00::x', link }] },
        'gateway: found "fd00::x", expected an IPv4 or IPv6 address',
      ],
      [{ type: 'blackhole' }, 'nextHops: found 1, expected none for type blackhole'],
      [{ type: 'blackhole', nextHops: [], source: '::1' }, 'source: found "::1", expected an IPv4 address'],
      [{ table: 0 }, 'table: found 0'],
      [{ protocol: 256 }, 'protocol: found 256'],
      [{ mtu: 0 }, 'mtu: found 0'],
      [{ from: '10.0.0.0/8' }, 'from: found "10.0.0.0/8", expected none'],
      [
        { ...v6, nextHops: [{ gateway: '10.0.0.2', link }] },
        'gateway: found "10.0.0.2", expected an IPv6 address',
      ],
      [
        { ...v6, nextHops: [{ gateway: 'fd00::2', link }, { link }] },
        'expected a gateway in each of several',
      ],
      [{ ...v6, tos: 4 }, 'tos: found 4, expected none'],
    ] as const) {
      expect(() => world.rt.routes.add({ ...spec, ...change } as RouteSpec), message).toThrow(ValueError);
      expect(() => world.rt.routes.add({ ...spec, ...change } as RouteSpec)).toThrow(message);
    }
    expect(world.rt.routes.list({ protocol: 80 })).toEqual([]);
  });

  test('that the kernel refuses raise an error that names them, with the words of the kernel', () => {
    using world = new World();
    const { routes } = world.rt;
    const link = world.v0;
    const refused = (spec: RouteSpec): NetlinkError => {
      try {
        routes.add(spec);
      } catch (error) {
        if (error instanceof NetlinkError) return error;
        throw error;
      }
      throw new Error('was not refused');
    };
    expect(
      refused({ destination: '20.0.0.0/24', protocol: 80, nextHops: [{ gateway: '99.0.0.1', link }] }),
    ).toMatchObject({
      object: 'add route 20.0.0.0/24',
      code: 'ENETUNREACH',
      kernelText: 'Nexthop has invalid gateway',
    });
    expect(refused({ destination: '20.0.0.0/24', protocol: 80, nextHops: [{ link: 999 }] })).toMatchObject({
      code: 'ENODEV',
      message: expect.stringContaining('add route 20.0.0.0/24: ENODEV'),
    });
    expect(
      refused({ destination: '2001:db8::/64', protocol: 80, type: 'blackhole', source: 'fd99::1' }),
    ).toMatchObject({ code: 'EINVAL', kernelText: 'Invalid source address' });
  });
});

for (const { family, prefix, router } of BOTH) {
  describe(`replacing an IPv${family} route`, () => {
    /** Each can take the place of each other. */
    const SHAPES: readonly ((link: number) => Partial<RouteSpec>)[] = [
      (link) => ({ nextHops: [{ gateway: router(2), link }] }),
      (link) => ({ nextHops: [{ gateway: router(3), link }] }),
      (link) => ({ nextHops: [{ link }] }),
      (link) => ({
        nextHops: [
          { gateway: router(2), link },
          { gateway: router(3), link },
        ],
      }),
      (link) => ({ nextHops: [5, 4, 3].map((n) => ({ gateway: router(n), link, weight: n }) as NextHop) }),
      () => ({ type: 'blackhole' }),
      () => ({ type: 'unreachable', mtu: 1280 }),
    ];

    test('leaves exactly the new one, whatever the two look like', () => {
      using world = new World();
      const { routes } = world.rt;
      for (const before of SHAPES) {
        for (const after of SHAPES) {
          const base = { destination: prefix, protocol: 80, metric: 32 };
          routes.add({ ...base, ...before(world.v0) });
          const route = routes.replace({ ...base, ...after(world.v0) });
          const others = routes.list({ family }).filter((r) => r.destination === prefix);
          expect(others).toEqual([route]);
          routes.delete(route);
        }
      }
    });

    test('leaves the ones with another metric or in another table alone', () => {
      using world = new World();
      const { routes } = world.rt;
      const link = world.v0;
      const several = [2, 3].map((n) => ({ gateway: router(n), link }));
      const one = routes.add({ destination: prefix, protocol: 80, metric: 32, nextHops: several });
      const two = routes.replace({ destination: prefix, protocol: 80, metric: 33, nextHops: several });
      const three = routes.replace({
        destination: prefix,
        protocol: 80,
        metric: 32,
        table: 999,
        nextHops: several,
      });
      const four = routes.replace({ ...two, nextHops: [{ gateway: router(9), link }] });
      expect(sorted(routes.list({ protocol: 80 }))).toEqual(sorted([one, three, four]));
    });

    test('that is there already with the same metric takes its place, even if it is of another protocol', () => {
      using world = new World();
      const { routes } = world.rt;
      const base = { destination: prefix, metric: 32, nextHops: [{ gateway: router(2), link: world.v0 }] };
      const theirs = routes.add({ ...base, protocol: 99 });
      expect(() => routes.add({ ...base, protocol: 80 })).toThrow(`add route ${prefix}: EEXIST`);
      expect(routes.list({ protocol: 99 })).toEqual([theirs]);
      const ours = routes.replace({ ...base, protocol: 80 });
      expect(routes.list({ protocol: 99 })).toEqual([]);
      expect(routes.list({ protocol: 80 })).toEqual([ours]);
    });

    test('by one that the kernel refuses leaves the one that was there', () => {
      using world = new World();
      const { routes } = world.rt;
      const link = world.v0;
      const base = { destination: prefix, protocol: 80, metric: 32 };
      const good = routes.add({ ...base, nextHops: [2, 3].map((n) => ({ gateway: router(n), link })) });
      const stranger = family === 4 ? '99.0.0.1' : 'fd99::1';
      const bad = [
        { gateway: router(4), link },
        { gateway: stranger, link },
      ];
      expect(() => routes.replace({ ...base, nextHops: bad })).toThrow(`replace route ${prefix}: `);
      expect(routes.list({ protocol: 80 })).toEqual([good]);
    });
  });

  describe(`deleting an IPv${family} route`, () => {
    test('takes only the one of our protocol, with all its next hops', () => {
      using world = new World();
      const { routes } = world.rt;
      const link = world.v0;
      const several = [2, 3].map((n) => ({ gateway: router(n), link }));
      const base = { destination: prefix, nextHops: several };
      const theirs = routes.add({ ...base, protocol: 99, metric: 31 });
      const ours = routes.add({ ...base, protocol: 80, metric: 32 });
      expect(() => routes.delete({ destination: prefix, protocol: 80, metric: 31 })).toThrow(
        `delete route ${prefix}: ESRCH`,
      );
      expect(() => routes.delete({ destination: prefix, protocol: 99, metric: 32 })).toThrow('ESRCH');
      routes.delete({ destination: prefix, protocol: 80, metric: 32 });
      expect(() => routes.delete(ours)).toThrow('ESRCH');
      expect(routes.list({ family }).filter((r) => r.destination === prefix)).toEqual([theirs]);
    });
  });

  describe(`looking up an IPv${family} route`, () => {
    const address = family === 4 ? '20.0.0.9' : '2001:db8::9';

    test('gives the way of a packet and the entry that it matches', () => {
      using world = new World();
      const { routes } = world.rt;
      const link = world.v0;
      expect(routes.lookup(address)).toBeUndefined();
      expect(routes.match(address)).toBeUndefined();
      const several = [2, 3].map((n) => ({ gateway: router(n), link }));
      const route = routes.add({ destination: prefix, protocol: 80, metric: 32, nextHops: several });
      const { nextHops, ...match } = routes.match(address)!;
      expect({ ...match, nextHops: sorted(nextHops) }).toEqual(route);
      const way = routes.lookup(address)!;
      expect(way).toMatchObject({
        destination: `${address}/${family === 4 ? 32 : 128}`,
        type: 'unicast',
        table: 254,
      });
      expect(several).toContainEqual(way.nextHops[0]);
      expect(way.nextHops).toHaveLength(1);
    });

    test('tells of routes that drop', () => {
      using world = new World();
      for (const type of ['blackhole', 'unreachable', 'prohibit'] as const) {
        world.rt.routes.replace({ destination: prefix, protocol: 80, metric: 32, type });
        expect(world.rt.routes.lookup(address)).toMatchObject({ type, nextHops: [] });
        expect(world.rt.routes.match(address)).toMatchObject({ type, nextHops: [] });
      }
    });

    test('heeds rules on mark and source', () => {
      using world = new World();
      const { routes, rules } = world.rt;
      const from = family === 4 ? '10.0.1.1' : 'fd00::1';
      routes.add({ destination: prefix, protocol: 80, table: 900, type: 'blackhole' });
      routes.add({ destination: prefix, protocol: 80, table: 901, type: 'prohibit' });
      rules.add({ family, priority: 10, protocol: 80, mark: 5, table: 900 });
      rules.add({
        family,
        priority: 11,
        protocol: 80,
        from: `${from}/${family === 4 ? 32 : 128}`,
        table: 901,
      });
      expect(routes.lookup(address)).toBeUndefined();
      expect(routes.lookup(address, { mark: 5 })).toMatchObject({ type: 'blackhole' });
      expect(routes.lookup(address, { from })).toMatchObject({ type: 'prohibit' });
    });
  });
}
