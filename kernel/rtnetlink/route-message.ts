/** Routes to messages and back: struct rtmsg and its attributes (linux/rtnetlink.h). */

import { formatAddress } from '../ip.ts';
import { Attributes } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import {
  AF_INET,
  AF_INET6,
  RT_SCOPE_NOWHERE,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_NH_ID,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_SRC,
  RTA_TABLE,
  RTA_VIA,
  RTAX_MTU,
  RTMSG,
  RTNEXTHOP,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  RTNH_F_ONLINK,
} from './constants.ts';
import {
  forwardsNothing,
  type NextHop,
  type Route,
  type RouteKey,
  type RoutePath,
  routeTypes,
} from './route.ts';
import { scopeNumber, scopeOf } from './scope.ts';
import {
  addressFamily,
  addressOf,
  addressStart,
  addressText,
  familyOf,
  type IpFamily,
  ipFamily,
  needHeader,
  prefixOf,
} from './value.ts';

/** Writes the body of an RTM_NEWROUTE. @throws ValueError */
export function writeRoute(writer: MessageWriter, object: string, route: Route): void {
  const at = writeKey(writer, object, route);
  writer.bytes[at + 6] = scopeNumber(object, route.scope);
  writer.bytes[at + 7] = routeTypes.number(object, 'type', route.type);
  writer.view.setUint32(at + 8, pathFlags(route), true);
  writePath(writer, object, route.family, route);
}

/**
 * Writes the body of an RTM_DELROUTE: with type 0 and scope `nowhere` it fits whatever the route does, while table, prefix,
 * metric and protocol must be those of the route.
 *
 * @throws ValueError
 */
export function writeRouteKey(writer: MessageWriter, object: string, key: RouteKey): void {
  const at = writeKey(writer, object, key);
  writer.bytes[at + 6] = RT_SCOPE_NOWHERE;
}

/** rtm_flags of a path: a single next hop has its flags there. */
export function pathFlags(path: RoutePath): number {
  return path.nextHops.length === 1 && path.nextHops[0]!.onlink ? RTNH_F_ONLINK : 0;
}

/** Writes the attributes that say what the route does with its packets. @throws ValueError */
export function writePath(writer: MessageWriter, object: string, family: IpFamily, path: RoutePath): void {
  if (path.source !== undefined) writer.raw(RTA_PREFSRC, addressOf(object, 'source', path.source, family));
  if (path.nextHops.length === 1) {
    const hop = path.nextHops[0]!;
    if (hop.gateway !== undefined) writeGateway(writer, object, family, hop.gateway);
    if (hop.link !== undefined) writer.u32(RTA_OIF, hop.link);
  } else if (path.nextHops.length > 1) {
    const all = writer.nest(RTA_MULTIPATH);
    for (const hop of path.nextHops) {
      const at = writer.fixed(RTNEXTHOP);
      writer.bytes[at + 2] = hop.onlink ? RTNH_F_ONLINK : 0;
      writer.bytes[at + 3] = (hop.weight ?? 1) - 1;
      writer.view.setInt32(at + 4, hop.link ?? 0, true);
      if (hop.gateway !== undefined) writeGateway(writer, object, family, hop.gateway);
      writer.view.setUint16(at, writer.length - at, true);
    }
    writer.nestEnd(all);
  }
  if (path.mtu !== undefined) {
    const metrics = writer.nest(RTA_METRICS);
    writer.u32(RTAX_MTU, path.mtu);
    writer.nestEnd(metrics);
  }
}

const attributes = new Attributes(RTA_NH_ID);
const nested = new Attributes(RTA_VIA);

/**
 * Reads an RTM_NEWROUTE or RTM_DELROUTE. Undefined for those of other families than IPv4 and IPv6.
 *
 * @throws RangeError for a message that is cut short
 */
export function readRoute(message: Message): Route | undefined {
  const { bytes, view, start, end } = message;
  needHeader('route', end - start, RTMSG);
  const family = ipFamily(bytes[start]!);
  if (family === undefined) return undefined;
  attributes.parse(bytes, view, start + RTMSG, end);
  const route: { -readonly [K in keyof Route]: Route[K] } = {
    family,
    destination: `${prefixAddress(RTA_DST, family)}/${bytes[start + 1]}`,
    table: attributes.u32(RTA_TABLE, bytes[start + 4]!),
    metric: attributes.u32(RTA_PRIORITY, 0),
    protocol: bytes[start + 5]!,
    ...readPath(message, family),
  };
  if (bytes[start + 2] !== 0) route.from = `${prefixAddress(RTA_SRC, family)}/${bytes[start + 2]}`;
  if (family === 4 && bytes[start + 3] !== 0) route.tos = bytes[start + 3]!;
  return route;
}

/** What the route of a message does with its packets. @throws RangeError for a message that is cut short */
export function readRoutePath(message: Message): RoutePath {
  const { bytes, view, start, end } = message;
  needHeader('route', end - start, RTMSG);
  attributes.parse(bytes, view, start + RTMSG, end);
  return readPath(message, ipFamily(bytes[start]!) ?? 4);
}

function readPath(message: Message, family: IpFamily): RoutePath {
  const { bytes, view, start } = message;
  const type = routeTypes.name(bytes[start + 7]!) ?? 'unspecified';
  const path: { -readonly [K in keyof RoutePath]: RoutePath[K] } = {
    type,
    scope: scopeOf(bytes[start + 6]!),
    nextHops: forwardsNothing(type) ? [] : readNextHops(view.getUint32(start + 8, true), family),
  };
  if (attributes.has(RTA_PREFSRC)) path.source = addressText(attributes, RTA_PREFSRC, family);
  if (attributes.has(RTA_METRICS)) {
    nested.parseNested(attributes, RTA_METRICS);
    const mtu = nested.u32(RTAX_MTU, 0);
    if (mtu !== 0) path.mtu = mtu;
  }
  return path;
}

function readNextHops(flags: number, family: IpFamily): NextHop[] {
  const { bytes, view } = attributes;
  if (!attributes.has(RTA_MULTIPATH)) {
    const link = attributes.u32(RTA_OIF, 0);
    const hop = nextHop(attributes, family, link, 0, flags);
    return hop.gateway === undefined && hop.link === undefined ? [] : [hop];
  }
  const hops: NextHop[] = [];
  let at = attributes.offset(RTA_MULTIPATH);
  const end = at + attributes.size(RTA_MULTIPATH);
  while (at + RTNEXTHOP <= end) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP || at + length > end) break;
    nested.parse(bytes, view, at + RTNEXTHOP, at + length);
    hops.push(nextHop(nested, family, view.getInt32(at + 4, true), bytes[at + 3]!, bytes[at + 2]!));
    at += (length + 3) & ~3;
  }
  return hops;
}

function nextHop(from: Attributes, family: IpFamily, link: number, hops: number, flags: number): NextHop {
  const hop: { -readonly [K in keyof NextHop]: NextHop[K] } = {};
  if (from.has(RTA_GATEWAY)) hop.gateway = addressText(from, RTA_GATEWAY, family);
  else if (from.has(RTA_VIA)) hop.gateway = viaText(from);
  if (link !== 0) hop.link = link;
  if (hops !== 0) hop.weight = hops + 1;
  if (flags & RTNH_F_ONLINK) hop.onlink = true;
  if (flags & RTNH_F_DEAD) hop.dead = true;
  if (flags & RTNH_F_LINKDOWN) hop.linkDown = true;
  return hop;
}

/** struct rtvia: family u16, then the address. */
function viaText(from: Attributes): string {
  const at = from.offset(RTA_VIA);
  const family = from.u16(RTA_VIA);
  const size = family === AF_INET ? 4 : family === AF_INET6 ? 16 : -1;
  const found = from.size(RTA_VIA) - 2;
  if (found !== size)
    throw new RangeError(`next hop of family ${family}: found ${found} bytes, expected ${size}`);
  return formatAddress(from.bytes, at + 2, size);
}

function writeGateway(writer: MessageWriter, object: string, family: IpFamily, gateway: string): void {
  const address = addressOf(object, 'gateway', gateway, family === 6 ? 6 : undefined);
  if (familyOf(address) === family) {
    writer.raw(RTA_GATEWAY, address);
    return;
  }
  const via = new Uint8Array(2 + address.length);
  via[0] = AF_INET6;
  via.set(address, 2);
  writer.raw(RTA_VIA, via);
}

function writeKey(writer: MessageWriter, object: string, key: RouteKey): number {
  const { address, length } = prefixOf(object, 'destination', key.destination, key.family);
  const at = writer.fixed(RTMSG);
  const { bytes } = writer;
  bytes[at] = addressFamily(key.family);
  bytes[at + 1] = length;
  bytes[at + 3] = key.tos ?? 0;
  // A byte is too small for most table numbers: these go into an attribute.
  bytes[at + 4] = key.table < 256 ? key.table : 0;
  bytes[at + 5] = key.protocol;
  writer.raw(RTA_DST, address);
  if (key.from !== undefined) {
    const from = prefixOf(object, 'from', key.from, key.family);
    writer.bytes[at + 2] = from.length;
    writer.raw(RTA_SRC, from.address);
  }
  if (key.table >= 256) writer.u32(RTA_TABLE, key.table);
  if (key.metric !== 0) writer.u32(RTA_PRIORITY, key.metric);
  return at;
}

/** The address of a prefix; of length 0 it is left out of messages. */
function prefixAddress(type: number, family: IpFamily): string {
  if (!attributes.has(type)) return family === 4 ? '0.0.0.0' : '::';
  return formatAddress(attributes.bytes, addressStart(attributes, type, family), family === 4 ? 4 : 16);
}
