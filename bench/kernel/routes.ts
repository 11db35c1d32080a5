import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BatchSocket } from '#kernel/netlink/batch.ts';
import { NETLINK_ROUTE, NLM_F_DUMP, NLM_F_REQUEST } from '#kernel/netlink/constants.ts';
import { MessageWriter } from '#kernel/netlink/writer.ts';
import { AF_INET, AF_INET6, RTA_TABLE, RTM_GETROUTE, RTMSG } from '#kernel/rtnetlink/constants.ts';
import { RouteBatch } from '#kernel/rtnetlink/route-batch.ts';
import { readRoutes } from '#kernel/rtnetlink/route-difference.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { type Contender, ms, type Report, type Section, sideBySide, time } from './frame.ts';
import { COUNT, PROTOCOL, RouteSet } from './route-set.ts';

/** The C program of replay.c, which the set-up builds. */
const REPLAY = join(import.meta.dirname, '../../build/bench-replay');

const STEPS = ['added', 'changed', 'dumped', 'removed'] as const;

/** 100,000 routes of each family added, changed, dumped and removed: RouteBatch, `ip -batch`, and C with the same bytes. */
export const routes: Section = {
  name: 'routes',
  async run(report) {
    report.heading(`${COUNT.toLocaleString('en')} routes of each family, ms (median of 5, taking turns)`);
    const rows: string[][] = [];
    for (const family of [4, 6] as const) rows.push(...(await measure(report, family)));
    report.table(['', 'margay', 'C, same bytes', 'ip -batch', 'margay / C', 'ip / margay'], rows);
    report.note('\n  bars: within 1.3 times of C, at least 1.5 times as fast as ip; "!" where one is missed');
  },
};

async function measure(report: Report, family: 4 | 6): Promise<string[][]> {
  using netns = createNetns();
  using inside = NetworkNamespace.named(netns.name);
  using rt = Rtnetlink.open(inside);
  rt.links.create({ kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } });
  rt.links.set('v1', { up: true });
  const link = rt.links.indexOf('v0');
  rt.addresses.add({ link, address: '10.0.0.1', length: 24 });
  rt.addresses.add({ link, address: 'fd00::1', length: 64, flags: ['no-dad'] });
  const set = new RouteSet(family, link);
  const folder = newTempFolder();
  const medians = await sideBySide({
    margay: margay(set, rt),
    c: replay(set, netns, folder),
    ip: ip(set, netns, folder),
  });
  return STEPS.map((step) => {
    const what = `IPv${family} ${step}`;
    const [ours, c, theirs] = [medians.margay[step]!, medians.c[step]!, medians.ip[step]!];
    return [
      what,
      ms(ours),
      ms(c),
      ms(theirs),
      report.bar(`${what}, margay / C`, ours / c, { atMost: 1.3 }),
      report.bar(`${what}, ip / margay`, theirs / ours, { atLeast: 1.5 }),
    ];
  });
}

/** From tables to the kernel and back into a table. */
function margay(set: RouteSet, rt: Rtnetlink): Contender {
  return () => {
    const batch = new RouteBatch(rt.socket);
    const send = (verb: 'add' | 'replace' | 'delete', turn: number): number => {
      set.fill(turn);
      return time(() => sendAll(batch, set, verb));
    };
    const added = send('add', 0);
    const changed = send('replace', 1);
    using actual = set.empty();
    const dumped = time(() => {
      readRoutes(rt.socket, actual);
    });
    expectCount('dump', actual.size);
    const removed = send('delete', 1);
    return { added, changed, dumped, removed };
  };
}

/** A C loop that sends what RouteBatch sends, and reads a dump into a table. */
function replay(set: RouteSet, netns: Netns, folder: string): Contender {
  const record = (verb: 'add' | 'replace' | 'delete', turn: number): string => {
    set.fill(turn);
    const recorder = new Recorder();
    sendAll(new RouteBatch(recorder), set, verb);
    return recorder.write(join(folder, `${verb}.bin`));
  };
  const files = {
    added: record('add', 0),
    changed: record('replace', 1),
    dumped: writeDump(set, join(folder, 'dump.bin')),
    removed: record('delete', 1),
  };
  return () => {
    const run = (step: keyof typeof files): number => {
      const done = spawnSync(REPLAY, [netns.path, files[step]], { encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`replay ${step}: ${done.error?.message ?? done.stderr}`);
      const { ns, routes } = JSON.parse(done.stdout) as { ns: number; routes: number };
      if (step === 'dumped') expectCount('dump by C', routes);
      return ns / 1e6;
    };
    return { added: run('added'), changed: run('changed'), dumped: run('dumped'), removed: run('removed') };
  };
}

/** What a script would use: one process for each step, its start included. */
function ip(set: RouteSet, netns: Netns, folder: string): Contender {
  const write = (verb: 'add' | 'replace' | 'del', turn: number): string => {
    const path = join(folder, `${verb}.txt`);
    writeFileSync(path, set.lines(verb, turn));
    return path;
  };
  const files = { added: write('add', 0), changed: write('replace', 1), removed: write('del', 1) };
  const run = (...args: string[]): number =>
    time(() => {
      const done = spawnSync('ip', ['-n', netns.name, `-${set.family}`, ...args], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.error?.message ?? done.stderr}`);
    });
  return () => ({
    added: run('-batch', files.added),
    changed: run('-batch', files.changed),
    dumped: run('route', 'show', 'proto', String(PROTOCOL)),
    removed: run('-batch', files.removed),
  });
}

function sendAll(batch: RouteBatch, set: RouteSet, verb: 'add' | 'replace' | 'delete'): void {
  const { table } = set;
  for (let slot = table.next(-1); slot >= 0; slot = table.next(slot)) batch[verb](table, slot);
  const [refused] = batch.finish();
  if (refused) throw refused.error;
}

/** Stands where a socket does, and keeps each datagram with its length before it. */
class Recorder implements BatchSocket {
  readonly protocol = NETLINK_ROUTE;
  readonly #parts: Uint8Array[] = [];
  #sequence = 1;

  takeSequence(): number {
    return this.#sequence++;
  }

  exchange(_: string, bytes: Uint8Array, length: number): void {
    this.#parts.push(new Uint8Array(new Uint32Array([length]).buffer), bytes.slice(0, length));
  }

  write(path: string): string {
    writeFileSync(path, Buffer.concat(this.#parts));
    return path;
  }
}

function writeDump(set: RouteSet, path: string): string {
  const recorder = new Recorder();
  const writer = new MessageWriter();
  writer.begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, recorder.takeSequence());
  const at = writer.fixed(RTMSG);
  writer.bytes[at] = set.family === 4 ? AF_INET : AF_INET6;
  writer.bytes[at + 5] = PROTOCOL;
  writer.u32(RTA_TABLE, set.table.table);
  writer.end();
  recorder.exchange('dump', writer.bytes, writer.length);
  recorder.write(path);
  if (readFileSync(path).length === 0) throw new Error(`${path} is empty`);
  return path;
}

function expectCount(what: string, found: number): void {
  if (found !== COUNT) throw new Error(`${what}: found ${found} routes, expected ${COUNT}`);
}
