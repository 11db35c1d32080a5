import type { NetlinkSocket } from '../netlink/socket.ts';
import { RTA_TABLE, RTM_GETROUTE, RTM_NEWROUTE, RTMSG } from './constants.ts';
import type { Route } from './route.ts';
import { readRoute } from './route-message.ts';
import { RouteReader } from './route-reader.ts';
import type { RouteTable } from './route-table.ts';
import { ipv6RouteGuard, isNoTable } from './routes.ts';
import { addressFamily } from './value.ts';

/** Takes what has to be done to get from one table to another. */
export interface DifferenceSink {
  /** The route in `slot` of the desired table is missing. */
  add(desired: RouteTable, slot: number): void;
  /** The route in `slot` of the desired table has another next-hop set. */
  replace(desired: RouteTable, slot: number): void;
  /** The route in `slot` of the actual table should not be there. */
  delete(actual: RouteTable, slot: number): void;
}

/** How much there was to do. */
export interface Difference {
  readonly added: number;
  readonly replaced: number;
  readonly deleted: number;
}

/**
 * Fills `table` with what the kernel has of its family, kernel table, protocol and metric; what was in it is forgotten.
 *
 * @param onOther takes the other routes of this kernel table and protocol: those with another metric, with a DSCP byte or a
 *   source prefix, and what `ip route append` put behind a route
 * @returns whether that is all; false when the IPv6 routes changed faster than they could be read, and routes may be
 *   missing: read again later
 * @throws NetlinkError
 */
export function readRoutes<T extends RouteTable>(
  socket: NetlinkSocket,
  table: T,
  onOther: (route: Route) => void = () => {},
): boolean {
  const reader = new RouteReader(table.sets);
  let others: Route[] = [];
  let whole = true;
  table.clear();
  try {
    whole = socket.dump(
      `list IPv${table.family} routes of table ${table.table}`,
      RTM_GETROUTE,
      (writer) => {
        const at = writer.fixed(RTMSG);
        writer.bytes[at] = addressFamily(table.family);
        writer.bytes[at + 5] = table.protocol;
        writer.u32(RTA_TABLE, table.table);
      },
      {
        restart: () => {
          table.clear();
          others = [];
        },
        message: (message) => {
          if (message.type !== RTM_NEWROUTE || !reader.read(message)) return;
          if (reader.table !== table.table || reader.protocol !== table.protocol) return;
          const plain = reader.metric === table.metric && reader.tos === 0 && reader.sourceLength === 0;
          if (plain) {
            const id = reader.set();
            const slot = table.addRead(reader, id);
            // In a disturbed dump the same route stands twice.
            if (slot < 0 || table.id(slot) === id) return;
            table.sets.discard(id);
          }
          others.push(readRoute(message)!);
        },
      },
      table.family === 6 ? ipv6RouteGuard(table.table) : undefined,
    );
  } catch (error) {
    if (!isNoTable(error)) throw error;
  }
  for (const other of others) onOther(other);
  return whole;
}

/**
 * Tells what it takes to make `actual` equal to `desired`: all additions and changes first, then the deletions, so that a
 * packet finds a route all the while. The two must share their next-hop sets, and the sink must change neither.
 */
export function difference<T extends RouteTable>(desired: T, actual: T, sink: DifferenceSink): Difference {
  if (desired.sets !== actual.sets) throw new RangeError('route difference: tables with other next-hop sets');
  let added = 0;
  let replaced = 0;
  let deleted = 0;
  for (let slot = desired.next(-1); slot >= 0; slot = desired.next(slot)) {
    const there = actual.slotLike(desired, slot);
    if (there < 0) {
      added++;
      sink.add(desired, slot);
    } else if (actual.id(there) !== desired.id(slot)) {
      replaced++;
      sink.replace(desired, slot);
    }
  }
  for (let slot = actual.next(-1); slot >= 0; slot = actual.next(slot)) {
    if (desired.slotLike(actual, slot) >= 0) continue;
    deleted++;
    sink.delete(actual, slot);
  }
  return { added, replaced, deleted };
}
