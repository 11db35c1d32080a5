/**
 * What the RIB has to know of the configuration and of sessions. Plain values; a change is a new object.
 */

import type { Filter, Prefix } from '#bgp/filter/types.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { CodecContext, NextHop } from '#bgp/wire/types.ts';

export type RibSettings = {
  /** Our AS. */
  readonly asn: number;
  /** BGP Identifier as a number. */
  readonly routerId: number;
  /** Route reflection cluster (RFC 4456), mostly the router id. */
  readonly clusterId: number;
  /** LOCAL_PREF of routes that come without one; 100 nearly everywhere. */
  readonly defaultLocalPref: number;
  readonly decision: DecisionSettings;
  readonly multipath: MultipathSettings;
};

export type DecisionSettings = {
  /** Compare MED between neighbouring ASes too. */
  readonly alwaysCompareMed: boolean;
  /** A route without MED is worse than any with one, not better. */
  readonly missingMedIsWorst: boolean;
  /** Of external routes that are otherwise equal, prefer the one that came first; makes the result depend on history. */
  readonly preferOldest: boolean;
};

export type MultipathSettings = {
  /** Most paths of one route; 1 turns multipath off. */
  readonly maxPaths: number;
  /** Among paths from external neighbours. */
  readonly ebgp: boolean;
  /** Among paths from internal neighbours. */
  readonly ibgp: boolean;
  /** AS paths need only be equally long, not equal. */
  readonly asPathRelax: boolean;
};

/** A neighbour, whether its session is up or not. */
export type PeerSettings = {
  /** For events and errors. */
  readonly name: string;
  /** 4 or 16 bytes: the last step of the decision process, and what filters match on. */
  readonly address: Uint8Array;
  /** The AS that we are in towards this neighbour. */
  readonly localAs: number;
  readonly routeReflectorClient: boolean;
  /** Put our AS in place of the neighbour's in paths that we send it. */
  readonly asOverride: boolean;
  /** Routes with the GRACEFUL_SHUTDOWN community get local preference 0 (RFC 8326 section 4.2). */
  readonly honourGracefulShutdown: boolean;
  /**
   * The neighbour is one hop away: routes of an external one whose next hop is neither its address nor in a subnet that we share are
   * refused (RFC 4271 section 6.3).
   */
  readonly connectedNextHop: boolean;
  /** Ask the neighbour to move its traffic away from us: what we send it carries the community (RFC 8326 section 4.1). */
  readonly gracefulShutdown: boolean;
  readonly families: ReadonlyMap<Family, PeerFamilySettings>;
};

export type PeerFamilySettings = {
  /** Asked in this order. Absent: everything from internal neighbours, nothing from external ones (RFC 8212). */
  readonly import?: readonly Filter[] | undefined;
  readonly export?: readonly Filter[] | undefined;
  readonly nextHop: NextHopMode;
  /** How often our AS may be in a path that is accepted. */
  readonly allowOwnAs: number;
  readonly maxPrefixes?: MaxPrefixes | undefined;
};

/**
 * What is sent as next hop. `auto`: RFC 4271 section 5.1.3, that is ourselves towards external neighbours (unless the next hop is on a
 * subnet shared with the neighbour) and for routes of our own, else the next hop of the route. `self`: always ourselves. `keep`:
 * that of the route, if it has one.
 */
export type NextHopMode = 'auto' | 'self' | 'keep';

export type MaxPrefixes = {
  readonly limit: number;
  /** An event is due from this share of the limit on, in per cent. */
  readonly warnAt: number;
};

/** What came out of the OPEN exchange. */
export type PeerSession = {
  readonly remoteAs: number;
  /** BGP Identifier of the neighbour as a number. */
  readonly routerId: number;
  readonly codec: CodecContext;
  /** Largest message that may be sent: 4096, or 65535 (RFC 8654). */
  readonly maxMessage: number;
  /** Families that both sides carry. */
  readonly families: readonly Family[];
  /** The neighbour understands begin and end of a refresh (RFC 7313). */
  readonly enhancedRefresh: boolean;
  /** Our address as next hop for IPv4 and for IPv6 routes; without one, routes that need it are not sent. */
  readonly self4?: NextHop | undefined;
  readonly self6?: NextHop | undefined;
  /** Subnets that we share with a directly connected neighbour: next hops in them may be left as they are. */
  readonly sharedSubnets?: readonly Prefix[] | undefined;
  /** Tells equal link-local next hops of different interfaces apart; 0 or absent where there are none. */
  readonly scope?: number | undefined;
};

/** What of a session are our own addresses, and what follows from them. */
export type OwnSessionAddresses = Pick<PeerSession, 'self4' | 'self6' | 'sharedSubnets'>;
