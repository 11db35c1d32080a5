/**
 * Values of a configuration file that are written as one word: each says in one phrase what it expects.
 */

import { z } from 'zod';

/**
 * A schema for one value: `read` gives what the value stands for, `undefined` if it is not acceptable.
 * The phrase `expected` becomes the text of the problem.
 */
export function leaf<T>(expected: string, read: (value: unknown) => T | undefined) {
  return z
    .unknown()
    .transform((value, context): T => {
      const result = read(value);
      if (result !== undefined) return result;
      context.issues.push({ code: 'custom', input: value, params: { expected } });
      return z.NEVER;
    })
    .meta({ expected });
}

/** An object without other fields than these. The text of the problem is the names that are known, with commas between. */
export function mapping<T extends z.ZodRawShape>(shape: T) {
  const known = Object.keys(shape).join(',');
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined),
  });
}

export function text(expected: string, maxBytes = 255) {
  return leaf(expected, (value) => {
    if (typeof value !== 'string' || value.length === 0) return undefined;
    return new TextEncoder().encode(value).length <= maxBytes ? value : undefined;
  });
}

export function integer(min: number, max: number, what = 'a whole number') {
  return leaf(`${what} from ${min} to ${max}`, (value) => {
    return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number)
      : undefined;
  });
}

export function seconds(min: number, max: number) {
  return leaf(`seconds from ${min} to ${max}`, (value) => {
    return typeof value === 'number' && value >= min && value <= max ? value : undefined;
  });
}

export function oneOf<const T extends string>(...words: readonly T[]) {
  return leaf(`${words.slice(0, -1).join(', ')} or ${words.at(-1)}`, (value) => {
    return words.find((word) => word === value);
  });
}

export const boolean = leaf('true or false', (value) => (typeof value === 'boolean' ? value : undefined));

export const name = leaf('a name of letters, digits, ".", "_" and "-"', (value) => {
  return typeof value === 'string' && /^[A-Za-z0-9][\w.-]{0,62}$/.test(value) ? value : undefined;
});
