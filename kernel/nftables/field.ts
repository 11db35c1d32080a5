import type { DataTypeName } from './datatype.ts';
import type { CtDirection, CtExpression, CtKey } from './expression/ct.ts';
import type { ExthdrExpression } from './expression/exthdr.ts';
import type { FibExpression, FibInput, FibResult } from './expression/fib.ts';
import type { JhashExpression, SymhashExpression } from './expression/hash.ts';
import type { MetaExpression, MetaKey } from './expression/meta.ts';
import type { NumgenExpression } from './expression/numgen.ts';
import type { PayloadExpression, PayloadSetExpression } from './expression/payload.ts';
import type { RtExpression, RtKey } from './expression/rt.ts';
import type { SocketExpression, SocketKey } from './expression/socket.ts';

/** What puts a field into a register, without the register. */
export type Load =
  | Omit<CtExpression, 'to'>
  | Omit<ExthdrExpression, 'to'>
  | Omit<FibExpression, 'to'>
  | (Omit<JhashExpression, 'to' | 'from' | 'length'> & { readonly of: readonly Field[] })
  | Omit<MetaExpression, 'to'>
  | Omit<NumgenExpression, 'to'>
  | Omit<PayloadExpression, 'to'>
  | Omit<RtExpression, 'to'>
  | Omit<SocketExpression, 'to'>
  | Omit<SymhashExpression, 'to'>;

/** Something of a packet or its connection that a rule can match, look up or change. Plain data. */
export interface Field {
  /** As nft writes it. */
  readonly name: string;
  readonly type: DataTypeName;
  /** Bytes, when it is not the type's own number of them (an `integer`, a `boolean`). */
  readonly bytes?: number;
  /** Byte order, when it is not the type's own. */
  readonly order?: 'network' | 'host';
  readonly load: Load;
  /** Only packets of this family have it: a rule of an inet table asks first. */
  readonly nfproto?: 'ipv4' | 'ipv6';
  /** Only packets of this transport protocol have it (IANA number): a rule asks first. */
  readonly l4proto?: number;
}

const payload = (
  name: string,
  base: PayloadExpression['base'],
  offset: number,
  length: number,
  type: DataTypeName,
  needs: Pick<Field, 'nfproto' | 'l4proto' | 'bytes' | 'order'> = {},
): Field => ({ name, type, load: { kind: 'payload', base, offset, length }, ...needs });

const inIp = { nfproto: 'ipv4' } as const;
const inIp6 = { nfproto: 'ipv6' } as const;
const integer = (bytes: number): Pick<Field, 'bytes' | 'order'> => ({ bytes, order: 'network' });

/** IPv4 header (RFC 791 section 3.1). */
export const ip = {
  length: payload('ip length', 'network', 2, 2, 'integer', { ...inIp, ...integer(2) }),
  fragOffset: payload('ip frag-off', 'network', 6, 2, 'integer', { ...inIp, ...integer(2) }),
  ttl: payload('ip ttl', 'network', 8, 1, 'integer', { ...inIp, ...integer(1) }),
  protocol: payload('ip protocol', 'network', 9, 1, 'inet_proto', inIp),
  saddr: payload('ip saddr', 'network', 12, 4, 'ipv4_addr', inIp),
  daddr: payload('ip daddr', 'network', 16, 4, 'ipv4_addr', inIp),
};

/** IPv6 header (RFC 8200 section 3). */
export const ip6 = {
  length: payload('ip6 length', 'network', 4, 2, 'integer', { ...inIp6, ...integer(2) }),
  nexthdr: payload('ip6 nexthdr', 'network', 6, 1, 'inet_proto', inIp6),
  hoplimit: payload('ip6 hoplimit', 'network', 7, 1, 'integer', { ...inIp6, ...integer(1) }),
  saddr: payload('ip6 saddr', 'network', 8, 16, 'ipv6_addr', inIp6),
  daddr: payload('ip6 daddr', 'network', 24, 16, 'ipv6_addr', inIp6),
};

const ports = (protocol: string, l4proto?: number) => {
  const needs = l4proto === undefined ? {} : { l4proto };
  return {
    sport: payload(`${protocol} sport`, 'transport', 0, 2, 'inet_service', needs),
    dport: payload(`${protocol} dport`, 'transport', 2, 2, 'inet_service', needs),
  };
};

/** The ports of any protocol that has them where TCP and UDP do; the rule has to see to the protocol itself. */
export const th = ports('th');
export const udp = {
  ...ports('udp', 17),
  length: payload('udp length', 'transport', 4, 2, 'integer', { l4proto: 17, ...integer(2) }),
};
export const sctp = ports('sctp', 132);
/** TCP header (RFC 9293 section 3.1). */
export const tcp = {
  ...ports('tcp', 6),
  sequence: payload('tcp sequence', 'transport', 4, 4, 'integer', { l4proto: 6, ...integer(4) }),
  flags: payload('tcp flags', 'transport', 13, 1, 'tcp_flag', { l4proto: 6 }),
};
/** ICMP (RFC 792). */
export const icmp = {
  type: payload('icmp type', 'transport', 0, 1, 'icmp_type', { ...inIp, l4proto: 1 }),
  code: payload('icmp code', 'transport', 1, 1, 'icmp_code', { ...inIp, l4proto: 1 }),
};
/** ICMPv6 (RFC 4443). */
export const icmpv6 = {
  type: payload('icmpv6 type', 'transport', 0, 1, 'icmpv6_type', { ...inIp6, l4proto: 58 }),
  code: payload('icmpv6 code', 'transport', 1, 1, 'icmpv6_code', { ...inIp6, l4proto: 58 }),
};

const metaField = (key: MetaKey, type: DataTypeName, more: Pick<Field, 'bytes' | 'order'> = {}): Field => ({
  // nft writes these two words short.
  name: /^[io]if(name|group|kind|type)?$/.test(key) ? key : `meta ${key}`,
  type,
  load: { kind: 'meta', key },
  ...more,
});

/** What the kernel knows of the packet beside its bytes. */
export const meta = {
  length: metaField('length', 'integer', { bytes: 4, order: 'host' }),
  protocol: metaField('protocol', 'ether_type'),
  priority: metaField('priority', 'classid'),
  mark: metaField('mark', 'mark'),
  iif: metaField('iif', 'iface_index'),
  oif: metaField('oif', 'iface_index'),
  iifname: metaField('iifname', 'ifname'),
  oifname: metaField('oifname', 'ifname'),
  skuid: metaField('skuid', 'uid'),
  skgid: metaField('skgid', 'gid'),
  nftrace: metaField('nftrace', 'integer', { bytes: 1, order: 'host' }),
  nfproto: metaField('nfproto', 'nf_proto'),
  l4proto: metaField('l4proto', 'inet_proto'),
  pkttype: metaField('pkttype', 'pkt_type'),
  cpu: metaField('cpu', 'integer', { bytes: 4, order: 'host' }),
  iifgroup: metaField('iifgroup', 'devgroup'),
  oifgroup: metaField('oifgroup', 'devgroup'),
};

const ctField = (
  key: CtKey,
  type: DataTypeName,
  direction?: CtDirection,
  more: Pick<Field, 'bytes' | 'order' | 'nfproto'> = {},
): Field => ({
  name: direction ? `ct ${direction} ${key}` : `ct ${key}`,
  type,
  load: direction ? { kind: 'ct', key, direction } : { kind: 'ct', key },
  ...more,
});

const tuple = (direction: CtDirection) => ({
  ip: {
    saddr: ctField('ip saddr', 'ipv4_addr', direction),
    daddr: ctField('ip daddr', 'ipv4_addr', direction),
  },
  ip6: {
    saddr: ctField('ip6 saddr', 'ipv6_addr', direction),
    daddr: ctField('ip6 daddr', 'ipv6_addr', direction),
  },
  protoSrc: ctField('proto-src', 'inet_service', direction),
  protoDst: ctField('proto-dst', 'inet_service', direction),
  bytes: ctField('bytes', 'integer', direction, { bytes: 8, order: 'host' }),
  packets: ctField('packets', 'integer', direction, { bytes: 8, order: 'host' }),
});

/** What connection tracking knows of the packet's connection. */
export const ct = {
  state: ctField('state', 'ct_state'),
  direction: ctField('direction', 'ct_dir'),
  status: ctField('status', 'ct_status'),
  mark: ctField('mark', 'mark'),
  label: ctField('label', 'ct_label'),
  zone: ctField('zone', 'integer', undefined, { bytes: 2, order: 'host' }),
  id: ctField('id', 'integer', undefined, { bytes: 4, order: 'network' }),
  l3proto: ctField('l3proto', 'nf_proto'),
  protocol: ctField('protocol', 'inet_proto'),
  bytes: ctField('bytes', 'integer', undefined, { bytes: 8, order: 'host' }),
  packets: ctField('packets', 'integer', undefined, { bytes: 8, order: 'host' }),
  original: tuple('original'),
  reply: tuple('reply'),
};

/** A look at the routing table: `fib(['saddr', 'iif'], 'oif')`. */
export function fib(by: readonly FibInput[], result: FibResult): Field {
  const types = { type: 'fib_addrtype', oif: 'iface_index', oifname: 'ifname' } as const;
  return { name: `fib ${by.join(' . ')} ${result}`, type: types[result], load: { kind: 'fib', by, result } };
}

/** Whether the routing table has a route: match it against 0 or 1. */
export function fibPresent(by: readonly FibInput[]): Field {
  return {
    name: `fib ${by.join(' . ')} oif`,
    type: 'boolean',
    bytes: 4,
    order: 'host',
    load: { kind: 'fib', by, result: 'oif', present: true },
  };
}

/** Bytes of an extension header or option. */
export function exthdr(name: string, load: Omit<ExthdrExpression, 'to' | 'kind'>): Field {
  const needs = load.of === 'ipv6' ? inIp6 : {};
  if (load.present) return { name, type: 'boolean', load: { kind: 'exthdr', ...load }, ...needs };
  return { name, type: 'integer', ...integer(load.length), load: { kind: 'exthdr', ...load }, ...needs };
}

/** Where a TCP segment tells the largest segment that its sender takes (RFC 9293 section 3.7.1). */
export const MAXSEG = { of: 'tcp', type: 2, offset: 2, length: 2 } as const;

export const tcpOption = { maxseg: exthdr('tcp option maxseg size', MAXSEG) };

export function socket(key: Exclude<SocketKey, 'cgroupv2'>): Field {
  const load = { kind: 'socket', key } as const;
  if (key === 'mark') return { name: 'socket mark', type: 'mark', load };
  return { name: `socket ${key}`, type: 'integer', bytes: 1, order: 'host', load };
}

export function rt(key: Extract<RtKey, 'mtu'>): Field {
  return { name: `rt ${key}`, type: 'integer', bytes: 2, order: 'host', load: { kind: 'rt', key } };
}

const hostNumber = { type: 'integer', bytes: 4, order: 'host' } as const;

/** A number below `modulus`: each in turn, or any. */
export function numgen(type: 'inc' | 'random', modulus: number, offset?: number): Field {
  const name = `numgen ${type} mod ${modulus}${offset ? ` offset ${offset}` : ''}`;
  return { name, ...hostNumber, load: { kind: 'numgen', type, modulus, ...(offset ? { offset } : {}) } };
}

/** A number below `modulus` that depends on the given fields alone. */
export function jhash(of: readonly Field[], modulus: number, seed?: number): Field {
  const name = `jhash ${of.map((f) => f.name).join(' . ')} mod ${modulus}${seed === undefined ? '' : ` seed 0x${seed.toString(16)}`}`;
  return {
    name,
    ...hostNumber,
    load: { kind: 'jhash', of, modulus, ...(seed === undefined ? {} : { seed }) },
  };
}

/** A number below `modulus` that depends on the flow and is the same in both directions. */
export function symhash(modulus: number): Field {
  return { name: `symhash mod ${modulus}`, ...hostNumber, load: { kind: 'symhash', modulus } };
}

/** Bytes of the packet that no other field names; `nft` prints them as `@th,0,16`. */
export function raw(base: PayloadExpression['base'], offset: number, length: number): Field {
  const short = { link: 'll', network: 'nh', transport: 'th', inner: 'ih' }[base];
  return payload(`@${short},${offset * 8},${length * 8}`, base, offset, length, 'integer', integer(length));
}

/** Where the checksum stands that covers a field of the packet (RFC 791, RFC 9293, RFC 768); IPv6 has none. */
export function checksumOf({ load, nfproto, l4proto }: Field): Pick<PayloadSetExpression, 'checksum'> {
  if (load.kind !== 'payload') return {};
  if (load.base === 'network' && nfproto === 'ipv4') return { checksum: { type: 'internet', offset: 10 } };
  if (load.base === 'transport' && l4proto === 6) return { checksum: { type: 'internet', offset: 16 } };
  if (load.base === 'transport' && l4proto === 17) return { checksum: { type: 'internet', offset: 6 } };
  return {};
}
