/**
 * How the `margay` command is run as a process.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The front of a command line: what follows it are arguments of `margay`. */
export interface Margay {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The program of this working copy, in the Node that runs here. What Node compiles is kept under build/, so that a daemon is
 * up in a fifth of a second where it took three times as long.
 */
export function thisMargay(): Margay {
  const top = new URL('../', import.meta.url);
  const build = fileURLToPath(new URL('build', top));
  return {
    command: process.execPath,
    args: [fileURLToPath(new URL('cli/main.ts', top))],
    // Only where the set-up has been: nobody else can put something there for us to run.
    env: existsSync(build) ? { NODE_COMPILE_CACHE: `${build}/compile-cache` } : {},
  };
}
