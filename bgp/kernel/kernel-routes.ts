import type { NextHopTracker, Resolution } from '#bgp/rib/next-hops.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Message } from '#kernel/netlink/socket.ts';
import {
  AF_INET,
  AF_INET6,
  RTA_TABLE,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTMSG,
} from '#kernel/rtnetlink/constants.ts';
import type { Link } from '#kernel/rtnetlink/link.ts';
import { type Change, RtnetlinkMonitor } from '#kernel/rtnetlink/monitor.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import type { NextHop, Route } from '#kernel/rtnetlink/route.ts';
import type { RouteFailure } from '#kernel/rtnetlink/route-batch.ts';
import { readRoute } from '#kernel/rtnetlink/route-message.ts';
import { isNoTable } from '#kernel/rtnetlink/routes.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { Guard } from './guard.ts';
import { type InstallerCounters, isTaken, RouteInstaller } from './installer.ts';
import { NextHopResolver, type Way } from './next-hop-resolver.ts';
import { RouteMirror } from './route-mirror.ts';

const TABLE_MAIN = 254;
const TABLE_LOCAL = 255;
/** Notifications come in bursts: what follows within this time is looked at in one go. Milliseconds. */
const SETTLE = 20;
/** Between two attempts to put right what the kernel refused: doubled each time. Milliseconds. */
const FIRST_RETRY = 500;
const LAST_RETRY = 30_000;
const MAX_CACHED_SETS = 4096;

/** What a prefix should have in the kernel: ways that share its packets, a blackhole, or no route of ours. */
export type Target = readonly Way[] | 'blackhole' | undefined;

/** Where the wanted routes come from: a feed of changed prefixes. */
export interface TargetFeed {
  /**
   * Takes up to `limit` changed prefixes. Words are in host order, the highest first; IPv4 has only the first.
   *
   * @returns how many were taken
   */
  take(
    limit: number,
    visit: (w0: number, w1: number, w2: number, w3: number, length: number, target: Target) => void,
  ): number;
}

export interface KernelRoutesOptions {
  readonly namespace?: NetworkNamespace;
  readonly families: readonly (4 | 6)[];
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  /** Random, so that neighbours can not choose prefixes that collide. */
  readonly seed: number;
  readonly onEvent: (event: KernelEvent) => void;
}

/** For the log and for counters. */
export type KernelEvent =
  | { readonly kind: 'refused'; readonly failure: RouteFailure; readonly taken: boolean }
  /** Routes of ours that others changed are back. */
  | { readonly kind: 'repaired'; readonly routes: number }
  /** Notifications were lost; everything was read again. */
  | { readonly kind: 'overflow' }
  /** The kernel could not be asked; it is tried again. */
  | { readonly kind: 'fault'; readonly error: Error };

/**
 * The kernel's side of the speaker: resolves next hops by the routes of others, keeps our routes as they should be, and
 * hears what others do to either. All work is synchronous and in proportion to what changed, except `repair`, which reads the
 * whole table when it is not clear what happened.
 */
export class KernelRoutes {
  readonly resolver: NextHopTracker;
  readonly guard: Guard;
  readonly #options: KernelRoutesOptions;
  readonly #rt: Rtnetlink;
  readonly #mirror = new RouteMirror();
  /** Where next hops are looked up: where our routes are, and where the kernel looks for the gateway of a route. */
  readonly #tables: ReadonlySet<number>;
  readonly #links = new Map<number, Link>();
  readonly #sets = new NextHopSets();
  readonly #setOf = new Map<string, number>();
  readonly #blackhole = new Map<4 | 6, number>();
  readonly #resolver: NextHopResolver;
  readonly #installers: ReadonlyMap<4 | 6, RouteInstaller>;
  #monitor: RtnetlinkMonitor | undefined;
  #setResolution: (id: number, resolution: Resolution) => void = () => {};
  #guardChanged: (prefixes: readonly string[]) => void = () => {};
  #settling: NodeJS.Timeout | undefined;
  #waysChanged = false;
  #repairDue = false;
  #relistDue = false;
  #retry: NodeJS.Timeout | undefined;
  #retryDelay = FIRST_RETRY;
  #refusedSinceRepair = 0;
  #lastError = '';
  #closed = false;

  /** @throws SyscallError */
  constructor(options: KernelRoutesOptions) {
    this.#options = options;
    this.#tables = new Set([options.table, TABLE_MAIN, TABLE_LOCAL]);
    this.#rt = Rtnetlink.open(options.namespace);
    this.guard = new Guard(this.#mirror);
    const links = { isUp: (index: number) => isUsable(this.#links.get(index)) };
    this.#resolver = new NextHopResolver(this.#mirror, links, (id, resolution) =>
      this.#setResolution(id, resolution),
    );
    this.resolver = this.#resolver;
    const installer = (family: 4 | 6): RouteInstaller =>
      new RouteInstaller({
        ...options,
        family,
        socket: this.#rt.socket,
        sets: this.#sets,
        onRefused: (failure) => this.#onRefused(failure),
      });
    this.#installers = new Map(options.families.map((family) => [family, installer(family)]));
  }

  /** Counters of all families together. */
  get counters(): InstallerCounters {
    const total = { desired: 0, installed: 0, refused: 0, repaired: 0 };
    for (const { counters } of this.#installers.values()) {
      for (const key of Object.keys(total) as (keyof InstallerCounters)[]) total[key] += counters[key];
    }
    return total;
  }

  /** The last refusal or fault in words, '' when nothing is wrong. */
  get lastError(): string {
    return this.#lastError;
  }

  /**
   * Starts to watch and reads what there is.
   *
   * @param setResolution is told how each tracked next hop is reached, now and whenever that changes
   * @param guardChanged is told of prefixes for which the guard may say something else than before
   * @throws NetlinkError SyscallError
   */
  start(
    setResolution: (id: number, resolution: Resolution) => void,
    guardChanged: (prefixes: readonly string[]) => void = () => {},
  ): void {
    this.#setResolution = setResolution;
    this.#guardChanged = guardChanged;
    // First the watching, then the reading: nothing is missed between.
    this.#openMonitor();
    this.#relist();
    this.guard.refresh();
    for (const installer of this.#installers.values()) installer.start();
  }

  /** Takes changes from the feed of a family and sends what they come to. Returns how many prefixes were taken. */
  process(family: 4 | 6, feed: TargetFeed, limit: number): number {
    const installer = this.#installers.get(family);
    if (installer === undefined) return feed.take(limit, () => {});
    const taken = feed.take(limit, (w0, w1, w2, w3, length, target) => {
      const set = target === undefined ? 0 : this.#set(family, target);
      if (set === 0) installer.remove(w0, w1, w2, w3, length);
      else installer.set(w0, w1, w2, w3, length, set);
    });
    this.#attempt(() => installer.flush());
    return taken;
  }

  /** The tables have converged: routes of an earlier run that nobody wants any more go. Returns how many. */
  converged(): number {
    let gone = 0;
    this.#attempt(() => {
      for (const installer of this.#installers.values()) {
        gone += installer.converged();
        for (const stray of installer.strays()) gone += this.#drop(stray);
      }
    });
    return gone;
  }

  /** Takes the routes of these families, all that have our protocol, table and metric, out of the kernel. */
  withdraw(families: readonly (4 | 6)[]): void {
    this.#attempt(() => {
      for (const family of families) this.#installers.get(family)?.withdraw();
    });
  }

  /** Stops watching. The routes stay in the kernel. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#settling);
    clearTimeout(this.#retry);
    await this.#monitor?.closed();
    this.#rt.close();
  }

  /** Takes one route out of the kernel. Returns how many that were. */
  #drop({ destination, table, metric, protocol }: Route): 0 | 1 {
    try {
      this.#rt.routes.delete({ destination, table, metric, protocol });
      return 1;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ESRCH') return 0;
      throw error;
    }
  }

  /** The number of the next-hop set for a target, 0 when there is nothing to install. */
  #set(family: 4 | 6, target: readonly Way[] | 'blackhole'): number {
    if (target === 'blackhole') {
      let set = this.#blackhole.get(family);
      if (set === undefined) {
        set = this.#sets.intern(family, { type: 'blackhole' });
        this.#blackhole.set(family, set);
      }
      return set;
    }
    if (target.length === 0) return 0;
    const key = target.length === 1 ? `${family} ${target[0]!.number}` : `${family} ${numbersOf(target)}`;
    const known = this.#setOf.get(key);
    if (known !== undefined) return known;
    if (this.#setOf.size >= MAX_CACHED_SETS) this.#forgetSets();
    const set = this.#sets.intern(family, { nextHops: joined(target) });
    this.#setOf.set(key, set);
    return set;
  }

  /** The tables hold the sets that they use themselves. */
  #forgetSets(): void {
    for (const set of this.#setOf.values()) this.#sets.release(set);
    this.#setOf.clear();
  }

  #openMonitor(): void {
    this.#monitor = RtnetlinkMonitor.open(
      {
        link: (change) => this.#onLink(change),
        routeMessage: (message) => this.#onRoute(message),
        // IPv4 routes by that link went without a word, ours and others'.
        flushed: () => this.#later({ relist: true, repair: true }),
        overflow: () => {
          this.#options.onEvent({ kind: 'overflow' });
          this.#later({ relist: true, repair: true });
        },
        error: (error) => this.#onMonitorFault(error),
      },
      {
        exceptFrom: this.#rt.socket.port,
        ...(this.#options.namespace === undefined ? {} : { namespace: this.#options.namespace }),
      },
    );
  }

  /** The thread that listens is gone: a new one, and everything is read again, as after lost notifications. */
  #onMonitorFault(error: Error): void {
    if (this.#closed) return;
    this.#fault(error);
    this.#monitor?.close();
    this.#monitor = undefined;
    this.#retryLater();
  }

  #onLink({ kind, value }: Change<Link>): void {
    const before = isUsable(this.#links.get(value.index));
    if (kind === 'removed') this.#links.delete(value.index);
    else this.#links.set(value.index, value);
    if (before !== isUsable(this.#links.get(value.index))) this.#later({ ways: true });
  }

  #onRoute(message: Message): void {
    const { bytes, start, end } = message;
    if (end - start >= RTMSG && bytes[start + 5] !== this.#options.protocol) {
      if (this.#follow(message)) this.#later({ ways: true });
    }
    for (const installer of this.#installers.values()) {
      const found = installer.changed(message);
      if (found !== 'no') this.#later({ repair: found === 'repair' });
    }
  }

  /** Takes a route of others into the mirror. Returns whether it is of interest. */
  #follow(message: Message): boolean {
    const route = readRoute(message);
    if (route === undefined || route.tos !== undefined || route.from !== undefined) return false;
    if (!this.#tables.has(route.table)) return false;
    if (message.type === RTM_NEWROUTE) this.#mirror.set(route);
    else if (route.family === 4) this.#mirror.remove(route);
    // Of an IPv6 route with several next hops this may have been one.
    else this.#relistDue = true;
    return true;
  }

  /** Looks at what came in, once the burst is over. */
  #later(what: { ways?: boolean; repair?: boolean; relist?: boolean }): void {
    this.#waysChanged ||= what.ways === true || what.relist === true;
    this.#repairDue ||= what.repair === true;
    this.#relistDue ||= what.relist === true;
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#attempt(() => this.#settle());
    }, SETTLE);
  }

  #settle(): void {
    if (this.#relistDue) this.#relist();
    if (this.#waysChanged) {
      this.#waysChanged = false;
      this.#resolver.refresh();
      const guarded = this.guard.refresh();
      if (guarded.length > 0) this.#guardChanged(guarded);
    }
    if (this.#repairDue) this.#repair();
    else {
      const before = this.counters.repaired;
      for (const installer of this.#installers.values()) installer.flush();
      this.#tellRepaired(this.counters.repaired, before);
    }
  }

  #repair(): void {
    this.#repairDue = false;
    this.#refusedSinceRepair = 0;
    const before = this.counters.repaired;
    for (const installer of this.#installers.values()) installer.repair();
    this.#tellRepaired(this.counters.repaired, before);
    if (this.#refusedSinceRepair === 0) {
      this.#retryDelay = FIRST_RETRY;
      this.#lastError = '';
    }
  }

  #tellRepaired(now: number, before: number): void {
    if (now > before) this.#options.onEvent({ kind: 'repaired', routes: now - before });
  }

  /** Reads links and the routes of others again. */
  #relist(): void {
    this.#relistDue = false;
    this.#links.clear();
    for (const link of this.#rt.links.list()) this.#links.set(link.index, link);
    this.#mirror.clear();
    for (const table of this.#tables) {
      for (const family of [4, 6]) this.#listOthers(family, table);
    }
    this.#waysChanged = true;
  }

  #listOthers(family: number, table: number): void {
    const { socket } = this.#rt;
    const take = (message: Message): void => {
      if (message.type === RTM_DELROUTE || message.bytes[message.start + 5] === this.#options.protocol)
        return;
      this.#follow(message);
    };
    try {
      socket.dump(
        `list IPv${family} routes of table ${table}`,
        RTM_GETROUTE,
        (writer) => {
          const at = writer.fixed(RTMSG);
          writer.bytes[at] = family === 4 ? AF_INET : AF_INET6;
          writer.u32(RTA_TABLE, table);
        },
        // Read twice, a route is still in the mirror once.
        { restart: () => {}, message: take },
      );
    } catch (error) {
      if (!isNoTable(error)) throw error;
    }
  }

  #onRefused(failure: RouteFailure): void {
    this.#refusedSinceRepair++;
    this.#lastError = failure.error.message;
    this.#options.onEvent({ kind: 'refused', failure, taken: isTaken(failure) });
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#retryDelay = Math.min(LAST_RETRY, this.#retryDelay * 2);
      this.#attempt(() => {
        if (this.#monitor === undefined) {
          this.#openMonitor();
          this.#relistDue = true;
        }
        this.#repairDue = true;
        this.#settle();
      });
    }, this.#retryDelay);
  }

  /** The kernel refusing to be read or written must not end the speaker: it is told, and tried again. */
  #attempt(work: () => void): void {
    if (this.#closed) return;
    try {
      work();
    } catch (error) {
      this.#fault(error instanceof Error ? error : new Error(String(error)));
      this.#retryLater();
    }
  }

  #fault(error: Error): void {
    this.#lastError = error.message;
    this.#options.onEvent({ kind: 'fault', error });
  }
}

/** Up, and with a signal: of what is sent on any other link nothing arrives. */
function isUsable(link: Link | undefined): boolean {
  return link?.up === true && link.carrier;
}

function numbersOf(ways: readonly Way[]): string {
  return ways
    .map((way) => way.number)
    .sort((a, b) => a - b)
    .join(',');
}

/** The next hops of all ways, each once. */
function joined(ways: readonly Way[]): NextHop[] {
  const hops = new Map<string, NextHop>();
  for (const way of ways) {
    for (const hop of way.nextHops) {
      const key = `${hop.gateway ?? ''}%${hop.link}`;
      if (!hops.has(key)) hops.set(key, hop);
    }
  }
  return [...hops.values()];
}
