#!/usr/bin/env node
import { standardOutput } from './output.ts';
import { run } from './program.ts';

/*
 * The `margay` command. Ctrl-C and SIGTERM end what runs in good order; a second one ends the process at once.
 */

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());

/** Whatever else is open then is not worth waiting for, in ms: who was told to stop does. */
const STOP_MS = 3000;

process.exitCode = await run(process.argv.slice(2), {
  out: standardOutput(process.stdout),
  error: standardOutput(process.stderr),
  now: Date.now,
  signal: stop.signal,
});
if (stop.signal.aborted) setTimeout(() => process.exit(), STOP_MS).unref();
