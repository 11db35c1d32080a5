/**
 * From the configuration to what the RIB wants to know.
 */

import type { Address } from '#bgp/config/address.ts';
import type { FamilyConfig, PeerConfig, Reach, SpeakerConfig } from '#bgp/config/model.ts';
import { ACCEPT_ALL, OWN_PREFIXES, REJECT_ALL } from '#bgp/filter/builtin.ts';
import type { Filter } from '#bgp/filter/types.ts';
import type { PeerFamilySettings, PeerSession, PeerSettings, RibSettings } from '#bgp/rib/settings.ts';
import type { Session } from '#bgp/session/handler.ts';
import type { OwnAddresses } from './own-addresses.ts';

const DEFAULT_LOCAL_PREF = 100;
const BUILT_IN: ReadonlyMap<string, Filter> = new Map(
  [ACCEPT_ALL, REJECT_ALL, OWN_PREFIXES].map((filter) => [filter.name, filter]),
);

export function ribSettings({ as, routerId, clusterId, decision, ecmp }: SpeakerConfig): RibSettings {
  return {
    asn: as,
    routerId,
    clusterId,
    defaultLocalPref: DEFAULT_LOCAL_PREF,
    decision: { ...decision, missingMedIsWorst: false },
    multipath: ecmp,
  };
}

/** A neighbour by its address; a dynamic one has the configuration of its prefix. */
export function peerSettings(
  name: string,
  address: Address,
  peer: PeerConfig,
  config: SpeakerConfig,
): PeerSettings {
  return {
    name,
    address: address.bytes,
    localAs: peer.localAs,
    routeReflectorClient: peer.routeReflectorClient,
    asOverride: peer.asOverride,
    honourGracefulShutdown: true,
    connectedNextHop: peer.connectedNextHop && isOneHop(peer.reach),
    gracefulShutdown: peer.gracefulShutdown || config.gracefulShutdown,
    families: new Map(peer.families.map((family) => [family.family, familySettings(family, config)])),
  };
}

function isOneHop(reach: Reach): boolean {
  return reach.kind === 'direct' || (reach.kind === 'ttlSecurity' && reach.hops === 1);
}

/** What the RIB is told of an Established session. */
export function peerSession({ negotiated }: Session, own: OwnAddresses): PeerSession {
  return {
    remoteAs: negotiated.peerAs,
    routerId: negotiated.peerIdentifier,
    codec: { as4: negotiated.as4, ebgp: negotiated.external },
    maxMessage: negotiated.maxSend,
    families: negotiated.families,
    enhancedRefresh: negotiated.enhancedRefresh,
    ...own,
  };
}

function familySettings(family: FamilyConfig, config: SpeakerConfig): PeerFamilySettings {
  const { maxPrefixes, nextHop, allowOwnAs } = family;
  return {
    import: filtersOf(family.import, config),
    export: filtersOf(family.export, config),
    nextHop,
    allowOwnAs,
    maxPrefixes: maxPrefixes && { limit: maxPrefixes.limit, warnAt: maxPrefixes.warnAt },
  };
}

/** That every name has a filter was seen to when the configuration was read. */
function filtersOf(
  names: readonly string[] | undefined,
  { filters }: SpeakerConfig,
): readonly Filter[] | undefined {
  return names?.map((name) => {
    const filter = filters.get(name) ?? BUILT_IN.get(name);
    if (filter === undefined) throw new RangeError(`no filter ${name}`);
    return filter;
  });
}
