/**
 * A neighbour as the API shows it.
 */

import { formatAddress } from '#bgp/config/address.ts';
import { countersOf, type PeerCounters } from '#bgp/rib/queries.ts';
import type { Counters } from '#bgp/session/counters.ts';
import type { Peer } from '#bgp/session/peer.ts';
import type { Speaker } from '#bgp/speaker.ts';
import { formatIpv4 } from '#bgp/wire/address.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { margay } from '#proto/generated/bgp.js';
import { capabilityText, toFamily, toState } from './text.ts';

type Neighbor = margay.bgp.v1.INeighbor;

/** In order of address, IPv4 before IPv6. */
export function listNeighbors(speaker: Speaker): Neighbor[] {
  const peers = [...speaker.sessions.peers].sort(
    (a, b) => a.address.family - b.address.family || Buffer.compare(a.address.bytes, b.address.bytes),
  );
  return peers.map((peer) => toNeighbor(speaker, peer));
}

/** Prefixes that neighbours may connect from, in the order of the configuration. */
export function listPrefixes(speaker: Speaker): margay.bgp.v1.INeighborPrefix[] {
  return [...speaker.sessions.prefixes].map(({ config, members }) => ({
    prefix: config.key,
    description: config.description,
    remoteAs: config.remoteAs.map(asText).join(', '),
    enabled: config.enabled,
    limit: config.match.kind === 'prefix' ? config.match.limit : 1,
    neighbors: members.size,
    established: [...members].filter(({ session }) => session !== undefined).length,
  }));
}

function asText({ first, last }: Peer['config']['remoteAs'][number]): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

export function toNeighbor(speaker: Speaker, peer: Peer): Neighbor {
  const { config, session } = peer;
  const { index, treatAsWithdraw } = speaker.record(peer);
  const negotiated = session?.negotiated;
  const remoteAs = negotiated?.peerAs ?? onlyAs(config.remoteAs);
  return {
    address: peer.name,
    description: config.description,
    remoteAs,
    localAs: config.localAs,
    type: remoteAs === config.localAs ? 'ibgp' : 'ebgp',
    state: toState(peer.state),
    enabled: peer.idleReason !== 'stopped',
    dynamic: config.match.kind === 'prefix',
    remoteRouterId: negotiated === undefined ? '' : formatIpv4(negotiated.peerIdentifier),
    localAddress: session?.localAddress === undefined ? '' : formatAddress(session.localAddress),
    localPort: session?.localPort ?? 0,
    remotePort: session?.remotePort ?? 0,
    changedAt: peer.changedAt / 1000,
    flaps: peer.flaps,
    timers: timersOf(peer),
    received: { ...counters(peer.received), treatAsWithdraw },
    sent: counters(peer.sent),
    lastError: peer.lastError?.text ?? '',
    lastErrorAt: (peer.lastError?.at ?? 0) / 1000,
    capabilitiesAdvertised: (negotiated?.offered ?? []).map(capabilityText),
    capabilitiesReceived: (negotiated?.received ?? []).map(capabilityText),
    families: config.families.map(({ family, maxPrefixes }) => ({
      family: toFamily(family),
      negotiated: negotiated?.families.includes(family) ?? false,
      maxPrefixes: maxPrefixes?.limit ?? 0,
      ...familyCounters(speaker, index, family),
    })),
    routeReflectorClient: config.routeReflectorClient,
    authenticated: config.password !== undefined,
    queuedBytes: peer.queued + (session === undefined || index === undefined ? 0 : speaker.rib.queued(index)),
  };
}

function familyCounters(
  speaker: Speaker,
  index: number | undefined,
  family: Family,
): margay.bgp.v1.INeighborFamily {
  const counts: Partial<PeerCounters> = index === undefined ? {} : countersOf(speaker.rib, index, family);
  return {
    received: counts.received ?? 0,
    accepted: counts.accepted ?? 0,
    advertised: counts.advertised ?? 0,
    initialDumpSent: counts.endOfRibSent ?? false,
    endOfRibReceived: counts.endOfRibReceived ?? false,
  };
}

function timersOf(peer: Peer): margay.bgp.v1.ITimers {
  const { session, config } = peer;
  const running = peer.timers();
  const left = (name: string): number => (running.get(`${session?.side} ${name}`) ?? 0) / 1000;
  return {
    holdConfigured: config.timers.hold,
    holdNegotiated: session?.negotiated.holdTime ?? 0,
    keepalive: session?.negotiated.keepalive ?? 0,
    connectRetry: config.timers.connectRetry,
    holdRemaining: left('hold'),
    keepaliveRemaining: left('keepalive'),
  };
}

function counters(counts: Counters): margay.bgp.v1.IMessageCounters {
  return {
    opens: counts.open,
    updates: counts.update,
    notifications: counts.notification,
    keepalives: counts.keepalive,
    refreshes: counts.routeRefresh,
    bytes: counts.bytes,
  };
}

/** The AS of a neighbour that is not up, 0 if it may be one of several. */
function onlyAs(ranges: Peer['config']['remoteAs']): number {
  const [range] = ranges;
  return ranges.length === 1 && range!.first === range!.last ? range!.first : 0;
}
