import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetSet } from '#bgp/rib/net-set.ts';

describe('NetSet', () => {
  it('holds what a Set holds, and walks it in order', () => {
    const number = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100_000 }));
    const step = fc.record({ add: fc.boolean(), net: number });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const set = new NetSet(32);
        const model = new Set<number>();
        for (const { add, net } of steps) {
          if (add) {
            expect(set.add(net)).toBe(!model.has(net));
            model.add(net);
          } else {
            expect(set.delete(net)).toBe(model.delete(net));
          }
          expect(set.has(net)).toBe(add);
          expect(set.size).toBe(model.size);
        }
        const walked: number[] = [];
        for (let net = set.next(0); net !== -1; net = set.next(net + 1)) walked.push(net);
        expect(walked).toEqual([...model].sort((a, b) => a - b));
      }),
    );
  });

  it('finds members at the edges of words and of words of words', () => {
    const set = new NetSet(32);
    for (const net of [0, 31, 32, 1023, 1024, 32767, 32768]) set.add(net);
    expect(set.next(1)).toBe(31);
    expect(set.next(33)).toBe(1023);
    expect(set.next(1025)).toBe(32767);
    expect(set.next(32768)).toBe(32768);
    expect(set.next(32769)).toBe(-1);
    expect(set.next(10_000_000)).toBe(-1);
  });

  it('is empty after clear', () => {
    const set = new NetSet();
    set.add(5);
    set.clear();
    expect([set.size, set.next(0)]).toEqual([0, -1]);
  });
});
