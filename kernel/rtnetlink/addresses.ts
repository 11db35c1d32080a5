import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { type Address, type AddressFlag, addressFlags, FOREVER, readAddress } from './address.ts';
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_FLAGS,
  IFA_LOCAL,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  IFADDRMSG,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from './constants.ts';
import { type Scope, scopeNumber } from './scope.ts';
import { addressFamily, addressOf, checkInteger, familyOf, type IpFamily } from './value.ts';

/** An address to be set. An {@link Address} that was read is one, too. */
export interface AddressSpec extends AddressKey {
  readonly broadcast?: string;
  /** IPv4; `host` for 127.0.0.0/8 and else `global` unless told. IPv6's follows from the address. */
  readonly scope?: Scope;
  readonly flags?: readonly AddressFlag[];
  /** Seconds. */
  readonly preferredLifetime?: number;
  /** Seconds; not less than the preferred one. */
  readonly validLifetime?: number;
  readonly metric?: number;
  readonly protocol?: number;
}

/** What tells an address from others of the namespace. */
export interface AddressKey {
  /** Index of the interface. */
  readonly link: number;
  readonly address: string;
  readonly length: number;
  readonly peer?: string;
}

/** Addresses of the interfaces of the namespace that the socket is in. */
export class Addresses {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All addresses, or those of one family or of one interface (index). */
  list(filter: { readonly family?: IpFamily; readonly link?: number } = {}): Address[] {
    return this.#socket.dumpAll(
      'list addresses',
      RTM_GETADDR,
      (writer) => {
        const at = writer.fixed(IFADDRMSG);
        if (filter.family !== undefined) writer.bytes[at] = addressFamily(filter.family);
        if (filter.link !== undefined) writer.view.setUint32(at + 4, filter.link, true);
      },
      readAddress,
    );
  }

  /**
   * Sets an address.
   *
   * @throws NetlinkError EEXIST when the interface has it
   */
  add(spec: AddressSpec): void {
    this.#new('add', spec, NLM_F_CREATE | NLM_F_EXCL);
  }

  /** Sets an address, or gives the one that is there new lifetimes, metric, protocol and flags. @throws NetlinkError */
  replace(spec: AddressSpec): void {
    this.#new('replace', spec, NLM_F_CREATE | NLM_F_REPLACE);
  }

  /**
   * Removes an address. With the first IPv4 address of a prefix all others of that prefix go as well, unless the
   * interface's `promote_secondaries` is set.
   *
   * @throws NetlinkError EADDRNOTAVAIL when the interface has no such address
   */
  delete(key: AddressKey): void {
    const object = `delete address ${describe(key)}`;
    this.#socket.request(object, RTM_DELADDR, 0, (writer) => void writeKey(writer, object, key));
  }

  #new(verb: string, spec: AddressSpec, flags: number): void {
    const object = `${verb} address ${describe(spec)}`;
    this.#socket.request(object, RTM_NEWADDR, flags, (writer) => {
      const at = writeKey(writer, object, spec);
      const family = writer.bytes[at] === 2 ? 4 : 6;
      const scope = spec.scope ?? (family === 4 && spec.address.startsWith('127.') ? 'host' : 'global');
      writer.bytes[at + 3] = scopeNumber(object, scope);
      if (spec.broadcast !== undefined) {
        writer.raw(IFA_BROADCAST, addressOf(object, 'broadcast', spec.broadcast, 4));
      }
      let flagBits = 0;
      for (const flag of spec.flags ?? []) flagBits |= addressFlags.number(object, 'flags', flag);
      if (flagBits !== 0) writer.u32(IFA_FLAGS, flagBits);
      if (spec.preferredLifetime !== undefined || spec.validLifetime !== undefined) {
        const valid = lifetime(object, 'validLifetime', spec.validLifetime, 1);
        const preferred = lifetime(
          object,
          'preferredLifetime',
          spec.preferredLifetime ?? spec.validLifetime,
          0,
        );
        checkInteger(object, 'preferredLifetime', preferred, 0, valid);
        const info = new Uint8Array(16); // struct ifa_cacheinfo
        new DataView(info.buffer).setUint32(0, preferred, true);
        new DataView(info.buffer).setUint32(4, valid, true);
        writer.raw(IFA_CACHEINFO, info);
      }
      if (spec.metric !== undefined) {
        writer.u32(IFA_RT_PRIORITY, checkInteger(object, 'metric', spec.metric, 0, 0xffffffff));
      }
      if (spec.protocol !== undefined) {
        writer.u8(IFA_PROTO, checkInteger(object, 'protocol', spec.protocol, 0, 255));
      }
    });
  }
}

function describe(key: AddressKey): string {
  return `${key.address}${key.peer === undefined ? '' : ` peer ${key.peer}`}/${key.length} of link ${key.link}`;
}

/** struct ifaddrmsg and the attributes that say which address. Returns where the structure starts. */
function writeKey(writer: MessageWriter, object: string, key: AddressKey): number {
  const own = addressOf(object, 'address', key.address);
  const family = familyOf(own);
  const peer = key.peer === undefined ? own : addressOf(object, 'peer', key.peer, family);
  const at = writer.fixed(IFADDRMSG);
  writer.bytes[at] = addressFamily(family);
  writer.bytes[at + 1] = checkInteger(object, 'length', key.length, 0, own.length * 8);
  writer.view.setUint32(at + 4, checkInteger(object, 'link', key.link, 1, 0x7fffffff), true);
  writer.raw(IFA_LOCAL, own);
  writer.raw(IFA_ADDRESS, peer);
  return at;
}

function lifetime(object: string, field: string, seconds: number | undefined, least: number): number {
  return seconds === undefined ? FOREVER : checkInteger(object, field, seconds, least, FOREVER - 1);
}
