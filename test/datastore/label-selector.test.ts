import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSelected, type LabelSelector } from '#datastore/label-selector.ts';
import { canonicalSelector, selects } from '#policy/selector.ts';
import { runs } from '#test/helpers/runs.ts';

const key = fc.constantFrom('a', 'b', 'toString');
const value = fc.constantFrom('x', 'y', '');
const selectors: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.dictionary(key, value, { maxKeys: 2 }),
  matchExpressions: fc.array(
    fc.oneof(
      fc.record({
        key,
        operator: fc.constantFrom('In' as const, 'NotIn' as const),
        values: fc.uniqueArray(value, { minLength: 1 }),
      }),
      fc.record({
        key,
        operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
        values: fc.constant([]),
      }),
    ),
    { maxLength: 3 },
  ),
});

test('a selector selects what its canonical form selects', () => {
  fc.assert(
    fc.property(selectors, fc.dictionary(key, value), (selector, labels) => {
      expect(isSelected(selector, labels)).toBe(selects(canonicalSelector(selector), labels));
    }),
    { numRuns: runs(500) },
  );
});
