/**
 * The methods of bgp.proto over a speaker.
 */

import type { ClusterFacts } from '#bgp/cluster/facts.ts';
import { type Address, parseAddress, parsePrefix } from '#bgp/config/address.ts';
import { type ConfigFile, isFault } from '#bgp/daemon/config-file.ts';
import { familyOfPrefix, type OwnRoute } from '#bgp/daemon/own-routes.ts';
import { findRoute, lookUp, type Range, type RouteView } from '#bgp/rib/queries.ts';
import { LOCAL_PEER } from '#bgp/rib/rib.ts';
import type { Peer } from '#bgp/session/peer.ts';
import type { Speaker } from '#bgp/speaker.ts';
import { formatIpv4, formatPrefix, maskBits, type Prefix } from '#bgp/wire/address.ts';
import { parseCommunity, parseLargeCommunity } from '#bgp/wire/communities.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { bgpService } from '#proto/bgp.ts';
import { RpcError } from '#proto/error.ts';
import { margay } from '#proto/generated/bgp.js';
import type { Handlers } from '#proto/server.ts';
import { watchEvents } from './events.ts';
import { listNeighbors, listPrefixes, toNeighbor } from './neighbors.ts';
import { type Listing, routeBatches, toRoute } from './routes.ts';
import { familiesOf, toFamily } from './text.ts';

const v1 = margay.bgp.v1;

export type ApiOptions = {
  /** `undefined` as long as it waits for the nodes of the cluster. */
  readonly speaker: () => Speaker | undefined;
  readonly configFile: ConfigFile;
  /** Where neighbours come from the nodes of a cluster. */
  readonly nodes: ApiNodes | undefined;
  /** Of the daemon, ms since 1970. */
  readonly startedAt: number;
  readonly version: string;
  /** ms since 1970. */
  readonly date: () => number;
  /** Bytes of memory that the process has. */
  readonly memory: () => number;
};

export type ApiNodes = {
  readonly cluster: { readonly node: string };
  readonly follower: {
    readonly facts: ClusterFacts | undefined;
    readonly inSyncSince: number;
    readonly problems: readonly string[];
  };
  /** The datastore, in words. */
  readonly description: string;
};

export function bgpHandlers(options: ApiOptions): Handlers<typeof bgpService> {
  const { configFile } = options;
  const running = (): Speaker => {
    const speaker = options.speaker();
    if (speaker !== undefined) return speaker;
    throw new RpcError('FAILED_PRECONDITION', `there is no speaker yet: ${waitsFor(options)}`);
  };
  const handlers = {
    getStatus: () => v1.Status.create(statusOf(options)),

    listNeighbors: ({ address }) => {
      if (address === '' && options.speaker() === undefined) return v1.ListNeighborsResponse.create({});
      const speaker = running();
      const neighbors =
        address === '' ? listNeighbors(speaker) : [toNeighbor(speaker, neighborOf(speaker, address))];
      const prefixes = address === '' ? listPrefixes(speaker) : [];
      return v1.ListNeighborsResponse.create({ neighbors, prefixes });
    },

    async *listRoutes(request, { signal }) {
      const speaker = running();
      const listing = listingOf(speaker, request);
      const prefix = request.prefix === '' ? undefined : prefixOf(request.prefix);
      if (prefix !== undefined && !request.longer && listing.table === 'loc-rib') {
        const found = findRoute(speaker.rib, familyOfPrefix(prefix), prefix.bytes, prefix.length);
        if (found !== undefined) yield v1.RouteBatch.create({ routes: [toRoute(speaker, found)] });
        return;
      }
      const range: Range =
        prefix === undefined ? {} : { within: { address: prefix.bytes, length: prefix.length } };
      const families = prefix === undefined ? familiesOf(request.family) : [familyOfPrefix(prefix)];
      for (const family of families) {
        for await (const batch of routeBatches(speaker, listing, family, range, signal)) {
          const only = request.longer || prefix === undefined ? undefined : formatPrefix(prefix);
          const routes = (batch.routes ?? []).filter((route) => only === undefined || route.prefix === only);
          if (routes.length > 0) yield v1.RouteBatch.create({ routes });
        }
      }
    },

    lookupRoute: ({ address }) => {
      const speaker = running();
      const route = longestMatch(speaker, address);
      return v1.LookupRouteResponse.create(route === undefined ? {} : { route: toRoute(speaker, route) });
    },

    advertise: ({ routes }) => {
      const wanted = routes.map(ownRouteOf);
      const outcome = running().own.advertise(wanted);
      return v1.AdvertiseResponse.create(outcome);
    },

    withdraw: ({ prefixes }) => {
      const speaker = running();
      const wanted = prefixes.map(prefixOf);
      const missing = wanted.filter((prefix) => !speaker.own.isAdded(prefix)).map(formatPrefix);
      if (missing.length > 0) {
        throw new RpcError(
          'NOT_FOUND',
          `${missing.join(', ')}: not among what was advertised while it runs (what the configuration originates is taken out there); nothing was withdrawn`,
        );
      }
      speaker.own.withdraw(wanted);
      return v1.WithdrawResponse.create({ removed: wanted.length });
    },

    resetNeighbor: ({ address, kind, message, family }) => {
      const speaker = running();
      const peers = address === '' ? [...speaker.sessions.peers] : [neighborOf(speaker, address)];
      const done = peers.filter((peer) => reset(speaker, peer, kind, messageOf(message), family));
      if (address !== '' && done.length === 0) {
        throw new RpcError('FAILED_PRECONDITION', `neighbour ${peers[0]!.name}: ${NOT_RESET[kind]}`);
      }
      return v1.ResetNeighborResponse.create({ neighbors: done.length });
    },

    setNeighborEnabled: ({ address, enabled, message }) => {
      const peer = neighborOf(running(), address);
      if (enabled) peer.start();
      else peer.stop(messageOf(message));
      return v1.SetNeighborEnabledResponse.create({});
    },

    reload: () => {
      try {
        const { added, removed, changed, reset: ended } = configFile.reload();
        return v1.ReloadResponse.create({ added, removed, changed, reset: [...ended] });
      } catch (error) {
        if (!isFault(error)) throw error;
        throw new RpcError('FAILED_PRECONDITION', error.message, { cause: error });
      }
    },

    async *watchEvents({ routes, family }, { signal }) {
      const families = routes ? familiesOf(family) : [];
      for await (const event of watchEvents(running(), families, options.date, signal)) {
        yield v1.Event.create(event);
      }
    },
  } satisfies Handlers<typeof bgpService>;
  return handlers;
}

function statusOf(options: ApiOptions): margay.bgp.v1.IStatus {
  const { speaker, configFile, version, memory, startedAt } = options;
  const running = speaker();
  return {
    version,
    localAs: configFile.loaded.speaker.as,
    startedAt: startedAt / 1000,
    configLoadedAt: configFile.loadedAt / 1000,
    configError: configFile.error,
    memoryBytes: memory(),
    cluster: clusterOf(options),
    ...(running === undefined ? {} : speakerStatusOf(running)),
  };
}

function speakerStatusOf(speaker: Speaker): margay.bgp.v1.IStatus {
  const { config, rib, kernel } = speaker;
  const peers = [...speaker.sessions.peers];
  return {
    routerId: formatIpv4(config.routerId),
    neighbors: peers.length,
    neighborsEstablished: peers.filter(({ session }) => session !== undefined).length,
    families: [IPV4_UNICAST, IPV6_UNICAST].map((family) => {
      const of = rib.families.get(family)!;
      return {
        family: toFamily(family),
        prefixes: of.routes,
        paths: of.paths.size,
        originated: rib.peers[LOCAL_PEER]!.families.get(family)?.received ?? 0,
      };
    }),
    kernel: {
      enabled: kernel !== undefined,
      routes: kernel?.counters.installed ?? 0,
      table: config.kernel.table,
      protocol: config.kernel.protocol,
      refused: kernel?.counters.refused ?? 0,
      repaired: kernel?.counters.repaired ?? 0,
      lastError: kernel?.lastError ?? '',
    },
  };
}

function clusterOf(options: ApiOptions): margay.bgp.v1.IClusterStatus | null {
  const { nodes, configFile, speaker } = options;
  if (nodes === undefined) return null;
  const { follower, cluster, description } = nodes;
  return {
    node: cluster.node,
    datastore: description,
    inSyncSince: follower.inSyncSince / 1000,
    nodes: follower.facts === undefined ? 0 : follower.facts.others.length + 1,
    waitsFor: speaker() === undefined ? waitsFor(options) : '',
    problems: [...follower.problems, ...configFile.problems],
  };
}

function waitsFor({ nodes }: ApiOptions): string {
  return `it waits for Node ${nodes?.cluster.node} (${nodes?.description})`;
}

function listingOf(speaker: Speaker, { table, neighbor }: margay.bgp.v1.ListRoutesRequest): Listing {
  const Table = v1.ListRoutesRequest.Table;
  if (table === Table.LOC_RIB) return { table: 'loc-rib' };
  if (table === Table.ORIGINATED) return { table: 'originated' };
  if (neighbor === '') throw new RpcError('INVALID_ARGUMENT', 'neighbor: nothing, expected an address');
  // Without a session ever there is no table either: index 0 is nobody.
  const peer = speaker.record(neighborOf(speaker, neighbor)).index ?? 0;
  if (table === Table.ADJ_RIB_OUT) return { table: 'out', peer };
  return { table: 'in', peer, side: table === Table.ADJ_RIB_IN_PRE ? 'received' : 'accepted' };
}

function longestMatch(speaker: Speaker, text: string): RouteView | undefined {
  if (!text.includes('/')) {
    const { family, bytes } = addressOf(text, 'address');
    return lookUp(speaker.rib, family === 4 ? IPV4_UNICAST : IPV6_UNICAST, bytes);
  }
  const prefix = prefixOf(text);
  const family = familyOfPrefix(prefix);
  for (let length = prefix.length; length >= 0; length--) {
    const bytes = prefix.bytes.slice();
    maskBits(bytes, length);
    const found = findRoute(speaker.rib, family, bytes, length);
    if (found?.paths.some(({ best }) => best)) return found;
  }
  return undefined;
}

function reset(
  speaker: Speaker,
  peer: Peer,
  kind: margay.bgp.v1.ResetNeighborRequest.Kind,
  message: string,
  family: margay.bgp.v1.Family,
): boolean {
  const Kind = v1.ResetNeighborRequest.Kind;
  if (kind === Kind.HARD) {
    if (peer.idleReason === 'stopped') return false;
    peer.reset(message);
    return true;
  }
  const { index } = speaker.record(peer);
  if (peer.session === undefined || index === undefined) return false;
  const carried = peer.session.negotiated.families;
  const families = familiesOf(family).filter((each) => carried.includes(each));
  if (kind === Kind.REFRESH) return families.map((each) => peer.requestRefresh(each)).includes(true);
  for (const each of families) {
    if (kind === Kind.SOFT_IN) speaker.rib.softReset(index, each);
    else speaker.rib.resend(index, each);
  }
  speaker.wake();
  return families.length > 0;
}

const NOT_RESET: Readonly<Record<number, string>> = {
  [v1.ResetNeighborRequest.Kind.HARD]: 'it is disabled',
  [v1.ResetNeighborRequest.Kind.SOFT_IN]: 'there is no session that carries the family',
  [v1.ResetNeighborRequest.Kind.SOFT_OUT]: 'there is no session that carries the family',
  [v1.ResetNeighborRequest.Kind.REFRESH]: 'there is no session, or it does not understand ROUTE-REFRESH',
};

function neighborOf(speaker: Speaker, text: string): Peer {
  addressOf(text, 'address');
  const peer = speaker.sessions.peer(text);
  if (peer === undefined) throw new RpcError('NOT_FOUND', `neighbour ${text}: there is none`);
  return peer;
}

function addressOf(text: string, field: string): Address {
  const address = parseAddress(text);
  if (address === undefined) {
    throw new RpcError('INVALID_ARGUMENT', `${field}: found ${JSON.stringify(text)}, expected an address`);
  }
  return address;
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      `prefix: found ${JSON.stringify(text)}, expected a prefix such as 10.9.0.0/24, with no bits set behind its length`,
    );
  }
  return prefix;
}

/** RFC 9003 section 2 allows so many bytes. */
const MAX_MESSAGE = 255;

function messageOf(message: string): string {
  const { length } = Buffer.from(message);
  if (length <= MAX_MESSAGE) return message;
  throw new RpcError('INVALID_ARGUMENT', `message: found ${length} bytes, expected at most ${MAX_MESSAGE}`);
}

function ownRouteOf(route: margay.bgp.v1.IOriginatedRoute): OwnRoute {
  const { nextHop, med, localPreference } = route;
  const prefix = prefixOf(route.prefix ?? '');
  const address = nextHop ? addressOf(nextHop, 'next_hop') : undefined;
  if (address !== undefined && address.family !== prefix.family) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      `next_hop: found ${nextHop}, expected an IPv${prefix.family} address`,
    );
  }
  return {
    prefix,
    nextHop: address?.bytes,
    med: med ?? undefined,
    localPref: localPreference ?? undefined,
    communities: (route.communities ?? []).map((text) => communityOf(text, 'communities', parseCommunity)),
    largeCommunities: (route.largeCommunities ?? []).map((text) =>
      communityOf(text, 'large_communities', parseLargeCommunity),
    ),
    blackhole: route.blackhole ?? false,
  };
}

function communityOf<T>(text: string, field: string, parse: (text: string) => T | undefined): T {
  const value = parse(text);
  if (value === undefined) {
    throw new RpcError('INVALID_ARGUMENT', `${field}: found ${JSON.stringify(text)}, expected a community`);
  }
  return value;
}
