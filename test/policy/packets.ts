/**
 * First packets of connections, as bytes: of any source, so that one sender can stand for a whole cluster.
 */

import type { AddressKey } from '#datastore/address.ts';
import type { Traffic } from '#policy/evaluator/traffic.ts';

export interface Packet {
  readonly source: AddressKey;
  readonly destination: AddressKey;
  readonly protocol: Traffic['protocol'];
  readonly port: number;
  /** Tells it from others: the identification of IPv4, the flow label of IPv6. At most 16 bits. */
  readonly number: number;
}

const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;

/** An Ethernet frame with the packet. Checksums are left out, but for that of the IPv4 header. */
export function frameOf(packet: Packet, to: Uint8Array, from: Uint8Array): Uint8Array {
  const family = packet.source.length === 2 ? 4 : 6;
  const payload = payloadOf(packet, family);
  const number = protocolNumber(packet.protocol, family);
  const header = family === 4 ? ipv4(packet, number, payload.length) : ipv6(packet, number, payload.length);
  const type = ETHERTYPE[family];
  return Uint8Array.of(...to, ...from, type >> 8, type & 255, ...header, ...payload);
}

function payloadOf({ protocol, port, number }: Packet, family: 4 | 6): number[] {
  // Every connection from a port of its own.
  const ports = [...u16(1024 + (number % 64_000)), ...u16(port)];
  switch (protocol) {
    case 'TCP': // SYN, data offset 5
      return [...ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    case 'UDP':
      return [...ports, 0, 8, 0, 0];
    case 'SCTP': // INIT
      return [...ports, ...zeros(8), 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
    case 'other': // Echo request
      return [family === 4 ? 8 : 128, 0, 0, 0, ...u16(number), 0, 1];
  }
}

function protocolNumber(protocol: Packet['protocol'], family: 4 | 6): number {
  return { TCP: 6, UDP: 17, SCTP: 132, other: family === 4 ? 1 : 58 }[protocol];
}

/** RFC 791 section 3.1. */
function ipv4({ source, destination, number }: Packet, protocol: number, length: number): number[] {
  const header = [0x45, 0, ...u16(20 + length), ...u16(number), 0, 0, 64, protocol, 0, 0];
  header.push(...bytesOf(source), ...bytesOf(destination));
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header[i]! * 256 + header[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header.splice(10, 2, ...u16(~sum & 0xffff));
  return header;
}

/** RFC 8200 section 3. */
function ipv6({ source, destination, number }: Packet, protocol: number, length: number): number[] {
  const header = [0x60, 0, ...u16(number), ...u16(length), protocol, 64];
  return [...header, ...bytesOf(source), ...bytesOf(destination)];
}

function bytesOf(address: AddressKey): number[] {
  return [...address].flatMap((unit) => u16(unit.charCodeAt(0)));
}

function u16(value: number): [number, number] {
  return [(value >> 8) & 255, value & 255];
}

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0);
}
