/**
 * `LabelSelector` of `meta/v1`, with the checks of the API server.
 */

import { z } from 'zod';
import { exactly, type Labels, labels, listOf, ruled } from './schema.ts';
import { LABEL_KEY, LABEL_VALUE } from './syntax.ts';

/** All of it has to hold; an empty selector selects everything. */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelRequirement[];
}

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  /** At least one for `In` and `NotIn`, none for the others. */
  readonly values: readonly string[];
}

export type LabelOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

const requirement = exactly({
  key: ruled(LABEL_KEY),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], { error: 'In, NotIn, Exists or DoesNotExist' }),
  values: listOf(ruled(LABEL_VALUE)),
}).check((ctx) => {
  const { operator, values } = ctx.value;
  const takesValues = operator === 'In' || operator === 'NotIn';
  if (takesValues === values.length > 0) return;
  const message = takesValues ? `at least one value for ${operator}` : `no values for ${operator}`;
  ctx.issues.push({ code: 'custom', input: values, path: ['values'], message });
});

export const labelSelector = exactly({
  matchLabels: labels,
  matchExpressions: listOf(requirement),
}).transform((selector): LabelSelector => selector);

/** Whether an object with these labels is selected. `NotIn` and `DoesNotExist` hold for a label that is not there. */
export function isSelected({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labelOf(labels, key) === value) &&
    matchExpressions.every((requirement) => holds(requirement, labelOf(labels, requirement.key)))
  );
}

function holds({ operator, values }: LabelRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
