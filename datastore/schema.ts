/**
 * Pieces that the schemas of all kinds are built from, and what becomes of the issues that zod finds.
 *
 * In Kubernetes `null` is the same as an absent field, and an unknown field is ignored unless a schema says otherwise.
 */

import { z } from 'zod';
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from './address.ts';
import { describeValue, type Fault, formatPath, type PathPart, UNKNOWN_FIELD, valueAt } from './problem.ts';
import { LABEL_KEY, LABEL_VALUE, PORT_NAME, type TextRule } from './syntax.ts';

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type Labels = Readonly<Record<string, string>>;

/** A text that obeys the rule. */
export function ruled(rule: TextRule) {
  return z.string({ error: rule.expected }).refine(rule.test, { error: rule.expected });
}

/** What the schema reads, or the default for an absent field. */
export function withDefault<S extends z.ZodType>(schema: S, absent: z.output<S>) {
  return schema.nullish().transform((value): z.output<S> => value ?? absent);
}

/** A list; an absent one is empty. */
export function listOf<S extends z.ZodType>(item: S) {
  return z
    .array(item, { error: 'a list' })
    .nullish()
    .transform((value): readonly z.output<S>[] => value ?? []);
}

export const text = withDefault(z.string({ error: 'text' }), '');

export const flag = withDefault(z.boolean({ error: 'true or false' }), false);

export const protocol = z.enum(['TCP', 'UDP', 'SCTP'], { error: 'TCP, UDP or SCTP' });

const PORT_NUMBER = 'a port number from 1 to 65535';
export const portNumber = z
  .number({ error: PORT_NUMBER })
  .refine((value) => Number.isInteger(value) && value >= 1 && value <= 65535, { error: PORT_NUMBER });

export const portName = ruled(PORT_NAME);

/** An address in canonical text. */
export const address = z.string({ error: 'an IP address' }).transform((value, ctx) => {
  const key = parseAddress(value, { leadingZeros: true });
  if (key !== undefined) return formatAddress(key);
  ctx.addIssue({ code: 'custom', message: 'an IP address' });
  return z.NEVER;
});

/** A prefix in canonical text, bits after its length cleared. */
export const cidr = z
  .string({ error: 'a CIDR such as 10.9.8.0/24 or 2001:db8::/64' })
  .transform((value, ctx) => {
    const prefix = parsePrefix(value, { leadingZeros: true });
    if (prefix !== undefined) return formatPrefix(prefix);
    ctx.addIssue({ code: 'custom', message: 'a CIDR such as 10.9.8.0/24 or 2001:db8::/64' });
    return z.NEVER;
  });

/** Labels with their syntax checked; absent ones are empty. */
export const labels = z
  .record(z.string(), z.string({ error: LABEL_VALUE.expected }), { error: 'a mapping of labels' })
  .check((ctx) => {
    for (const [key, value] of Object.entries(ctx.value)) {
      if (!LABEL_KEY.test(key)) {
        ctx.issues.push({
          code: 'custom',
          input: key,
          path: [key],
          message: LABEL_KEY.expected,
          params: { found: describeValue(key) },
        });
      } else if (!LABEL_VALUE.test(value)) {
        ctx.issues.push({ code: 'custom', input: value, path: [key], message: LABEL_VALUE.expected });
      }
    }
  })
  .nullish()
  .transform((value): Labels => value ?? {});

/** A mapping in which an unknown field is an error and not ignored. */
export function exactly<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `one of ${Object.keys(shape).join(', ')}` : 'a mapping',
  });
}

/** A mapping of which only the fields of the shape are read. */
export function lenient<S extends z.ZodRawShape>(shape: S) {
  return z.object(shape, { error: 'a mapping' });
}

/** What the schema makes of a value, or the faults of the value. `base` stands before every path. */
export function read<T>(
  schema: z.ZodType<T>,
  value: unknown,
  base: readonly PathPart[] = [],
):
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly faults: readonly LocatedFault[] } {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, faults: result.error.issues.flatMap((issue) => faultsOf(issue, value, base)) };
}

/** A fault with its path in parts, so that its line can be looked up. */
export interface LocatedFault extends Fault {
  readonly parts: readonly PathPart[];
}

function faultsOf(issue: z.core.$ZodIssue, value: unknown, base: readonly PathPart[]): LocatedFault[] {
  const inner = issue.path as PathPart[];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => fault([...base, ...inner, key], UNKNOWN_FIELD, issue.message));
  }
  const found = issue.code === 'custom' ? (issue.params?.found as string | undefined) : undefined;
  return [fault([...base, ...inner], found ?? describeValue(valueAt(value, inner)), issue.message)];
}

function fault(parts: readonly PathPart[], found: string, expected: string): LocatedFault {
  return { parts, path: formatPath(parts), found, expected };
}
