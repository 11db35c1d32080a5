/**
 * Programs in Go that tests use and Debian does not have. They are built once, under build/go/, where Go is; the modules come
 * by Go's own client and are checked by its checksum database.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { findTool } from './command.ts';
import type { Skippable } from './requires.ts';

const FOLDER = join(import.meta.dirname, '../../build/go');
/** A module comes in a second; this is for slow networks, in ms. */
const DEADLINE = 120_000;

/**
 * The path of a program, built when it is not there yet. Skips the test, with the reason, where it can not be had.
 *
 * @param module such as `github.com/containernetworking/cni/cnitool`
 * @param version such as `v1.3.0`
 */
export function goProgram(ctx: Skippable, module: string, version: string): string {
  const folder = join(FOLDER, version);
  const path = join(folder, basename(module));
  if (fs.existsSync(path)) return path;
  if (findTool('go') === undefined)
    return ctx.skip(`no ${basename(module)} here, and no Go to build it with`);
  const making = join(folder, `.${process.pid}`);
  fs.mkdirSync(making, { recursive: true });
  try {
    const done = spawnSync('go', ['install', `${module}@${version}`], {
      env: { ...process.env, GOBIN: making, GOFLAGS: '', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' },
      encoding: 'utf8',
      timeout: DEADLINE,
    });
    if (done.status !== 0)
      return ctx.skip(`${basename(module)} can not be built: ${done.stderr.trim().split('\n').at(-1) ?? ''}`);
    fs.renameSync(join(making, basename(module)), path);
    return path;
  } finally {
    fs.rmSync(making, { recursive: true, force: true });
  }
}
