import { Enumeration } from './enumeration.ts';

/**
 * The data types that a set's key or value may have, by the names that nft gives them. The kernel only stores the
 * number, for nft to know how to print.
 */
export type DataTypeName = keyof typeof TABLE;

export interface DataType {
  readonly name: DataTypeName;
  /** enum datatypes of nft: the number in NFTA_SET_KEY_TYPE, 6 bits. */
  readonly id: number;
  readonly bytes: number;
  /** `host` is little-endian on all that we run on; a set of intervals holds those keys in network order. */
  readonly order: 'network' | 'host';
  /** Names of values. */
  readonly names?: Enumeration<string>;
  /** A value is a set of flags, each with a name. */
  readonly flags?: boolean;
}

const TABLE = {
  verdict: [1, 4, 'host'],
  nf_proto: [2, 1, 'host'],
  /** What hashes and number generators give. */
  integer: [4, 4, 'host'],
  ipv4_addr: [7, 4, 'network'],
  ipv6_addr: [8, 16, 'network'],
  ether_addr: [9, 6, 'network'],
  ether_type: [10, 2, 'network'],
  inet_proto: [12, 1, 'network'],
  inet_service: [13, 2, 'network'],
  icmp_type: [14, 1, 'network'],
  tcp_flag: [15, 1, 'network'],
  mark: [19, 4, 'host'],
  iface_index: [20, 4, 'host'],
  iface_type: [21, 2, 'host'],
  realm: [22, 4, 'host'],
  classid: [23, 4, 'host'],
  uid: [24, 4, 'host'],
  gid: [25, 4, 'host'],
  ct_state: [26, 4, 'host'],
  ct_dir: [27, 1, 'network'],
  ct_status: [28, 4, 'host'],
  icmpv6_type: [29, 1, 'network'],
  ct_label: [30, 16, 'host'],
  pkt_type: [31, 1, 'host'],
  icmp_code: [32, 1, 'network'],
  icmpv6_code: [33, 1, 'network'],
  devgroup: [35, 4, 'host'],
  dscp: [36, 1, 'network'],
  ecn: [37, 1, 'network'],
  fib_addrtype: [38, 4, 'host'],
  boolean: [39, 1, 'host'],
  ifname: [41, 16, 'host'],
} as const satisfies Record<string, readonly [id: number, bytes: number, order: 'network' | 'host']>;

const NAMES: Partial<Record<DataTypeName, Readonly<Record<string, number>>>> = {
  nf_proto: { ipv4: 2, ipv6: 10 },
  ether_type: { ip: 0x800, arp: 0x806, '8021q': 0x8100, ip6: 0x86dd, '8021ad': 0x88a8 },
  // /etc/protocols, from which nft takes the names
  inet_proto: {
    icmp: 1,
    igmp: 2,
    tcp: 6,
    udp: 17,
    dccp: 33,
    gre: 47,
    esp: 50,
    ah: 51,
    'ipv6-icmp': 58,
    ospf: 89,
    sctp: 132,
    udplite: 136,
  },
  icmp_type: {
    'echo-reply': 0,
    'destination-unreachable': 3,
    'source-quench': 4,
    redirect: 5,
    'echo-request': 8,
    'router-advertisement': 9,
    'router-solicitation': 10,
    'time-exceeded': 11,
    'parameter-problem': 12,
    'timestamp-request': 13,
    'timestamp-reply': 14,
    'info-request': 15,
    'info-reply': 16,
    'address-mask-request': 17,
    'address-mask-reply': 18,
  },
  icmpv6_type: {
    'destination-unreachable': 1,
    'packet-too-big': 2,
    'time-exceeded': 3,
    'parameter-problem': 4,
    'echo-request': 128,
    'echo-reply': 129,
    'mld-listener-query': 130,
    'mld-listener-report': 131,
    'mld-listener-done': 132,
    'nd-router-solicit': 133,
    'nd-router-advert': 134,
    'nd-neighbor-solicit': 135,
    'nd-neighbor-advert': 136,
    'nd-redirect': 137,
    'router-renumbering': 138,
    'ind-neighbor-solicit': 141,
    'ind-neighbor-advert': 142,
    'mld2-listener-report': 143,
  },
  icmp_code: {
    'net-unreachable': 0,
    'host-unreachable': 1,
    'prot-unreachable': 2,
    'port-unreachable': 3,
    'frag-needed': 4,
    'net-prohibited': 9,
    'host-prohibited': 10,
    'admin-prohibited': 13,
  },
  icmpv6_code: {
    'no-route': 0,
    'admin-prohibited': 1,
    'addr-unreachable': 3,
    'port-unreachable': 4,
    'policy-fail': 5,
    'reject-route': 6,
  },
  tcp_flag: { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20, ecn: 0x40, cwr: 0x80 },
  // linux/netfilter/nf_conntrack_common.h, NF_CT_STATE_BIT
  ct_state: { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 },
  ct_dir: { original: 0, reply: 1 },
  ct_status: {
    expected: 1,
    'seen-reply': 2,
    assured: 4,
    confirmed: 8,
    snat: 16,
    dnat: 32,
    dying: 512,
  },
  // linux/if_packet.h
  pkt_type: { host: 0, broadcast: 1, multicast: 2, other: 3 },
  dscp: {
    cs0: 0,
    cs1: 8,
    cs2: 16,
    cs3: 24,
    cs4: 32,
    cs5: 40,
    cs6: 48,
    cs7: 56,
    lephb: 1,
    af11: 10,
    af12: 12,
    af13: 14,
    af21: 18,
    af22: 20,
    af23: 22,
    af31: 26,
    af32: 28,
    af33: 30,
    af41: 34,
    af42: 36,
    af43: 38,
    ef: 46,
  },
  ecn: { 'not-ect': 0, ect1: 1, ect0: 2, ce: 3 },
  // linux/rtnetlink.h, RTN_*
  fib_addrtype: {
    unspec: 0,
    unicast: 1,
    local: 2,
    broadcast: 3,
    anycast: 4,
    multicast: 5,
    blackhole: 6,
    unreachable: 7,
    prohibit: 8,
  },
};

const FLAGS: ReadonlySet<string> = new Set(['ct_state', 'ct_status', 'tcp_flag']);

const types = new Map<string, DataType>();
const byId = new Map<number, DataType>();
for (const [name, [id, bytes, order]] of Object.entries(TABLE) as [
  DataTypeName,
  readonly [number, number, 'network' | 'host'],
][]) {
  const values = NAMES[name];
  const type: DataType = {
    name,
    id,
    bytes,
    order,
    ...(values ? { names: new Enumeration(name, values) } : {}),
    ...(FLAGS.has(name) ? { flags: true } : {}),
  };
  types.set(name, type);
  byId.set(id, type);
}

/** @throws RangeError when there is no such type */
export function dataType(name: DataTypeName): DataType {
  const type = types.get(name);
  if (!type)
    throw new RangeError(`data type: found '${name}', expected one of ${[...types.keys()].join(', ')}`);
  return type;
}

const TYPE_BITS = 6;

/** The number for NFTA_SET_KEY_TYPE and NFTA_SET_DATA_TYPE: 6 bits a field, the last field lowest. */
export function typeNumber(names: readonly DataTypeName[]): number {
  return names.reduce((number, name) => (number << TYPE_BITS) | dataType(name).id, 0) >>> 0;
}

/** @throws RangeError when a field has a type that is not in the table */
export function typesOf(number: number): DataTypeName[] {
  const names: DataTypeName[] = [];
  for (let rest = number; rest > 0; rest >>>= TYPE_BITS) {
    const type = byId.get(rest & ((1 << TYPE_BITS) - 1));
    if (!type) throw new RangeError(`data type: found number ${number}, which names no known types`);
    names.unshift(type.name);
  }
  return names;
}

/** Bytes of a value; in a concatenation each field is padded to 4. */
export function typeBytes(names: readonly DataTypeName[]): number {
  if (names.length === 1) return dataType(names[0]!).bytes;
  return names.reduce((sum, name) => sum + fieldBytes(name), 0);
}

/** Bytes that a field takes in a concatenation. */
export function fieldBytes(name: DataTypeName): number {
  return (dataType(name).bytes + 3) & ~3;
}
