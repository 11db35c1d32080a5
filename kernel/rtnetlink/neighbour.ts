import { Attributes } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
import {
  NDA_DST,
  NDA_LLADDR,
  NDA_PROTOCOL,
  NDMSG,
  NTF_EXT_LEARNED,
  NTF_PROXY,
  NTF_ROUTER,
} from './constants.ts';
import { addressText, formatHardwareAddress, type IpFamily, ipFamily, Names, needHeader } from './value.ts';

/** An entry of the neighbour table (ARP, neighbour discovery), or of the table of addresses answered for (proxy). */
export interface Neighbour {
  readonly family: IpFamily;
  /** Index of the interface. A proxy entry for all interfaces has 0. */
  readonly link: number;
  readonly address: string;
  /** Link-layer address; absent while it is not known, and in proxy entries. */
  readonly hardwareAddress?: string;
  /** `none` in proxy entries. */
  readonly state: NeighbourState;
  /** We answer for the address on this interface as if it were ours. */
  readonly proxy: boolean;
  /** IPv6: the neighbour said that it is a router. */
  readonly router: boolean;
  /** A control plane learned it: the kernel neither ages nor removes it. */
  readonly externallyLearned: boolean;
  /** Who set it (`ip neigh show proto`), 0 to 255; 0 is left out. */
  readonly protocol?: number;
}

/** linux/neighbour.h, NUD_*. */
export type NeighbourState =
  | 'none'
  | 'incomplete'
  | 'reachable'
  | 'stale'
  | 'delay'
  | 'probe'
  | 'failed'
  | 'no-arp'
  | 'permanent';

export const neighbourStates: Names<NeighbourState> = new Names({
  none: 0,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  'no-arp': 0x40,
  permanent: 0x80,
});

const attributes = new Attributes(NDA_PROTOCOL);

/**
 * Reads an RTM_NEWNEIGH or RTM_DELNEIGH. Undefined for those of other families than IPv4 and IPv6, such as the
 * forwarding table of a bridge.
 *
 * @throws RangeError for a message that is cut short
 */
export function readNeighbour(message: Message): Neighbour | undefined {
  const { bytes, view, start, end } = message;
  needHeader('neighbour', end - start, NDMSG);
  const family = ipFamily(bytes[start]!);
  if (family === undefined) return undefined;
  const flags = bytes[start + 10]!;
  attributes.parse(bytes, view, start + NDMSG, end);
  const neighbour: { -readonly [K in keyof Neighbour]: Neighbour[K] } = {
    family,
    link: view.getInt32(start + 4, true),
    address: addressText(attributes, NDA_DST, family),
    state: neighbourStates.name(view.getUint16(start + 8, true)) ?? 'none',
    proxy: (flags & NTF_PROXY) !== 0,
    router: (flags & NTF_ROUTER) !== 0,
    externallyLearned: (flags & NTF_EXT_LEARNED) !== 0,
  };
  if (attributes.has(NDA_LLADDR) && attributes.size(NDA_LLADDR) > 0) {
    neighbour.hardwareAddress = formatHardwareAddress(attributes.copy(NDA_LLADDR));
  }
  const protocol = attributes.u8(NDA_PROTOCOL, 0);
  if (protocol !== 0) neighbour.protocol = protocol;
  return neighbour;
}
