import { formatAddress, formatPrefix } from '../ip.ts';
import { TABLE_MAIN } from './constants.ts';
import type { Scope } from './scope.ts';
import { addressOf, checkInteger, familyOf, type IpFamily, Names, prefixOf, ValueError } from './value.ts';

/**
 * A route as it stands in the kernel's table. Optional fields are absent where they do not apply or have their default
 * value, so that two equal routes are equal objects: what was installed reads back as the same value.
 *
 * Within one table, prefix, metric (and tos, and `from`) tell routes apart, the protocol does not.
 */
export interface Route extends RoutePath {
  readonly family: IpFamily;
  /** E.g. `10.0.0.0/8`. */
  readonly destination: string;
  /** 1 to 2^32-1; 254 is `main`. */
  readonly table: number;
  /** The lowest wins. Of IPv6 only the kernel's own routes can have 0. */
  readonly metric: number;
  /** Who set it, 0 to 255 (`ip route show proto`). */
  readonly protocol: number;
  /** IPv6: packets from a source in this prefix only. */
  readonly from?: string;
  /** IPv4: packets with this DSCP byte only. */
  readonly tos?: number;
}

/** What a route does with its packets. */
export interface RoutePath {
  readonly type: RouteType;
  readonly scope: Scope;
  /** One, or several that share the flows (ECMP). None for the types that forward nothing. */
  readonly nextHops: readonly NextHop[];
  /** The source address that packets of this host get (`ip route add src`). */
  readonly source?: string;
  /** MTU of the path in bytes. */
  readonly mtu?: number;
}

/** Where packets go. */
export interface NextHop {
  /** The router. Absent: the destination is on the link itself. An IPv4 route may have an IPv6 one (RFC 8950). */
  readonly gateway?: string;
  /** Index of the interface. Given without, the kernel finds it by the gateway. */
  readonly link?: number;
  /** Share of the flows among several, 1 to 256; absent: 1. */
  readonly weight?: number;
  /** Take the gateway to be on the link, whatever the addresses there. Absent: false. */
  readonly onlink?: boolean;
  /** Read only: not in use, the interface is down. */
  readonly dead?: boolean;
  /** Read only: the interface has no carrier. */
  readonly linkDown?: boolean;
}

/** linux/rtnetlink.h, RTN_*. */
export type RouteType =
  | 'unspecified'
  | 'unicast'
  | 'local'
  | 'broadcast'
  | 'anycast'
  | 'multicast'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw'
  | 'nat';

export const routeTypes: Names<RouteType> = new Names({
  unspecified: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
  nat: 10,
});

/** A route to be installed: a {@link Route} that was read, or one with the rest left to {@link routeOf}. */
export interface RouteSpec extends RoutePathSpec {
  readonly destination: string;
  readonly protocol: number;
  /** `main` unless told. */
  readonly table?: number;
  /** As in `ip route add`: 0 for IPv4, 1024 for IPv6 unless told. */
  readonly metric?: number;
  readonly from?: string;
  readonly tos?: number;
}

/** A {@link RoutePath} to be installed. */
export interface RoutePathSpec {
  /** `unicast` unless told. */
  readonly type?: RouteType;
  /** Unless told: IPv4 `link` when no next hop has a gateway, else `global`. IPv6 knows only `global`. */
  readonly scope?: Scope;
  readonly nextHops?: readonly NextHop[];
  readonly source?: string;
  readonly mtu?: number;
}

/** The metric that the kernel gives an IPv6 route without one (net/ip6_route.h, IP6_RT_PRIO_USER). */
export const DEFAULT_METRIC_IPV6 = 1024;

/** Whether routes of this type have no next hop. (IPv6 shows them with interface `lo`; that is left out.) */
export function forwardsNothing(type: RouteType): boolean {
  return type === 'blackhole' || type === 'unreachable' || type === 'prohibit' || type === 'throw';
}

/** Names a route. The defaults of `table` and `metric` are those of {@link RouteSpec}. */
export type RouteKeySpec = Pick<RouteSpec, 'destination' | 'table' | 'metric' | 'protocol' | 'from' | 'tos'>;

/** A {@link RouteKeySpec} with the defaults filled in. */
export type RouteKey = Omit<Route, keyof RoutePath>;

/**
 * The route that `spec` becomes in the kernel, all defaults filled in: what a dump will show, provided that each next
 * hop names its link.
 *
 * @throws ValueError
 */
export function routeOf(spec: RouteSpec): Route {
  const key = routeKeyOf(spec);
  return { ...key, ...pathOf(`route ${key.destination}`, key.family, spec) };
}

/** @throws ValueError */
export function routeKeyOf(spec: RouteKeySpec): RouteKey {
  const object = `route ${spec.destination}`;
  const prefix = prefixOf(object, 'destination', spec.destination);
  const family = familyOf(prefix.address);
  const metric = spec.metric ?? (family === 4 ? 0 : DEFAULT_METRIC_IPV6);
  // The kernel takes 0 for its default, 1024: the route would not be found again under 0.
  checkInteger(object, 'metric', metric, family === 4 ? 0 : 1, 0xffffffff);
  const key: { -readonly [K in keyof RouteKey]: RouteKey[K] } = {
    family,
    destination: formatPrefix(prefix.address, prefix.length),
    table: checkInteger(object, 'table', spec.table ?? TABLE_MAIN, 1, 0xffffffff),
    metric,
    protocol: checkInteger(object, 'protocol', spec.protocol, 0, 255),
  };
  if (spec.from !== undefined) key.from = sourcePrefix(object, family, spec.from);
  if (spec.tos !== undefined && spec.tos !== 0) {
    if (family === 6) throw new ValueError(object, 'tos', spec.tos, 'none, since IPv6 routes have none');
    key.tos = checkInteger(object, 'tos', spec.tos, 0, 255);
  }
  return key;
}

/**
 * The path with all defaults filled in.
 *
 * @param object for the error, e.g. `route 10.0.0.0/8`
 * @throws ValueError
 */
export function pathOf(object: string, family: IpFamily, spec: RoutePathSpec): RoutePath {
  const type = spec.type ?? 'unicast';
  const given = spec.nextHops ?? [];
  if (forwardsNothing(type)) {
    if (given.length > 0) throw new ValueError(object, 'nextHops', given.length, `none for type ${type}`);
  } else if (given.length === 0) {
    throw new ValueError(object, 'nextHops', 0, 'at least one');
  }
  const nextHops = given.map((hop) => nextHopOf(object, family, hop, given.length));
  if (nextHops.length > 1) {
    const seen = new Set<string>();
    for (const hop of nextHops) {
      const key = `${hop.gateway ?? ''} ${hop.link ?? ''}`;
      // IPv4 would take it, IPv6 not.
      if (seen.has(key)) throw new ValueError(object, 'nextHops', nextHopText(hop), 'each next hop once');
      seen.add(key);
      if (family === 6 && hop.gateway === undefined) {
        throw new ValueError(
          object,
          'nextHops',
          nextHopText(hop),
          'a gateway in each of several IPv6 next hops',
        );
      }
    }
  }
  const path: { -readonly [K in keyof RoutePath]: RoutePath[K] } = {
    type,
    scope: family === 6 ? 'global' : (spec.scope ?? defaultScope(type, nextHops)),
    nextHops,
  };
  if (spec.source !== undefined) {
    path.source = formatAddress(addressOf(object, 'source', spec.source, family));
  }
  if (spec.mtu !== undefined) path.mtu = checkInteger(object, 'mtu', spec.mtu, 1, 0xffffffff);
  return path;
}

function nextHopOf(object: string, family: IpFamily, hop: NextHop, count: number): NextHop {
  if (hop.gateway === undefined && hop.link === undefined) {
    throw new ValueError(object, 'nextHops', '{}', 'a gateway, a link or both');
  }
  const out: { -readonly [K in keyof NextHop]: NextHop[K] } = {};
  if (hop.gateway !== undefined) {
    // Only IPv4 can go by way of the other family.
    out.gateway = formatAddress(addressOf(object, 'gateway', hop.gateway, family === 6 ? 6 : undefined));
  }
  if (hop.link !== undefined) out.link = checkInteger(object, 'link', hop.link, 1, 0x7fffffff);
  const weight = checkInteger(object, 'weight', hop.weight ?? 1, 1, 256);
  // The kernel does not keep the weight of a single one.
  if (weight !== 1 && count > 1) out.weight = weight;
  if (hop.onlink) out.onlink = true;
  return out;
}

function defaultScope(type: RouteType, nextHops: readonly NextHop[]): Scope {
  if (type === 'local' || type === 'nat') return 'host';
  if (type === 'broadcast' || type === 'multicast' || type === 'anycast') return 'link';
  return nextHops.length > 0 && nextHops.every((hop) => hop.gateway === undefined) ? 'link' : 'global';
}

function sourcePrefix(object: string, family: IpFamily, text: string): string {
  if (family === 4)
    throw new ValueError(object, 'from', text, 'none, since IPv4 routes have none: use a rule');
  const { address, length } = prefixOf(object, 'from', text, 6);
  if (length === 0) throw new ValueError(object, 'from', text, 'a prefix longer than /0, or none');
  return formatPrefix(address, length);
}

function nextHopText(hop: NextHop): string {
  return `${hop.gateway === undefined ? '' : `via ${hop.gateway} `}dev ${hop.link ?? '?'}`;
}
