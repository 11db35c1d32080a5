/**
 * Real packets between network namespaces, many at a time, from one process: raw sockets of each, and no program started.
 */

import { parseAddress } from '#kernel/ip.ts';
import { close, connect, pollReadable, recv, send, setsockopt, socket } from '#kernel/sys/libc.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { encodeSockaddr } from '#kernel/sys/sockaddr.ts';

export type ProbeProtocol = 'TCP' | 'UDP' | 'SCTP' | 'other';

/** One packet of a new connection. */
export interface Probe {
  readonly from: Prober;
  readonly to: Prober;
  readonly source: string;
  readonly destination: string;
  /** `other` is an echo request. */
  readonly protocol: ProbeProtocol;
  readonly port: number;
}

export interface ProbeResult {
  /** The packet came to the other end. */
  readonly arrived: boolean;
  /** What the other end's kernel answered came back: TCP (a reset, nobody listens) and echo only. */
  readonly answered: boolean;
}

const AF = { 4: 2, 6: 10 } as const;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const IPPROTO_RAW = 255;
const NUMBERS: Readonly<Record<ProbeProtocol, Readonly<Record<4 | 6, number>>>> = {
  TCP: { 4: 6, 6: 6 },
  UDP: { 4: 17, 6: 17 },
  SCTP: { 4: 132, 6: 132 },
  other: { 4: 1, 6: 58 },
};
export const MSG_DONTWAIT = 0x40;
/** Starts what we send, where there is room for it. */
const MAGIC = 0x6d677921;

/** The sockets of one namespace. */
export class Prober implements Disposable {
  /** Path of the namespace. */
  readonly name: string;
  readonly senders: Readonly<Record<4 | 6, number>>;
  readonly receivers: readonly { fd: number; family: 4 | 6; protocol: ProbeProtocol }[];

  constructor(name: string, namespace: NetworkNamespace) {
    this.name = name;
    const open: number[] = [];
    namespace.run(() => {
      for (const family of [4, 6] as const)
        open.push(socket(AF[family], SOCK_RAW | SOCK_NONBLOCK, IPPROTO_RAW));
      for (const family of [4, 6] as const) {
        for (const protocol of ['TCP', 'UDP', 'SCTP', 'other'] as const) {
          const fd = socket(AF[family], SOCK_RAW | SOCK_NONBLOCK, NUMBERS[protocol][family]);
          setsockopt(fd, 1, 33, 4 << 20); // SO_RCVBUFFORCE
          open.push(fd);
        }
      }
    });
    this.senders = { 4: open[0]!, 6: open[1]! };
    this.receivers = open.slice(2).map((fd, i) => ({
      fd,
      family: i < 4 ? 4 : 6,
      protocol: (['TCP', 'UDP', 'SCTP', 'other'] as const)[i % 4]!,
    }));
  }

  [Symbol.dispose](): void {
    for (const fd of [this.senders[4], this.senders[6], ...this.receivers.map((r) => r.fd)]) close(fd);
  }
}

let lastNumber = 0;
const received = new Uint8Array(2048);

/**
 * Sends one packet for each probe and says which came to the other end. It is over when everything that `expected` says has
 * come, and nothing else came for a moment.
 *
 * @param options.patience ms to wait at most for what is expected
 */
export async function probe(
  probes: readonly Probe[],
  expected: readonly boolean[],
  options: { readonly patience?: number } = {},
): Promise<ProbeResult[]> {
  const first = lastNumber + 1;
  const arrived = new Uint8Array(probes.length);
  const answered = new Uint8Array(probes.length);
  const ends = [...new Set(probes.flatMap(({ from, to }) => [from, to]))];
  const receivers = ends.flatMap((end) => end.receivers.map((receiver) => ({ end, ...receiver })));
  const fds = receivers.map(({ fd }) => fd);
  for (const { end, fd } of receivers) {
    void end;
    while (recv(fd, received, received.length, MSG_DONTWAIT) >= 0);
  }
  let missing = expected.filter((value) => value).length;
  const collect = (): boolean => {
    let any = false;
    pollReadable(fds, 0).forEach((readable, i) => {
      if (!readable) return;
      const { end, fd, family, protocol } = receivers[i]!;
      for (;;) {
        const length = recv(fd, received, received.length, MSG_DONTWAIT);
        if (length < 0) break;
        const found = readProbe(received.subarray(0, length), family, protocol);
        if (!found) continue;
        const index = (found.number - first) >>> 0;
        const of = probes[index];
        if (!of || of.protocol !== protocol) continue;
        any = true;
        if (found.answer && of.from === end) answered[index] = 1;
        if (!found.answer && of.to === end && !arrived[index]) {
          arrived[index] = 1;
          if (expected[index]) missing--;
        }
      }
    });
    return any;
  };
  probes.forEach((one, i) => {
    lastNumber = first + i;
    transmit(one, lastNumber);
    if (i % 64 === 63) collect();
  });
  const deadline = Date.now() + (options.patience ?? 5000);
  let quiet = 0;
  while (quiet < 3 && (missing === 0 || Date.now() < deadline)) {
    quiet = collect() || missing > 0 ? 0 : quiet + 1;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return probes.map((_, i) => ({ arrived: arrived[i] === 1, answered: answered[i] === 1 }));
}

/** Sends the packet of a probe. */
export function transmit({ from, source, destination, protocol, port }: Probe, number: number): void {
  const packet = buildPacket(source, destination, protocol, port, number);
  const family = destination.includes(':') ? 6 : 4;
  const fd = from.senders[family];
  try {
    connect(fd, encodeSockaddr({ address: destination, port: 0 }));
    send(fd, packet, packet.length, 0);
  } catch (error) {
    // The sender's own kernel: an output hook that drops says EPERM; no route, ENETUNREACH.
    if (!/EPERM|ENETUNREACH|EHOSTUNREACH/.test(String(error))) throw error;
  }
}

/** A whole IP packet: a SYN, a datagram, an INIT or an echo request that bears a number. */
export function buildPacket(
  source: string,
  destination: string,
  protocol: ProbeProtocol,
  port: number,
  number: number,
): Uint8Array {
  const from = parseAddress(source);
  const to = parseAddress(destination);
  const family = from.length === 4 ? 4 : 6;
  const payload = buildPayload(family, protocol, port, number);
  const protocolNumber = NUMBERS[protocol][family];
  const header = family === 4 ? 20 : 40;
  const packet = new Uint8Array(header + payload.length);
  const view = new DataView(packet.buffer);
  packet.set(payload, header);
  if (family === 4) {
    view.setUint8(0, 0x45);
    view.setUint16(2, packet.length);
    view.setUint16(4, number & 0xffff);
    view.setUint8(8, 64);
    view.setUint8(9, protocolNumber);
    packet.set(from, 12);
    packet.set(to, 16);
  } else {
    view.setUint8(0, 0x60);
    view.setUint16(4, payload.length);
    view.setUint8(6, protocolNumber);
    view.setUint8(7, 64);
    packet.set(from, 8);
    packet.set(to, 24);
  }
  const at = { TCP: 16, UDP: 6, SCTP: -1, other: 2 }[protocol];
  if (protocol === 'SCTP') {
    view.setUint32(header + 8, crc32c(packet.subarray(header)), true);
  } else {
    const pseudo =
      protocol === 'other' && family === 4 ? 0 : pseudoSum(from, to, protocolNumber, payload.length);
    view.setUint16(header + at, checksum(packet.subarray(header), pseudo));
  }
  return packet;
}

function buildPayload(family: 4 | 6, protocol: ProbeProtocol, port: number, number: number): Uint8Array {
  const sourcePort = 20000 + (number % 40000);
  const view = new DataView(new ArrayBuffer({ TCP: 20, UDP: 16, SCTP: 32, other: 16 }[protocol]));
  if (protocol === 'other') {
    view.setUint8(0, family === 4 ? 8 : 128);
    view.setUint16(4, number & 0xffff);
    view.setUint16(6, number >>> 16);
    view.setUint32(8, MAGIC);
    view.setUint32(12, number);
    return new Uint8Array(view.buffer);
  }
  view.setUint16(0, sourcePort);
  view.setUint16(2, port);
  if (protocol === 'TCP') {
    view.setUint32(4, number);
    view.setUint8(12, 0x50);
    view.setUint8(13, 2);
    view.setUint16(14, 0x7921);
  } else if (protocol === 'UDP') {
    view.setUint16(4, 16);
    view.setUint32(8, MAGIC);
    view.setUint32(12, number);
  } else {
    view.setUint8(12, 1); // INIT
    view.setUint16(14, 20);
    view.setUint32(16, number);
    view.setUint32(20, 65536);
    view.setUint16(24, 1);
    view.setUint16(26, 1);
    view.setUint32(28, MAGIC);
  }
  return new Uint8Array(view.buffer);
}

/** What an IPv4 raw socket gives has its IP header, what an IPv6 one gives has not. */
export function readProbe(
  bytes: Uint8Array,
  family: 4 | 6,
  protocol: ProbeProtocol,
): { number: number; answer: boolean } | undefined {
  const at = family === 4 ? (bytes[0]! & 15) * 4 : 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  if (view.byteLength < 16) return undefined;
  switch (protocol) {
    case 'TCP': {
      const flags = view.getUint8(13);
      if (flags & 4) return { number: (view.getUint32(8) - 1) >>> 0, answer: true };
      return flags & 2 ? { number: view.getUint32(4), answer: false } : undefined;
    }
    case 'UDP':
      return view.getUint32(8) === MAGIC ? { number: view.getUint32(12), answer: false } : undefined;
    case 'SCTP':
      return view.getUint8(12) === 1 ? { number: view.getUint32(16), answer: false } : undefined;
    case 'other': {
      const type = view.getUint8(0);
      if (view.getUint32(8) !== MAGIC) return undefined;
      return { number: view.getUint32(12), answer: type === 0 || type === 129 };
    }
  }
}

function pseudoSum(from: Uint8Array, to: Uint8Array, protocol: number, length: number): number {
  return wordSum(from) + wordSum(to) + protocol + length;
}

function wordSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  return sum;
}

function checksum(bytes: Uint8Array, start: number): number {
  let sum = start + wordSum(bytes);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff || 0xffff;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

/** RFC 9260 appendix A. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
