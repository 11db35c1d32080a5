import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatPrefix } from '#kernel/ip.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import { type DifferenceSink, difference } from '#kernel/rtnetlink/route-difference.ts';
import type { RouteTable } from '#kernel/rtnetlink/route-table.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { RouteTable6 } from '#kernel/rtnetlink/route-table6.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';

const OPTIONS = { table: 254, protocol: 80, metric: 32 };

function newTable(family: 4 | 6, sets: NextHopSets, seed = 1): RouteTable {
  return new (family === 4 ? RouteTable4 : RouteTable6)({ ...OPTIONS, sets, seed });
}

/** Few enough that they meet again, and of all lengths. */
function prefixes(family: 4 | 6): fc.Arbitrary<string> {
  const size = family === 4 ? 4 : 16;
  return fc.tuple(fc.integer({ min: 0, max: 5 }), fc.nat(size * 8)).map(([pattern, length]) => {
    const address = new Uint8Array(size).fill(pattern * 51);
    for (let bit = length; bit < size * 8; bit++) address[bit >> 3]! &= ~(0x80 >> (bit & 7));
    return formatPrefix(address, length);
  });
}

function entries(table: RouteTable): Map<string, number> {
  const found = new Map<string, number>();
  for (let slot = table.next(-1); slot >= 0; slot = table.next(slot)) {
    expect(table.slotOfPrefix(table.prefix(slot))).toBe(slot);
    expect(table.length(slot)).toBe(Number(table.prefix(slot).split('/')[1]));
    found.set(table.prefix(slot), table.id(slot));
  }
  return found;
}

/** Sets that stay until the end of the test, as numbers. */
function someSets(sets: NextHopSets, family: 4 | 6): number[] {
  const gateway = (n: number) => (family === 4 ? `10.0.0.${n}` : `fd00::${n}`);
  return [1, 2, 3].map((n) => sets.intern(family, { nextHops: [{ gateway: gateway(n), link: 2 }] }));
}

for (const family of [4, 6] as const) {
  describe(`a table of IPv${family} routes`, () => {
    test('does what a map does, whatever is done to it', () => {
      const sets = new NextHopSets();
      const ids = someSets(sets, family);
      const step = fc.tuple(
        fc.constantFrom('set', 'set', 'delete', 'get', 'clear'),
        prefixes(family),
        fc.nat(2),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 400, size: 'max' }), fc.integer(), (steps, seed) => {
          const table = newTable(family, sets, seed);
          const model = new Map<string, number>();
          for (const [what, prefix, which] of steps) {
            if (what === 'set') {
              expect(table.setPrefix(prefix, ids[which]!)).toBe(model.get(prefix) ?? 0);
              model.set(prefix, ids[which]!);
            } else if (what === 'delete') {
              expect(table.deletePrefix(prefix)).toBe(model.delete(prefix));
            } else if (what === 'get') {
              expect(table.getPrefix(prefix)).toBe(model.get(prefix) ?? 0);
            } else if (model.size > 100) {
              table.clear();
              model.clear();
            }
            expect(table.size).toBe(model.size);
          }
          expect(entries(table)).toEqual(model);
          table.clear();
        }),
      );
      expect(sets.size).toBe(3);
    });

    test('knows what it takes to become another', () => {
      const sets = new NextHopSets();
      const ids = someSets(sets, family);
      const content = fc.array(fc.tuple(prefixes(family), fc.nat(2)), { maxLength: 200, size: 'max' });
      fc.assert(
        fc.property(content, content, (wanted, there) => {
          const desired = newTable(family, sets, 5);
          const actual = newTable(family, sets, 6);
          for (const [prefix, which] of wanted) desired.setPrefix(prefix, ids[which]!);
          for (const [prefix, which] of there) actual.setPrefix(prefix, ids[which]!);
          const become = entries(actual);
          let deleting = false;
          const sink: DifferenceSink = {
            add: (table, slot) => {
              expect(table).toBe(desired);
              expect(deleting).toBe(false);
              expect(become.has(table.prefix(slot))).toBe(false);
              become.set(table.prefix(slot), table.id(slot));
            },
            replace: (table, slot) => {
              expect(deleting).toBe(false);
              expect(become.get(table.prefix(slot))).not.toBe(table.id(slot));
              become.set(table.prefix(slot), table.id(slot));
            },
            delete: (table, slot) => {
              deleting = true;
              expect(table).toBe(actual);
              expect(become.delete(table.prefix(slot))).toBe(true);
            },
          };
          const { added, deleted } = difference(desired, actual, sink);
          expect(become).toEqual(entries(desired));
          expect(desired.size - actual.size).toBe(added - deleted);
          expect(difference(desired, desired, sink)).toEqual({ added: 0, replaced: 0, deleted: 0 });
        }),
      );
    });

    test('refuses what is not one of its prefixes', () => {
      const sets = new NextHopSets();
      const table = newTable(family, sets);
      expect(() => table.setPrefix(family === 4 ? '2001::/16' : '10.0.0.0/8', 1)).toThrow(ValueError);
      expect(() => table.setPrefix(family === 4 ? '10.0.0.1/8' : '2001::1/16', 1)).toThrow(ValueError);
      expect(() => table.getPrefix('x')).toThrow(ValueError);
      const prefix = family === 4 ? '10.0.0.0/8' : '2001::/16';
      expect(() => table.setPrefix(prefix, 0)).toThrow('0 stands for none');
      expect(() => table.setPrefix(prefix, 99)).toThrow('there is none');
      expect(table.size).toBe(0);
      expect(() => new RouteTable4({ ...OPTIONS, metric: 0, sets })).toThrow('metric 0, expected 1 or more');
    });
  });
}

test('100,000 routes of either family take less than 15 MB', () => {
  const sets = new NextHopSets();
  const [id] = someSets(sets, 4);
  const v4 = new RouteTable4({ ...OPTIONS, sets });
  const v6 = new RouteTable6({ ...OPTIONS, sets });
  const [id6] = someSets(sets, 6);
  for (let i = 0; i < 100_000; i++) {
    v4.set(0x0a000000 + i * 256, 24, id!);
    v6.set(0x20010db8, i, 0, 0, 64, id6!);
  }
  expect(v4.size).toBe(100_000);
  expect(v6.size).toBe(100_000);
  expect(v4.bytes).toBeLessThan(3e6);
  expect(v6.bytes).toBeLessThan(6e6);
});

describe('next-hop sets', () => {
  const hop = (n: number) => ({ gateway: `10.0.0.${n}`, link: 2 });

  test('are the same number exactly when they treat packets the same', () => {
    const sets = new NextHopSets();
    const one = sets.intern(4, { nextHops: [hop(1), hop(2)] });
    expect(sets.intern(4, { nextHops: [hop(2), { ...hop(1), weight: 1 }], type: 'unicast' })).toBe(one);
    expect(sets.intern(4, { nextHops: [{ ...hop(1), dead: true }, hop(2)], scope: 'global' })).toBe(one);
    const others = [
      sets.intern(4, { nextHops: [hop(1)] }),
      sets.intern(4, { nextHops: [hop(1), { ...hop(2), weight: 2 }] }),
      sets.intern(4, { nextHops: [hop(1), { ...hop(2), onlink: true }] }),
      sets.intern(4, { nextHops: [hop(1), { ...hop(2), link: 3 }] }),
      sets.intern(4, { nextHops: [hop(1), hop(2)], source: '10.0.0.9' }),
      sets.intern(4, { nextHops: [hop(1), hop(2)], mtu: 1400 }),
      sets.intern(4, { nextHops: [{ link: 2 }] }),
      sets.intern(4, { type: 'blackhole' }),
      sets.intern(6, { type: 'blackhole' }),
      sets.intern(4, { type: 'unreachable' }),
    ];
    expect(new Set([one, ...others, 0]).size).toBe(others.length + 2);
    const v6 = sets.intern(6, { nextHops: [{ gateway: 'FD00:0::2', link: 2 }] });
    expect(sets.intern(6, { nextHops: [{ gateway: 'fd00::2', link: 2 }] })).toBe(v6);
    expect(sets.path(v6).nextHops).toEqual([{ gateway: 'fd00::2', link: 2 }]);
  });

  test('are kept while they are held, by whoever interned them or by a table', () => {
    const sets = new NextHopSets();
    const id = sets.intern(4, { nextHops: [hop(1)] });
    const table = new RouteTable4({ ...OPTIONS, sets });
    table.set(0x0a000000, 8, id);
    table.set(0x0b000000, 8, id);
    sets.release(id);
    table.delete(0x0a000000, 8);
    expect(sets.path(id).nextHops).toEqual([hop(1)]);
    // Its place in the table is taken over while nobody else holds it.
    expect(table.set(0x0b000000, 8, id)).toBe(id);
    const other = sets.intern(4, { nextHops: [hop(2)] });
    table.set(0x0b000000, 8, other);
    expect(() => sets.path(id)).toThrow(`next-hop set ${id}: there is none`);
    expect(sets.size).toBe(1);
    sets.release(other);
    table.clear();
    expect(sets.size).toBe(0);
    expect(() => sets.release(other)).toThrow('there is none');
  });

  test('need a link in each next hop, and can not be impossible', () => {
    const sets = new NextHopSets();
    expect(() => sets.intern(4, { nextHops: [{ gateway: '10.0.0.1' }] })).toThrow(
      'next-hop set: link: found undefined, expected an interface index',
    );
    expect(() => sets.intern(4, {})).toThrow(ValueError);
    expect(() => sets.intern(6, { nextHops: [hop(1)] })).toThrow(ValueError);
    expect(() => sets.intern(4, { type: 'blackhole', source: 'x' })).toThrow(ValueError);
    expect(sets.size).toBe(0);
  });
});
