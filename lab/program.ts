/**
 * How the `margay` command is run as a process.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The front of a command line: what follows it are arguments of `margay`. */
export interface Margay {
  readonly command: string;
  readonly args: readonly string[];
}

/** Thrown where there is no working copy. */
export class NoWorkingCopyError extends Error {
  override readonly name = 'NoWorkingCopyError';
  readonly code = 'LAB_FAILED';

  constructor() {
    super('the lab runs from a working copy of the project, and is not part of the image');
  }
}

/** The program of this working copy, in the Node that runs here. @throws NoWorkingCopyError */
export function thisMargay(): Margay {
  const main = join(import.meta.dirname, '..', 'cli', 'main.ts');
  if (!existsSync(main)) throw new NoWorkingCopyError();
  return { command: process.execPath, args: [main] };
}
