/**
 * Defaults, and what short forms of the file stand for.
 */

import type { AsRange } from '#bgp/session/settings.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { type Address, formatAddress, isLinkLocal, parseAddress } from './address.ts';
import { DEFAULTS, FAMILY_DEFAULTS, PEER_DEFAULTS } from './defaults.ts';
import { type FamilyName, familyNames, MAX_AS, type RemoteAs } from './leaves.ts';
import type {
  FamilyConfig,
  ListenConfig,
  MaxPrefixes,
  OriginateConfig,
  PeerConfig,
  Reach,
  SpeakerConfig,
  TimerConfig,
} from './model.ts';
import type { PeerEntry } from './peer-schema.ts';
import type { GeneralFields, ListenEntry, OriginateEntry } from './schema.ts';

export function resolveGeneral(
  fields: GeneralFields,
): Omit<SpeakerConfig, 'listen' | 'originate' | 'peers' | 'filters'> {
  const { routerId = 0, decision, ecmp, kernel } = fields;
  return {
    routerId,
    as: fields.as,
    clusterId: fields.clusterId ?? routerId,
    gracefulShutdown: fields.gracefulShutdown ?? DEFAULTS.gracefulShutdown,
    decision: {
      alwaysCompareMed: decision?.alwaysCompareMed ?? DEFAULTS.decision.alwaysCompareMed,
      preferOldest: decision?.preferOldest ?? DEFAULTS.decision.preferOldest,
    },
    ecmp: {
      maxPaths: ecmp?.maxPaths ?? DEFAULTS.ecmp.maxPaths,
      ebgp: ecmp?.ebgp ?? DEFAULTS.ecmp.ebgp,
      ibgp: ecmp?.ibgp ?? DEFAULTS.ecmp.ibgp,
      asPathRelax: ecmp?.asPathRelax ?? DEFAULTS.ecmp.asPathRelax,
    },
    kernel: {
      enabled: kernel?.enabled ?? DEFAULTS.kernel.enabled,
      table: kernel?.table ?? DEFAULTS.kernel.table,
      protocol: kernel?.protocol ?? DEFAULTS.kernel.protocol,
      metric: kernel?.metric ?? DEFAULTS.kernel.metric,
      families: (kernel?.families ?? DEFAULTS.kernel.families).map((name) => familyNames[name]),
    },
    api: { socket: fields.api?.socket ?? DEFAULTS.api.socket },
    log: { level: fields.log?.level ?? DEFAULTS.log.level },
  };
}

/** All addresses of both families unless some are given. */
export function resolveListen(entries: readonly ListenEntry[] | undefined): ListenConfig[] {
  const any = [{ address: parseAddress('0.0.0.0')! }, { address: parseAddress('::')! }];
  const given: readonly { address: Address; port?: number | undefined }[] = entries ?? any;
  return given.map(({ address, port }) => ({ address, port: port ?? DEFAULTS.listen.port }));
}

export function resolveOriginate(entry: OriginateEntry): OriginateConfig {
  return {
    prefix: entry.prefix,
    blackhole: entry.blackhole ?? DEFAULTS.originate.blackhole,
    communities: entry.communities ?? [],
  };
}

/** `entry` has an address or a prefix, a remote AS, and what its group says where it says nothing itself. */
export function resolvePeer(entry: PeerEntry, speakerAs: number, password: string | undefined): PeerConfig {
  const localAs = entry.localAs ?? speakerAs;
  const match = resolveMatch(entry);
  return {
    key: match.kind === 'address' ? formatAddress(match.address) : formatPrefix(match.prefix),
    match,
    description: entry.description ?? '',
    group: entry.group,
    enabled: entry.enabled ?? PEER_DEFAULTS.enabled,
    shutdownMessage: entry.shutdownMessage ?? '',
    remoteAs: asRanges(entry.remoteAs!, localAs),
    localAs,
    port: entry.port ?? PEER_DEFAULTS.port,
    password,
    passive: match.kind === 'prefix' || (entry.passive ?? PEER_DEFAULTS.passive),
    reach: resolveReach(entry),
    sourceAddress: entry.sourceAddress,
    interface: entry.interface,
    timers: resolveTimers(entry.timers),
    extendedMessages: entry.extendedMessages ?? PEER_DEFAULTS.extendedMessages,
    enhancedRefresh: entry.enhancedRefresh ?? PEER_DEFAULTS.enhancedRefresh,
    connectedNextHop: entry.connectedNextHop ?? PEER_DEFAULTS.connectedNextHop,
    families: resolveFamilies(entry, match.kind === 'address' ? match.address.family : match.prefix.family),
    routeReflectorClient: entry.routeReflectorClient ?? PEER_DEFAULTS.routeReflectorClient,
    asOverride: entry.asOverride ?? PEER_DEFAULTS.asOverride,
    gracefulShutdown: entry.gracefulShutdown ?? PEER_DEFAULTS.gracefulShutdown,
  };
}

function resolveMatch(entry: PeerEntry): PeerConfig['match'] {
  if (entry.address !== undefined) {
    const { address } = entry;
    // A link-local neighbour is named with its interface, however the file says it.
    const withZone =
      entry.interface !== undefined && address.zone === undefined && isLinkLocal(address.bytes);
    return { kind: 'address', address: withZone ? { ...address, zone: entry.interface! } : address };
  }
  return { kind: 'prefix', prefix: entry.prefix!, limit: entry.limit ?? PEER_DEFAULTS.limit };
}

function resolveReach(entry: PeerEntry): Reach {
  if (entry.ttlSecurity !== undefined) return { kind: 'ttlSecurity', hops: entry.ttlSecurity };
  if (entry.multihop !== undefined) return { kind: 'multihop', ttl: entry.multihop };
  return { kind: 'direct' };
}

function resolveTimers(fields: PeerEntry['timers']): TimerConfig {
  const defaults = PEER_DEFAULTS.timers;
  return {
    hold: fields?.hold ?? defaults.hold,
    keepalive: fields?.keepalive,
    connectRetry: fields?.connectRetry ?? defaults.connectRetry,
    delayOpen: fields?.delayOpen ?? defaults.delayOpen,
    idleHold: fields?.idleHold ?? defaults.idleHold,
    idleHoldMax: fields?.idleHoldMax ?? Math.max(defaults.idleHoldMax, fields?.idleHold ?? 0),
    sendHold: fields?.sendHold ?? defaults.sendHold,
  };
}

/** Without a word about families, the one that the session itself runs over. */
function resolveFamilies(entry: PeerEntry, addressFamily: 4 | 6): FamilyConfig[] {
  const own: FamilyName = addressFamily === 4 ? 'ipv4-unicast' : 'ipv6-unicast';
  const given = entry.families ?? { [own]: {} };
  const families: FamilyConfig[] = [];
  for (const name of Object.keys(familyNames) as FamilyName[]) {
    if (!(name in given)) continue;
    const fields = { ...definedOnly(entry), ...definedOnly(given[name] ?? {}) };
    families.push({
      family: name === 'ipv4-unicast' ? IPV4_UNICAST : IPV6_UNICAST,
      import: fields.import,
      export: fields.export,
      maxPrefixes: fields.maxPrefixes && resolveMaxPrefixes(fields.maxPrefixes),
      nextHop: fields.nextHop ?? FAMILY_DEFAULTS.nextHop,
      allowOwnAs: fields.allowOwnAs ?? FAMILY_DEFAULTS.allowOwnAs,
    });
  }
  return families;
}

function resolveMaxPrefixes(fields: NonNullable<PeerEntry['maxPrefixes']>): MaxPrefixes {
  return {
    limit: fields.limit,
    warnAt: fields.warnAt ?? FAMILY_DEFAULTS.maxPrefixes.warnAt,
    action: fields.action ?? FAMILY_DEFAULTS.maxPrefixes.action,
    restart: fields.restart,
  };
}

function asRanges(remoteAs: RemoteAs, localAs: number): readonly AsRange[] {
  if (remoteAs === 'internal') return [{ first: localAs, last: localAs }];
  if (remoteAs !== 'external') return remoteAs;
  const below = { first: 1, last: localAs - 1 };
  const above = { first: localAs + 1, last: MAX_AS };
  return [below, above].filter(({ first, last }) => first <= last);
}

/** Without the keys whose value is `undefined`, so that spreading it overrides nothing. */
function definedOnly<T extends object>(fields: T | undefined): Partial<T> {
  return Object.fromEntries(
    Object.entries(fields ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}
