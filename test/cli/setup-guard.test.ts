import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { guardedCommand, runGuarded } from '../../cli/setup/install.js';

/** Stands for /usr/sbin with its policy-rc.d. */
let folder: string;
let target: string;
let policy: string;
let lock: string;

beforeEach(() => {
  folder = newTempFolder();
  target = join(folder, 'policy-rc.d');
  lock = join(folder, 'lock');
  policy = join(folder, 'refuse');
  writeFileSync(policy, '#!/bin/sh\nexit 101\n');
  chmodSync(policy, 0o755);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A shell command that writes what `target` answers to a file, and the answer read back. */
const ask = () => `${target} bird start; echo $? > ${folder}/answer`;
const answer = () => readFileSync(join(folder, 'answer'), 'utf8').trim();

describe('a guarded command', () => {
  test('finds service starts refused, and leaves nothing behind', () => {
    expect(runGuarded(target, policy, lock, ['sh', '-c', ask()])).toBe(0);
    expect(answer()).toBe('101');
    expect(existsSync(target)).toBe(false);
  });

  test('keeps its exit status', () => {
    expect(runGuarded(target, policy, lock, ['sh', '-c', 'exit 100'])).toBe(100);
    expect(existsSync(target)).toBe(false);
  });

  test('leaves the policy of the administrator as it was, also for others in the meantime', async () => {
    writeFileSync(target, '#!/bin/sh\nexit 0\n');
    chmodSync(target, 0o755);
    const child = start(`${ask()}; read x`);
    await waitFor(() => existsSync(join(folder, 'answer')) && answer() !== '', { what: 'the answer inside' });
    expect(answer()).toBe('101');
    expect(spawnSync(target, ['bird', 'start']).status).toBe(0);
    child.stdin!.end('\n');
    await ended(child);
    expect(readFileSync(target, 'utf8')).toBe('#!/bin/sh\nexit 0\n');
    expect(statSync(target).mode & 0o777).toBe(0o755);
  });

  test('is not run when the policy can not be executed', () => {
    chmodSync(policy, 0o644);
    const [program, ...args] = guardedCommand(target, policy, lock, ['touch', join(folder, 'ran')]);
    const done = spawnSync(program!, args, { encoding: 'utf8' });
    expect(done.status).toBe(125);
    expect(done.stderr).toContain(`${policy} can not be executed`);
    expect(existsSync(join(folder, 'ran'))).toBe(false);
    expect(existsSync(target)).toBe(false);
  });

  test('waits for one that runs already', async () => {
    const first = start(`echo first >> ${folder}/order; read x; echo first >> ${folder}/order`);
    await waitFor(() => existsSync(join(folder, 'order')), { what: 'the first command' });
    const second = start(`echo second >> ${folder}/order`);
    await waitFor(() => waitsForLock(second.pid!), { what: 'the second to wait for the lock' });
    // The lock is held by all that the first one started.
    first.kill('SIGKILL');
    first.stdin!.end('\n');
    await Promise.all([ended(first), ended(second)]);
    expect(readFileSync(join(folder, 'order'), 'utf8')).toBe('first\nfirst\nsecond\n');
  });
});

describe('a guard that gets a signal while its command runs', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal}: it waits for the command and then cleans up`, async () => {
      const child = start(`echo $PPID > ${folder}/guard; read x; ${ask()}`);
      await waitFor(() => existsSync(target) && guardPid() > 0, { what: 'the command to run' });
      process.kill(guardPid(), signal);
      child.stdin!.end('\n');
      await ended(child);
      expect(answer()).toBe('101');
      expect(existsSync(target)).toBe(false);
    });
  }

  test('SIGKILL: the command is still guarded, what stays has no effect, and the next run removes it', async () => {
    const child = start(`echo $PPID > ${folder}/guard; read x; ${ask()}`);
    await waitFor(() => existsSync(target) && guardPid() > 0, { what: 'the command to run' });
    process.kill(guardPid(), 'SIGKILL');
    child.stdin!.end('\n');
    await waitFor(() => existsSync(join(folder, 'answer')) && answer() !== '', { what: 'the answer inside' });
    expect(answer()).toBe('101');
    expect(statSync(target).mode & 0o111).toBe(0);
    expect(runGuarded(target, policy, lock, ['sh', '-c', ask()])).toBe(0);
    expect(answer()).toBe('101');
    expect(existsSync(target)).toBe(false);
  });

  const guardPid = () =>
    existsSync(join(folder, 'guard')) ? Number(readFileSync(join(folder, 'guard'), 'utf8')) : 0;
});

/** Starts a shell command under the guard, with an open standard input. */
function start(command: string): ChildProcess {
  const [program, ...args] = guardedCommand(target, policy, lock, ['sh', '-c', command]);
  return spawn(program!, args, { stdio: ['pipe', 'inherit', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<void> {
  await waitFor(() => child.exitCode !== null || child.signalCode !== null, {
    what: 'the end of the command',
  });
}

function waitsForLock(pid: number): boolean {
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => line.includes('->') && line.includes(` ${pid} `));
}
