/**
 * Generated labels and selectors, small enough that they often have to do with each other.
 */

import fc from 'fast-check';
import type { LabelRequirement, LabelSelector } from '#datastore/label-selector.ts';
import type { Labels } from '#datastore/schema.ts';

const key = fc.constantFrom('a', 'b');
const value = fc.constantFrom('x', 'y', 'z');

/** Often the same, so that things belong together. */
export const anyLabels: fc.Arbitrary<Labels> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ a: 'x' }) },
  { weight: 1, arbitrary: fc.constant({ a: 'y' }) },
  { weight: 2, arbitrary: fc.dictionary(key, value, { maxKeys: 2 }) },
);

const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.array(value, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    key,
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
    values: fc.constant([]),
  }),
);

export const anySelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ matchLabels: {}, matchExpressions: [] }) },
  { weight: 1, arbitrary: fc.constant({ matchLabels: { a: 'x' }, matchExpressions: [] }) },
  {
    weight: 3,
    arbitrary: fc.record({
      matchLabels: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: anyLabels }),
      matchExpressions: fc.array(requirement, { maxLength: 3 }),
    }),
  },
);
