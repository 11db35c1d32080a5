/**
 * Looking into the tables: for an API, for people, for tests. Pages instead of arrays of a million entries; a cursor stays good
 * while the table changes, though what comes or goes meanwhile may be missed.
 */

import { decodeAttributes } from '#bgp/wire/attributes.ts';
import type { Family } from '#bgp/wire/constants.ts';
import { decodeNextHop } from '#bgp/wire/next-hop.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';
import { KEY_NEXT_HOP } from './attribute-store.ts';
import type { Verdict } from './decision.ts';
import type { FamilyRib } from './family-rib.ts';
import type { ImportProblem } from './import-policy.ts';
import type { Resolution } from './next-hops.ts';
import {
  EPOCH_SHIFT,
  PATH_ID,
  PATH_MULTI,
  PATH_NEXT,
  PATH_PEER,
  PATH_POST,
  PATH_RAW,
  PATH_TIME,
  PEER_MASK,
} from './paths.ts';
import { FROM_KERNEL, type PathSource } from './peer.ts';
import type { Rib } from './rib.ts';

/** Part of a table; `next` is the cursor of the part after it, 0 at the end. A page may be empty and yet not the last. */
export type Page<T> = { readonly entries: readonly T[]; readonly next: number };

export type RouteView = {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly length: number;
  /** In no particular order. */
  readonly paths: readonly PathView[];
};

export type PathView = {
  readonly peer: number;
  readonly source: PathSource;
  /** Path identifier (RFC 7911), 0 without. */
  readonly pathId: number;
  readonly received: PathAttributes;
  /** After import policy; absent if it was rejected. */
  readonly accepted: PathAttributes | undefined;
  /** Why not, if it was rejected. */
  readonly problem: ImportProblem | undefined;
  /** For the best path of several: the step by which it won over the next. */
  readonly wonBy: number;
  readonly verdict: Verdict;
  readonly best: boolean;
  /** In use, beside or as the best path, together with others. */
  readonly multipath: boolean;
  /** Not confirmed since the neighbour restarted or began a refresh. */
  readonly stale: boolean;
  /** Seconds, by the clock that the RIB was given. */
  readonly time: number;
  readonly resolution: Resolution | undefined;
};

export type SentView = {
  readonly address: Uint8Array;
  readonly length: number;
  readonly attributes: PathAttributes;
};

export type PeerCounters = {
  readonly received: number;
  readonly accepted: number;
  readonly stale: number;
  readonly advertised: number;
  /** Nets whose change this neighbour has not been told of. */
  readonly pending: number;
  readonly endOfRibReceived: boolean;
  readonly endOfRibSent: boolean;
};

/** What to list: the whole table, or what lies within a prefix. */
export type Range = { readonly within?: { readonly address: Uint8Array; readonly length: number } };

/**
 * Loc-RIB: every net that has paths, with all of them and what the decision says of each. The limit is one of paths: a page ends
 * with the net that reaches it.
 */
export function listRoutes(
  rib: Rib,
  family: Family,
  cursor: number,
  limit: number,
  range: Range = {},
): Page<RouteView> {
  const table = familyOf(rib, family);
  return page(
    table,
    cursor,
    limit,
    range,
    (net) => (table.firstPath(net) === 0 ? undefined : viewRoute(rib, table, net)),
    ({ paths }) => paths.length,
  );
}

/** Adj-RIB-In of a peer: what it sent, and what import policy made of it. */
export function listReceived(
  rib: Rib,
  peer: number,
  family: Family,
  cursor: number,
  limit: number,
  range: Range = {},
): Page<RouteView> {
  const table = familyOf(rib, family);
  return page(table, cursor, limit, range, (net) => {
    for (let row = table.firstPath(net); row !== 0; row = table.paths.get(row, PATH_NEXT)) {
      if (table.paths.peer(row) === peer) return viewRoute(rib, table, net, peer);
    }
    return undefined;
  });
}

/** Adj-RIB-Out of a peer: what it was sent or is being sent. */
export function listSent(
  rib: Rib,
  peer: number,
  family: Family,
  cursor: number,
  limit: number,
  range: Range = {},
): Page<SentView> {
  const table = familyOf(rib, family);
  const member = rib.peers[peer]?.families.get(family)?.member;
  if (member === undefined) return { entries: [], next: 0 };
  const { codec } = member.group.policy.rules;
  // What goes to an external neighbour is not read as from one: nothing is to be left out.
  const context = { ...codec, ebgp: false };
  return page(table, cursor, limit, range, (net) => {
    const sent = member.group.sentToMember(member, net);
    if (sent === 0) return undefined;
    const apart = rib.out.nextHop(sent);
    const nextHop = apart.length === 0 ? undefined : decodeNextHop(apart, 0, apart.length);
    const decoded = decodeAttributes(rib.out.block(sent), context, nextHop);
    if (decoded.kind !== 'attributes') return undefined;
    return {
      address: table.table.addressOf(net),
      length: table.table.lengthOf(net),
      attributes: decoded.attributes,
    };
  });
}

/** The route of a prefix, if it has paths. */
export function findRoute(
  rib: Rib,
  family: Family,
  address: Uint8Array,
  length: number,
): RouteView | undefined {
  const table = familyOf(rib, family);
  const net = table.table.findBytes(address, length);
  return net === 0 || table.firstPath(net) === 0 ? undefined : viewRoute(rib, table, net);
}

/** The route that packets to an address take: the longest prefix with a best path. */
export function lookUp(rib: Rib, family: Family, address: Uint8Array): RouteView | undefined {
  const table = familyOf(rib, family);
  const net = table.table.longestMatch(address, (each) => table.best(each) !== 0);
  return net === 0 ? undefined : viewRoute(rib, table, net);
}

export function countersOf(rib: Rib, peer: number, family: Family): PeerCounters {
  const of = rib.peers[peer]?.families.get(family);
  const member = of?.member;
  return {
    received: of?.received ?? 0,
    accepted: of?.accepted ?? 0,
    stale: of?.stale ?? 0,
    advertised: member?.group.countFor(member) ?? 0,
    pending: member?.group.pendingFor(member) ?? 0,
    endOfRibReceived: of?.endOfRibReceived ?? false,
    endOfRibSent: member?.initialSent ?? false,
  };
}

/** One net with its paths, or with those of one peer. */
export function viewRoute(rib: Rib, table: FamilyRib, net: number, peer?: number): RouteView {
  const paths: PathView[] = [];
  const selected = table.decision.select(table.firstPath(net));
  for (let row = table.firstPath(net); row !== 0; row = table.paths.get(row, PATH_NEXT)) {
    if (peer !== undefined && table.paths.peer(row) !== peer) continue;
    paths.push(viewPath(rib, table, net, row, selected));
  }
  return { address: table.table.addressOf(net), length: table.table.lengthOf(net), paths };
}

function viewPath(rib: Rib, table: FamilyRib, net: number, row: number, selected: number): PathView {
  const { paths, decision } = table;
  const flags = paths.get(row, PATH_PEER);
  const peer = rib.peers[flags & PEER_MASK]!;
  const of = peer.families.get(table.family)!;
  const raw = paths.get(row, PATH_RAW);
  const post = paths.get(row, PATH_POST);
  const best = table.best(net) === row;
  const first = table.firstPath(net);
  const own = peer.source <= FROM_KERNEL;
  const { keys } = rib.attributes;
  return {
    peer: peer.index,
    source: peer.source,
    pathId: paths.get(row, PATH_ID) >>> 0,
    received: rib.attributes.attributes(raw),
    accepted: post === 0 ? undefined : rib.attributes.attributes(post),
    problem: post !== 0 || own ? undefined : of.policy?.explain(raw, table.table, net),
    wonBy: best ? decision.winningStep(first) : 0,
    verdict: decision.verdict(row, selected),
    best,
    multipath: (flags & PATH_MULTI) !== 0,
    stale: flags >>> EPOCH_SHIFT !== of.epoch,
    time: paths.get(row, PATH_TIME),
    resolution:
      post === 0 ? undefined : rib.nextHops.resolution(keys.chunk(post)[keys.at(post) + KEY_NEXT_HOP]!),
  };
}

/** Nets that are looked at for one page, so that a page of few out of many does not take long. */
const LOOKED_AT = 65536;

function page<T>(
  rib: FamilyRib,
  cursor: number,
  limit: number,
  { within }: Range,
  view: (net: number) => T | undefined,
  weight: (entry: T) => number = () => 1,
): Page<T> {
  const entries: T[] = [];
  const { table } = rib;
  let net = Math.max(1, cursor);
  const stop = Math.min(table.limit, net + LOOKED_AT);
  let left = limit;
  for (; net < stop && left > 0; net++) {
    if (!table.inUse(net)) continue;
    if (within !== undefined && !contains(within, table.addressOf(net), table.lengthOf(net))) continue;
    const entry = view(net);
    if (entry === undefined) continue;
    entries.push(entry);
    left -= weight(entry);
  }
  return { entries, next: net < table.limit ? net : 0 };
}

function contains(outer: NonNullable<Range['within']>, address: Uint8Array, length: number): boolean {
  if (length < outer.length) return false;
  for (let i = 0; 8 * i < outer.length; i++) {
    const mask = (0xff00 >> Math.min(8, outer.length - 8 * i)) & 0xff;
    if (((address[i]! ^ outer.address[i]!) & mask) !== 0) return false;
  }
  return true;
}

function familyOf(rib: Rib, family: Family): FamilyRib {
  const found = rib.families.get(family);
  if (found === undefined) throw new RangeError(`RIB: family ${family} is not carried`);
  return found;
}
