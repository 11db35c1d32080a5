import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  boxesContain,
  boxOf,
  disjoint,
  intervalOf,
  join,
  normaliseBoxes,
  overlap,
  subtractAll,
} from '#kernel/nftables/box.ts';
import type { DataTypeName } from '#kernel/nftables/datatype.ts';
import { elementDelta, normaliseElements } from '#kernel/nftables/elements.ts';
import { IntervalConflictError } from '#kernel/nftables/error.ts';
import { decrement, hexNumber, increment, numberOf, prefixLength, prefixMask } from '#kernel/nftables/hex.ts';
import {
  contains,
  difference,
  type Interval,
  intersection,
  interval,
  lastOf,
  normalise,
  prefixInterval,
  prefixOf,
  touches,
  union,
} from '#kernel/nftables/interval.ts';
import { formatKey, parseElement } from '#kernel/nftables/key.ts';
import { ACCEPT, DROP, type Element, type SetShape } from '#kernel/nftables/model.ts';

/*
 * Intervals against a model that is too simple to be wrong: a boolean for each of the 256 keys of one byte, and for
 * boxes one for each pair of keys.
 */

const KEYS = Array.from({ length: 256 }, (_, i) => hexNumber(i, 1));

const span = fc
  .tuple(fc.nat(255), fc.nat(255))
  .map(([a, b]): Interval => interval(hexNumber(Math.min(a, b), 1), hexNumber(Math.max(a, b), 1)));
const spans = fc.array(span, { maxLength: 12 });

const covered = (list: readonly Interval[]): boolean[] =>
  KEYS.map((key) => list.some((i) => i.key <= key && key <= lastOf(i)));

function expectNormal(list: readonly Interval[]): void {
  for (let i = 1; i < list.length; i++) {
    expect(list[i]!.key > lastOf(list[i - 1]!) && !touches(lastOf(list[i - 1]!), list[i]!.key)).toBe(true);
  }
  for (const i of list) expect(i.end === undefined || i.end > i.key).toBe(true);
}

describe('intervals', () => {
  test('normalise to what they cover, sorted and apart', () => {
    fc.assert(
      fc.property(spans, (list) => {
        const result = normalise(list);
        expectNormal(result);
        expect(covered(result)).toEqual(covered(list));
        expect(normalise(result)).toEqual(result);
      }),
    );
  });

  test('union, difference and intersection are those of the keys', () => {
    fc.assert(
      fc.property(spans, spans, (a, b) => {
        const [inA, inB] = [covered(a), covered(b)];
        expectNormal(union(a, b));
        expectNormal(difference(a, b));
        expectNormal(intersection(a, b));
        expect(covered(union(a, b))).toEqual(KEYS.map((_, i) => inA[i]! || inB[i]!));
        expect(covered(difference(a, b))).toEqual(KEYS.map((_, i) => inA[i]! && !inB[i]!));
        expect(covered(intersection(a, b))).toEqual(KEYS.map((_, i) => inA[i]! && inB[i]!));
      }),
    );
  });

  test('contain the keys they cover', () => {
    fc.assert(
      fc.property(spans, (list) => {
        const normal = normalise(list);
        expect(KEYS.map((key) => contains(normal, key))).toEqual(covered(list));
      }),
    );
  });

  test('refuse an end before the beginning or of another length', () => {
    expect(() => interval('05', '04')).toThrow(RangeError);
    expect(() => interval('05', '0006')).toThrow(RangeError);
  });

  test('of a prefix hold its addresses, for 4 and 16 bytes', () => {
    expect(prefixInterval('0a010203', 8)).toEqual({ key: '0a000000', end: '0affffff' });
    expect(prefixInterval('0a010203', 32)).toEqual({ key: '0a010203' });
    expect(prefixInterval('0a010203', 0)).toEqual({ key: '00000000', end: 'ffffffff' });
    expect(prefixInterval(`fe80${'0'.repeat(28)}`, 10)).toEqual({
      key: `fe80${'0'.repeat(28)}`,
      end: `febf${'f'.repeat(28)}`,
    });
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(32), (address, bits) => {
        const { key, end = key } = prefixInterval(hexNumber(address, 4), bits);
        expect(prefixOf(key, end) ?? 32).toBe(bits);
      }),
    );
  });
});

describe('hexadecimal numbers', () => {
  test('count up and down', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), (n) => {
        const up = increment(hexNumber(n, 2));
        expect(up === undefined ? 0x10000 : numberOf(up)).toBe(n + 1);
        const down = decrement(hexNumber(n, 2));
        expect(down === undefined ? -1 : numberOf(down)).toBe(n - 1);
      }),
    );
  });

  test('tell the length of a mask', () => {
    for (let bits = 0; bits <= 32; bits++) expect(prefixLength(prefixMask(bits, 4))).toBe(bits);
    for (const mask of ['ff00ff00', '7fffffff', '00000001', 'ff5fffff'])
      expect(prefixLength(mask)).toBeUndefined();
  });
});

describe('boxes', () => {
  // Two fields of one byte, each padded to 4 in a key.
  const types: readonly DataTypeName[] = ['inet_proto', 'icmp_type'];
  const side = fc
    .tuple(fc.nat(15), fc.nat(15))
    .map(([a, b]) => ({ from: hexNumber(Math.min(a, b), 1), to: hexNumber(Math.max(a, b), 1) }));
  const box = fc.tuple(side, side);
  const boxes = fc.array(box, { maxLength: 8 });
  const points = Array.from({ length: 256 }, (_, i) => [i >> 4, i & 15] as const);
  const keyOf = (x: number, y: number): string => `${hexNumber(x, 1)}000000${hexNumber(y, 1)}000000`;
  const cover = (list: Parameters<typeof join>[0]): number[] =>
    points.map(([x, y]) => list.filter((b) => overlap(b, boxOf(types, { key: keyOf(x, y) }))).length);

  test('normalise to what they cover, none overlapping another', () => {
    fc.assert(
      fc.property(boxes, (list) => {
        const result = normaliseBoxes(list);
        expect(cover(result)).toEqual(cover(list).map((n) => Math.min(n, 1)));
        expect(join(result)).toEqual(result);
        expect(points.map(([x, y]) => boxesContain(types, result, keyOf(x, y)))).toEqual(
          cover(list).map((n) => n > 0),
        );
      }),
    );
  });

  test('are cut where they overlap', () => {
    fc.assert(
      fc.property(boxes, boxes, (a, b) => {
        const left = cover(normaliseBoxes(subtractAll(a, b)));
        const [inA, inB] = [cover(a), cover(b)];
        expect(left).toEqual(points.map((_, i) => (inA[i]! > 0 && inB[i] === 0 ? 1 : 0)));
      }),
    );
  });

  test('keep whole the one that starts first', () => {
    const whole = boxOf(types, { key: keyOf(0, 0), end: keyOf(9, 9) });
    const other = boxOf(types, { key: keyOf(5, 5), end: keyOf(12, 12) });
    const [first, ...rest] = disjoint([
      [other, 'other'],
      [whole, 'whole'],
    ]);
    expect(first).toEqual([whole, 'whole']);
    expect(new Set(rest.map(([, of]) => of))).toEqual(new Set(['other']));
  });

  test('go through keys and ends, with fields of different sizes padded', () => {
    const shape: SetShape = { key: ['ipv4_addr', 'inet_proto', 'inet_service'], interval: true };
    const { key, end } = parseElement(shape, '10.0.0.0/24 . tcp . 80-90');
    expect([key, end]).toEqual(['0a0000000600000000500000', '0a0000ff06000000005a0000']);
    expect(intervalOf(shape.key, boxOf(shape.key, { key, end: end! }))).toEqual({ key, end });
    expect(formatKey(shape, { key, end: end! })).toBe('10.0.0.0/24 . tcp . 80-90');
  });
});

describe('elements', () => {
  const single: SetShape = { key: ['inet_proto'], value: 'verdict', interval: true };
  const verdict = fc.constantFrom(ACCEPT, DROP);
  const list = fc.array(
    fc.tuple(span, verdict).map(([i, value]): Element => ({ ...i, value })),
    { maxLength: 10 },
  );
  /** What a map says of each key; undefined where two elements disagree. */
  const meaning = (elements: readonly Element[]): (string | undefined)[] | undefined => {
    const says = KEYS.map((key) => {
      const found = elements.filter((e) => e.key <= key && key <= (e.end ?? e.key));
      const words = new Set(found.map((e) => JSON.stringify(e.value)));
      return words.size > 1 ? null : [...words][0];
    });
    return says.includes(null) ? undefined : (says as (string | undefined)[]);
  };

  test('of a map come out saying the same of each key, or are refused when they disagree', () => {
    fc.assert(
      fc.property(list, (elements) => {
        const before = meaning(elements);
        if (before === undefined) {
          expect(() => normaliseElements(single, elements)).toThrow(IntervalConflictError);
          return;
        }
        const result = normaliseElements(single, elements);
        expect(meaning(result)).toEqual(before);
        for (let i = 1; i < result.length; i++) {
          const [a, b] = [result[i - 1]!, result[i]!];
          expect(b.key > lastOf(a)).toBe(true);
          if (touches(lastOf(a), b.key)) expect(b.value).not.toEqual(a.value);
        }
        expect(normaliseElements(single, result)).toBe(result);
      }),
    );
  });

  test('that lead to the same but have different comments stay apart, and the first keeps what both cover', () => {
    const at = (text: string, comment: string): Element => ({
      ...parseElement({ key: ['ipv4_addr'], interval: true }, text),
      comment,
    });
    expect(
      normaliseElements({ key: ['ipv4_addr'], interval: true }, [
        at('10.0.0.128-10.0.1.5', 'b'),
        at('10.0.0.0/24', 'a'),
        at('10.0.0.3', 'c'),
      ]),
    ).toEqual([at('10.0.0.0/24', 'a'), at('10.0.1.0-10.0.1.5', 'b')]);
  });

  test('of concatenations are merged and cut as boxes, and refused when they disagree', () => {
    const shape: SetShape = { key: ['ipv4_addr', 'inet_service'], value: 'verdict', interval: true };
    const e = (text: string, value = ACCEPT): Element => parseElement(shape, text, value);
    expect(
      normaliseElements(shape, [
        e('10.0.0.1 . 80-90'),
        e('10.0.0.1 . 91-100'),
        e('10.0.0.1 . 85'),
        e('10.0.0.2 . 53', DROP),
      ]),
    ).toEqual([e('10.0.0.1 . 80-100'), e('10.0.0.2 . 53', DROP)]);
    expect(() => normaliseElements(shape, [e('10.0.0.0/24 . 80'), e('10.0.0.1 . 1-100', DROP)])).toThrow(
      /10.0.0.1|0a000001/,
    );
  });

  test('differ by what has to go and what has to come', () => {
    const shape: SetShape = { key: ['ipv4_addr'], value: 'verdict', interval: true };
    const e = (text: string, value = ACCEPT): Element => parseElement(shape, text, value);
    const have = [e('10.0.0.0/24'), e('10.0.1.0/24', DROP), e('10.0.2.0/24'), e('10.0.9.0/24')];
    const want = [
      e('10.0.0.0/25'),
      e('10.0.0.128/25'),
      e('10.0.1.0/24'),
      e('10.0.9.0/24'),
      e('10.0.3.0/24', DROP),
    ];
    expect(elementDelta(shape, have, want)).toEqual({
      remove: [e('10.0.0.0/24'), e('10.0.1.0/24', DROP), e('10.0.2.0/24')],
      // The first two now say the same and became one.
      add: [e('10.0.0.0/23'), e('10.0.3.0/24', DROP)],
    });
    expect(elementDelta(shape, have, have.toReversed())).toEqual({ remove: [], add: [] });
  });

  test('that only count or time out are the same', () => {
    const shape: SetShape = { key: ['ipv4_addr'] };
    const counted = {
      key: '0a000001',
      state: [{ kind: 'counter', packets: 5, bytes: 6 }],
      expires: 5,
    } as const;
    expect(elementDelta(shape, [counted], [{ key: '0a000001' }])).toEqual({ remove: [], add: [] });
    expect(elementDelta(shape, [counted], [{ key: '0a000001', comment: 'x' }])).toEqual({
      remove: [counted],
      add: [{ key: '0a000001', comment: 'x' }],
    });
  });
});
