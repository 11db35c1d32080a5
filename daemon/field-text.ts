/**
 * What the reference of the settings says of a field. It stands beside the field in its schema, by zod's `.meta()`;
 * `npm run docs` writes the pages from it (`cli/reference/`).
 */

import type { z } from 'zod';

declare module 'zod' {
  interface GlobalMeta extends FieldText {}
}

export interface FieldText {
  /** What it means: begins in lower case, ends without a full stop. */
  description?: string | undefined;
  /** Which values there are, in one phrase, with unit and range. Leaves say it by themselves. */
  expected?: string | undefined;
  /** The value that holds without one. */
  default?: unknown;
  /** What holds without a value, in words; for a field that is needed only at times, when that is. */
  otherwise?: string | undefined;
  /** A value as it could stand in the file, another than the default. */
  example?: unknown;
  /** What a daemon that runs does when it is changed. */
  change?: string | undefined;
  /** The option of the command that says the same. */
  option?: string | undefined;
  /** The fields inside are in a table of their own. */
  apart?: boolean | undefined;
}

/** Fields of a mapping, by name. */
export type Shape = Readonly<Record<string, z.ZodType>>;
