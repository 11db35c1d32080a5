import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  contains,
  findRange,
  formatAddress,
  parseAddress,
  parsePrefix,
  rangeOf,
} from '#datastore/address.ts';
import { cutInPieces, rangesOf } from '#policy/compiler/blocks.ts';
import { runs } from '#test/helpers/runs.ts';

const text = ({ first, last }: { first: never; last: never }) =>
  `${formatAddress(first)}-${formatAddress(last)}`;

/** Blocks of 16 addresses in a place of a family, the last one at the very end of it. */
const places = ['10.0.0.', '255.255.255.24', 'fd00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff'];
const addressAt = (place: string, n: number) => {
  if (place.startsWith('255')) return parseAddress(`255.255.255.${240 + n}`)!;
  return parseAddress(`${place}${place.includes(':') ? n.toString(16) : n}`)!;
};
const sub = fc.record({ number: fc.nat(15), free: fc.nat(4) });
const block = fc
  .record({ place: fc.constantFrom(...places), whole: sub, except: fc.array(sub, { maxLength: 4 }) })
  .map(({ place, whole, except }) => {
    const bits = place.includes(':') ? 128 : 32;
    const cidr = ({ number, free }: typeof whole) =>
      `${formatAddress(addressAt(place, number))}/${bits - free}`;
    const inside = except.filter(
      (hole) =>
        hole.free < whole.free && contains(rangeOf(parsePrefix(cidr(whole))!), addressAt(place, hole.number)),
    );
    return { kind: 'block' as const, cidr: cidr(whole), except: inside.map(cidr) };
  });
const everywhere = places.flatMap((place) => Array.from({ length: 16 }, (_, n) => addressAt(place, n)));

const has = ({ cidr, except }: { cidr: string; except: readonly string[] }, address: never) => {
  const within = (text: string) => contains(rangeOf(parsePrefix(text)!), address);
  return within(cidr) && !except.some(within);
};

describe('blocks as ranges', () => {
  test.each([
    ['10.0.0.0/8', [], ['10.0.0.0-10.255.255.255']],
    ['10.0.0.0/8', ['10.0.0.0/9'], ['10.128.0.0-10.255.255.255']],
    ['10.0.0.0/8', ['10.128.0.0/9'], ['10.0.0.0-10.127.255.255']],
    [
      '10.0.0.0/8',
      ['10.1.0.0/16', '10.1.2.0/24', '10.3.0.0/16'],
      ['10.0.0.0-10.0.255.255', '10.2.0.0-10.2.255.255', '10.4.0.0-10.255.255.255'],
    ],
    ['10.0.0.0/8', ['10.0.0.0/9', '10.128.0.0/9'], []],
    ['0.0.0.0/0', ['255.255.255.255/32'], ['0.0.0.0-255.255.255.254']],
    ['::/0', ['8000::/1'], ['::-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']],
  ])('%s without %j', (cidr, except, ranges) => {
    expect(rangesOf({ kind: 'block', cidr, except }).map((range) => text(range as never))).toEqual(ranges);
  });

  test('they have the addresses of the block, are sorted and do not touch', () => {
    fc.assert(
      fc.property(block, (block) => {
        const ranges = rangesOf(block);
        for (const address of everywhere) {
          expect(findRange(ranges, address) !== undefined).toBe(has(block, address as never));
        }
        for (const [i, range] of ranges.entries()) {
          expect(range.first <= range.last).toBe(true);
          if (i > 0)
            expect(
              cutInPieces([[0, [ranges[i - 1]!, range]]], range.first.length === 2 ? 4 : 6),
            ).toHaveLength(2);
        }
      }),
      { numRuns: runs(500) },
    );
  });
});

describe('pieces', () => {
  test('each address is in the piece of just those sets that have it', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 5 }), (blocks) => {
        const sets = blocks.map((block, i) => [i, rangesOf(block)] as const);
        for (const address of everywhere) {
          const family = address.length === 2 ? 4 : 6;
          const members = findRange(cutInPieces(sets, family), address)?.members ?? [];
          const expected = blocks.flatMap((block, i) => (has(block, address as never) ? [i] : []));
          expect([...members].sort()).toEqual(expected);
        }
      }),
      { numRuns: runs(300) },
    );
  });
});
