/**
 * Sends packets of new connections for as long as it is told: a line `{"begin": Stream[], "interval": ms}` on standard input
 * begins, one of each at a time, and a line `{"end": ms}` ends, after which what is missing may still come for so long. Answers a
 * line for each (sender.ts).
 */

import { createInterface } from 'node:readline';
import { recv } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { MSG_DONTWAIT, type Probe, Prober, readProbe, transmit } from './prober.ts';
import type { Stream, StreamCount } from './sender.ts';

const probers = new Map<string, Prober>();
const prober = (path: string): Prober => {
  const found = probers.get(path);
  if (found) return found;
  const made = new Prober(path, NetworkNamespace.open(path));
  probers.set(path, made);
  return made;
};

let streams: readonly Stream[] = [];
let probes: readonly Probe[] = [];
/** Of the packets of this run: which stream it is of, when it was sent, whether it came, and was answered. */
let sent: { of: number; at: number; arrived: boolean; answered: boolean }[] = [];
let first = 1;
let missing = 0;
let timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
const bytes = new Uint8Array(2048);

/** @returns whether anything came */
function collect(): boolean {
  let any = false;
  for (const end of probers.values()) {
    for (const { fd, family, protocol } of end.receivers) {
      for (;;) {
        const length = recv(fd, bytes, bytes.length, MSG_DONTWAIT);
        if (length < 0) break;
        const found = readProbe(bytes.subarray(0, length), family, protocol);
        const one = found && sent[(found.number - first) >>> 0];
        if (!one || probes[one.of]!.protocol !== protocol) continue;
        any = true;
        if (found.answer && probes[one.of]!.from === end) one.answered = true;
        if (found.answer || probes[one.of]!.to !== end || one.arrived) continue;
        one.arrived = true;
        if (streams[one.of]!.expected === true) missing--;
      }
    }
  }
  return any;
}

function round(): void {
  for (const [of, probe] of probes.entries()) {
    const number = (first + sent.length) >>> 0;
    if (streams[of]!.expected === true) missing++;
    sent.push({ of, at: performance.timeOrigin + performance.now(), arrived: false, answered: false });
    transmit(probe, number);
    if (of % 32 === 31) collect();
  }
  collect();
}

function begin(of: readonly Stream[], interval: number): void {
  streams = of;
  probes = of.map(({ from, to, ...rest }): Probe => ({ ...rest, from: prober(from), to: prober(to) }));
  collect();
  first = (first + sent.length) >>> 0;
  sent = [];
  missing = 0;
  round();
  process.stdout.write('"sending"\n');
  let next = performance.now() + interval;
  const again = (): void => {
    if (performance.now() >= next) {
      next = performance.now() + interval;
      round();
    }
    // Timers are no finer than a millisecond.
    timer = interval < 1 ? setImmediate(again) : setTimeout(again, interval);
  };
  again();
}

async function end(patience: number): Promise<void> {
  clearTimeout(timer as NodeJS.Timeout);
  clearImmediate(timer as NodeJS.Immediate);
  const deadline = performance.now() + patience;
  for (let quiet = 0; quiet < 3 && (missing === 0 || performance.now() < deadline); ) {
    quiet = collect() || missing > 0 ? 0 : quiet + 1;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const counts = streams.map((): { sent: number; arrived: number; answered: number; lost: number[] } => ({
    sent: 0,
    arrived: 0,
    answered: 0,
    lost: [],
  }));
  for (const { of, at, arrived, answered } of sent) {
    const count = counts[of]!;
    count.sent++;
    if (arrived) count.arrived++;
    else if (streams[of]!.expected === true) count.lost.push(at);
    if (answered) count.answered++;
  }
  process.stdout.write(`${JSON.stringify(counts satisfies StreamCount[])}\n`);
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as { begin: Stream[]; interval: number } | { end: number };
    if ('begin' in order) begin(order.begin, order.interval);
    else void end(order.end);
  })
  .on('close', () => process.exit());
