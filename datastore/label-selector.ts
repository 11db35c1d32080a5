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
