import { Attributes, eachAttribute } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
import {
  AF_BRIDGE,
  AF_INET6,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_UP,
  IFINFOMSG,
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_ALT_IFNAME,
  IFLA_GROUP,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_OPERSTATE,
  IFLA_PROP_LIST,
  IFLA_STATS64,
  IFLA_TXQLEN,
} from './constants.ts';
import { formatHardwareAddress, Names, needHeader } from './value.ts';

/** A network interface. Optional fields are absent where the interface has no such thing. */
export interface Link {
  /** Unique in the namespace, from 1. */
  readonly index: number;
  readonly name: string;
  /** What made it, e.g. `veth` or `bridge`; absent for hardware and loopback. */
  readonly kind?: string;
  /** Administratively up. */
  readonly up: boolean;
  /** The lower layer has a signal: of a veth pair, both ends are up. */
  readonly carrier: boolean;
  readonly loopback: boolean;
  readonly operationalState: OperationalState;
  /** Bytes. */
  readonly mtu: number;
  /** Link-layer address, e.g. `02:00:00:00:00:01`. */
  readonly address?: string;
  /** A text of at most 255 bytes for people and programs (`ip link set alias`). */
  readonly alias?: string;
  /** Index of the bridge (or other master) that it is a port of. */
  readonly master?: number;
  /** The other end of a veth pair, once there is one. `namespaceId` is there when that lies in another namespace (`ip netns list-id`). */
  readonly peer?: { readonly index: number; readonly namespaceId?: number };
  readonly transmitQueueLength: number;
  /** Number of the device group (`ip link show group`). */
  readonly group: number;
  /** Other names that `ip` and requests may use. */
  readonly alternativeNames: readonly string[];
  /** How IPv6 makes the link-local address when the interface comes up; absent when IPv6 is off. */
  readonly addressGeneration?: AddressGeneration;
  /** Only in what `get`, or `list` with `statistics`, returns. */
  readonly statistics?: LinkStatistics;
}

/** RFC 2863 operational state (linux/if.h, IF_OPER_*). */
export type OperationalState =
  | 'unknown'
  | 'not-present'
  | 'down'
  | 'lower-layer-down'
  | 'testing'
  | 'dormant'
  | 'up';

/** linux/if_link.h, in6_addr_gen_mode: `none` means no link-local address by itself. */
export type AddressGeneration = 'eui64' | 'none' | 'stable-secret' | 'random';

/** struct rtnl_link_stats64. Counts since the interface was made; exact up to 2^53. */
export type LinkStatistics = Readonly<Record<(typeof STATISTICS)[number], number>>;

const STATISTICS = [
  'receivedPackets',
  'sentPackets',
  'receivedBytes',
  'sentBytes',
  'receiveErrors',
  'sendErrors',
  'receiveDropped',
  'sendDropped',
  'multicast',
  'collisions',
] as const;

const operationalStates = new Names<OperationalState>({
  unknown: 0,
  'not-present': 1,
  down: 2,
  'lower-layer-down': 3,
  testing: 4,
  dormant: 5,
  up: 6,
});

export const addressGenerations: Names<AddressGeneration> = new Names({
  eui64: 0,
  none: 1,
  'stable-secret': 2,
  random: 3,
});

const attributes = new Attributes(IFLA_PROP_LIST);
const nested = new Attributes(16);

/**
 * Reads an RTM_NEWLINK or RTM_DELLINK. Undefined for those that are about something else than a network interface: the
 * bridge sends such messages about its ports (AF_BRIDGE).
 *
 * @param withStatistics whether to read the statistics, too
 * @throws RangeError for a message that is cut short
 */
export function readLink(message: Message, withStatistics = false): Link | undefined {
  const { bytes, view, start, end } = message;
  needHeader('link', end - start, IFINFOMSG);
  if (bytes[start] === AF_BRIDGE) return undefined;
  const flags = view.getUint32(start + 8, true);
  attributes.parse(bytes, view, start + IFINFOMSG, end);
  const link: { -readonly [K in keyof Link]: Link[K] } = {
    index: view.getInt32(start + 4, true),
    name: attributes.string(IFLA_IFNAME, ''),
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    operationalState: operationalStates.name(attributes.u8(IFLA_OPERSTATE, 0)) ?? 'unknown',
    mtu: attributes.u32(IFLA_MTU, 0),
    transmitQueueLength: attributes.u32(IFLA_TXQLEN, 0),
    group: attributes.u32(IFLA_GROUP, 0),
    alternativeNames: alternativeNames(),
  };
  if (attributes.has(IFLA_ADDRESS)) link.address = formatHardwareAddress(attributes.copy(IFLA_ADDRESS));
  const alias = attributes.string(IFLA_IFALIAS, '');
  if (alias !== '') link.alias = alias;
  if (attributes.has(IFLA_MASTER)) link.master = attributes.u32(IFLA_MASTER);
  nested.parseNested(attributes, IFLA_LINKINFO);
  if (nested.has(IFLA_INFO_KIND)) link.kind = nested.string(IFLA_INFO_KIND);
  const index = attributes.u32(IFLA_LINK, 0);
  if (link.kind === 'veth' && index !== 0) {
    link.peer = attributes.has(IFLA_LINK_NETNSID)
      ? { index, namespaceId: attributes.i32(IFLA_LINK_NETNSID) }
      : { index };
  }
  const generation = addressGeneration();
  if (generation !== undefined) link.addressGeneration = generation;
  if (withStatistics && attributes.has(IFLA_STATS64)) link.statistics = statistics();
  return link;
}

function alternativeNames(): readonly string[] {
  if (!attributes.has(IFLA_PROP_LIST)) return [];
  const names: string[] = [];
  const from = attributes.offset(IFLA_PROP_LIST);
  eachAttribute(attributes.view, from, from + attributes.size(IFLA_PROP_LIST), (type, start, end) => {
    if (type !== IFLA_ALT_IFNAME) return;
    const text = Buffer.from(attributes.bytes.subarray(start, end)).toString();
    names.push(text.split('\0', 1)[0]!);
  });
  return names;
}

function addressGeneration(): AddressGeneration | undefined {
  nested.parseNested(attributes, IFLA_AF_SPEC);
  if (!nested.has(AF_INET6)) return undefined;
  const from = nested.offset(AF_INET6);
  nested.parse(attributes.bytes, attributes.view, from, from + nested.size(AF_INET6));
  if (!nested.has(IFLA_INET6_ADDR_GEN_MODE)) return undefined;
  return addressGenerations.name(nested.u8(IFLA_INET6_ADDR_GEN_MODE));
}

function statistics(): LinkStatistics {
  const at = attributes.offset(IFLA_STATS64);
  const known = attributes.size(IFLA_STATS64) >>> 3;
  const counts = {} as { -readonly [K in keyof LinkStatistics]: number };
  STATISTICS.forEach((name, i) => {
    counts[name] = i < known ? Number(attributes.view.getBigUint64(at + 8 * i, true)) : 0;
  });
  return counts;
}
