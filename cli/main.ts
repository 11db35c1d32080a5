#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/*
 * The `margay` command. Ctrl-C and SIGTERM end what runs in good order; a second one ends the process at once.
 */

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());

/** Whatever else is open then is not worth waiting for, in ms: who was told to stop does. */
const STOP_MS = 3000;

// What Node compiles is kept, which halves the time to start: in a folder that only the set-up makes, so that nobody else can
// put something there for us to run. An environment that names another one goes before it.
const build = fileURLToPath(new URL('../build', import.meta.url));
if (existsSync(build)) enableCompileCache(`${build}/compile-cache`);
const { standardOutput } = await import('./output.ts');
const { run } = await import('./program.ts');

process.exitCode = await run(process.argv.slice(2), {
  out: standardOutput(process.stdout),
  error: standardOutput(process.stderr),
  now: Date.now,
  signal: stop.signal,
});
if (stop.signal.aborted) setTimeout(() => process.exit(), STOP_MS).unref();
