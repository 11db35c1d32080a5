/**
 * How the `margay` command is run as a process.
 */

import { fileURLToPath } from 'node:url';

/** The front of a command line: what follows it are arguments of `margay`. */
export interface Margay {
  readonly command: string;
  readonly args: readonly string[];
}

/** The program of this working copy, in the Node that runs here. */
export function thisMargay(): Margay {
  return { command: process.execPath, args: [fileURLToPath(new URL('../cli/main.ts', import.meta.url))] };
}
