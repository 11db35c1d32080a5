import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Message, NetlinkSocket } from '#kernel/netlink/socket.ts';
import { RTM_DELROUTE } from '#kernel/rtnetlink/constants.ts';
import type { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import type { Route } from '#kernel/rtnetlink/route.ts';
import { RouteBatch, type RouteFailure } from '#kernel/rtnetlink/route-batch.ts';
import { difference, readRoutes } from '#kernel/rtnetlink/route-difference.ts';
import { RouteReader } from '#kernel/rtnetlink/route-reader.ts';
import type { RouteTable } from '#kernel/rtnetlink/route-table.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { RouteTable6 } from '#kernel/rtnetlink/route-table6.ts';

/** What an installer says of itself. */
export interface InstallerCounters {
  /** Routes that should be there. */
  desired: number;
  /** Routes that are there, by what the kernel said last. */
  installed: number;
  /** Messages that the kernel refused. */
  refused: number;
  /** Routes that others changed or removed, or that had been refused, and that were put right. */
  repaired: number;
}

export interface InstallerOptions {
  readonly family: 4 | 6;
  readonly socket: NetlinkSocket;
  /** Shared with whoever interns what is given to `set`. */
  readonly sets: NextHopSets;
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  readonly seed: number;
  /** Something was refused; `repair` is due after a while. */
  readonly onRefused: (failure: RouteFailure) => void;
}

/**
 * The routes of one family: those that should be in the kernel against those that are. `set` and `remove` note what should
 * be; `flush` sends what is different from what the kernel has, additions and changes first, so that a packet that has a
 * route before and after has one all the while.
 *
 * Routes that an earlier run left behind stay until `converged`: a restart drops no route that is still right.
 *
 * Only routes with our protocol, table and metric are touched (and, by whoever asks for `strays`, those with our protocol and another
 * metric, which would hide ours for good if it is lower). A route of somebody else that takes the place of one (same
 * prefix, table and metric) is left alone and reported; ours goes in once it is gone.
 */
export class RouteInstaller {
  readonly #options: InstallerOptions;
  readonly #desired: RouteTable4 | RouteTable6;
  readonly #installed: RouteTable4 | RouteTable6;
  readonly #batch: RouteBatch;
  readonly #reader: RouteReader;
  /** Prefixes to be removed with the next flush: word 0 to 3 and length of each. */
  #removals: number[] = [];
  #converged = false;
  #refused = 0;
  #repaired = 0;

  constructor(options: InstallerOptions) {
    this.#options = options;
    const { family, table, protocol, metric, sets, seed } = options;
    const Table = family === 4 ? RouteTable4 : RouteTable6;
    this.#desired = new Table({ table, protocol, metric, sets, seed });
    this.#installed = new Table({ table, protocol, metric, sets, seed });
    this.#batch = new RouteBatch(options.socket);
    this.#reader = new RouteReader(sets);
  }

  get counters(): InstallerCounters {
    return {
      desired: this.#desired.size,
      installed: this.#installed.size,
      refused: this.#refused,
      repaired: this.#repaired,
    };
  }

  /** Reads what is there. To be called before all else, with the monitor already open. @throws NetlinkError */
  start(): void {
    readRoutes(this.#options.socket, this.#installed);
  }

  /** The prefix should have this next-hop set. Words are in host order, the highest first; IPv4 has only `w0`. */
  set(w0: number, w1: number, w2: number, w3: number, length: number, set: number): void {
    put(this.#desired, w0, w1, w2, w3, length, set);
    this.#send(w0, w1, w2, w3, length);
  }

  /** The prefix should have no route. */
  remove(w0: number, w1: number, w2: number, w3: number, length: number): void {
    if (!take(this.#desired, w0, w1, w2, w3, length)) return;
    this.#removals.push(w0, w1, w2, w3, length);
  }

  /** Sends what is left. When it returns the kernel has it, but for what was refused. */
  flush(): void {
    const removals = this.#removals;
    this.#removals = [];
    const gone: number[] = [];
    for (let i = 0; i < removals.length; i += 5) {
      const [w0, w1, w2, w3, length] = removals.slice(i, i + 5) as [number, number, number, number, number];
      // Wanted again in the meantime, or never there.
      if (slotOf(this.#desired, w0, w1, w2, w3, length) >= 0) continue;
      const slot = slotOf(this.#installed, w0, w1, w2, w3, length);
      if (slot < 0) continue;
      this.#batch.delete(this.#installed, slot);
      gone.push(w0, w1, w2, w3, length);
    }
    for (let i = 0; i < gone.length; i += 5) {
      take(this.#installed, gone[i]!, gone[i + 1]!, gone[i + 2]!, gone[i + 3]!, gone[i + 4]!);
    }
    if (this.#batch.count > 0) this.#finish();
  }

  /**
   * The tables are what they will be: what an earlier run left and nobody wants goes. Returns how many routes that were.
   */
  converged(): number {
    this.#converged = true;
    return this.repair().deleted;
  }

  /** Routes of our protocol in our table with another metric: of an earlier run with other settings. @throws NetlinkError */
  strays(): Route[] {
    const strays: Route[] = [];
    readRoutes(this.#options.socket, this.#installed, (route) => {
      if (route.metric !== this.#options.metric && route.tos === undefined && route.from === undefined) {
        strays.push(route);
      }
    });
    return strays;
  }

  /**
   * Reads everything from the kernel and puts right what is not as it should be: after lost notifications, after an
   * interface went down (whose IPv4 routes go without a word), after refusals. The cost is that of the whole table.
   *
   * @throws NetlinkError when the kernel's table can not be read
   */
  repair(): { readonly changed: number; readonly deleted: number } {
    this.flush();
    readRoutes(this.#options.socket, this.#installed);
    const batch = this.#batch;
    const keep = !this.#converged;
    const sink = {
      add: (table: RouteTable, slot: number) => batch.add(table, slot),
      replace: (table: RouteTable, slot: number) => batch.replace(table, slot),
      delete: (table: RouteTable, slot: number) => {
        if (!keep) batch.delete(table, slot);
      },
    };
    const { added, replaced, deleted } = difference(
      this.#desired as RouteTable,
      this.#installed as RouteTable,
      sink,
    );
    if (batch.count === 0) return { changed: 0, deleted: 0 };
    const refused = this.#refused;
    this.#finish();
    this.#repaired += Math.max(0, added + replaced - (this.#refused - refused));
    readRoutes(this.#options.socket, this.#installed);
    return { changed: added + replaced, deleted: keep ? 0 : deleted };
  }

  /**
   * Takes in a route message of somebody else. Returns whether it is about one of our routes, which `flush` (or, if
   * what happened is not clear, `repair`) will then put right.
   */
  changed(message: Message): 'no' | 'flush' | 'repair' {
    const reader = this.#reader;
    const { table, protocol, metric, family } = this.#options;
    if (!reader.read(message) || reader.family !== family) return 'no';
    if (reader.table !== table || reader.metric !== metric || reader.tos !== 0 || reader.sourceLength !== 0) {
      return 'no';
    }
    const { word0, word1, word2, word3, length } = reader;
    const wanted = slotOf(this.#desired, word0, word1, word2, word3, length);
    const known = slotOf(this.#installed, word0, word1, word2, word3, length);
    if (wanted < 0 && known < 0) return 'no';
    if (reader.protocol !== protocol) {
      // Another's route in the place of ours. Whether it replaced ours or came beside it only the table tells.
      return message.type === RTM_DELROUTE && known >= 0 ? 'no' : 'repair';
    }
    // A removed IPv6 route may be one next hop of several.
    if (message.type === RTM_DELROUTE && family === 6) return 'repair';
    if (message.type === RTM_DELROUTE) take(this.#installed, word0, word1, word2, word3, length);
    else put(this.#installed, word0, word1, word2, word3, length, reader.set());
    if (wanted < 0) {
      // Not ours to keep, and not one that we wait with.
      if (message.type !== RTM_DELROUTE && this.#converged)
        this.#removals.push(word0, word1, word2, word3, length);
      return 'flush';
    }
    if (this.#send(word0, word1, word2, word3, length)) this.#repaired++;
    return 'flush';
  }

  /** Takes all routes out of the kernel. @throws NetlinkError when the kernel's table can not be read */
  withdraw(): void {
    this.#desired.clear();
    this.#removals = [];
    this.#converged = true;
    this.repair();
  }

  /** Forgets which routes it wanted, without touching the kernel. */
  close(): void {
    this.#desired.clear();
    this.#installed.clear();
  }

  /** Puts one route into the batch if the kernel has another or none. Returns whether it did. */
  #send(w0: number, w1: number, w2: number, w3: number, length: number): boolean {
    const slot = slotOf(this.#desired, w0, w1, w2, w3, length);
    const there = slotOf(this.#installed, w0, w1, w2, w3, length);
    const set = this.#desired.id(slot);
    if (there < 0) this.#batch.add(this.#desired, slot);
    else if (this.#installed.id(there) !== set) this.#batch.replace(this.#desired, slot);
    else return false;
    put(this.#installed, w0, w1, w2, w3, length, set);
    return true;
  }

  #finish(): void {
    for (const failure of this.#batch.finish()) {
      // Somebody was faster; it is gone all the same.
      if (failure.operation === 'delete' && failure.error.code === 'ESRCH') continue;
      this.#refused++;
      // What is there now only the kernel knows: `repair` asks it.
      if (failure.operation !== 'delete') this.#installed.deletePrefix(failure.destination);
      this.#options.onRefused(failure);
    }
  }
}

/** Whether a refusal means that somebody else's route is in the place of ours. */
export function isTaken(failure: RouteFailure): boolean {
  return (
    failure.operation === 'add' && failure.error instanceof NetlinkError && failure.error.code === 'EEXIST'
  );
}

type Table = RouteTable4 | RouteTable6;

function slotOf(table: Table, w0: number, w1: number, w2: number, w3: number, length: number): number {
  return table.family === 4 ? table.slot(w0, length) : table.slot(w0, w1, w2, w3, length);
}

function put(
  table: Table,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  length: number,
  set: number,
): void {
  if (table.family === 4) table.set(w0, length, set);
  else table.set(w0, w1, w2, w3, length, set);
}

function take(table: Table, w0: number, w1: number, w2: number, w3: number, length: number): boolean {
  return table.family === 4 ? table.delete(w0, length) : table.delete(w0, w1, w2, w3, length);
}
