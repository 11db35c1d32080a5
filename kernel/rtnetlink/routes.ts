import { formatAddress } from '../ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import { eachAttribute } from '../netlink/reader.ts';
import type { DumpGuard, NetlinkSocket } from '../netlink/socket.ts';
import {
  RTA_DST,
  RTA_IIF,
  RTA_MARK,
  RTA_OIF,
  RTA_SRC,
  RTA_TABLE,
  RTM_DELROUTE,
  RTM_F_FIB_MATCH,
  RTM_F_LOOKUP_TABLE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTMSG,
  RTNLGRP_IPV6_ROUTE,
} from './constants.ts';
import {
  type Route,
  type RouteKeySpec,
  type RouteSpec,
  type RouteType,
  routeKeyOf,
  routeOf,
  routeTypes,
} from './route.ts';
import { readRoute, writeRoute, writeRouteKey } from './route-message.ts';
import { addressFamily, addressOf, familyOf, type IpFamily } from './value.ts';

/** Which routes to list. What is left out does not matter. */
export interface RouteFilter {
  readonly family?: IpFamily;
  readonly table?: number;
  readonly protocol?: number;
  readonly type?: RouteType;
  /** Index of the interface of one of the next hops. */
  readonly link?: number;
}

/** The packet of a {@link Routes.lookup}. */
export interface LookupOptions {
  /** Source address. */
  readonly from?: string;
  /** Index of the interface that it came in by; needs `from`. Without, it is one of this host. */
  readonly incomingLink?: number;
  /** Index of the interface that its socket is bound to. */
  readonly outgoingLink?: number;
  readonly mark?: number;
}

/**
 * Routes of the namespace that the socket is in, one request each. For many there are RouteTable and RouteBatch.
 *
 * In both families one route stands for a prefix, table and metric, whoever set it: `add` refuses a second and `replace`
 * puts its route in the place of the first. So a metric that nobody else uses keeps the routes of others safe. (A second
 * one beside it comes only from `ip route append`, which makes one route with two next hops of it for IPv6 and one that is
 * never used for IPv4.)
 */
export class Routes {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /**
   * The routes that the filter wants; the kernel leaves out the others. When the IPv6 routes change faster than they can be
   * read, routes may be missing.
   */
  list(filter: RouteFilter = {}): Route[] {
    const families: readonly IpFamily[] = filter.family === undefined ? [4, 6] : [filter.family];
    return families.flatMap((family) => this.#list(family, filter));
  }

  /**
   * Installs a route. Returns it as it reads back, if each next hop names its link.
   *
   * @throws ValueError
   * @throws NetlinkError EEXIST when there is one for this prefix, table and metric
   */
  add(spec: RouteSpec): Route {
    return this.#new('add', spec, NLM_F_CREATE | NLM_F_EXCL);
  }

  /**
   * Installs a route in the place of the one for this prefix, table and metric, all its next hops included, or as a new one
   * when there is none. There is no moment without a route. Refused, it leaves what was there. Returns it as it reads
   * back, if each next hop names its link.
   *
   * @throws ValueError
   * @throws NetlinkError
   */
  replace(spec: RouteSpec): Route {
    return this.#new('replace', spec, NLM_F_CREATE | NLM_F_REPLACE);
  }

  /**
   * Removes the route of this prefix, table, metric and protocol, whatever it does with its packets. Routes of another
   * protocol are left alone.
   *
   * The kernel takes metric 0 (IPv4) for any metric: should there be none with metric 0, the one with the lowest goes.
   *
   * @throws ValueError
   * @throws NetlinkError ESRCH when there is none
   */
  delete(spec: RouteKeySpec): void {
    const key = routeKeyOf(spec);
    const object = `delete route ${key.destination}`;
    this.#socket.request(object, RTM_DELROUTE, 0, (writer) => writeRouteKey(writer, object, key));
  }

  /**
   * The way that a packet to `address` takes now, rules and caches included: `destination` is the address itself, and of
   * several next hops one is chosen. Undefined when there is no route.
   *
   * Of a route that drops packets the kernel tells no more than the type: table, metric and protocol are 0.
   */
  lookup(address: string, options: LookupOptions = {}): Route | undefined {
    return this.#get(address, options, false);
  }

  /**
   * The route that a packet to `address` would take, as it stands in the table (of several IPv6 next hops the packet's own
   * comes first). Otherwise like {@link lookup}.
   */
  match(address: string, options: LookupOptions = {}): Route | undefined {
    return this.#get(address, options, true);
  }

  #list(family: IpFamily, filter: RouteFilter): Route[] {
    try {
      return this.#socket.dumpAll(
        `list IPv${family} routes`,
        RTM_GETROUTE,
        (writer) => {
          const at = writer.fixed(RTMSG);
          writer.bytes[at] = addressFamily(family);
          writer.bytes[at + 5] = filter.protocol ?? 0;
          if (filter.type !== undefined) {
            writer.bytes[at + 7] = routeTypes.number('list routes', 'type', filter.type);
          }
          if (filter.table !== undefined) writer.u32(RTA_TABLE, filter.table);
          if (filter.link !== undefined) writer.u32(RTA_OIF, filter.link);
        },
        readRoute,
        family === 6 ? ipv6RouteGuard(filter.table) : undefined,
      );
    } catch (error) {
      if (isNoTable(error)) return [];
      throw error;
    }
  }

  #new(verb: string, spec: RouteSpec, flags: number): Route {
    const route = routeOf(spec);
    const object = `${verb} route ${route.destination}`;
    this.#socket.request(object, RTM_NEWROUTE, flags, (writer) => writeRoute(writer, object, route));
    return route;
  }

  #get(address: string, options: LookupOptions, fibMatch: boolean): Route | undefined {
    const object = `look up route to ${address}`;
    const destination = addressOf(object, 'address', address);
    const family = familyOf(destination);
    // Without the second flag an IPv4 answer does not tell the table; IPv6 does not know the flag.
    const flags = fibMatch ? RTM_F_FIB_MATCH : family === 4 ? RTM_F_LOOKUP_TABLE : 0;
    let found: Route | undefined;
    try {
      this.#socket.request(
        object,
        RTM_GETROUTE,
        0,
        (writer) => {
          const at = writer.fixed(RTMSG);
          writer.bytes[at] = addressFamily(family);
          writer.bytes[at + 1] = destination.length * 8;
          writer.view.setUint32(at + 8, flags, true);
          writer.raw(RTA_DST, destination);
          if (options.from !== undefined) {
            writer.bytes[at + 2] = destination.length * 8;
            writer.raw(RTA_SRC, addressOf(object, 'from', options.from, family));
          }
          if (options.incomingLink !== undefined) writer.u32(RTA_IIF, options.incomingLink);
          if (options.outgoingLink !== undefined) writer.u32(RTA_OIF, options.outgoingLink);
          if (options.mark !== undefined) writer.u32(RTA_MARK, options.mark);
        },
        (message) => {
          found = readRoute(message);
        },
      );
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.kernelText !== '') throw error;
      if (error.code === 'ENETUNREACH') return undefined;
      const type = DROPPING[error.code];
      if (type === undefined) throw error;
      const host = `${formatAddress(destination)}/${destination.length * 8}`;
      const path = { type, scope: 'global', nextHops: [] } as const;
      return { family, destination: host, table: 0, metric: 0, protocol: 0, ...path };
    }
    if (found === undefined || fibMatch) return found;
    // IPv6 repeats the source that was asked for, or `::`.
    const { from: _, ...route } = found;
    return route;
  }
}

/** What a look-up that ends at a route of such a type is refused with (net/ipv4/fib_semantics.c, fib_props). */
const DROPPING: Readonly<Record<string, RouteType>> = {
  EINVAL: 'blackhole',
  EHOSTUNREACH: 'unreachable',
  EACCES: 'prohibit',
};

/**
 * An IPv6 route that comes or goes during a dump of its table makes the kernel pass over others or tell them twice, and
 * no flag says so (net/ipv6/ip6_fib.c, fib6_dump_table: it goes on by counting). IPv4 goes on by prefix.
 *
 * @param table that is dumped; all when it is left out
 */
export function ipv6RouteGuard(table?: number): DumpGuard {
  return {
    group: RTNLGRP_IPV6_ROUTE,
    affects: (message) => {
      if (table === undefined) return true;
      const { view, start, end } = message;
      if (end - start < RTMSG) return true;
      let found = view.getUint8(start + 4);
      eachAttribute(view, start + RTMSG, end, (type, at) => {
        if (type === RTA_TABLE) found = view.getUint32(at, true);
      });
      return found === table;
    },
  };
}

/** A table that has never had a route does not exist, and a dump of it is an error. */
export function isNoTable(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === 'ENOENT' && error.kernelText.includes('table');
}
