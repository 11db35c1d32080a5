/**
 * The RIB by itself: messages in, decisions, messages out, in one process and without sockets.
 *
 *     node bench/bgp/whole-rib.ts [case]
 *
 * Each case runs in a process of its own, so that memory is that of the case.
 */

import { spawnSync } from 'node:child_process';
import { ACCEPT_ALL } from '#bgp/filter/builtin.ts';
import { Rib } from '#bgp/rib/rib.ts';
import { HEADER_LENGTH, IPV4_UNICAST, MAX_MESSAGE } from '#bgp/wire/constants.ts';
import { announcements, withdrawals } from './updates.ts';

type Case = {
  readonly feeders: number;
  readonly prefixes: number;
  readonly receivers: number;
  /** Prefixes that share an attribute set; 10 unless told. */
  readonly perSet?: number;
  readonly pathLength?: number;
  /** How often everything is announced and withdrawn again at the end; once unless told. */
  readonly flaps?: number;
};

const CASES: Readonly<Record<string, Case>> = {
  '10k': { feeders: 1, prefixes: 10_000, receivers: 1 },
  '100k': { feeders: 1, prefixes: 100_000, receivers: 1 },
  '1M': { feeders: 1, prefixes: 1_000_000, receivers: 1 },
  '10 feeders': { feeders: 10, prefixes: 100_000, receivers: 1 },
  '20 receivers': { feeders: 1, prefixes: 100_000, receivers: 20 },
  '1M sets': { feeders: 1, prefixes: 1_000_000, receivers: 1, perSet: 1 },
  'long paths': { feeders: 1, prefixes: 100_000, receivers: 1, pathLength: 200 },
  '100 feeders': { feeders: 100, prefixes: 10_000, receivers: 1 },
  '200 receivers': { feeders: 1, prefixes: 100_000, receivers: 200 },
  '20 flaps': { feeders: 1, prefixes: 1_000_000, receivers: 1, flaps: 20 },
};

/** Octets read from a session at a time, as from a socket. */
const READ = 65536;
const BUDGET = 32768;

const wanted = process.argv[2];
if (wanted === undefined) {
  console.log(
    '                                            ns/prefix: by clock, CPU of the main thread, CPU of all threads',
  );
  console.log(
    'case           what      prefixes       ms    clock     main      all   out MB   RSS MB  peak MB',
  );
  for (const name of Object.keys(CASES)) {
    const run = spawnSync(process.execPath, ['--expose-gc', import.meta.filename, name], {
      stdio: 'inherit',
    });
    if (run.status !== 0) process.exitCode = 1;
  }
} else {
  runCase(wanted, CASES[wanted]!);
}

function runCase(name: string, shape: Case): void {
  const { feeders, prefixes, receivers, perSet = 10, pathLength, flaps = 1 } = shape;
  const rib = new Rib(
    {
      asn: 65000,
      routerId: 0x0a000001,
      clusterId: 0x0a000001,
      defaultLocalPref: 100,
      decision: { alwaysCompareMed: false, missingMedIsWorst: false, preferOldest: false },
      multipath: { maxPaths: 1, ebgp: false, ibgp: false, asPathRelax: false },
    },
    { seed: 1, now: () => 0 },
  );
  const addPeer = (n: number) => {
    const address = Uint8Array.of(10, 0, n >>> 8, n);
    const index = rib.addPeer({
      name: `peer ${n}`,
      address,
      localAs: 65000,
      routeReflectorClient: false,
      asOverride: false,
      honourGracefulShutdown: true,
      connectedNextHop: true,
      gracefulShutdown: false,
      families: new Map([
        [IPV4_UNICAST, { import: [ACCEPT_ALL], export: [ACCEPT_ALL], nextHop: 'auto', allowOwnAs: 0 }],
      ]),
    });
    rib.peerUp(index, {
      remoteAs: 65000 + n,
      routerId: 0x0a000000 + n,
      codec: { as4: true, ebgp: true, firstAs: 65000 + n },
      maxMessage: MAX_MESSAGE,
      families: [IPV4_UNICAST],
      enhancedRefresh: true,
      self4: { family: 4, bytes: Uint8Array.of(10, 0, 255, 1), linkLocal: undefined },
    });
    return index;
  };
  const from = Array.from({ length: feeders }, (_, i) => addPeer(2 + i));
  const to = Array.from({ length: receivers }, (_, i) => addPeer(200 + i));
  while (rib.process(BUDGET)) drain();
  drain();

  const tables = from.map((_, i) =>
    announcements({
      prefixes,
      perSet,
      asn: 65002 + i,
      nextHop: Uint8Array.of(10, 0, 0, 2 + i),
      ...(pathLength === undefined ? {} : { pathLength }),
    }),
  );
  const gone = withdrawals(prefixes);
  globalThis.gc?.();
  const total = prefixes * feeders;
  report('idle', 0, () => 0);
  report('announce', total, () => feed(tables));
  if (rib.families.get(IPV4_UNICAST)!.routes !== prefixes) throw new Error('routes are missing');
  report('again', total, () => feed(tables));
  report('withdraw', total, () => feed(from.map(() => gone)));
  if (rib.families.get(IPV4_UNICAST)!.table.size !== 0) throw new Error('routes are left');
  // Once more with everything compiled and in memory that is there already.
  for (let i = 0; i < flaps; i++) {
    report('announce', total, () => feed(tables));
    report('withdraw', total, () => feed(from.map(() => gone)));
  }

  function feed(streams: readonly Uint8Array[]): number {
    const at = streams.map(() => 0);
    let sent = 0;
    for (let left = streams.length; left > 0; ) {
      left = 0;
      for (const [i, bytes] of streams.entries()) {
        const stop = Math.min(bytes.length, at[i]! + READ);
        let position = at[i]!;
        while (position < stop) {
          const end = position + ((bytes[position + 16]! << 8) | bytes[position + 17]!);
          const result = rib.update(from[i]!, bytes, position + HEADER_LENGTH, end);
          if (result !== undefined) throw new Error(`update: ${JSON.stringify(result)}`);
          position = end;
        }
        at[i] = position;
        if (position < bytes.length) left++;
        do sent += drain();
        while (rib.process(BUDGET));
        sent += drain();
      }
    }
    return sent;
  }

  function drain(): number {
    let sent = 0;
    for (const index of to) {
      for (let bytes = rib.take(index, READ); bytes !== undefined; bytes = rib.take(index, READ)) {
        sent += bytes.length;
      }
    }
    for (const index of from) while (rib.take(index, READ) !== undefined);
    return sent;
  }

  function report(what: string, count: number, run: () => number): void {
    const start = process.hrtime.bigint();
    const cpu = process.cpuUsage();
    const thread = process.threadCpuUsage();
    const sent = run();
    const ms = Number(process.hrtime.bigint() - start) / 1e6;
    const { user, system } = process.cpuUsage(cpu);
    const main = process.threadCpuUsage(thread);
    const each = (us: number) => (count === 0 ? '' : ((us * 1000) / count).toFixed(0));
    console.log(
      name.padEnd(15) +
        what.padEnd(9) +
        [
          String(count),
          ms.toFixed(0),
          each(ms * 1000),
          each(main.user + main.system),
          each(user + system),
          (sent / 2 ** 20).toFixed(1),
          (process.memoryUsage().rss / 2 ** 20).toFixed(0),
          (process.resourceUsage().maxRSS / 1024).toFixed(0),
        ]
          .map((text) => text.padStart(9))
          .join(''),
    );
  }
}
