import { attachFilter, close, setsockopt } from '../sys/libc.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import { NETLINK_ADD_MEMBERSHIP, SOL_NETLINK } from './constants.ts';
import { type Message, NetlinkSocket, openNetlink } from './socket.ts';

/** What to listen to: multicast groups, or what a socket is sent after it has been configured, or both. */
export interface Subscription {
  /** NETLINK_ROUTE or NETLINK_NETFILTER. */
  readonly protocol: number;
  /** Multicast groups, as numbers (RTNLGRP_*, NFNLGRP_*). */
  readonly groups: readonly number[];
  /** Requests to make on the socket before it joins its groups and is listened to. It is for the time of the call. */
  readonly configure?: (socket: NetlinkSocket) => void;
  /** Receive buffer in bytes; 4 MiB unless told. What comes while it is full is lost, and `overflow` tells so. */
  readonly bufferBytes?: number;
  readonly namespace?: NetworkNamespace;
  /** `NetlinkSocket.port` of a socket: what it changes by its requests is not told. */
  readonly exceptFrom?: number;
  /** Each notification, in order; the message is valid during the call. */
  readonly onMessage: (message: Message) => void;
  /** Notifications were lost (ENOBUFS): what is known by them is no longer true, read the tables again. */
  readonly onOverflow: () => void;
}

const BUFFER_BYTES = 4 << 20;

/** Opens the socket of a subscription, joined to its groups and configured. Returns the file descriptor. */
export function openSubscription(subscription: Subscription): number {
  const { protocol, namespace, groups, configure } = subscription;
  const open = (): number => openNetlink(protocol, subscription.bufferBytes ?? BUFFER_BYTES);
  const fd = namespace ? namespace.run(open) : open();
  try {
    if (subscription.exceptFrom !== undefined) refuseSender(fd, subscription.exceptFrom);
    configure?.(NetlinkSocket.over(fd, protocol));
    for (const group of groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, `group ${group}`);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

/** Drops notifications of what the socket with netlink port `port` caused, before they take up the receive buffer. */
function refuseSender(fd: number, port: number): void {
  // A classic BPF load is in network order, and nlmsg_pid (linux/netlink.h, at 12) is in that of the host.
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, port, true);
  attachFilter(fd, [
    [0x20, 0, 0, 12], // BPF_LD | BPF_W | BPF_ABS: nlmsg_pid
    [0x15, 0, 1, swapped.getUint32(0)], // BPF_JMP | BPF_JEQ | BPF_K
    [0x06, 0, 0, 0], // BPF_RET: drop
    [0x06, 0, 0, 0xffffffff], // BPF_RET: keep
  ]);
}
