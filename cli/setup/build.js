import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { SetupError } from './errors.js';

const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-static'];

/**
 * Compiles a C program. A failed compilation leaves no output.
 *
 * @param {string} root top of the repository
 * @param {import('./tables.js').CProgram} program
 * @param {(line: string) => void} say
 */
export function compile(root, program, say) {
  const output = join(root, program.output);
  const unfinished = `${output}.${process.pid}`;
  const sources = program.sources.filter((path) => path.endsWith('.c'));
  mkdirSync(dirname(output), { recursive: true });
  const args = [...FLAGS, '-o', unfinished, ...sources, ...(program.flags ?? [])];
  say(`gcc ${args.join(' ')}`);
  try {
    run(root, ['gcc', ...args], `${program.output} could not be built`);
    renameSync(unfinished, output);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/**
 * Runs the generator of a file.
 *
 * @param {string} root top of the repository
 * @param {import('./tables.js').GeneratedFile} file
 * @param {(line: string) => void} say
 */
export function generate(root, file, say) {
  say(file.command.join(' '));
  run(root, file.command, `${file.output} could not be generated`);
  // A generator that leaves an unchanged file alone would be run each time.
  const now = new Date();
  utimesSync(join(root, file.output), now, now);
}

/** @param {string} root @param {string[]} command @param {string} failure */
function run(root, [command = '', ...args], failure) {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter) },
  });
  if (done.error === undefined && done.status === 0) return;
  const how = done.error?.message ?? done.signal ?? `status ${done.status}`;
  throw new SetupError(`${failure}: ${command} failed (${how}).`, 'Its messages stand above.', {
    cause: done.error,
  });
}
