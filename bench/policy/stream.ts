/**
 * What it costs to tell 1,000 nodes of an event, over gRPC on a unix socket, each on a connection of its own: the engine
 * in this process, the nodes in another. Part of `npm run bench:policy-compile`.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Change, Update } from '#datastore/source.ts';
import { Engine } from '#policy/daemon/engine.ts';
import { localHandlers } from '#policy/daemon/handlers.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { BenchCluster } from './cluster.ts';
import { eventsOf, sharedPod } from './events.ts';
import type { Reply, Request } from './readers.ts';

export const NODES = 1_000;
/** Of each kind. */
const ROUNDS = 100;
const WARM_UP = 10;

export async function measureStream(pods: number, policies: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'margay-bench-'));
  const socket = join(folder, 'policy.sock');
  const cluster = new BenchCluster(pods, policies);
  const source = new Script(cluster);
  const quiet = { error: console.error, warn() {}, info() {}, debug() {} } as never;
  const engine = new Engine({ source, log: quiet, date: Date.now });
  const stop = new AbortController();
  const running = engine.run(stop.signal);
  const server = new RpcServer({ onFault: (method, error) => console.error(method, error) });
  const memory = () => process.memoryUsage.rss();
  const options = {
    engine,
    version: '',
    source: '',
    startedAt: 0,
    memory,
    kinds: () => [],
    listener: () => undefined,
  };
  await server.add(policyService, localHandlers(options)).listenUnix(socket);
  const nodes = cluster.nodes.slice(0, NODES);
  const before = memory();
  const idle = process.cpuUsage();
  const start = process.hrtime.bigint();
  const readers = new Readers(
    fork(join(import.meta.dirname, 'readers.ts'), [socket, ...nodes], { serialization: 'advanced' }),
  );
  try {
    const all = await readers.have(nodes.length);
    const cpu = process.cpuUsage(idle);
    const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
    console.log(
      `${nodes.length} subscribed nodes at ${pods} pods and ${policies} policies: all have everything after ${milliseconds(start, all.at).toFixed(0)} ms (${((cpu.user + cpu.system) / 1e3).toFixed(0)} ms of the engine's CPU), ${megabytes(all.bytes)} MB of addresses; memory of the engine ${megabytes(before)} MB without them, ${megabytes(memory())} MB with them`,
    );
    let expected = nodes.length;
    for (const { name, change } of [sharedPod(cluster), ...eventsOf(cluster)]) {
      const taken: number[] = [];
      let told = 0;
      let cpu = 0;
      for (let i = 0; i < WARM_UP + ROUNDS; i++) {
        const used = process.cpuUsage();
        const begin = process.hrtime.bigint();
        await source.play([change(i)]);
        const concerned = [...engine.fanout.subscribers].filter(({ behindSince }) => behindSince > 0).length;
        expected += concerned;
        const { at } = await readers.have(expected);
        if (i < WARM_UP) continue;
        const { user, system } = process.cpuUsage(used);
        told += concerned;
        cpu += (user + system) / 1e3;
        taken.push(concerned === 0 ? 0 : milliseconds(begin, at));
      }
      taken.sort((a, b) => a - b);
      const [median, p99] = [taken[ROUNDS >> 1]!, taken[Math.floor(ROUNDS * 0.99)]!];
      console.log(
        `  ${name.padEnd(24)} median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, CPU of the engine ${(cpu / ROUNDS).toFixed(1)} ms, ${(told / ROUNDS).toFixed(0)} nodes told`,
      );
    }
    console.log(
      `  memory of the engine ${megabytes(memory())} MB, at most ${megabytes(process.resourceUsage().maxRSS * 1_024)} MB`,
    );
  } finally {
    readers.end();
    stop.abort();
    await running;
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

/** A source that says what it is told to. */
class Script {
  readonly #cluster: BenchCluster;
  #next = Promise.withResolvers<Update>();
  #taken = Promise.withResolvers<void>();

  constructor(cluster: BenchCluster) {
    this.#cluster = cluster;
  }

  /** Resolves when the engine has taken the changes over. */
  play(changes: readonly Change[]): Promise<void> {
    const taken = this.#taken.promise;
    this.#next.resolve({ type: 'changes', changes, problems: [] });
    return taken;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Update> {
    const { namespaces, pods, policies } = this.#cluster;
    yield { type: 'snapshot', resources: [...namespaces, ...pods, ...policies], problems: [] };
    const aborted = once(signal, 'abort');
    while (!signal.aborted) {
      const update = await Promise.race([this.#next.promise, aborted]);
      if (signal.aborted) return;
      this.#next = Promise.withResolvers();
      yield update as Update;
      const taken = this.#taken;
      this.#taken = Promise.withResolvers();
      taken.resolve();
    }
  }
}

/** The other process. */
class Readers {
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when so many commits have come in all. */
  async have(expect: number): Promise<Reply> {
    const reply = once(this.#child, 'message');
    this.#child.send({ expect } satisfies Request);
    return (await reply)[0] as Reply;
  }

  end(): void {
    this.#child.disconnect();
  }
}

function milliseconds(from: bigint, to: bigint): number {
  return Number(to - from) / 1e6;
}
