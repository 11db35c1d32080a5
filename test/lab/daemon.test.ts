import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Daemon, type DaemonSpec, lastLines } from '#lab/daemon.ts';
import { processesIn, startTime } from '#lab/leftovers.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

let netns: Netns;
let folder: string;
const daemons: Daemon[] = [];

beforeEach(() => {
  netns = createNetns();
  folder = newTempFolder();
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon.stop()));
  netns.remove();
  rmSync(folder, { recursive: true, force: true });
});

function start(script: string, more: Partial<DaemonSpec> = {}): Daemon {
  const daemon = new Daemon({
    title: 'a script',
    netns: netns.name,
    command: 'sh',
    args: ['-c', script],
    log: join(folder, 'log'),
    ...more,
  });
  daemons.push(daemon);
  daemon.start();
  return daemon;
}

test('runs in its namespace, in a session of its own, and what it says goes to its log', async () => {
  const daemon = start('echo out; echo err >&2; exec sleep 1000');
  await waitFor(() => lastLines(join(folder, 'log'), 10).length === 2, { what: 'its output' });
  expect(daemon.lastLines(10)).toEqual(['out', 'err']);
  const { pid } = daemon.status;
  await waitFor(() => processesIn(netns.name).includes(pid!), { what: 'it has entered the namespace' });
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  expect(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]).toBe(String(pid));
});

test('is started again when it ends, sooner at first than later', async () => {
  const starts: number[] = [];
  const daemon = start('exit 3', { onStart: () => starts.push(performance.now()) });
  await waitFor(() => starts.length >= 4, { what: 'four starts' });
  expect(daemon.status.lastEnd).toBe('exit status 3');
  expect(daemon.status.restarts).toBeGreaterThanOrEqual(3);
  // 100, 200 and 400 ms: a timer is never early, give or take its rounding.
  expect(starts[3]! - starts[0]!).toBeGreaterThan(690);
});

test('says how it ended', async () => {
  const daemon = start('exec sleep 1000');
  const { pid } = daemon.status;
  process.kill(pid!, 'SIGKILL');
  await waitFor(() => daemon.status.pid !== undefined && daemon.status.pid !== pid, { what: 'the next one' });
  expect(daemon.status).toMatchObject({ lastEnd: 'SIGKILL', restarts: 1 });
});

test('ends when it is told to and is not started again, by force if need be', async () => {
  const daemon = start('trap "" TERM; while :; do sleep 0.1; done');
  const { pid } = daemon.status;
  await daemon.stop(50);
  expect(startTime(pid!)).toBeUndefined();
  expect(daemon.status.pid).toBeUndefined();
  await expect(waitFor(() => daemon.status.pid, { what: 'a start', timeout: 300 })).rejects.toThrow(
    'not after',
  );
});

test('what can not be started is tried again', async () => {
  let attempts = 0;
  const daemon = start('exec sleep 1000', {
    prepare: () => {
      if (++attempts < 3) throw new Error('no space left');
    },
  });
  expect(daemon.status.lastEnd).toBe('no space left');
  await waitFor(() => daemon.status.pid, { what: 'the third attempt' });
  expect(attempts).toBe(3);
});

test('a log that is not there has no lines', () => {
  expect(lastLines(join(folder, 'nothing'), 5)).toEqual([]);
  writeFileSync(join(folder, 'some'), '1\n2\n3\n');
  expect(lastLines(join(folder, 'some'), 2)).toEqual(['2', '3']);
});
