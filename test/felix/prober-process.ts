/**
 * Sends packets of new connections all the time: `prober-process.ts PAIRS [MS]`, of which each is allowed or forbidden for
 * good; one of each every so many ms, 2 unless told. Ends with a line of JSON when standard input ends.
 */

import { recv } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { MSG_DONTWAIT, type Probe, Prober, readProbe, transmit } from './prober.ts';

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly allowed: boolean;
}

const pairs: Pair[] = JSON.parse(process.argv[2]!);
const probers = new Map<string, Prober>();
const prober = (path: string): Prober => {
  const found = probers.get(path);
  if (found) return found;
  const made = new Prober(path, NetworkNamespace.open(path));
  probers.set(path, made);
  return made;
};
const probes = pairs.map(
  ({ from, to, ...pair }): Probe => ({ ...pair, from: prober(from), to: prober(to), protocol: 'UDP' }),
);

let number = 0;
const sent: number[] = [];
/** When each was sent, ms since 1970. */
const times: number[] = [];
const arrived = new Map<number, true>();
const bytes = new Uint8Array(2048);

function collect(): void {
  for (const { receivers } of probers.values()) {
    for (const { fd, family, protocol } of receivers) {
      for (;;) {
        const length = recv(fd, bytes, bytes.length, MSG_DONTWAIT);
        if (length < 0) break;
        const found = readProbe(bytes.subarray(0, length), family, protocol);
        if (found && !found.answer) arrived.set(found.number, true);
      }
    }
  }
}

const interval = Number(process.argv[3] ?? 2);
let next = performance.now();
let sending = true;
/** Numbers go round the pairs. */
function send(): void {
  if (!sending) return;
  if (performance.now() >= next) {
    next = performance.now() + interval;
    for (const [i, probe] of probes.entries()) {
      number++;
      sent.push(i);
      times.push(performance.timeOrigin + performance.now());
      transmit(probe, number);
    }
    collect();
  }
  // Timers are no finer than a millisecond.
  if (interval < 1) setImmediate(send);
  else setTimeout(send, interval);
}
send();
process.stdout.write('sending\n');
process.stdin.resume();
process.stdin.once('end', () => {
  sending = false;
  setTimeout(() => {
    collect();
    const counts = pairs.map(({ allowed }) => ({ allowed, sent: 0, arrived: 0, lost: [] as number[] }));
    for (const [i, pair] of sent.entries()) {
      const count = counts[pair]!;
      count.sent++;
      if (arrived.has(i + 1)) count.arrived++;
      else if (count.allowed) count.lost.push(times[i]!);
    }
    process.stdout.write(`${JSON.stringify(counts)}\n`);
    process.exit();
  }, 200);
});
