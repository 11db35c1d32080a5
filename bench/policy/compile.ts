/**
 * What it costs to compile the policies of a whole cluster, and one event in it:
 *
 *     npm run bench:policy-compile               everything
 *     npm run bench:policy-compile -- 100000     one size, by its pods
 *
 * First all nodes of each size are compiled; then, for the largest, events come with one node open (what an event costs),
 * and with 1,000 (what it costs to tell all that it concerns), and then with 1,000 nodes that are told over gRPC. Each of
 * these runs in a process of its own, so that its memory is its own. Exits with 1 when a bar is missed.
 */

import { spawnSync } from 'node:child_process';
import os from 'node:os';
import type { Change } from '#datastore/source.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import type { ProgramSink } from '#policy/program/program.ts';
import { boxesOf } from '#proto/ports.ts';
import { BenchCluster } from './cluster.ts';
import { eventsOf, put } from './events.ts';
import { measureStream } from './stream.ts';

/** Pods, policies. */
const SIZES: readonly (readonly [number, number])[] = [
  [1_000, 100],
  [10_000, 1_000],
  [100_000, 10_000],
];
const LARGEST = SIZES.at(-1)!;
const ROUNDS = 1_000;
/** Of each kind, before those that are measured: a daemon that runs is warm. */
const WARM_UP = 100;

/** For the largest size. Events: ms at the 99th percentile, with one node open. */
const BARS = { seconds: 30, megabytes: 2_048, pod: 1, policy: 20 } as const;

/** Counts what a node would load, and keeps none of it. */
class Counter implements ProgramSink {
  changes = 0;
  elements = 0;

  endpoint(...[, program]: Parameters<ProgramSink['endpoint']>): void {
    this.changes++;
    if (program === undefined) return;
    for (const { isolated, anyPeer } of [program.ingress, program.egress]) {
      if (isolated) this.elements += program.addresses.length * (1 + boxesOf(anyPeer).length);
    }
  }

  entry(...[, , , verdicts]: Parameters<ProgramSink['entry']>): void {
    this.changes++;
    if (verdicts !== undefined) this.elements += 2 * boxesOf(verdicts.accept).length;
  }

  address(): void {
    this.changes++;
    this.elements++;
  }

  blocks(...[, , ranges]: Parameters<ProgramSink['blocks']>): void {
    this.changes++;
    this.elements += ranges.length;
  }

  classGone(): void {}

  commit(): void {}
}

interface Opened {
  readonly compiler: Compiler;
  readonly cluster: BenchCluster;
  readonly counters: readonly Counter[];
  readonly seconds: number;
}

function open(pods: number, policies: number, nodes: number): Opened {
  const cluster = new BenchCluster(pods, policies);
  const compiler = new Compiler();
  const start = performance.now();
  compiler.apply([...cluster.namespaces, ...cluster.pods, ...cluster.policies].map(put));
  compiler.flush();
  const counters = cluster.nodes.slice(0, nodes).map((node) => {
    const counter = new Counter();
    compiler.open(node, counter);
    return counter;
  });
  return { compiler, cluster, counters, seconds: (performance.now() - start) / 1_000 };
}

/** Everything, for all nodes. */
function measureAll(pods: number, policies: number): boolean {
  const { compiler, counters, seconds } = open(pods, policies, Number.POSITIVE_INFINITY);
  const elements = counters.map((counter) => counter.elements).sort((a, b) => a - b);
  const megabytes = process.resourceUsage().maxRSS / 1_024;
  console.log(
    `${pods} pods, ${policies} policies: ${counters.length} nodes in ${seconds.toFixed(2)} s (${cpuSeconds().toFixed(1)} s of CPU with all that goes before), ${megabytes.toFixed(0)} MB; elements a node: median ${elements[elements.length >> 1]}, most ${elements.at(-1)}; ${JSON.stringify(compiler.counts)}`,
  );
  const missed = pods === LARGEST[0] && (seconds > BARS.seconds || megabytes > BARS.megabytes);
  if (missed) console.log(`  MISSED: at most ${BARS.seconds} s and ${BARS.megabytes} MB`);
  return !missed;
}

/** One event after the other, with so many nodes open. */
function measureEvents(nodes: number): boolean {
  const [pods, policies] = LARGEST;
  const { compiler, cluster, counters } = open(pods, policies, nodes);
  console.log(
    `events at ${pods} pods and ${policies} policies, ${counters.length} nodes open, ${ROUNDS} of each kind:`,
  );
  let ok = true;
  const measure = (name: string, bar: number, change: (i: number) => Change) => {
    const perform = (i: number) => {
      const changes = [change(i)];
      const start = performance.now();
      compiler.apply(changes);
      compiler.flush();
      return performance.now() - start;
    };
    for (let i = 0; i < WARM_UP; i++) perform(i);
    const told = () => counters.reduce((sum, { changes }) => sum + changes, 0);
    const before = told();
    const taken = Array.from({ length: ROUNDS }, (_, i) => perform(WARM_UP + i)).sort((a, b) => a - b);
    const [median, p99] = [taken[ROUNDS >> 1]!, taken[Math.floor(ROUNDS * 0.99)]!];
    const missed = nodes === 1 && p99 > bar;
    if (missed) ok = false;
    const changes = ((told() - before) / ROUNDS).toFixed(1);
    console.log(
      `  ${name.padEnd(24)} median ${median.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms, ${changes} changes told${missed ? ` MISSED: at most ${bar} ms` : ''}`,
    );
  };
  for (const { name, about, change } of eventsOf(cluster)) measure(name, BARS[about], change);
  console.log(`  ${(process.resourceUsage().maxRSS / 1_024).toFixed(0)} MB`);
  return ok;
}

/** Of this process until now: what other work on the machine hardly changes. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** What a process of its own is started for: `all PODS`, `events NODES` or `stream`. */
async function runPart([part, number]: readonly string[]): Promise<boolean> {
  if (part === 'events') return measureEvents(Number(number));
  const [pods, policies] = SIZES.find(([pods]) => `${pods}` === number)!;
  if (part === 'stream') {
    await measureStream(pods, policies);
    return true;
  }
  return measureAll(pods, policies);
}

const [only, ...rest] = process.argv.slice(2);
// Children have it too: what else runs on the machine disturbs little.
os.setPriority(os.constants.priority.PRIORITY_HIGHEST);
if (only === 'part') {
  process.exitCode = (await runPart(rest)) ? 0 : 1;
} else {
  const sizes = SIZES.filter(([pods]) => only === undefined || `${pods}` === only);
  if (sizes.length === 0) {
    console.error(
      `bench:policy-compile: found ${only}, expected one of ${SIZES.map(([pods]) => pods).join(', ')}`,
    );
    process.exit(2);
  }
  console.log(`${os.cpus().length} CPUs ${os.cpus()[0]?.model ?? ''}, Node ${process.version}`);
  const parts = sizes.map(([pods]) => ['all', `${pods}`]);
  if (sizes.includes(LARGEST)) parts.push(['events', '1'], ['events', '1000'], ['stream', `${LARGEST[0]}`]);
  const results = parts.map((part) =>
    spawnSync(process.execPath, [import.meta.filename, 'part', ...part], { stdio: 'inherit' }),
  );
  process.exitCode = results.every(({ status }) => status === 0) ? 0 : 1;
}
