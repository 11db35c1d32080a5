import { bind, close, setsockopt, socket } from '../sys/libc.ts';
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
    bind(fd, new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    for (const group of subscription.groups) setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}
