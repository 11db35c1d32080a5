import { Batch, type BatchSocket } from '../netlink/batch.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import type { NetlinkError } from '../netlink/error.ts';
import type { Message } from '../netlink/socket.ts';
import {
  AF_INET,
  AF_INET6,
  RT_SCOPE_NOWHERE,
  RTA_DST,
  RTA_PRIORITY,
  RTA_TABLE,
  RTM_DELROUTE,
  RTM_NEWROUTE,
} from './constants.ts';
import type { DifferenceSink } from './route-difference.ts';
import { readRoute } from './route-message.ts';
import type { RouteTable } from './route-table.ts';

/** A route that the kernel refused to add, replace or delete. */
export interface RouteFailure {
  readonly operation: 'add' | 'replace' | 'delete';
  readonly destination: string;
  readonly error: NetlinkError;
}

/**
 * Sends routes of route tables to the kernel by the thousand, straight from their typed arrays. What the three operations
 * mean is said at the same ones of Routes. A full datagram is sent off by itself; `finish` sends the rest and tells
 * what was refused, and all else is in force when it returns.
 *
 *     const batch = new RouteBatch(socket);
 *     for (let slot = table.next(-1); slot >= 0; slot = table.next(slot)) batch.add(table, slot);
 *     const refused = batch.finish();
 */
export class RouteBatch implements DifferenceSink {
  readonly #batch: Batch;
  readonly #refused: Pick<RouteFailure, 'operation' | 'destination'>[] = [];

  constructor(socket: BatchSocket) {
    this.#batch = new Batch(socket, (_, message) => this.#describe(message));
  }

  /** Messages since the last `finish`. */
  get count(): number {
    return this.#batch.count;
  }

  add(table: RouteTable, slot: number): void {
    this.#put(table, slot, NLM_F_CREATE | NLM_F_EXCL);
  }

  replace(table: RouteTable, slot: number): void {
    this.#put(table, slot, NLM_F_CREATE | NLM_F_REPLACE);
  }

  delete(table: RouteTable, slot: number): void {
    const at = this.#key(RTM_DELROUTE, 0, table, slot, 0);
    const { words } = this.#batch.writer;
    words[at + 1] = (words[at + 1]! & 0xffff) | (RT_SCOPE_NOWHERE << 16);
  }

  /** Sends what is left. Returns what was refused of all since the last `finish`, in order. */
  finish(): RouteFailure[] {
    const failures = this.#batch.finish().map(({ error }, i) => ({ ...this.#refused[i]!, error }));
    this.#refused.length = 0;
    return failures;
  }

  #put(table: RouteTable, slot: number, flags: number): void {
    const set = table.sets.get(table.id(slot));
    const { attributes } = set;
    const count = attributes.length;
    const at = this.#key(RTM_NEWROUTE, flags, table, slot, count);
    const { words, length } = this.#batch.writer;
    words[at + 1] = (words[at + 1]! & 0xffff) | (set.kind << 16);
    words[at + 2] = set.flags;
    const to = (length >>> 2) - count;
    for (let i = 0; i < count; i++) words[to + i] = attributes[i]!;
  }

  /** Begins a message with struct rtmsg and the attributes that name the route, and leaves room for `more` words. */
  #key(type: number, flags: number, table: RouteTable, slot: number, more: number): number {
    const v4 = table.family === 4;
    const addressWords = v4 ? 1 : 4;
    const wide = table.table > 255;
    const at = this.#batch.message(type, flags, 3 + 1 + addressWords + (wide ? 2 : 0) + 2 + more);
    const { words } = this.#batch.writer;
    words[at] = (v4 ? AF_INET : AF_INET6) | (table.length(slot) << 8);
    words[at + 1] = (wide ? 0 : table.table) | (table.protocol << 8);
    words[at + 2] = 0;
    words[at + 3] = ((1 + addressWords) * 4) | (RTA_DST << 16);
    table.writeAddress(slot, words, at + 4);
    let to = at + 4 + addressWords;
    if (wide) {
      words[to++] = 8 | (RTA_TABLE << 16);
      words[to++] = table.table;
    }
    words[to++] = 8 | (RTA_PRIORITY << 16);
    words[to] = table.metric;
    return at;
  }

  #describe(message: Message): string {
    const operation =
      message.type === RTM_DELROUTE ? 'delete' : message.flags & NLM_F_REPLACE ? 'replace' : 'add';
    const destination = readRoute(message)?.destination ?? '';
    this.#refused.push({ operation, destination });
    return `${operation} route ${destination}`;
  }
}
