import fs from 'node:fs';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { NetworkNamespace } from '../sys/namespace.ts';
import {
  AF_INET6,
  AF_UNSPEC,
  IFF_UP,
  IFINFOMSG,
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_ALT_IFNAME,
  IFLA_EXT_MASK,
  IFLA_GROUP,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_TXQLEN,
  IFNAMSIZ,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  VETH_INFO_PEER,
} from './constants.ts';
import { type AddressGeneration, addressGenerations, type Link, readLink } from './link.ts';
import { checkInteger, hardwareAddress, interfaceName } from './value.ts';

/** Which interface: its index, or its name (an alternative name will do). */
export type LinkRef = number | string;

/** A namespace that is open, or the path of one (`/run/netns/NAME`, `/proc/PID/ns/net`). */
export type NamespaceRef = NetworkNamespace | string;

/** What one end of a new veth pair is to be. What is left out is the kernel's choice. */
export interface LinkEnd {
  readonly name: string;
  readonly mtu?: number;
  readonly address?: string;
  readonly up?: boolean;
  readonly transmitQueueLength?: number;
  /** Made straight in this namespace, without ever being seen in ours. */
  readonly namespace?: NamespaceRef;
}

/** A new interface. */
export type LinkSpec = VethSpec | BridgeSpec | IfbSpec;

/**
 * A veth pair: this end and its peer. The peer is down at first: the kernel refuses to bring it up before it has its
 * other end.
 */
export interface VethSpec extends LinkEnd, Later {
  readonly kind: 'veth';
  readonly peer: Omit<LinkEnd, 'up'>;
}

/** A bridge without ports. */
export interface BridgeSpec extends LinkEnd, Later {
  readonly kind: 'bridge';
}

/** An intermediate functional block: what is redirected to it goes through its queueing discipline, and on. */
export interface IfbSpec extends LinkEnd, Later {
  readonly kind: 'ifb';
}

/** What the kernel takes only for an interface that is there already. */
interface Later {
  readonly alias?: string;
  readonly addressGeneration?: AddressGeneration;
  /** Index of the bridge to become a port of. */
  readonly master?: number;
}

/** What to change; what is left out stays. */
export interface LinkChange {
  /** The new name. */
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  readonly address?: string;
  /** Empty to remove it. */
  readonly alias?: string;
  readonly addressGeneration?: AddressGeneration;
  /** Index of the bridge to become a port of, 0 to leave it. */
  readonly master?: number;
  readonly group?: number;
  readonly transmitQueueLength?: number;
  /**
   * Moves the interface there. It arrives down and without its addresses and routes, and with another index when
   * its own is taken there.
   */
  readonly namespace?: NamespaceRef;
}

/** Network interfaces of the namespace that the socket is in. */
export class Links {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All interfaces. */
  list(options: { readonly statistics?: boolean } = {}): Link[] {
    return this.#socket.dumpAll(
      'list links',
      RTM_GETLINK,
      (writer) => {
        writer.fixed(IFINFOMSG);
        writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      },
      (message) => readLink(message, options.statistics),
    );
  }

  /** One interface with its statistics, or undefined when there is none. */
  get(ref: LinkRef): Link | undefined {
    let found: Link | undefined;
    try {
      this.#socket.request(
        `get link ${ref}`,
        RTM_GETLINK,
        0,
        (writer) => {
          header(writer, ref, 0, 0);
          writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        },
        (message) => {
          found = readLink(message, true);
        },
      );
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined;
      throw error;
    }
    return found;
  }

  /**
   * The index of the interface `name`.
   *
   * @throws NetlinkError ENODEV when there is none
   */
  indexOf(name: string): number {
    let index = 0;
    this.#socket.request(
      `get link ${name}`,
      RTM_GETLINK,
      0,
      (writer) => {
        header(writer, name, 0, 0);
        writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      },
      (message) => {
        index = readLink(message)?.index ?? 0;
      },
    );
    return index;
  }

  /**
   * Makes an interface; of a veth pair both ends in one request, each in its namespace from the start.
   *
   * The kernel takes alias, master and address generation only for an interface that is there: these are set by a
   * second request before the interface comes up. When that is refused, the interface is removed again. They can not
   * be given together with another namespace: set them from there.
   *
   * @throws ValueError
   * @throws NetlinkError EEXIST when the name is taken
   */
  create(spec: LinkSpec): void {
    const object = `create link ${spec.name}`;
    interfaceName(object, 'name', spec.name);
    const later: LinkChange | undefined =
      spec.alias !== undefined || spec.addressGeneration !== undefined || spec.master !== undefined
        ? {
            ...(spec.alias !== undefined && { alias: spec.alias }),
            ...(spec.addressGeneration !== undefined && { addressGeneration: spec.addressGeneration }),
            ...(spec.master !== undefined && { master: spec.master }),
            ...(spec.up && { up: true }),
          }
        : undefined;
    if (later && spec.namespace !== undefined) {
      throw new TypeError(
        `${object}: alias, master and addressGeneration can not be set in another namespace`,
      );
    }
    if (spec.kind === 'veth') interfaceName(object, 'peer.name', spec.peer.name);
    using namespaces = new Namespaces();
    this.#socket.request(object, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, (writer) => {
      end(writer, object, later ? { ...spec, up: false } : spec, namespaces);
      const info = writer.nest(IFLA_LINKINFO);
      writer.string(IFLA_INFO_KIND, spec.kind);
      if (spec.kind === 'veth') {
        const data = writer.nest(IFLA_INFO_DATA);
        const peer = writer.nest(VETH_INFO_PEER);
        end(writer, object, spec.peer, namespaces);
        writer.nestEnd(peer);
        writer.nestEnd(data);
      }
      writer.nestEnd(info);
    });
    if (!later) return;
    try {
      this.set(spec.name, later);
    } catch (error) {
      this.delete(spec.name);
      throw error;
    }
  }

  /**
   * Changes an interface. The kernel works through a request in its own order and stops at what it refuses: what came
   * before that stays changed.
   *
   * @throws ValueError
   * @throws NetlinkError
   */
  set(ref: LinkRef, change: LinkChange): void {
    const object = `set link ${ref}`;
    // A name in the request is the new one when there is an index, and the one to look for when there is none.
    const target = change.name !== undefined && typeof ref === 'string' ? this.indexOf(ref) : ref;
    if (change.up && change.addressGeneration !== undefined) {
      // The kernel would bring the link up first, and make the address that the change is about.
      const { up, addressGeneration, ...rest } = change;
      this.set(target, { addressGeneration });
      this.set(target, { ...rest, up });
      return;
    }
    using namespaces = new Namespaces();
    this.#socket.request(object, RTM_NEWLINK, 0, (writer) => {
      const mask = change.up === undefined ? 0 : IFF_UP;
      header(writer, target, change.up ? IFF_UP : 0, mask);
      if (change.name !== undefined) {
        writer.string(IFLA_IFNAME, interfaceName(object, 'name', change.name));
      }
      common(writer, object, change, namespaces);
      if (change.master !== undefined) writer.u32(IFLA_MASTER, change.master);
      if (change.group !== undefined) writer.u32(IFLA_GROUP, change.group);
      // Without the terminating zero: the kernel would make it part of the text.
      if (change.alias !== undefined) writer.raw(IFLA_IFALIAS, Buffer.from(change.alias));
      if (change.addressGeneration !== undefined) {
        const mode = addressGenerations.number(object, 'addressGeneration', change.addressGeneration);
        const families = writer.nest(IFLA_AF_SPEC);
        const inet6 = writer.nest(AF_INET6);
        writer.u8(IFLA_INET6_ADDR_GEN_MODE, mode);
        writer.nestEnd(inet6);
        writer.nestEnd(families);
      }
    });
  }

  /**
   * Removes an interface; a veth pair goes with either end.
   *
   * @throws NetlinkError ENODEV when there is none
   */
  delete(ref: LinkRef): void {
    this.#socket.request(`delete link ${ref}`, RTM_DELLINK, 0, (writer) => header(writer, ref, 0, 0));
  }

  /**
   * Removes all interfaces of a device group at once (`ip link delete group`): the kernel waits for its readers once, not for
   * each interface, which is what takes the time.
   *
   * @param group not 0, which is that of every interface that nobody has put into another
   * @throws ValueError
   * @throws NetlinkError ENODEV when there is none in the group, EOPNOTSUPP when one can not be removed
   */
  deleteGroup(group: number): void {
    const object = `delete links of group ${group}`;
    checkInteger(object, 'group', group, 1, 0xffffffff);
    this.#socket.request(object, RTM_DELLINK, 0, (writer) => {
      writer.fixed(IFINFOMSG);
      writer.u32(IFLA_GROUP, group);
    });
  }
}

/** struct ifinfomsg and, for an interface that is known by name, that name. */
function header(writer: MessageWriter, ref: LinkRef, flags: number, change: number): void {
  const at = writer.fixed(IFINFOMSG);
  writer.bytes[at] = AF_UNSPEC;
  writer.view.setUint32(at + 8, flags, true);
  writer.view.setUint32(at + 12, change, true);
  if (typeof ref === 'number') {
    checkInteger('link', 'index', ref, 1, 0x7fffffff);
    writer.view.setInt32(at + 4, ref, true);
  } else {
    // What is longer than a name of an interface can be is an alternative one.
    writer.string(Buffer.byteLength(ref) < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, ref);
  }
}

/** One end of a new interface: the header and what the kernel takes at once. */
function end(writer: MessageWriter, object: string, spec: LinkEnd, namespaces: Namespaces): void {
  const at = writer.fixed(IFINFOMSG);
  if (spec.up) {
    writer.view.setUint32(at + 8, IFF_UP, true);
    writer.view.setUint32(at + 12, IFF_UP, true);
  }
  writer.string(IFLA_IFNAME, spec.name);
  common(writer, object, spec, namespaces);
}

function common(
  writer: MessageWriter,
  object: string,
  spec: Omit<LinkEnd, 'name' | 'up'>,
  namespaces: Namespaces,
): void {
  if (spec.mtu !== undefined) writer.u32(IFLA_MTU, checkInteger(object, 'mtu', spec.mtu, 0, 0x7fffffff));
  if (spec.address !== undefined) {
    writer.raw(IFLA_ADDRESS, hardwareAddress(object, 'address', spec.address));
  }
  if (spec.transmitQueueLength !== undefined) {
    const length = checkInteger(object, 'transmitQueueLength', spec.transmitQueueLength, 0, 0x7fffffff);
    writer.u32(IFLA_TXQLEN, length);
  }
  if (spec.namespace !== undefined) writer.u32(IFLA_NET_NS_FD, namespaces.fd(spec.namespace));
}

/** Descriptors that a request needs, closed when it is done. */
class Namespaces implements Disposable {
  readonly #opened: number[] = [];

  fd(ref: NamespaceRef): number {
    if (ref instanceof NetworkNamespace) return ref.fd;
    const fd = fs.openSync(ref, 'r');
    this.#opened.push(fd);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#opened) fs.closeSync(fd);
  }
}
