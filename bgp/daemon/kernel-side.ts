/**
 * The kernel's routes as a part of the speaker: opened, fed from the RIB, cleaned up once the tables have converged, and replaced when
 * their settings change.
 */

import { parsePrefix } from '#bgp/config/address.ts';
import type { KernelConfig } from '#bgp/config/model.ts';
import type { Words } from '#bgp/kernel/guard.ts';
import type { KernelRoutes } from '#bgp/kernel/kernel-routes.ts';
import type { Resolution } from '#bgp/rib/next-hops.ts';
import type { Rib } from '#bgp/rib/rib.ts';
import type { Clock } from '#bgp/session/clock.ts';
import type { Peer } from '#bgp/session/peer.ts';
import { formatPrefix, type Prefix } from '#bgp/wire/address.ts';
import { type Family, IPV4_UNICAST } from '#bgp/wire/constants.ts';
import type { Log, LogLimit } from '#daemon/log.ts';
import { Convergence } from './convergence.ts';
import { KernelFeed } from './kernel-feed.ts';
import type { OwnRoutes } from './own-routes.ts';

export type KernelSideOptions = {
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly log: Log;
  readonly limit: LogLimit;
  readonly rib: Rib;
  readonly own: Pick<OwnRoutes, 'get' | 'routes'>;
  /** @throws Error when it can not be done */
  readonly open: (config: KernelConfig) => KernelRoutes;
  /** There is something for `work` to do. */
  readonly wake: () => void;
  /** Neighbours that are to have a session, with the index of each in the RIB. */
  readonly expected: () => Iterable<readonly [Peer, number | undefined]>;
  /** Whether others may connect, of whom nothing is known before. */
  readonly othersMayCome: () => boolean;
  /** This host has got or lost addresses. */
  readonly addressesChanged: () => void;
};

/** Prefixes worked on at a time. */
const PIECE = 2048;
const CONVERGENCE_INTERVAL_MS = 250;

export class KernelSide {
  readonly #options: KernelSideOptions;
  readonly #feeds = new Map<4 | 6, KernelFeed>();
  readonly #convergence: Convergence;
  #config: KernelConfig;
  #kernel: KernelRoutes | undefined;
  /** Takes the routes by earlier settings out of the kernel, once it has those by the present ones. */
  #leaveOld: (() => Promise<void>) | undefined;
  /** All neighbours have said what they have to say since the start. */
  #converged = false;
  #stopConvergence: () => void = () => {};

  /** @throws Error when the kernel's routes can not be opened */
  constructor(config: KernelConfig, options: KernelSideOptions) {
    const { rib, clock, open } = options;
    this.#config = config;
    this.#options = options;
    this.#convergence = new Convergence(rib, clock.now);
    if (!config.enabled) return;
    this.#kernel = open(config);
    rib.nextHops.track(UNRESOLVED, this.#kernel.resolver);
  }

  get kernel(): KernelRoutes | undefined {
    return this.#kernel;
  }

  /** @throws NetlinkError SyscallError when the kernel's routes can not be read */
  start(): void {
    if (this.#kernel === undefined) return;
    this.#start(this.#kernel);
    for (const family of this.#config.families) this.#feed(this.#kernel, family);
    this.#watchConvergence();
  }

  /** Has some changes taken into the kernel; returns whether there are more. `busy`: while the RIB works there will be more of them. */
  work(busy: boolean): boolean {
    let more = false;
    for (const [family, feed] of this.#feeds) {
      if (feed.size === 0) continue;
      // A few at a time cost a system call each.
      if (busy && feed.size < PIECE) continue;
      this.#kernel!.process(family, feed, PIECE);
      more ||= feed.size > 0;
    }
    return more;
  }

  /** Routes of our own came, went, or have something else behind them. */
  ownChanged(prefixes: readonly Prefix[]): void {
    this.#kernel?.guard.setOwn(this.#ownWords());
    for (const feed of this.#feeds.values()) feed.again(prefixes);
  }

  /**
   * Opens the kernel's routes by other settings, while the old ones are there.
   *
   * @returns what puts them in the place of the old ones
   * @throws Error when that can not be done; the old ones are as they were then
   */
  prepare(config: KernelConfig): () => void {
    const old = this.#kernel;
    const before = this.#config;
    let fresh: KernelRoutes | undefined;
    try {
      fresh = config.enabled ? this.#options.open(config) : undefined;
      if (fresh !== undefined) this.#start(fresh);
    } catch (error) {
      void fresh?.close();
      throw error;
    }
    return () => {
      this.#config = config;
      for (const feed of this.#feeds.values()) feed.close();
      this.#feeds.clear();
      this.#stopConvergence();
      // Where two routes can not be in one place at a time, the old ones have to go first.
      const samePlace =
        fresh !== undefined && before.table === config.table && before.metric === config.metric;
      const sameRoutes = samePlace && before.protocol === config.protocol;
      const gone = before.families.filter((family) => !sameRoutes || !config.families.includes(family));
      void this.#leaveOld?.();
      this.#leaveOld = async () => {
        this.#leaveOld = undefined;
        old?.withdraw(gone.map(versionOf));
        await old?.close();
      };
      if (samePlace || fresh === undefined) void this.#leaveOld();
      this.#kernel = fresh;
      this.#options.rib.nextHops.track(
        fresh === undefined ? { reachable: true, metric: 0 } : UNRESOLVED,
        fresh?.resolver,
      );
      if (fresh === undefined) return;
      fresh.guard.setOwn(this.#ownWords());
      for (const family of config.families) this.#feed(fresh, family).everything();
      this.#watchConvergence();
      this.#options.wake();
    };
  }

  /** Lets go of everything; the routes stay in the kernel. */
  async close(): Promise<void> {
    this.#stopConvergence();
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
    await Promise.all([this.#leaveOld?.(), this.#kernel?.close()]);
  }

  #feed(kernel: KernelRoutes, family: Family): KernelFeed {
    const { rib, own, log, limit, wake } = this.#options;
    const feed = new KernelFeed(rib, rib.families.get(family)!, {
      guard: kernel.guard,
      blackhole: (prefix) => own.get(prefix)?.blackhole === true,
      onRefused: (prefix, reason) => {
        limit.run('guard', (leftOutBefore) => {
          log.warn(
            { prefix: formatPrefix(prefix), reason, leftOutBefore },
            'learned route not put into the kernel',
          );
        });
      },
    });
    feed.onReady = wake;
    this.#feeds.set(versionOf(family), feed);
    return feed;
  }

  /** @throws NetlinkError SyscallError */
  #start(kernel: KernelRoutes): void {
    kernel.start(
      (id, resolution) => {
        // One that is being replaced has nothing to say any more.
        if (this.#kernel !== kernel) return;
        this.#options.rib.nextHops.set(id, resolution);
        this.#options.wake();
      },
      (prefixes) => {
        // An address or a subnet of this host that a neighbour announces too, or that it no longer is.
        const parsed = prefixes.map((text) => parsePrefix(text)!);
        for (const feed of this.#feeds.values()) feed.exactly(parsed);
        this.#options.addressesChanged();
        this.#options.wake();
      },
    );
  }

  #watchConvergence(): void {
    this.#stopConvergence = this.#options.clock.after(CONVERGENCE_INTERVAL_MS, () => {
      const waiting = this.#options.rib.runnable || [...this.#feeds.values()].some(({ size }) => size > 0);
      if (!waiting) void this.#leaveOld?.();
      if (waiting || !this.#hasConverged()) {
        this.#watchConvergence();
        return;
      }
      const gone = this.#kernel?.converged();
      this.#options.log.info(
        { removed: gone },
        'tables have converged; what was left of an earlier run is gone',
      );
    });
  }

  #hasConverged(): boolean {
    const { expected, othersMayCome } = this.#options;
    this.#converged ||= this.#convergence.reached(expected(), othersMayCome());
    return this.#converged;
  }

  #ownWords(): Words[] {
    return this.#options.own.routes.map(({ prefix }) => wordsOf(prefix.bytes, prefix.length));
  }
}

/** What holds of a next hop until the kernel has been asked. */
const UNRESOLVED: Resolution = { reachable: false, metric: 0 };

function versionOf(family: Family): 4 | 6 {
  return family === IPV4_UNICAST ? 4 : 6;
}

function wordsOf(bytes: Uint8Array, length: number): { words: number[]; length: number } {
  const words: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 4) words.push(view.getUint32(at));
  return { words, length };
}
