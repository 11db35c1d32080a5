import { NETLINK_ROUTE } from '../netlink/constants.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import type { Message } from '../netlink/socket.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import { type Address, readAddress } from './address.ts';
import {
  AF_BRIDGE,
  AF_INET,
  IFADDRMSG,
  IFF_UP,
  IFINFOMSG,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from './constants.ts';
import { type Link, readLink } from './link.ts';
import { type Neighbour, readNeighbour } from './neighbour.ts';
import type { Route } from './route.ts';
import { readRoute } from './route-message.ts';
import { type Rule, readRule } from './rule.ts';

/** Something is there, new or changed, or it is gone. */
export interface Change<T> {
  readonly kind: 'set' | 'removed';
  readonly value: T;
}

/** What to watch: only what has a handler is asked for. */
export interface RtnetlinkHandlers {
  /** Of some changes of a link that is down, such as a new alias, the kernel tells nothing. */
  readonly link?: (change: Change<Link>) => void;
  readonly address?: (change: Change<Address>) => void;
  /**
   * A `removed` IPv6 route may be one next hop of several, with the others still there. Of an IPv4 route that goes because
   * its interface goes down, or loses its last IPv4 address, nothing is told at all: see `flushed`.
   */
  readonly route?: (change: Change<Route>) => void;
  /** Each route message as it is, in the place of `route`: for a RouteReader, which needs no object for each. */
  readonly routeMessage?: (message: Message) => void;
  /**
   * The interface of this index went down, or lost an IPv4 address. With the last one, as when it goes down, the kernel
   * removes its IPv4 routes without a word; an IPv4 route with further next hops stays, with this one unused until the
   * interface is up again.
   */
  readonly flushed?: (link: number) => void;
  readonly neighbour?: (change: Change<Neighbour>) => void;
  readonly rule?: (change: Change<Rule>) => void;
  /** Changes were lost (ENOBUFS): all that is known is out of date, list it again. */
  readonly overflow: () => void;
  /** Watching ended by a fault: open a new monitor and list again. Also called for a message that can not be read. */
  readonly error: (error: Error) => void;
}

/** Where and how to watch. */
export interface RtnetlinkMonitorOptions {
  readonly namespace?: NetworkNamespace;
  /** Receive buffer in bytes; 4 MiB unless told. */
  readonly bufferBytes?: number;
  /**
   * `socket.port` of an Rtnetlink or NetlinkSocket: what it changes itself is not told. (What the kernel does in
   * consequence is, and the kernel names no sender for IPv6 addresses and for some changes of links.)
   */
  readonly exceptFrom?: number;
}

/**
 * Watches links, addresses, routes, neighbours and rules of a namespace, with changes in the order in which they happened.
 * What changes after `open` returned is told: open first, then list, and nothing is missed.
 */
export class RtnetlinkMonitor implements Disposable {
  readonly #monitor: NetlinkMonitor;

  private constructor(monitor: NetlinkMonitor) {
    this.#monitor = monitor;
  }

  /** @throws SyscallError */
  static open(handlers: RtnetlinkHandlers, options: RtnetlinkMonitorOptions = {}): RtnetlinkMonitor {
    const subscription = {
      protocol: NETLINK_ROUTE,
      groups: groupsOf(handlers),
      onMessage: (message: Message) => dispatch(message, handlers),
      onOverflow: handlers.overflow,
      ...options,
    };
    return new RtnetlinkMonitor(NetlinkMonitor.open([subscription], handlers.error));
  }

  /** Lets the process exit although the monitor is open. */
  unref(): void {
    this.#monitor.unref();
  }

  /** Stops watching. No handler is called afterwards. */
  close(): void {
    this.#monitor.close();
  }

  /** Stops watching and resolves when thread and socket are gone. */
  closed(): Promise<void> {
    return this.#monitor.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function groupsOf(handlers: RtnetlinkHandlers): number[] {
  const groups: number[] = [];
  if (handlers.link ?? handlers.flushed) groups.push(RTNLGRP_LINK);
  if (handlers.address ?? handlers.flushed) groups.push(RTNLGRP_IPV4_IFADDR);
  if (handlers.address) groups.push(RTNLGRP_IPV6_IFADDR);
  if (handlers.route ?? handlers.routeMessage) groups.push(RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE);
  if (handlers.neighbour) groups.push(RTNLGRP_NEIGH);
  if (handlers.rule) groups.push(RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE);
  return groups;
}

function dispatch(message: Message, handlers: RtnetlinkHandlers): void {
  switch (message.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (handlers.flushed && wentDown(message))
        handlers.flushed(message.view.getInt32(message.start + 4, true));
      tell(message, RTM_DELLINK, readLink, handlers.link, handlers.error);
      break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (handlers.flushed && lostAddress(message))
        handlers.flushed(message.view.getInt32(message.start + 4, true));
      tell(message, RTM_DELADDR, readAddress, handlers.address, handlers.error);
      break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      handlers.routeMessage?.(message);
      tell(message, RTM_DELROUTE, readRoute, handlers.route, handlers.error);
      break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      tell(message, RTM_DELNEIGH, readNeighbour, handlers.neighbour, handlers.error);
      break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      tell(message, RTM_DELRULE, readRule, handlers.rule, handlers.error);
  }
}

function tell<T>(
  message: Message,
  removal: number,
  read: (message: Message) => T | undefined,
  handler: ((change: Change<T>) => void) | undefined,
  onError: (error: Error) => void,
): void {
  if (!handler) return;
  let value: T | undefined;
  try {
    value = read(message);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    onError(error);
    return;
  }
  if (value !== undefined) handler({ kind: message.type === removal ? 'removed' : 'set', value });
}

/** Whether the interface was up before and is not any more: ifi_change tells which flags are different. */
function wentDown(message: Message): boolean {
  const { bytes, view, start, end } = message;
  if (end - start < IFINFOMSG || bytes[start] === AF_BRIDGE) return false;
  const change = view.getUint32(start + 12, true);
  // All bits: a new or deleted interface.
  return change !== 0xffffffff && (change & IFF_UP) !== 0 && (view.getUint32(start + 8, true) & IFF_UP) === 0;
}

/** Whether an interface lost an IPv4 address. Which was the last, the message does not tell. */
function lostAddress(message: Message): boolean {
  const { type, bytes, start, end } = message;
  return type === RTM_DELADDR && end - start >= IFADDRMSG && bytes[start] === AF_INET;
}
