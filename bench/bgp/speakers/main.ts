/**
 * Margay's speaker beside bird, FRR's bgpd and gobgpd as they come from Debian, and what its hot functions cost, in one run:
 *
 *     npm run bench:bgp                                    everything, medians of 3
 *     npm run bench:bgp -- --scale 0.1 --reps 1            a short run
 *     npm run bench:bgp -- --speakers margay,bird --cases 1-to-1
 *     npm run bench:bgp -- --cases functions
 *
 * Needs root. Each run of a case has a speaker of its own in a network namespace, and neighbours written for the purpose
 * (peer.ts) in another. A case is over when every receiver has every prefix, and of each feeder the one prefix that it announces last;
 * then everything is withdrawn. In the last case the kernel's routes stand for the receiver. Times are from the first byte sent.
 * Speakers take turns, so that whatever else the machine does hits all alike. gobgpd, which takes a minute and more where the
 * others take seconds, is run once unless `--gobgpd-reps` says otherwise.
 *
 * What runs now is told on standard error: all of it takes some 25 minutes, most of them gobgpd's. Ctrl-C leaves nothing.
 *
 * Ends with status 1 if a bar (bars.ts) is missed, a run fails, or the cost of a function grows with the table.
 */

import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { bundle } from '#cli/image/bundle.ts';
import { printRatios } from './bars.ts';
import { type Case, type Result, runOnce } from './run.ts';
import { BUNDLE, SPEAKERS, type SpeakerKind } from './speakers.ts';

const CASES: readonly Case[] = [
  { name: '1-to-1', feeders: 1, prefixes: 1_000_000, receivers: 1 },
  { name: '10-to-1', feeders: 10, prefixes: 100_000, receivers: 1 },
  { name: '1-to-20', feeders: 1, prefixes: 100_000, receivers: 20 },
  { name: 'kernel', feeders: 1, prefixes: 100_000, receivers: 0, kernel: true },
];
const FUNCTIONS = 'functions';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    reps: { type: 'string', default: '3' },
    'gobgpd-reps': { type: 'string', default: '1' },
    speakers: { type: 'string', default: SPEAKERS.map(({ name }) => name).join(',') },
    cases: { type: 'string', default: [...CASES.map(({ name }) => name), FUNCTIONS].join(',') },
  },
});
/** What a command prints: bird tells its version on standard error. */
const run = (command: string, args: readonly string[]): string => {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return stdout || stderr;
};

const wanted = values.cases.split(',');
const cases = CASES.filter(({ name }) => wanted.includes(name)).map((bench) => ({
  ...bench,
  prefixes: Math.round(bench.prefixes * Number(values.scale)),
}));
const versions = new Map<string, string>();
for (const kind of SPEAKERS) {
  const version = values.speakers.split(',').includes(kind.name) ? kind.version(run) : undefined;
  if (version !== undefined) versions.set(kind.name, version);
}

// Children have it too: what else runs on the machine disturbs all alike, and little.
os.setPriority(os.constants.priority.PRIORITY_HIGHEST);
const memory = (os.totalmem() / 2 ** 30).toFixed(0);
console.log(
  `${os.cpus().length} CPUs ${os.cpus()[0]?.model ?? ''}, ${memory} GB, Linux ${os.release()}, load ${os.loadavg()[0]!.toFixed(1)}`,
);
for (const [name, version] of versions) console.log(`${name}: ${version}`);

if (cases.length > 0) {
  await bundle(BUNDLE);
  console.log('\ncase       speaker    prefixes  runs  announce s  withdraw s   CPU s  peak MB');
  const results = new Map<string, Map<string, Result>>();
  for (const bench of cases) results.set(bench.name, await measure(bench));
  // Bars are for tables of the full size.
  if (!printRatios(results, values.scale === '1')) process.exitCode = 1;
}
if (wanted.includes(FUNCTIONS)) {
  console.log('');
  const script = new URL('../functions/main.ts', import.meta.url).pathname;
  const { status } = spawnSync(process.execPath, ['--expose-gc', script], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}

/** The medians of each speaker. */
async function measure(bench: Case): Promise<Map<string, Result>> {
  const kinds = SPEAKERS.filter(({ name, kernel }) => versions.has(name) && (kernel || !bench.kernel));
  const runs = new Map<SpeakerKind, Result[]>(kinds.map((kind) => [kind, []]));
  const most = Math.max(...kinds.map(repsOf));
  for (let i = 0; i < most; i++) {
    for (const [kind, results] of runs) {
      if (i >= repsOf(kind)) continue;
      const start = performance.now();
      process.stderr.write(`  ${bench.name}: ${kind.name}, run ${i + 1} of ${repsOf(kind)} ... `);
      try {
        results.push(await runOnce(bench, kind));
        process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1)} s\n`);
      } catch (error) {
        process.stderr.write('failed\n');
        console.log(`${bench.name.padEnd(10)} ${kind.name.padEnd(10)} failed: ${(error as Error).message}`);
        process.exitCode = 1;
        runs.delete(kind);
      }
    }
  }
  const medians = new Map<string, Result>();
  for (const [kind, results] of runs) {
    if (results.length === 0) continue;
    const of = (field: keyof Result): number => median(results.map((result) => result[field]));
    const result = { announce: of('announce'), withdraw: of('withdraw'), cpu: of('cpu'), peak: of('peak') };
    medians.set(kind.name, result);
    const columns = [
      bench.name.padEnd(10),
      kind.name.padEnd(8),
      String(bench.prefixes).padStart(10),
      String(results.length).padStart(5),
      result.announce.toFixed(2).padStart(11),
      result.withdraw.toFixed(2).padStart(11),
      result.cpu.toFixed(2).padStart(7),
      result.peak.toFixed(0).padStart(8),
    ];
    console.log(columns.join(' '));
  }
  return medians;
}

function repsOf({ name }: SpeakerKind): number {
  return Number(name === 'gobgpd' ? values['gobgpd-reps'] : values.reps);
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}
