/**
 * How the `margay` command is run as a process.
 */

import { join } from 'node:path';

/** The front of a command line: what follows it are arguments of `margay`. */
export interface Margay {
  readonly command: string;
  readonly args: readonly string[];
}

/** The program of this working copy, in the Node that runs here. */
export function thisMargay(): Margay {
  return { command: process.execPath, args: [join(import.meta.dirname, '..', 'cli', 'main.ts')] };
}
