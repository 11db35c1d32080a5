import { NetlinkError } from '../netlink/error.ts';
import { Attributes } from '../netlink/reader.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';

/**
 * The number by which the socket's namespace knows another, as it stands in IFLA_LINK_NETNSID of a veth whose peer is
 * there; undefined when it has none. The kernel gives one when a link across the two is first listed, or
 * {@link assignNamespaceId} does.
 *
 * @throws NetlinkError
 */
export function namespaceId(socket: NetlinkSocket, namespace: NetworkNamespace): number | undefined {
  const attributes = new Attributes(NETNSA_FD);
  let id = -1;
  socket.request(
    `number of network namespace ${namespace.path}`,
    RTM_GETNSID,
    0,
    (writer) => {
      writer.fixed(RTGENMSG);
      writer.u32(NETNSA_FD, namespace.fd);
    },
    (message) => {
      attributes.parse(message.bytes, message.view, message.start + RTGENMSG, message.end);
      id = attributes.i32(NETNSA_NSID, -1);
    },
  );
  return id < 0 ? undefined : id;
}

/**
 * Gives another namespace a number in the socket's, unless it has one: `id`, or the lowest that is free.
 *
 * @returns its number
 * @throws NetlinkError with EEXIST when the number is another's
 */
export function assignNamespaceId(socket: NetlinkSocket, namespace: NetworkNamespace, id = -1): number {
  const known = namespaceId(socket, namespace);
  if (known !== undefined) return known;
  const object = `number of network namespace ${namespace.path}`;
  socket.request(object, RTM_NEWNSID, 0, (writer) => {
    writer.fixed(RTGENMSG);
    writer.u32(NETNSA_NSID, id >>> 0);
    writer.u32(NETNSA_FD, namespace.fd);
  });
  const given = namespaceId(socket, namespace);
  if (given === undefined) throw new NetlinkError(object, { errno: 2, text: 'given, and not there' });
  return given;
}

/** linux/rtnetlink.h, linux/net_namespace.h */
const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
/** Bytes of struct rtgenmsg, padded. */
const RTGENMSG = 4;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
