/**
 * Label selectors in a canonical form: two selectors that select the same for all labels have the same text, however
 * they were written.
 */

import type { LabelRequirement, LabelSelector } from '#datastore/label-selector.ts';
import type { Labels } from '#datastore/schema.ts';

/** A selector. All of its tests have to hold; `tests` is `undefined` for one that selects nothing, whatever the labels. */
export interface Selector {
  /** Canonical, and readable: `app=web,env in (prod,test),!old`. `<all>` and `<none>` stand for themselves. */
  readonly text: string;
  /** One for each key, sorted by key. */
  readonly tests: readonly LabelTest[] | undefined;
}

/** Which values of a label are right. */
export interface LabelTest {
  readonly key: string;
  /** Whether it is right that there is no such label. */
  readonly mayBeAbsent: boolean;
  /** Whether `values` are the right values, or the wrong ones. */
  readonly among: boolean;
  /** Sorted, each once. */
  readonly values: readonly string[];
}

/** Selects everything. */
export const ALL: Selector = { text: '<all>', tests: [] };

/** Selects nothing. */
export const NONE: Selector = { text: '<none>', tests: undefined };

/** Brings a selector into canonical form. */
export function canonicalSelector(selector: LabelSelector): Selector {
  const byKey = new Map<string, LabelTest>();
  const requirements = [
    ...Object.entries(selector.matchLabels).map(([key, value]) =>
      testOf({ key, operator: 'In', values: [value] }),
    ),
    ...selector.matchExpressions.map(testOf),
  ];
  for (const test of requirements) {
    const other = byKey.get(test.key);
    const both = other === undefined ? test : conjunction(other, test);
    // No value is right, and none at all is not right either.
    if (both.among && both.values.length === 0 && !both.mayBeAbsent) return NONE;
    byKey.set(test.key, both);
  }
  if (byKey.size === 0) return ALL;
  const tests = [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  return { text: tests.map(describeTest).join(','), tests };
}

/** Whether the labels are right for all tests of the selector. */
export function selects(selector: Selector, labels: Labels): boolean {
  return selector.tests?.every((test) => passes(test, labels)) ?? false;
}

function passes(test: LabelTest, labels: Labels): boolean {
  const value = Object.hasOwn(labels, test.key) ? labels[test.key] : undefined;
  return value === undefined ? test.mayBeAbsent : test.values.includes(value) === test.among;
}

/** The operators of `LabelSelectorRequirement`; `NotIn` and `DoesNotExist` are right for labels that are not there. */
function testOf({ key, operator, values }: LabelRequirement): LabelTest {
  switch (operator) {
    case 'In':
      return { key, mayBeAbsent: false, among: true, values: sortedSet(values) };
    case 'NotIn':
      return { key, mayBeAbsent: true, among: false, values: sortedSet(values) };
    case 'Exists':
      return { key, mayBeAbsent: false, among: false, values: [] };
    case 'DoesNotExist':
      return { key, mayBeAbsent: true, among: true, values: [] };
  }
}

/** What is right for both tests of one key. */
function conjunction(a: LabelTest, b: LabelTest): LabelTest {
  const mayBeAbsent = a.mayBeAbsent && b.mayBeAbsent;
  if (!a.among && !b.among) return { ...a, mayBeAbsent, values: sortedSet([...a.values, ...b.values]) };
  const [among, other] = a.among ? [a, b] : [b, a];
  const values = among.values.filter((value) => other.values.includes(value) === other.among);
  return { key: a.key, mayBeAbsent, among: true, values };
}

function describeTest({ key, mayBeAbsent, among, values }: LabelTest): string {
  if (values.length === 0) return among ? `!${key}` : key;
  if (!among) return `${mayBeAbsent ? '' : `${key},`}${key} notin (${values.join(',')})`;
  return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
}

function sortedSet(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
