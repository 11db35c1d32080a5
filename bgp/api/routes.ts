/**
 * Routes and paths as the API shows them, and tables as streams of batches.
 */

import { setImmediate } from 'node:timers/promises';
import { stepName } from '#bgp/rib/decision.ts';
import { sourceName } from '#bgp/rib/peer.ts';
import {
  listReceived,
  listRoutes,
  listSent,
  type Page,
  type PathView,
  type Range,
  type RouteView,
} from '#bgp/rib/queries.ts';
import { LOCAL_PEER } from '#bgp/rib/rib.ts';
import type { Speaker } from '#bgp/speaker.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { margay } from '#proto/generated/bgp.js';
import { toAttributes } from './text.ts';

/** Routes of one message. */
const BATCH = 256;

/** How a path is shown: as used, or as it came in before the import filter. */
export type Side = 'received' | 'accepted';

export function toRoute(speaker: Speaker, route: RouteView, side: Side = 'accepted'): margay.bgp.v1.IRoute {
  const paths = route.paths.map((path) => toPath(speaker, path, side, route.paths.length > 1));
  // The best first, then those in use beside it, then the others.
  paths.sort((a, b) => rank(b) - rank(a));
  return { prefix: prefixOf(route), paths };
}

export function toPath(speaker: Speaker, path: PathView, side: Side, several: boolean): margay.bgp.v1.IPath {
  const shown = side === 'received' ? path.received : (path.accepted ?? path.received);
  return {
    neighbor: speaker.peerAt(path.peer)?.name ?? '',
    source: sourceName(path.source),
    best: path.best,
    multipath: path.multipath && !path.best,
    rejectedByFilter: path.accepted === undefined,
    decision: several || path.verdict.kind !== 'best' ? decisionText(path) : '',
    attributes: toAttributes(shown),
    receivedAt: speaker.ribEpoch / 1000 + path.time,
    nextHopReachable: path.resolution?.reachable ?? false,
    stale: path.stale,
  };
}

function decisionText({ verdict, wonBy, problem }: PathView): string {
  switch (verdict.kind) {
    case 'best':
      return wonBy === 0 ? 'the only path that can be used' : `best by ${stepName(wonBy)}`;
    case 'multipath':
      return 'in use beside the best path';
    case 'rejected':
      return problem === undefined ? 'rejected' : PROBLEMS[problem];
    case 'unreachable':
      return 'next hop unreachable';
    case 'lost':
      return `lost by ${stepName(verdict.step)}`;
  }
}

const PROBLEMS: Readonly<Record<NonNullable<PathView['problem']>, string>> = {
  'as-loop': 'our own AS is in the path',
  'originator-loop': 'we are its originator',
  'cluster-loop': 'our own cluster is in its cluster list',
  'own-next-hop': 'the next hop is our own address',
  'foreign-next-hop': 'the next hop is in no subnet shared with the neighbour',
  filter: 'rejected by the import filter',
};

function rank({ best, multipath }: margay.bgp.v1.IPath): number {
  return best ? 2 : multipath ? 1 : 0;
}

/** What to list. */
export type Listing =
  | { readonly table: 'loc-rib' }
  | { readonly table: 'originated' }
  | { readonly table: 'in'; readonly peer: number; readonly side: Side }
  | { readonly table: 'out'; readonly peer: number };

/** A table in batches. Between two of them others get their turn, so what comes or goes meanwhile may be missed. */
export async function* routeBatches(
  speaker: Speaker,
  listing: Listing,
  family: Family,
  range: Range,
  signal: AbortSignal,
): AsyncGenerator<margay.bgp.v1.IRouteBatch> {
  let cursor = 0;
  do {
    const page = pageOf(speaker, listing, family, cursor, range);
    if (page.entries.length > 0) yield { routes: [...page.entries] };
    cursor = page.next;
    await setImmediate();
  } while (cursor !== 0 && !signal.aborted);
}

function pageOf(
  speaker: Speaker,
  listing: Listing,
  family: Family,
  cursor: number,
  range: Range,
): Page<margay.bgp.v1.IRoute> {
  const { rib } = speaker;
  switch (listing.table) {
    case 'loc-rib':
      return mapped(listRoutes(rib, family, cursor, BATCH, range), (route) => toRoute(speaker, route));
    case 'originated':
      return mapped(listReceived(rib, LOCAL_PEER, family, cursor, BATCH, range), (route) =>
        toRoute(speaker, route),
      );
    case 'in': {
      const page = listReceived(rib, listing.peer, family, cursor, BATCH, range);
      const shown = page.entries.filter(
        ({ paths }) => listing.side === 'received' || paths.some(({ accepted }) => accepted !== undefined),
      );
      return mapped({ entries: shown, next: page.next }, (route) => toRoute(speaker, route, listing.side));
    }
    case 'out':
      return mapped(listSent(rib, listing.peer, family, cursor, BATCH, range), (sent) => ({
        prefix: prefixOf(sent),
        paths: [{ attributes: toAttributes(sent.attributes), nextHopReachable: true }],
      }));
  }
}

function mapped<T, R>(page: Page<T>, map: (entry: T) => R): Page<R> {
  return { entries: page.entries.map(map), next: page.next };
}

function prefixOf({ address, length }: { readonly address: Uint8Array; readonly length: number }): string {
  return formatPrefix({ family: address.length === 4 ? 4 : 6, bytes: address, length });
}
