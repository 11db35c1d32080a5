/**
 * What it costs to follow the pods of a large cluster by the Kubernetes API:
 *
 *     npm run bench:datastore               100,000 pods
 *     npm run bench:datastore -- 10000      another number
 *
 * The server has its answers ready, in another process. For each way of asking for everything, in a process of its own so
 * that its memory is its own: the time and CPU until the snapshot, the most memory on the way, what is left of it after;
 * everything once more with nothing changed (a version that is gone); and changes.
 */

import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { KubernetesSource } from '#datastore/kubernetes/source.ts';
import type { Update } from '#datastore/source.ts';
import { Meter, megabytes } from './meter.ts';
import { podOf } from './pods.ts';

/** Of as many pods, so that none of them becomes one with another. */
const CHANGES = 10_000;

const [pods = '100000', way] = process.argv.slice(2);
if (way === undefined) all(Number(pods));
else await measure(Number(pods), way === 'stream');

function all(count: number): void {
  const size = JSON.stringify(podOf(count - 1, 1)).length;
  console.log(
    `${count} pods of ${size} bytes as JSON; ${os.cpus()[0]?.model}, Node ${process.versions.node}`,
  );
  for (const way of ['stream', 'pages']) {
    const args = ['--expose-gc', import.meta.filename, `${count}`, way];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}

async function measure(count: number, streams: boolean): Promise<void> {
  const server = fork(join(import.meta.dirname, 'server.ts'), [`${count}`]);
  const [port] = (await once(server, 'message')) as [number];
  const url = `http://127.0.0.1:${port}`;
  const ask = async (path: string) => (await fetch(`${url}${path}`, { method: 'POST' })).text();
  await ask(`/streams?on=${streams}`);
  const folder = mkdtempSync(join(os.tmpdir(), 'margay-bench-'));
  const kubeconfig = join(folder, 'kubeconfig');
  const clusters = [{ name: 'c', cluster: { server: url } }];
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }];
  const users = [{ name: 'u', user: {} }];
  writeFileSync(kubeconfig, JSON.stringify({ clusters, contexts, users, 'current-context': 'x' }));

  const stop = new AbortController();
  const source = new KubernetesSource({ kubeconfig, kinds: ['Pod'] });
  // The library that reads the kubeconfig is loaded first: it is no part of what is measured.
  await import('@kubernetes/client-node');
  const idle = megabytes(process.memoryUsage().rss);
  const meter = new Meter();
  const updates = source.watch(stop.signal);
  const snapshot = await take(updates, 'snapshot');
  const first = meter.read();
  if (snapshot.type !== 'snapshot' || snapshot.resources.length !== count)
    throw new Error('not all pods came');
  gc!();
  const { rss, heapUsed } = process.memoryUsage();
  console.log(
    `${streams ? 'stream' : 'pages of 500'}: everything after ${first}; ${idle} MB before, then ${megabytes(rss)} MB (heap ${megabytes(heapUsed)} MB)`,
  );
  const again = new Meter();
  let told = 0;
  const asked = ask(`/change?count=${CHANGES}`);
  while (told < CHANGES) {
    const update = await take(updates, 'changes');
    if (update.type === 'changes') told += update.changes.length;
  }
  await asked;
  console.log(`  ${CHANGES} changes told after ${again.read()}`);
  stop.abort();
  await updates.return();
  server.disconnect();
  rmSync(folder, { recursive: true });
}

async function take(updates: AsyncGenerator<Update>, type: Update['type']): Promise<Update> {
  for (;;) {
    const { value, done } = await updates.next();
    if (done) throw new Error('the source ended');
    if (value.type === type) return value;
    console.error(value.problems);
  }
}
