import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import {
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_PROTOCOL,
  NDMSG,
  NTF_EXT_LEARNED,
  NTF_PROXY,
  NTF_ROUTER,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from './constants.ts';
import { type Neighbour, type NeighbourState, neighbourStates, readNeighbour } from './neighbour.ts';
import {
  addressFamily,
  addressOf,
  checkInteger,
  familyOf,
  hardwareAddress,
  type IpFamily,
  ValueError,
} from './value.ts';

/** What tells an entry from others. */
export interface NeighbourKey {
  /** Index of the interface. */
  readonly link: number;
  readonly address: string;
  /** The entry is one of the table of addresses that we answer for. */
  readonly proxy?: boolean;
}

/** An entry to be set. A {@link Neighbour} that was read is one, too. */
export interface NeighbourSpec extends NeighbourKey {
  /** Needed unless it is a proxy entry. */
  readonly hardwareAddress?: string;
  /** `permanent` unless told. */
  readonly state?: NeighbourState;
  readonly router?: boolean;
  readonly externallyLearned?: boolean;
  readonly protocol?: number;
}

/** Neighbour tables of the namespace that the socket is in. */
export class Neighbours {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All entries with the proxy entries behind them, or those of one family, interface (index) or kind. */
  list(
    filter: { readonly family?: IpFamily; readonly link?: number; readonly proxy?: boolean } = {},
  ): Neighbour[] {
    const found: Neighbour[] = [];
    for (const proxy of filter.proxy === undefined ? [false, true] : [filter.proxy]) {
      const entries = this.#socket.dumpAll(
        proxy ? 'list proxy neighbours' : 'list neighbours',
        RTM_GETNEIGH,
        (writer) => {
          const at = writer.fixed(NDMSG);
          if (filter.family !== undefined) writer.bytes[at] = addressFamily(filter.family);
          if (proxy) writer.bytes[at + 10] = NTF_PROXY;
          if (filter.link !== undefined) writer.u32(NDA_IFINDEX, filter.link);
        },
        readNeighbour,
      );
      for (const entry of entries) found.push(entry);
    }
    return found;
  }

  /**
   * Sets an entry.
   *
   * @throws NetlinkError EEXIST when there is one for this address
   */
  add(spec: NeighbourSpec): void {
    this.#new('add', spec, NLM_F_CREATE | NLM_F_EXCL);
  }

  /** Sets an entry, in the place of one for the same address where there is one. @throws NetlinkError */
  replace(spec: NeighbourSpec): void {
    this.#new('replace', spec, NLM_F_CREATE | NLM_F_REPLACE);
  }

  /** @throws NetlinkError ENOENT when there is none */
  delete(key: NeighbourKey): void {
    const object = `delete ${describe(key)}`;
    this.#socket.request(object, RTM_DELNEIGH, 0, (writer) => {
      const at = writeKey(writer, object, key);
      writer.bytes[at + 10] = key.proxy ? NTF_PROXY : 0;
    });
  }

  #new(verb: string, spec: NeighbourSpec, requestFlags: number): void {
    const object = `${verb} ${describe(spec)}`;
    if (!spec.proxy && spec.hardwareAddress === undefined && spec.state !== 'no-arp') {
      throw new ValueError(object, 'hardwareAddress', undefined, 'a link-layer address');
    }
    this.#socket.request(object, RTM_NEWNEIGH, requestFlags, (writer) => {
      const at = writeKey(writer, object, spec);
      let flags = 0;
      if (spec.proxy) flags |= NTF_PROXY;
      if (spec.router) flags |= NTF_ROUTER;
      if (spec.externallyLearned) flags |= NTF_EXT_LEARNED;
      writer.bytes[at + 10] = flags;
      if (!spec.proxy) {
        const state = neighbourStates.number(object, 'state', spec.state ?? 'permanent');
        writer.view.setUint16(at + 8, state, true);
      }
      if (spec.hardwareAddress !== undefined) {
        writer.raw(NDA_LLADDR, hardwareAddress(object, 'hardwareAddress', spec.hardwareAddress));
      }
      if (spec.protocol !== undefined) {
        writer.u8(NDA_PROTOCOL, checkInteger(object, 'protocol', spec.protocol, 0, 255));
      }
    });
  }
}

function describe(key: NeighbourKey): string {
  return `${key.proxy ? 'proxy ' : ''}neighbour ${key.address} of link ${key.link}`;
}

/** struct ndmsg and the attribute that says which address. Returns where the structure starts. */
function writeKey(writer: MessageWriter, object: string, key: NeighbourKey): number {
  const address = addressOf(object, 'address', key.address);
  const at = writer.fixed(NDMSG);
  writer.bytes[at] = addressFamily(familyOf(address));
  const link = checkInteger(object, 'link', key.link, key.proxy ? 0 : 1, 0x7fffffff);
  writer.view.setInt32(at + 4, link, true);
  writer.raw(NDA_DST, address);
  return at;
}
