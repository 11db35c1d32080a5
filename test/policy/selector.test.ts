import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { LabelSelector } from '#datastore/label-selector.ts';
import type { Labels } from '#datastore/schema.ts';
import { canonicalSelector, selects } from '#policy/selector.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyLabels, anySelector } from './generate.ts';

function selector(source: string): LabelSelector {
  return { matchLabels: {}, matchExpressions: [], ...parse(source) };
}

/** The words of the API reference, one operator after the other. */
function naive({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  for (const [key, value] of Object.entries(matchLabels)) if (labels[key] !== value) return false;
  for (const { key, operator, values } of matchExpressions) {
    const value = labels[key];
    if (operator === 'In' && (value === undefined || !values.includes(value))) return false;
    if (operator === 'NotIn' && value !== undefined && values.includes(value)) return false;
    if (operator === 'Exists' && value === undefined) return false;
    if (operator === 'DoesNotExist' && value !== undefined) return false;
  }
  return true;
}

describe('canonical form', () => {
  test.each([
    ['{}', '<all>'],
    ['{ matchLabels: { b: "2", a: "1" } }', 'a=1,b=2'],
    ['{ matchLabels: { a: "" } }', 'a='],
    ['{ matchExpressions: [{ key: a, operator: In, values: [y, x, y] }] }', 'a in (x,y)'],
    ['{ matchExpressions: [{ key: a, operator: In, values: [x] }] }', 'a=x'],
    ['{ matchExpressions: [{ key: a, operator: NotIn, values: [y, x] }] }', 'a notin (x,y)'],
    ['{ matchExpressions: [{ key: a, operator: Exists, values: [] }] }', 'a'],
    ['{ matchExpressions: [{ key: a, operator: DoesNotExist, values: [] }] }', '!a'],
    ['{ matchLabels: { a: x }, matchExpressions: [{ key: a, operator: Exists, values: [] }] }', 'a=x'],
    ['{ matchLabels: { a: x }, matchExpressions: [{ key: a, operator: In, values: [x, y] }] }', 'a=x'],
    ['{ matchLabels: { a: x }, matchExpressions: [{ key: a, operator: In, values: [y] }] }', '<none>'],
    ['{ matchLabels: { a: x }, matchExpressions: [{ key: a, operator: NotIn, values: [x] }] }', '<none>'],
    [
      '{ matchLabels: { a: x }, matchExpressions: [{ key: a, operator: DoesNotExist, values: [] }] }',
      '<none>',
    ],
    [
      '{ matchExpressions: [{ key: a, operator: NotIn, values: [x] }, { key: a, operator: NotIn, values: [w] }] }',
      'a notin (w,x)',
    ],
    [
      '{ matchExpressions: [{ key: a, operator: NotIn, values: [x] }, { key: a, operator: Exists, values: [] }] }',
      'a,a notin (x)',
    ],
    [
      '{ matchExpressions: [{ key: a, operator: NotIn, values: [x] }, { key: a, operator: DoesNotExist, values: [] }] }',
      '!a',
    ],
    [
      '{ matchExpressions: [{ key: a, operator: In, values: [x, y, z] }, { key: a, operator: NotIn, values: [y] }] }',
      'a in (x,z)',
    ],
  ])('%s is %s', (source, text) => {
    expect(canonicalSelector(selector(source)).text).toBe(text);
  });

  test('it selects what the written selector selects', () => {
    fc.assert(
      fc.property(anySelector, anyLabels, (written, labels) => {
        expect(selects(canonicalSelector(written), labels)).toBe(naive(written, labels));
      }),
      { numRuns: runs(2_000) },
    );
  });

  test('two have the same text exactly when they select the same', () => {
    // Values that no selector names stand for all others.
    const values = [undefined, 'x', 'y', 'z', 'other'];
    const worlds = values.flatMap((a) => values.map((b) => ({ ...(a && { a }), ...(b && { b }) }) as Labels));
    const small = anySelector.filter((written) => JSON.stringify(written).length < 400);
    fc.assert(
      fc.property(small, small, (one, two) => {
        const same = worlds.every((labels) => naive(one, labels) === naive(two, labels));
        expect(canonicalSelector(one).text === canonicalSelector(two).text).toBe(same);
      }),
      { numRuns: runs(2_000) },
    );
  });

  test('labels with names of object methods are no trap', () => {
    expect(
      selects(
        canonicalSelector(
          selector('{ matchExpressions: [{ key: toString, operator: Exists, values: [] }] }'),
        ),
        {},
      ),
    ).toBe(false);
    const labels = Object.fromEntries([['__proto__', 'x']]);
    expect(
      selects(
        canonicalSelector(selector('{ matchExpressions: [{ key: __proto__, operator: In, values: [x] }] }')),
        labels,
      ),
    ).toBe(true);
  });
});
