/**
 * Labs on machines that are not as they should be: an error in one line, and nothing is left.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { folderOf, LABS_FOLDER } from '#lab/claim.ts';
import { type CommandError, runCommand } from '#lab/command.ts';
import { findLab } from '#lab/state.ts';
import { waitFor } from '#lab/wait.ts';
import { LabProcess, MAIN, margay, namespacesOf, newLabName } from './lab.ts';

const SMALL = ['--tor', 'margay', '--nodes', '1', '--pods', '3', '--no-tour'];

/** Tries to start a lab in a world that is prepared by a shell; returns what it says, which has to be an error. */
async function refused(
  lab: string,
  prepare: string,
  front = '',
): Promise<{ status?: number; stderr: string }> {
  const up = [process.execPath, MAIN, 'lab', '--lab', lab, 'up', ...SMALL]
    .map((word) => `'${word}'`)
    .join(' ');
  const ended = runCommand('unshare', ['--mount', 'sh', '-c', `${prepare}\n${front} ${up}`], {
    timeout: 60_000,
  });
  const { status, stderr } = await ended.then(
    () => expect.unreachable('it started'),
    (error: CommandError) => error,
  );
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(namespacesOf(lab)).toEqual([]);
  expect(existsSync(folderOf(lab))).toBe(false);
  return { ...(status !== undefined && { status }), stderr };
}

describe('a lab that can not be', { timeout: 90_000 }, () => {
  test.each([
    ['at all', '4k'],
    ['for its pods', '32k'],
  ])('for want of room on the disk %s says where', async (_, size) => {
    mkdirSync(LABS_FOLDER, { recursive: true });
    const { status, stderr } = await refused(
      newLabName(),
      `mount -t tmpfs -o size=${size} none ${LABS_FOLDER} || exit 99`,
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: no space left in \/run\/margay-lab, where a lab keeps its files$/m);
  });

  test('where nothing may be written says which file', async () => {
    const lab = newLabName();
    mkdirSync(LABS_FOLDER, { recursive: true });
    const { stderr } = await refused(
      lab,
      'mount --bind /run /run && mount -o remount,ro,bind /run || exit 99',
    );
    expect(stderr).toBe(`error: ${LABS_FOLDER}/${lab}.lock: read-only file system\n`);
  });

  test.each(['sys_admin', 'net_admin'])(
    'without the capability %s says what it needs',
    async (capability) => {
      const { stderr } = await refused(newLabName(), '', `exec setpriv --bounding-set=-${capability} --`);
      expect(stderr).toMatch(/^error: .*EPERM.*; it needs CAP_SYS_ADMIN and CAP_NET_ADMIN$/m);
    },
  );

  test("for a folder in the place of its lock says so, and it is in nobody else's way", async () => {
    const lab = newLabName();
    const folder = `${folderOf(lab)}.lock`;
    mkdirSync(folder, { recursive: true });
    try {
      const { stderr } = await refused(lab, '');
      expect(stderr).toBe(`error: ${folder}: found a folder, expected the lock of a lab\n`);
      await expect(margay(['lab', '--lab', lab, 'status'])).rejects.toThrow(`no lab ${lab} runs`);
      await using other = await LabProcess.start(SMALL);
      expect(JSON.parse(await other.run('status', '-o', 'json')).lab).toBe(other.name);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a lab', { timeout: 90_000 }, () => {
  test('makes away with what somebody has put in its place, and survives what is put into its files', async () => {
    const name = newLabName();
    mkdirSync(join(folderOf(name), 'n1', 'bgp.yaml'), { recursive: true });
    writeFileSync(join(folderOf(name), 'state.json'), '{"');
    writeFileSync(`${folderOf(name)}.lock`, '\0\0garbage \n 1 1 1');
    await using lab = await LabProcess.start(SMALL, name);
    expect(JSON.parse(await lab.run('status', '-o', 'json')).nodes).toHaveLength(1);
    writeFileSync(join(folderOf(name), 'state.json'), '{"topology":');
    for (const words of [['status'], ['link', 'down', 'n1'], ['exec', 'n1', '--', 'true']]) {
      await expect(lab.run(...words)).rejects.toThrow(
        `state.json: found no JSON; end the lab with margay lab --lab ${name} down`,
      );
    }
    expect(await lab.run('down')).toBe(`lab ${name} is gone\n`);
    expect(namespacesOf(name)).toEqual([]);
  });

  test('is ended by Ctrl-C while it starts, and nothing is left', async () => {
    const name = newLabName();
    const start = LabProcess.start(['--tor', 'margay', '--nodes', '30', '--no-tour'], name);
    // Handled below, and not before.
    start.catch(() => {});
    await waitFor(() => namespacesOf(name).length > 3, { what: 'the first nodes', timeout: 60_000 });
    await margay(['lab', '--lab', name, 'down']);
    await expect(start).rejects.toThrow('broken off while it started');
    expect(namespacesOf(name)).toEqual([]);
    expect(existsSync(folderOf(name))).toBe(false);
    expect(() => findLab(name)).toThrow(`no lab ${name} runs`);
  });

  test('ends a command that runs in it together with the one that started it', async () => {
    await using lab = await LabProcess.start(SMALL);
    const seconds = `98765.${process.pid}`;
    const runs = async () => (await runCommand('sh', ['-c', `pgrep -fx "sleep ${seconds}" || true`])) !== '';
    const words = ['lab', '--lab', lab.name, 'exec', 'n1', '--', 'sleep', seconds];
    const child = spawn(process.execPath, [MAIN, ...words], { stdio: 'inherit' });
    await waitFor(runs, { what: 'the command runs', timeout: 45_000 });
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(await runs()).toBe(false);
  });
});
