/**
 * The fields of a schema as rows: what a reference says of each.
 */

import { z } from 'zod';
import type { FieldText, Shape } from '#daemon/field-text.ts';

export interface Field {
  /** `timers.hold`; of what is in a list, `pools[].cidr`. */
  readonly path: string;
  readonly required: boolean;
  readonly text: FieldText;
  /** What takes one value of it. */
  readonly type: z.ZodType;
}

/** All fields, those of nested mappings too, in the order of the schema. A mapping has no row unless it says something itself. */
export function* fieldsOf(shape: Shape, above = ''): Generator<Field> {
  for (const [name, type] of Object.entries(shape)) {
    const path = above + name;
    const { text, below, isList, required } = look(type);
    if (text.description !== undefined || below === undefined) yield { path, required, text, type };
    if (below !== undefined && text.apart !== true) yield* fieldsOf(below, `${path}${isList ? '[]' : ''}.`);
  }
}

interface Look {
  readonly text: FieldText;
  readonly below: Shape | undefined;
  readonly isList: boolean;
  readonly required: boolean;
}

/** What is under the wrappers of a type. What an outer one says goes before what an inner one says. */
function look(type: unknown): Look {
  if (!(type instanceof z.ZodType)) return { text: {}, below: undefined, isList: false, required: true };
  const own = type.meta() ?? {};
  const over = (inner: Look): Look => ({ ...inner, text: { ...inner.text, ...own } });
  if (type instanceof z.ZodOptional || type instanceof z.ZodNullable) {
    return { ...over(look(type.unwrap())), required: false };
  }
  if (type instanceof z.ZodArray) {
    const { text, below } = look(type.element);
    const each = text.expected === undefined ? {} : { expected: `a list, each ${text.expected}` };
    return { text: { ...each, ...own }, below, isList: true, required: true };
  }
  if (type instanceof z.ZodObject) {
    return { text: own, below: type.shape as Shape, isList: false, required: true };
  }
  // What comes after a preparation of the value is what counts; of a leaf, it has no type.
  if (type instanceof z.ZodPipe && type.out instanceof z.ZodObject) return over(look(type.out));
  return { text: own, below: undefined, isList: false, required: true };
}
