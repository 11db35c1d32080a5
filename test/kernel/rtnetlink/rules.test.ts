import { describe, expect, test } from 'vitest';
import type { RuleSpec } from '#kernel/rtnetlink/rules.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { World } from './world.ts';

/** What is set, and what a person would have typed for it. */
const TABLE: readonly [RuleSpec, string][] = [
  [{ family: 4, priority: 100, protocol: 80, table: 1000 }, 'lookup 1000 pref 100 protocol 80'],
  [
    { family: 4, priority: 101, protocol: 80, table: 200, from: '10.0.0.0/8', to: '20.0.0.1/32' },
    'from 10.0.0.0/8 to 20.0.0.1 lookup 200 pref 101 protocol 80',
  ],
  [
    { family: 4, priority: 102, protocol: 80, table: 1000, mark: 0x40, markMask: 0xf0 },
    'fwmark 0x40/0xf0 lookup 1000 pref 102 protocol 80',
  ],
  [
    { family: 4, priority: 103, protocol: 80, table: 254, mark: 7 },
    'fwmark 7 lookup main pref 103 protocol 80',
  ],
  [
    { family: 4, priority: 104, protocol: 80, table: 1000, incomingLink: 'v0', outgoingLink: 'v1' },
    'iif v0 oif v1 lookup 1000 pref 104 protocol 80',
  ],
  [
    {
      family: 4,
      priority: 105,
      protocol: 80,
      table: 254,
      suppressPrefixLength: 0,
      inverted: true,
      to: '20.0.0.0/8',
    },
    'not to 20.0.0.0/8 lookup main suppress_prefixlength 0 pref 105 protocol 80',
  ],
  [
    { family: 4, priority: 106, protocol: 80, action: 'goto', goto: 32766 },
    'goto 32766 pref 106 protocol 80',
  ],
  [{ family: 4, priority: 107, protocol: 80, action: 'nop' }, 'nop pref 107 protocol 80'],
  [
    { family: 4, priority: 108, protocol: 80, action: 'blackhole', tos: 16 },
    'tos 0x10 blackhole pref 108 protocol 80',
  ],
  [
    {
      family: 6,
      priority: 100,
      protocol: 80,
      action: 'unreachable',
      from: 'fd00::/8',
      to: '2001:db8::1/128',
    },
    'from fd00::/8 to 2001:db8::1 unreachable pref 100 protocol 80',
  ],
  [
    { family: 6, priority: 101, protocol: 80, action: 'prohibit', mark: 1 },
    'fwmark 1 prohibit pref 101 protocol 80',
  ],
  [
    { family: 6, priority: 4294967295, protocol: 80, table: 4000000000, incomingLink: 'lo' },
    'iif lo lookup 4000000000 pref 4294967295 protocol 80',
  ],
];

describe('rules', () => {
  test('read back as what was set, and `ip -j rule` prints them as if `ip rule add` had set them', () => {
    using ours = new World();
    using theirs = new World();
    for (const [spec, typed] of TABLE) {
      ours.rt.rules.add(spec);
      theirs.type(`-${spec.family} rule add ${typed}`);
    }
    const list = ours.rt.rules.list().filter((rule) => rule.protocol === 80);
    expect(list).toEqual(TABLE.map(([spec]) => ({ action: 'table', ...spec })));
    expect(ours.rt.rules.list()).toEqual(theirs.rt.rules.list());
    for (const family of ['-4', '-6']) {
      expect(ours.ip(family, 'rule', 'show')).toEqual(theirs.ip(family, 'rule', 'show'));
    }
  });

  test('that were read can be set elsewhere, and deleted by what was read', () => {
    using a = new World();
    using b = new World();
    const before = b.rt.rules.list();
    for (const [spec] of TABLE) a.rt.rules.add(spec);
    const list = a.rt.rules.list(4).filter((rule) => rule.protocol === 80);
    for (const rule of list) b.rt.rules.add(rule);
    expect(b.rt.rules.list(4)).toEqual(a.rt.rules.list(4));
    for (const rule of list) b.rt.rules.delete(rule);
    expect(b.rt.rules.list()).toEqual(before);
  });

  test('of another protocol are left alone', () => {
    using world = new World();
    const spec = { family: 4, priority: 50, table: 77 } as const;
    world.rt.rules.add({ ...spec, protocol: 99 });
    expect(() => world.rt.rules.delete({ ...spec, protocol: 80 })).toThrow('delete IPv4 rule 50: ENOENT');
    world.rt.rules.delete({ ...spec, protocol: 99 });
    expect(world.rt.rules.list(4)).toHaveLength(3);
  });

  test('that can not be are refused', () => {
    using world = new World();
    const spec = { family: 4, priority: 50, protocol: 80, table: 77 } as const;
    world.rt.rules.add(spec);
    expect(() => world.rt.rules.add(spec)).toThrow('add IPv4 rule 50: EEXIST');
    for (const [change, message] of [
      [{ table: undefined }, 'table: found undefined, expected the number of a table'],
      [{ from: '10.0.0.1/8' }, 'from: found "10.0.0.1/8", expected 10.0.0.0/8'],
      [{ from: '0.0.0.0/0' }, 'from: found "0.0.0.0/0", expected a prefix longer than /0'],
      [{ to: 'fd00::/8' }, 'to: found "fd00::/8", expected an IPv4 prefix'],
      [{ action: 'goto' }, 'goto: found undefined, expected the priority of a rule'],
      [{ suppressPrefixLength: 33 }, 'suppressPrefixLength: found 33'],
      [{ priority: -1 }, 'priority: found -1'],
      [{ incomingLink: 'a b' }, 'incomingLink: found "a b"'],
    ] as const) {
      expect(() => world.rt.rules.add({ ...spec, ...change } as RuleSpec), message).toThrow(ValueError);
      expect(() => world.rt.rules.add({ ...spec, ...change } as RuleSpec)).toThrow(message);
    }
  });
});
