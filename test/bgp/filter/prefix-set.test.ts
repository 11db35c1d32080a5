import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixSet } from '#bgp/filter/prefix-set.ts';
import type { PrefixRange } from '#bgp/filter/types.ts';
import { prefix } from './fixtures.ts';

function words(bytes: Uint8Array): [number, number, number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

function has(set: PrefixSet, text: string): boolean {
  const { family, bytes, length } = prefix(text);
  if (family === 6) return set.has6(...words(bytes), length);
  return set.has4(new DataView(bytes.buffer).getInt32(0), length);
}

describe('prefix set', () => {
  it.each([
    [
      'exactly the prefix',
      {},
      { '10.0.0.0/8': true, '10.0.0.0/9': false, '10.0.0.0/7': false, '11.0.0.0/8': false },
    ],
    ['le', { le: 16 }, { '10.0.0.0/8': true, '10.9.0.0/16': true, '10.9.9.0/24': false }],
    [
      'ge',
      { ge: 16 },
      { '10.0.0.0/8': false, '10.9.0.0/16': true, '10.9.9.9/32': true, '11.0.0.0/16': false },
    ],
    ['both', { ge: 16, le: 24 }, { '10.9.0.0/15': false, '10.9.9.0/24': true, '10.9.9.0/25': false }],
  ] as const)('%s', (_name, bounds, cases) => {
    const set = new PrefixSet([{ prefix: prefix('10.0.0.0/8'), ...bounds }]);
    for (const [text, expected] of Object.entries(cases))
      expect(`${text} ${has(set, text)}`).toBe(`${text} ${expected}`);
  });

  it('takes the default route as base of everything', () => {
    const set = new PrefixSet([
      { prefix: prefix('0.0.0.0/0'), le: 32 },
      { prefix: prefix('0:0:0:0:0:0:0:0/0'), le: 48 },
    ]);
    expect(
      ['0.0.0.0/0', '255.255.255.255/32', 'ffff:0:0:0:0:0:0:0/16'].map((text) => has(set, text)),
    ).toEqual([true, true, true]);
    expect(has(set, 'ffff:0:0:1:0:0:0:0/64')).toBe(false);
  });

  it('holds IPv6 ranges that end in any of the four words', () => {
    for (const length of [20, 40, 64, 77, 100, 128]) {
      const base = prefix(`2001:db8:a:b:c:d:e:f/${length}`);
      const bytes = base.bytes.map(
        (byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff,
      );
      const set = new PrefixSet([{ prefix: { ...base, bytes }, ge: length }]);
      expect(set.hasAddress(base.bytes)).toBe(true);
      const other = Uint8Array.from(base.bytes);
      other[(length - 1) >> 3]! ^= 0x80 >> ((length - 1) & 7);
      expect(set.hasAddress(other)).toBe(false);
    }
  });

  it('says the same as looking at every range', () => {
    const byte = fc.constantFrom(0, 10, 128, 255);
    const arbitrary = fc
      .record({
        bytes: fc.oneof(
          fc.array(byte, { minLength: 4, maxLength: 4 }),
          fc.array(byte, { minLength: 16, maxLength: 16 }),
        ),
        length: fc.integer({ min: 0, max: 128 }),
      })
      .map(({ bytes, length: any }) => {
        const length = any % (8 * bytes.length + 1);
        return {
          family: bytes.length === 4 ? (4 as const) : (6 as const),
          bytes: Uint8Array.from(
            bytes,
            (b, i) => b & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff,
          ),
          length,
        };
      });
    const range = fc.record(
      { prefix: arbitrary, ge: fc.integer({ min: 0, max: 128 }), le: fc.integer({ min: 0, max: 128 }) },
      { requiredKeys: ['prefix'] },
    );
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 12 }),
        fc.array(arbitrary, { minLength: 1 }),
        (ranges, asked) => {
          const set = new PrefixSet(ranges as PrefixRange[]);
          for (const { family, bytes, length } of asked) {
            const expected = ranges.some(({ prefix: base, ge, le }) => {
              if (base.family !== family || base.length > length) return false;
              for (let bit = 0; bit < base.length; bit++) {
                if (((base.bytes[bit >> 3]! ^ bytes[bit >> 3]!) >> (7 - (bit & 7))) & 1) return false;
              }
              const low = ge ?? base.length;
              return length >= low && length <= (le ?? (ge === undefined ? base.length : 8 * bytes.length));
            });
            const found =
              family === 4
                ? set.has4(new DataView(bytes.buffer).getInt32(0), length)
                : set.has6(...words(bytes), length);
            expect(found).toBe(expected);
          }
        },
      ),
    );
  });
});
