import { Attributes } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_FLAGS,
  IFA_LOCAL,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  IFADDRMSG,
} from './constants.ts';
import { type Scope, scopeOf } from './scope.ts';
import { addressText, type IpFamily, ipFamily, Names, needHeader } from './value.ts';

/** An address of an interface. Optional fields are absent where they do not apply. */
export interface Address {
  readonly family: IpFamily;
  /** Index of the interface. */
  readonly link: number;
  /** The interface's own address. */
  readonly address: string;
  /** Prefix length; with a peer, of the peer's prefix. */
  readonly length: number;
  /** The address at the other end of a point-to-point link. */
  readonly peer?: string;
  /** IPv4. */
  readonly broadcast?: string;
  /** IPv6: always the one that follows from the address. */
  readonly scope: Scope;
  /** In the order of linux/if_addr.h. */
  readonly flags: readonly AddressFlag[];
  /** Seconds until it is not used for new connections any more; absent: forever. */
  readonly preferredLifetime?: number;
  /** Seconds until it is removed; absent: forever. */
  readonly validLifetime?: number;
  /** Metric of the prefix route that comes with it, where it is not the kernel's default. */
  readonly metric?: number;
  /** Who set it (`ip address show proto`), 0 to 255; 0 is left out. Linux since 5.18. */
  readonly protocol?: number;
}

/**
 * Flags of an address. To be set: `no-dad` (IPv6, usable at once without duplicate address detection),
 * `no-prefix-route` (no route to the prefix), `home`, `manage-temporary`, `optimistic`, `multicast-autojoin`. The kernel
 * sets the others; `secondary` is IPv6's `temporary` as well.
 */
export type AddressFlag =
  | 'secondary'
  | 'no-dad'
  | 'optimistic'
  | 'dad-failed'
  | 'home'
  | 'deprecated'
  | 'tentative'
  | 'manage-temporary'
  | 'no-prefix-route'
  | 'multicast-autojoin'
  | 'stable-privacy';

/** IFA_F_PERMANENT is left out: it says what an absent `validLifetime` says. */
export const addressFlags: Names<AddressFlag> = new Names({
  secondary: 0x01,
  'no-dad': 0x02,
  optimistic: 0x04,
  'dad-failed': 0x08,
  home: 0x10,
  deprecated: 0x20,
  tentative: 0x40,
  'manage-temporary': 0x100,
  'no-prefix-route': 0x200,
  'multicast-autojoin': 0x400,
  'stable-privacy': 0x800,
});

/** A lifetime without end in struct ifa_cacheinfo. */
export const FOREVER = 0xffffffff;

const attributes = new Attributes(IFA_PROTO);

/**
 * Reads an RTM_NEWADDR or RTM_DELADDR. Undefined for those of other families than IPv4 and IPv6.
 *
 * @throws RangeError for a message that is cut short
 */
export function readAddress(message: Message): Address | undefined {
  const { bytes, view, start, end } = message;
  needHeader('address', end - start, IFADDRMSG);
  const family = ipFamily(bytes[start]!);
  if (family === undefined) return undefined;
  attributes.parse(bytes, view, start + IFADDRMSG, end);
  // IFA_LOCAL is our own address and IFA_ADDRESS the peer's, which is the same without a peer; IPv6 then leaves
  // IFA_LOCAL out.
  const far = addressText(attributes, IFA_ADDRESS, family);
  const own = attributes.has(IFA_LOCAL) ? addressText(attributes, IFA_LOCAL, family) : far;
  const address: { -readonly [K in keyof Address]: Address[K] } = {
    family,
    link: view.getUint32(start + 4, true),
    address: own,
    length: bytes[start + 1]!,
    scope: scopeOf(bytes[start + 3]!),
    flags: addressFlags.bits(attributes.u32(IFA_FLAGS, bytes[start + 2]!)),
  };
  if (far !== own) address.peer = far;
  if (attributes.has(IFA_BROADCAST)) address.broadcast = addressText(attributes, IFA_BROADCAST, family);
  if (attributes.has(IFA_CACHEINFO) && attributes.size(IFA_CACHEINFO) >= 8) {
    const at = attributes.offset(IFA_CACHEINFO);
    const preferred = view.getUint32(at, true);
    const valid = view.getUint32(at + 4, true);
    if (preferred !== FOREVER) address.preferredLifetime = preferred;
    if (valid !== FOREVER) address.validLifetime = valid;
  }
  const metric = attributes.u32(IFA_RT_PRIORITY, 0);
  if (metric !== 0) address.metric = metric;
  const protocol = attributes.u8(IFA_PROTO, 0);
  if (protocol !== 0) address.protocol = protocol;
  return address;
}
