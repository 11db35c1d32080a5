import { formatAddress } from '../ip.ts';
import { addressOf, bind, close, recvmmsg, sendmsg, socket } from './libc.ts';
import type { NetworkNamespace } from './namespace.ts';
import { AF_INET, AF_INET6, decodeSockaddr, encodeSockaddr, type SocketAddress } from './sockaddr.ts';
import { type SocketOptions, setSocketOptions } from './sockopt.ts';

/** Where to bind a UDP socket, and its options. Unless told otherwise `v6Only` is on for IPv6. */
export interface UdpOptions extends SocketAddress, SocketOptions {
  readonly namespace?: NetworkNamespace;
}

/**
 * Opens a bound, non-blocking UDP socket and returns its descriptor. The TTL of what comes is told with `receiveTtl`,
 * destination and interface with `receivePacketInfo`.
 *
 * @throws SyscallError, AddressError, RangeError
 */
export function openUdp(options: UdpOptions): number {
  const address = encodeSockaddr(options);
  const family = address[0]!;
  const open = (): number => socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const fd = options.namespace ? options.namespace.run(open) : open();
  try {
    setSocketOptions(fd, { ...(family === AF_INET6 ? { v6Only: true } : {}), ...options });
    bind(fd, address, `${options.address} port ${options.port}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Receives many datagrams by one recvmmsg(2), with what came beside them. Everything lies in memory that is made once:
 * what `receive` left in a slot is valid until the next `receive`. One reader serves any number of sockets.
 */
export class DatagramReader {
  /** Datagrams a call takes at most. */
  readonly slots: number;
  /** Bytes of the datagram in each slot. */
  readonly length: Int32Array;
  /** TTL or hop limit it came with; -1 unless the socket has `receiveTtl`. */
  readonly ttl: Int16Array;
  /** Index of the interface it came in on; 0 unless the socket has `receivePacketInfo`. */
  readonly ifindex: Int32Array;
  /** 1 for a datagram that was longer than the room: its end is lost. */
  readonly truncated: Uint8Array;
  readonly #room: number;
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  readonly #headers: Uint8Array;
  readonly #names: number;
  readonly #controls: number;
  readonly #payloads: number;
  readonly #destination: Int32Array;
  readonly #destinationSize: Uint8Array;

  /**
   * @param slots datagrams a call takes at most
   * @param room longest datagram, in bytes
   */
  constructor(slots = 32, room = 2048) {
    this.slots = slots;
    this.length = new Int32Array(slots);
    this.ttl = new Int16Array(slots);
    this.ifindex = new Int32Array(slots);
    this.truncated = new Uint8Array(slots);
    this.#destination = new Int32Array(slots);
    this.#destinationSize = new Uint8Array(slots);
    this.#room = room;
    const vectors = slots * MMSGHDR;
    this.#names = vectors + slots * IOVEC;
    this.#controls = this.#names + slots * NAME;
    this.#payloads = this.#controls + slots * CONTROL;
    const memory = new ArrayBuffer(this.#payloads + slots * room);
    this.#memory = new Uint8Array(memory);
    this.#headers = this.#memory.subarray(0, vectors);
    this.#view = new DataView(memory);
    const base = addressOf(memory);
    for (let slot = 0; slot < slots; slot++) {
      const vector = vectors + slot * IOVEC;
      const header = slot * MMSGHDR;
      this.#view.setBigUint64(vector, base + BigInt(this.#payloads + slot * room), true);
      this.#view.setBigUint64(vector + 8, BigInt(room), true);
      this.#view.setBigUint64(header, base + BigInt(this.#names + slot * NAME), true);
      this.#view.setBigUint64(header + 16, base + BigInt(vector), true);
      this.#view.setUint32(header + 24, 1, true);
      this.#view.setBigUint64(header + 32, base + BigInt(this.#controls + slot * CONTROL), true);
    }
  }

  /**
   * Receives what is there. Returns how many slots were filled, from 0 on; 0 when there is nothing to read.
   *
   * @throws SyscallError also for what an ICMP message said about a connected socket, e.g. ECONNREFUSED
   */
  receive(fd: number): number {
    for (let slot = 0; slot < this.slots; slot++) {
      this.#view.setUint32(slot * MMSGHDR + 8, NAME, true);
      this.#view.setUint32(slot * MMSGHDR + 40, CONTROL, true);
    }
    const count = recvmmsg(fd, this.#headers, this.slots, 0);
    for (let slot = 0; slot < count; slot++) this.#readSlot(slot);
    return count;
  }

  /** The datagram in a slot: a view of this reader's memory. */
  data(slot: number): Uint8Array {
    const at = this.#payloads + slot * this.#room;
    return this.#memory.subarray(at, at + this.length[slot]!);
  }

  /** Who sent it. */
  source(slot: number): SocketAddress {
    return decodeSockaddr(this.#memory, this.#names + slot * NAME);
  }

  /** The address it was sent to; undefined unless the socket has `receivePacketInfo`. */
  destination(slot: number): string | undefined {
    const size = this.#destinationSize[slot]!;
    return size === 0 ? undefined : formatAddress(this.#memory, this.#destination[slot]!, size);
  }

  #readSlot(slot: number): void {
    const view = this.#view;
    const header = slot * MMSGHDR;
    this.length[slot] = view.getUint32(header + 56, true);
    this.truncated[slot] = view.getUint32(header + 48, true) & MSG_TRUNC ? 1 : 0;
    this.ttl[slot] = -1;
    this.ifindex[slot] = 0;
    this.#destinationSize[slot] = 0;
    const end = this.#controls + slot * CONTROL + view.getUint32(header + 40, true);
    let at = this.#controls + slot * CONTROL;
    while (at + CMSGHDR <= end) {
      const size = view.getUint32(at, true);
      if (size < CMSGHDR || at + size > end) break;
      this.#readControl(slot, view.getInt32(at + 8, true), view.getInt32(at + 12, true), at + CMSGHDR);
      at += (size + 7) & ~7;
    }
  }

  #readControl(slot: number, level: number, type: number, at: number): void {
    const view = this.#view;
    if ((level === SOL_IP && type === IP_TTL) || (level === SOL_IPV6 && type === IPV6_HOPLIMIT)) {
      this.ttl[slot] = view.getInt32(at, true);
    } else if (level === SOL_IP && type === IP_PKTINFO) {
      this.ifindex[slot] = view.getInt32(at, true);
      this.#destination[slot] = at + 8; // ipi_addr, after the local address that would answer
      this.#destinationSize[slot] = 4;
    } else if (level === SOL_IPV6 && type === IPV6_PKTINFO) {
      this.ifindex[slot] = view.getInt32(at + 16, true);
      this.#destination[slot] = at;
      this.#destinationSize[slot] = 16;
    }
  }
}

/** What a datagram is sent with, other than its socket's own. */
export interface SendOptions {
  /** 1 to 255. */
  readonly ttl?: number;
  /** Source address, as {@link encodeSockaddr} lays it out; its port is not used. */
  readonly source?: Uint8Array;
  /** Index of the interface to send it out of. */
  readonly ifindex?: number;
}

/** Sends datagrams, with a TTL, source address or interface for each if need be. */
export class DatagramWriter {
  readonly #room: number;
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  readonly #base: bigint;

  /** @param room longest datagram, in bytes */
  constructor(room = 2048) {
    this.#room = room;
    const memory = new ArrayBuffer(PAYLOAD + room);
    this.#memory = new Uint8Array(memory);
    this.#view = new DataView(memory);
    this.#base = addressOf(memory);
    this.#view.setBigUint64(0, this.#base + BigInt(TO), true);
    this.#view.setBigUint64(16, this.#base + BigInt(VECTOR), true);
    this.#view.setUint32(24, 1, true);
    this.#view.setBigUint64(VECTOR, this.#base + BigInt(PAYLOAD), true);
  }

  /**
   * Sends one datagram.
   *
   * @param to as {@link encodeSockaddr} lays it out
   * @returns false when the socket's buffer is full: it was not sent
   * @throws SyscallError, RangeError
   */
  send(fd: number, bytes: Uint8Array, to: Uint8Array, options?: SendOptions): boolean {
    if (bytes.length > this.#room)
      throw new RangeError(`datagram of ${bytes.length} bytes, expected at most ${this.#room}`);
    const view = this.#view;
    this.#memory.set(to, TO);
    this.#memory.set(bytes, PAYLOAD);
    view.setUint32(8, to.length, true);
    view.setUint32(VECTOR + 8, bytes.length, true);
    const end = options ? this.#writeControls(to[0]!, options) : SEND_CONTROL;
    view.setBigUint64(32, end === SEND_CONTROL ? 0n : this.#base + BigInt(SEND_CONTROL), true);
    view.setUint32(40, end - SEND_CONTROL, true);
    return sendmsg(fd, this.#memory.subarray(0, MSGHDR), 0) >= 0;
  }

  #writeControls(family: number, options: SendOptions): number {
    const six = family !== AF_INET;
    let at = SEND_CONTROL;
    if (options.ttl !== undefined) {
      const start = this.#control(at, six ? SOL_IPV6 : SOL_IP, six ? IPV6_HOPLIMIT : IP_TTL, 4);
      this.#view.setInt32(start, options.ttl, true);
      at = start + 8;
    }
    const { source, ifindex } = options;
    if (source === undefined && ifindex === undefined) return at;
    if (source !== undefined && source[0] !== family)
      throw new RangeError(`source of family ${source[0]} to a destination of family ${family}`);
    if (six) {
      const start = this.#control(at, SOL_IPV6, IPV6_PKTINFO, 20);
      if (source) this.#memory.set(source.subarray(8, 24), start);
      this.#view.setInt32(start + 16, ifindex ?? 0, true);
      return start + 24;
    }
    const start = this.#control(at, SOL_IP, IP_PKTINFO, 12);
    this.#view.setInt32(start, ifindex ?? 0, true);
    if (source) this.#memory.set(source.subarray(4, 8), start + 4); // ipi_spec_dst
    return start + 16;
  }

  /** Writes a struct cmsghdr with a zeroed value, and returns where the value starts. */
  #control(at: number, level: number, type: number, size: number): number {
    this.#view.setBigUint64(at, BigInt(CMSGHDR + size), true);
    this.#view.setInt32(at + 8, level, true);
    this.#view.setInt32(at + 12, type, true);
    this.#memory.fill(0, at + CMSGHDR, at + CMSGHDR + ((size + 7) & ~7));
    return at + CMSGHDR;
  }
}

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_TRUNC = 0x20;
const SOL_IP = 0;
const SOL_IPV6 = 41;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const IPV6_HOPLIMIT = 52;

/** Sizes on 64-bit machines: struct msghdr, mmsghdr, iovec, cmsghdr (bits/socket.h), and room for what they point to. */
const MSGHDR = 56;
const MMSGHDR = 64;
const IOVEC = 16;
const CMSGHDR = 16;
const NAME = 32;
const CONTROL = 96;

/** Where things lie in a writer's memory. */
const VECTOR = 64;
const TO = 80;
const SEND_CONTROL = 112;
const PAYLOAD = 192;
