/**
 * A neighbour as the RIB sees it: a small index that path rows carry, and counters per family.
 */

import type { RouteSource } from '#bgp/filter/types.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { ImportPolicy } from './import-policy.ts';
import { NetPages } from './net-pages.ts';
import type { PeerSession, PeerSettings } from './settings.ts';
import type { Member } from './stream.ts';

/** Where a path is from, in the order in which reflection cares. */
export const FROM_LOCAL = 0;
export const FROM_KERNEL = 1;
export const FROM_EBGP = 2;
export const FROM_IBGP = 3;
/** Internal, and a client of us as route reflector. */
export const FROM_CLIENT = 4;
export type PathSource = 0 | 1 | 2 | 3 | 4;

export class RibPeer {
  readonly index: number;
  settings: PeerSettings;
  /** Absent while the session is down. */
  session: PeerSession | undefined = undefined;
  source: PathSource;
  /** BGP Identifier; for paths of our own our own one. */
  routerId: number;
  /** Never the same again after anything changed that exported attributes of its paths depend on. */
  identity: number;
  /** Number of the rules that its UPDATEs are read by: see `AttributeStore.context`. */
  context = 0;
  readonly families = new Map<Family, PeerFamily>();

  constructor(index: number, settings: PeerSettings, source: PathSource, routerId: number, identity: number) {
    this.index = index;
    this.settings = settings;
    this.source = source;
    this.routerId = routerId;
    this.identity = identity;
  }
}

/** What the rows of one peer and family go through, and how many there are. */
export class PeerFamily {
  readonly peer: RibPeer;
  readonly family: Family;
  /** Paths of the running session, before policy. */
  received = 0;
  /** Paths of the running session that policy lets in. */
  accepted = 0;
  /** Paths from before the session or before a refresh, not confirmed since. */
  stale = 0;
  /** Paths among the stale ones that policy lets in. */
  staleAccepted = 0;
  /** Rows of another epoch are stale. 0 to 255. */
  epoch = 0;
  /** The family was agreed on for the running session. */
  active = false;
  endOfRibReceived = false;
  /** Prefixes come with path identifiers. */
  addPath = false;
  /** Nets that may have rows of this one; there are none in others. */
  readonly nets = new NetPages();
  /** Some net may have more than one row of this one. */
  several = false;
  policy: ImportPolicy | undefined = undefined;
  /** Where its Adj-RIB-Out comes from, while the session is up. */
  member: Member | undefined = undefined;
  /** What a walk over all rows has to do with those of this one: bits of `SWEEP_...`. */
  sweep = 0;
  /** When that walk is over, as `FamilyRib` counts. */
  sweepUntil = 0;
  /** A walk for stale rows takes those of at least so many epochs ago. */
  sweepAge = 1;
  /** Epochs that rows may be of. */
  epochs = 0;
  /** The session that is gone left routes to be kept until the next one has sent its own (RFC 4724). */
  restarting = false;
  /** Which of the limits has been told of: 0 none, 1 the warning, 2 the limit. */
  limitReached: 0 | 1 | 2 = 0;

  constructor(peer: RibPeer, family: Family) {
    this.peer = peer;
    this.family = family;
  }
}

/** A peer's part in a family, if its running session carries it. */
export function activeFamily(peer: RibPeer, family: Family): PeerFamily | undefined {
  const of = peer.families.get(family);
  return of?.active ? of : undefined;
}

export function sourceName(source: PathSource): RouteSource {
  return SOURCE_NAMES[source];
}

const SOURCE_NAMES: readonly [RouteSource, RouteSource, RouteSource, RouteSource, RouteSource] = [
  'local',
  'kernel',
  'ebgp',
  'ibgp',
  'ibgp',
];
