import { hasHostBits, parseAddress } from '../ip.ts';
import { setsockopt } from './libc.ts';
import { AF_INET, AF_INET6, toMapped } from './sockaddr.ts';
import { socketFamily } from './sockopt.ts';

/** Which peers a key is for. */
export interface Md5Peer {
  /** One address, or with `prefixLength` the first address of a prefix. */
  readonly address: string;
  /** Bits; absent for one address. The longest prefix that a peer lies in decides its key. */
  readonly prefixLength?: number;
  /** Index of a VRF that the key is confined to; 0: to the interfaces outside all VRFs. Absent: all. */
  readonly ifindex?: number;
}

/** Longest key in bytes (TCP_MD5SIG_MAXKEYLEN). */
export const MD5_KEY_MAX = 80;

/**
 * Sets or changes the key of TCP MD5 signatures (RFC 2385) with some peers: on a listening socket for connections to
 * come, on a connecting one before connect, on an established one at once for the next segment (the peer has to change
 * in the same moment, or else segments are dropped and repeated until it has). What a listener accepted has its own
 * copy of the key.
 *
 * An IPv4 peer of an IPv6 socket is meant by its IPv4 address.
 *
 * @param key 1 to 80 bytes; a string stands for its UTF-8 bytes
 * @throws RangeError for a key or prefix that can not be
 * @throws SyscallError for what the kernel refuses, e.g. ENOPROTOOPT without CONFIG_TCP_MD5SIG
 */
export function setTcpMd5(fd: number, peer: Md5Peer, key: Uint8Array | string): void {
  const bytes = typeof key === 'string' ? new TextEncoder().encode(key) : key;
  if (bytes.length < 1 || bytes.length > MD5_KEY_MAX)
    throw new RangeError(`TCP MD5 key of ${bytes.length} bytes, expected 1 to ${MD5_KEY_MAX}`);
  apply(fd, peer, bytes);
}

/**
 * Removes a key. `peer` must be what it was set with.
 *
 * @throws SyscallError with ENOENT when there is none
 */
export function removeTcpMd5(fd: number, peer: Md5Peer): void {
  apply(fd, peer, new Uint8Array(0));
}

const SOL_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_MD5SIG_EXT = 32;
const FLAG_PREFIX = 1;
const FLAG_IFINDEX = 2;

/** struct tcp_md5sig, linux/tcp.h */
const SIZE = 216;
const FLAGS = 128;
const PREFIX_LENGTH = 129;
const KEY_LENGTH = 130;
const IFINDEX = 132;
const KEY = 136;

function apply(fd: number, peer: Md5Peer, key: Uint8Array): void {
  const { prefixLength, ifindex } = peer;
  let address: Uint8Array = parseAddress(peer.address);
  if (prefixLength !== undefined) checkPrefix(peer.address, address, prefixLength);
  const family = socketFamily(fd);
  if (family === AF_INET && address.length !== 4)
    throw new RangeError(`TCP MD5 peer ${peer.address} on an IPv4 socket, expected an IPv4 address`);
  // The kernel counts the prefix length of an IPv4-mapped address from the IPv4 part.
  if (family === AF_INET6 && address.length === 4) address = toMapped(address);
  const request = new Uint8Array(SIZE);
  const view = new DataView(request.buffer);
  view.setUint16(0, family, true);
  request.set(address, family === AF_INET ? 4 : 8);
  request[FLAGS] =
    (prefixLength === undefined ? 0 : FLAG_PREFIX) | (ifindex === undefined ? 0 : FLAG_IFINDEX);
  request[PREFIX_LENGTH] = prefixLength ?? 0;
  view.setUint16(KEY_LENGTH, key.length, true);
  view.setInt32(IFINDEX, ifindex ?? 0, true);
  request.set(key, KEY);
  const extended = request[FLAGS] !== 0;
  const subject = `${extended ? 'TCP_MD5SIG_EXT' : 'TCP_MD5SIG'} ${describe(peer)}`;
  setsockopt(fd, SOL_TCP, extended ? TCP_MD5SIG_EXT : TCP_MD5SIG, request, subject);
}

function describe(peer: Md5Peer): string {
  const prefix = peer.prefixLength === undefined ? '' : `/${peer.prefixLength}`;
  return `${peer.address}${prefix}${peer.ifindex === undefined ? '' : ` interface ${peer.ifindex}`}`;
}

/** Bits past the prefix must be 0: the kernel would keep them and never match. */
function checkPrefix(text: string, address: Uint8Array, length: number): void {
  const bits = address.length * 8;
  if (!Number.isInteger(length) || length < 0 || length > bits)
    throw new RangeError(`TCP MD5 prefix length ${length} of ${text}, expected 0 to ${bits}`);
  if (hasHostBits(address, length))
    throw new RangeError(`TCP MD5 prefix ${text}/${length} has bits set past its length`);
}
