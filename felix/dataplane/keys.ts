import type { AddressKey } from '#datastore/address.ts';
import { normaliseElements } from '#kernel/nftables/elements.ts';
import type { Element, SetShape } from '#kernel/nftables/model.ts';
import { boxesOf, type PortSet } from '#proto/ports.ts';

/*
 * Keys of sets, as the hexadecimal text that the kernel layer takes: each field padded with zeros to whole words.
 */

/** `ifname` */
export function interfaceHex(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(32, '0');
}

/** `ipv4_addr` or `ipv6_addr` */
export function addressHex(address: AddressKey): string {
  let text = '';
  for (let unit = 0; unit < address.length; unit++) {
    text += address.charCodeAt(unit).toString(16).padStart(4, '0');
  }
  return text;
}

/** `inet_proto . inet_service` */
export function portHex(protocol: number, port: number): string {
  return `${protocol.toString(16).padStart(2, '0')}000000${port.toString(16).padStart(4, '0')}0000`;
}

/** The ports of one pod, by the kind of set that holds them: one lookup each, and only what needs intervals in those. */
export interface PortElements {
  /** `ifname`: all traffic. */
  readonly all: readonly Element[];
  /** `ifname . inet_proto . inet_service`: single ports. */
  readonly ports: readonly Element[];
  /** The same with intervals: ranges, all ports of a protocol, protocols without ports. */
  readonly ranges: readonly Element[];
}

export type PortTier = keyof PortElements;
export const PORT_TIERS: readonly PortTier[] = ['all', 'ports', 'ranges'];

export const PORT_SHAPES: Readonly<Record<PortTier, SetShape>> = {
  all: { key: ['ifname'] },
  ports: { key: ['ifname', 'inet_proto', 'inet_service'] },
  ranges: { key: ['ifname', 'inet_proto', 'inet_service'], interval: true },
};

const NOTHING: PortElements = { all: [], ports: [], ranges: [] };

/** @param start the interface, as {@link interfaceHex} gives it */
export function portElements(start: string, set: PortSet, comment: string): PortElements {
  if (set.text === 'none') return NOTHING;
  if (set.text === 'all') return { ...NOTHING, all: [{ key: start, comment }] };
  const ports: Element[] = [];
  const ranges: Element[] = [];
  for (const { protocols, ports: range } of boxesOf(set)) {
    const key = start + portHex(protocols.first, range.first);
    if (protocols.first === protocols.last && range.first === range.last) ports.push({ key, comment });
    else ranges.push({ key, end: start + portHex(protocols.last, range.last), comment });
  }
  return {
    all: [],
    ports,
    // Protocols that lie side by side become one interval. Those of two pods never touch: a name ends with a zero.
    ranges: ranges.length > 1 ? normaliseElements(PORT_SHAPES.ranges, ranges) : ranges,
  };
}

const COMMENT_BYTES = 127;

/** A comment that nft takes: no quotes, at most 127 bytes. */
export function commentOf(text: string): string {
  const plain = text.replaceAll('"', "'").replaceAll(/\p{Cc}/gu, ' ');
  if (Buffer.byteLength(plain) <= COMMENT_BYTES) return plain;
  let cut = Buffer.from(plain)
    .subarray(0, COMMENT_BYTES - 3)
    .toString();
  cut = cut.replace(/\ufffd+$/, '');
  return `${cut}...`;
}
