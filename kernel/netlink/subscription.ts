import { attachFilter, bind, close, setsockopt, socket } from '../sys/libc.ts';
import {
  AF_NETLINK,
  NETLINK_ADD_MEMBERSHIP,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from './constants.ts';
import type { Subscription } from './monitor.ts';

/** Opens the socket of a subscription, joined to its groups. Returns the file descriptor. */
export function openSubscription(subscription: Subscription): number {
  const open = (): number => socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, subscription.protocol);
  const fd = subscription.namespace ? subscription.namespace.run(open) : open();
  try {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, subscription.bufferBytes ?? 4 << 20);
    if (subscription.exceptFrom !== undefined) refuseSender(fd, subscription.exceptFrom);
    bind(fd, new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    for (const group of subscription.groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
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
