import { getsockoptBytes, getsockoptInt, setsockopt } from './libc.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';

/**
 * Options of an IP socket, under one name for IPv4 and IPv6. On an IPv6 socket that takes IPv4 too (`v6Only` false) an
 * option that both protocols have is set for both.
 */
export interface SocketOptions {
  /** IPV6_V6ONLY: an IPv6 socket takes no IPv4. Before bind. */
  readonly v6Only?: boolean;
  /** SO_REUSEADDR: bind a listener although connections of an earlier one linger. */
  readonly reuseAddress?: boolean;
  /** SO_REUSEPORT: several sockets on one address and port. */
  readonly reusePort?: boolean;
  /** IP_FREEBIND: bind an address that the machine does not have (yet). */
  readonly freebind?: boolean;
  /** IP_TRANSPARENT: bind any address, and take connections meant for others. Needs CAP_NET_ADMIN. */
  readonly transparent?: boolean;
  /** SO_BINDTODEVICE: send and receive on this interface alone; '' takes it back. */
  readonly device?: string;
  /** SO_MARK: the mark of what is sent. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** IP_TTL, IPV6_UNICAST_HOPS: TTL of what is sent, 1 to 255. */
  readonly ttl?: number;
  /** IP_MINTTL, IPV6_MINHOPCOUNT: TCP segments that come with less are dropped (GTSM, RFC 5082); 0 takes it back. */
  readonly minTtl?: number;
  /** IP_TOS, IPV6_TCLASS: the whole byte, so DSCP CS6 is 0xc0. */
  readonly trafficClass?: number;
  /** SO_PRIORITY: 7 needs CAP_NET_ADMIN. On IPv4 `trafficClass` sets it too, to what suits it. */
  readonly priority?: number;
  /** IP_RECVTTL, IPV6_RECVHOPLIMIT: recvmsg tells the TTL that each datagram came with. */
  readonly receiveTtl?: boolean;
  /** IP_PKTINFO, IPV6_RECVPKTINFO: recvmsg tells each datagram's destination address and interface. */
  readonly receivePacketInfo?: boolean;
  /** SO_RCVBUFFORCE in bytes (the kernel doubles it for its own needs). Needs CAP_NET_ADMIN. */
  readonly receiveBuffer?: number;
  /** SO_SNDBUFFORCE in bytes, as `receiveBuffer`. */
  readonly sendBuffer?: number;
  /** SO_KEEPALIVE. */
  readonly keepAlive?: boolean;
  /** TCP_NODELAY: send small segments at once. */
  readonly noDelay?: boolean;
  /** TCP_SAVE_SYN: what a listener accepts comes with the headers of its SYN, see {@link ttlOfSyn}. Before listen. */
  readonly saveSyn?: boolean;
  /** TCP_MAXSEG: largest segment, in bytes. Before connect or listen. */
  readonly maxSegment?: number;
  /** TCP_SYNCNT: how often a SYN is repeated before connect fails with ETIMEDOUT, 1 to 127. */
  readonly synRetries?: number;
  /** TCP_USER_TIMEOUT in ms: data unacknowledged for so long ends the connection with ETIMEDOUT; 0 is the default. */
  readonly userTimeout?: number;
}

/** Sets the options that are present, in the order of {@link SocketOptions}. */
export function setSocketOptions(fd: number, options: SocketOptions): void {
  let family = -1;
  for (const [name, kind] of TABLE) {
    const value = options[name];
    if (value === undefined) continue;
    if (family === -1) family = socketFamily(fd);
    const found = places(fd, family, kind);
    if (found.length === 0) throw new RangeError(`option ${name} on an IPv4 socket, expected an IPv6 socket`);
    const bytes = typeof value === 'string' ? textEncoder.encode(`${value}\0`) : Number(value);
    for (const [level, option, label] of found) {
      setsockopt(fd, level, option, bytes, `${label} ${value}`);
    }
  }
}

/** What the kernel holds for an option, as a number: 0 and 1 for those that are on or off. */
export function getSocketOption(fd: number, name: Exclude<keyof SocketOptions, 'device'>): number {
  const kind = TABLE.find(([known]) => known === name)![1];
  const [place] = places(fd, socketFamily(fd), kind);
  if (place === undefined) throw new RangeError(`option ${name} on an IPv4 socket, expected an IPv6 socket`);
  // The buffers are read under other numbers than those that set them past the limits.
  const number = place[2].endsWith('FORCE') ? place[1] - 25 : place[1];
  return getsockoptInt(fd, place[0], number, place[2]);
}

/**
 * The TTL that the SYN of an accepted connection arrived with, if its listener had `saveSyn`. It can be asked for once. `undefined` when
 * the kernel has not kept it, as when it answered with a SYN cookie.
 */
export function ttlOfSyn(fd: number): number | undefined {
  // IPv6 and TCP headers with all options are shorter; extension headers are not of interest.
  const headers = getsockoptBytes(fd, SOL_TCP, 28, 256, 'TCP_SAVED_SYN');
  if (headers.length < 20) return undefined;
  return headers[0]! >>> 4 === 4 ? headers[8] : headers[7];
}

/** AF_INET, AF_INET6, ... (SO_DOMAIN). */
export function socketFamily(fd: number): number {
  return getsockoptInt(fd, SOL_SOCKET, 39, 'SO_DOMAIN');
}

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_TCP = 6;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;

const textEncoder = new TextEncoder();

type Place = readonly [level: number, option: number, label: string];
interface Kind {
  readonly any?: Place;
  readonly v4?: Place;
  readonly v6?: Place;
}

/** asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h */
const TABLE: readonly (readonly [keyof SocketOptions, Kind])[] = [
  ['v6Only', { v6: [SOL_IPV6, IPV6_V6ONLY, 'IPV6_V6ONLY'] }],
  ['reuseAddress', { any: [SOL_SOCKET, 2, 'SO_REUSEADDR'] }],
  ['reusePort', { any: [SOL_SOCKET, 15, 'SO_REUSEPORT'] }],
  ['freebind', { v4: [SOL_IP, 15, 'IP_FREEBIND'], v6: [SOL_IPV6, 78, 'IPV6_FREEBIND'] }],
  ['transparent', { v4: [SOL_IP, 19, 'IP_TRANSPARENT'], v6: [SOL_IPV6, 75, 'IPV6_TRANSPARENT'] }],
  ['device', { any: [SOL_SOCKET, 25, 'SO_BINDTODEVICE'] }],
  ['mark', { any: [SOL_SOCKET, 36, 'SO_MARK'] }],
  ['ttl', { v4: [SOL_IP, 2, 'IP_TTL'], v6: [SOL_IPV6, 16, 'IPV6_UNICAST_HOPS'] }],
  ['minTtl', { v4: [SOL_IP, 21, 'IP_MINTTL'], v6: [SOL_IPV6, 73, 'IPV6_MINHOPCOUNT'] }],
  ['trafficClass', { v4: [SOL_IP, 1, 'IP_TOS'], v6: [SOL_IPV6, 67, 'IPV6_TCLASS'] }],
  // After the traffic class, which on IPv4 sets the priority along.
  ['priority', { any: [SOL_SOCKET, 12, 'SO_PRIORITY'] }],
  ['receiveTtl', { v4: [SOL_IP, 12, 'IP_RECVTTL'], v6: [SOL_IPV6, 51, 'IPV6_RECVHOPLIMIT'] }],
  ['receivePacketInfo', { v4: [SOL_IP, 8, 'IP_PKTINFO'], v6: [SOL_IPV6, 49, 'IPV6_RECVPKTINFO'] }],
  ['receiveBuffer', { any: [SOL_SOCKET, 33, 'SO_RCVBUFFORCE'] }],
  ['sendBuffer', { any: [SOL_SOCKET, 32, 'SO_SNDBUFFORCE'] }],
  ['keepAlive', { any: [SOL_SOCKET, 9, 'SO_KEEPALIVE'] }],
  ['noDelay', { any: [SOL_TCP, 1, 'TCP_NODELAY'] }],
  ['saveSyn', { any: [SOL_TCP, 27, 'TCP_SAVE_SYN'] }],
  ['maxSegment', { any: [SOL_TCP, 2, 'TCP_MAXSEG'] }],
  ['synRetries', { any: [SOL_TCP, 7, 'TCP_SYNCNT'] }],
  ['userTimeout', { any: [SOL_TCP, 18, 'TCP_USER_TIMEOUT'] }],
];

function places(fd: number, family: number, kind: Kind): Place[] {
  if (kind.any) return [kind.any];
  if (family === AF_INET) return kind.v4 ? [kind.v4] : [];
  if (family !== AF_INET6) throw new RangeError(`socket of family ${family}, expected 2 (IPv4) or 10 (IPv6)`);
  const six = kind.v6 ? [kind.v6] : [];
  return kind.v4 && getsockoptInt(fd, SOL_IPV6, IPV6_V6ONLY) === 0 ? [...six, kind.v4] : six;
}
