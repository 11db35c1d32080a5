/**
 * gobgpd keeps a table and forwards nothing: by itself it does not touch the kernel. Beside it stands this follower, which
 * puts the routes that gobgpd uses into the kernel of its namespace, as differences.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { toolEnvironment } from '../command.ts';
import type { Family } from '../peers/description.ts';
import type { TorDriver } from './tor.ts';

export class GobgpRoutes {
  readonly #netns: string;
  readonly #folder: string;
  readonly #driver: TorDriver;
  readonly #monitors = new Map<Family, ChildProcess>();
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #stopped = true;

  constructor(netns: string, folder: string, driver: TorDriver) {
    this.#netns = netns;
    this.#folder = folder;
    this.#driver = driver;
  }

  start(): void {
    this.#stopped = false;
    for (const family of FAMILIES) this.#monitor(family);
    this.#ring();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const monitor of this.#monitors.values()) monitor.kill('SIGKILL');
  }

  /** Every line of `gobgp monitor` is a word that something changed; what, is asked for then. */
  #monitor(family: Family): void {
    const target = `unix://${join(this.#folder, 'api')}`;
    const monitor = spawn('gobgp', ['--target', target, '--json', 'monitor', 'global', 'rib', '-a', family], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
      env: toolEnvironment(),
    });
    this.#monitors.set(family, monitor);
    monitor.stdout.on('data', () => this.#ring());
    monitor.on('error', () => {});
    monitor.on('close', () => {
      // gobgpd has ended, or not begun.
      if (!this.#stopped) setTimeout(() => this.#stopped || this.#monitor(family), 200);
    });
  }

  #ring(): void {
    if (this.#running) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    // Words come in swarms.
    this.#timer = setTimeout(() => void this.#sync(), 20);
  }

  async #sync(): Promise<void> {
    this.#running = true;
    this.#again = false;
    let pause = RETRY;
    try {
      let taken = true;
      for (const family of FAMILIES) {
        const wanted = new Map<string, string>();
        for (const { prefix, best, nextHop } of await this.#driver.routes(family)) {
          if (best && nextHop !== undefined) wanted.set(prefix, nextHop);
        }
        if (this.#stopped) return;
        taken = apply(this.#netns, family, wanted) && taken;
      }
      if (taken) pause = RESYNC;
    } catch {
      // It does not answer just now; the next look is soon.
    } finally {
      this.#running = false;
      if (!this.#stopped) {
        if (this.#again) this.#ring();
        else this.#timer = setTimeout(() => void this.#sync(), pause);
      }
    }
  }
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
/** Longest time between two looks, and until the next after something was refused, in ms. */
const RESYNC = 10_000;
const RETRY = 500;
/** RTPROT_BGP of linux/rtnetlink.h. */
const PROTOCOL = 186;
const METRIC = 20;

/** Makes the kernel's routes those that are wanted, prefix to gateway. Returns whether it took all of it. */
function apply(netns: string, family: Family, wanted: ReadonlyMap<string, string>): boolean {
  using namespace = NetworkNamespace.named(netns);
  using rt = Rtnetlink.open(namespace);
  const there = new Map<string, string>();
  for (const route of rt.routes.list({ family: family === 'ipv4' ? 4 : 6, protocol: PROTOCOL })) {
    there.set(route.destination, route.nextHops?.[0]?.gateway ?? '');
  }
  let taken = true;
  for (const destination of there.keys()) {
    if (wanted.has(destination)) continue;
    attempt(() => rt.routes.delete({ destination, protocol: PROTOCOL, metric: METRIC }));
  }
  for (const [destination, gateway] of wanted) {
    if (there.get(destination) === gateway) continue;
    const isThere = attempt(() =>
      rt.routes.replace({ destination, protocol: PROTOCOL, metric: METRIC, nextHops: [{ gateway }] }),
    );
    taken = isThere && taken;
  }
  return taken;
}

/** The kernel refuses a route over a link that is down, and one that went with its link is gone: the next look sees. */
function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return false;
  }
}
