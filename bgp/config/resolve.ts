/**
 * Defaults, and what short forms of the file stand for.
 */

import type { AsRange } from '#bgp/session/settings.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import { BGP_PORT, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { type Address, formatAddress, isLinkLocal, parseAddress } from './address.ts';
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
import type { GeneralFields, ListenEntry, OriginateEntry, PeerEntry } from './schema.ts';

export const DEFAULT_SOCKET = '/run/margay/bgp.sock';
/** Marks our routes in the kernel; not used by any other routing daemon that /etc/iproute2/rt_protos lists. */
export const DEFAULT_PROTOCOL = 109;

export function resolveGeneral(
  fields: GeneralFields,
): Omit<SpeakerConfig, 'listen' | 'originate' | 'peers' | 'filters'> {
  const { routerId, decision, ecmp, kernel } = fields;
  return {
    routerId,
    as: fields.as,
    clusterId: fields.clusterId ?? routerId,
    gracefulShutdown: fields.gracefulShutdown ?? false,
    decision: {
      alwaysCompareMed: decision?.alwaysCompareMed ?? false,
      preferOldest: decision?.preferOldest ?? false,
    },
    ecmp: {
      maxPaths: ecmp?.maxPaths ?? 16,
      ebgp: ecmp?.ebgp ?? true,
      ibgp: ecmp?.ibgp ?? true,
      asPathRelax: ecmp?.asPathRelax ?? false,
    },
    kernel: {
      enabled: kernel?.enabled ?? true,
      table: kernel?.table ?? 254,
      protocol: kernel?.protocol ?? DEFAULT_PROTOCOL,
      metric: kernel?.metric ?? 32,
      families: (kernel?.families ?? ['ipv4-unicast', 'ipv6-unicast']).map((name) => familyNames[name]),
    },
    api: { socket: fields.api?.socket ?? DEFAULT_SOCKET },
    log: { level: fields.log?.level ?? 'info' },
  };
}

/** All addresses of both families unless some are given. */
export function resolveListen(entries: readonly ListenEntry[] | undefined): ListenConfig[] {
  const any = [{ address: parseAddress('0.0.0.0')! }, { address: parseAddress('::')! }];
  const given: readonly { address: Address; port?: number | undefined }[] = entries ?? any;
  return given.map(({ address, port }) => ({ address, port: port ?? BGP_PORT }));
}

export function resolveOriginate(entry: OriginateEntry): OriginateConfig {
  return { prefix: entry.prefix, blackhole: entry.blackhole ?? true, communities: entry.communities ?? [] };
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
    enabled: entry.enabled ?? true,
    shutdownMessage: entry.shutdownMessage ?? '',
    remoteAs: asRanges(entry.remoteAs!, localAs),
    localAs,
    port: entry.port ?? BGP_PORT,
    password,
    passive: match.kind === 'prefix' || (entry.passive ?? false),
    reach: resolveReach(entry),
    sourceAddress: entry.sourceAddress,
    interface: entry.interface,
    timers: resolveTimers(entry.timers),
    extendedMessages: entry.extendedMessages ?? true,
    enhancedRefresh: entry.enhancedRefresh ?? true,
    families: resolveFamilies(entry, match.kind === 'address' ? match.address.family : match.prefix.family),
    routeReflectorClient: entry.routeReflectorClient ?? false,
    asOverride: entry.asOverride ?? false,
    gracefulShutdown: entry.gracefulShutdown ?? false,
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
  return { kind: 'prefix', prefix: entry.prefix!, limit: entry.limit ?? 100 };
}

function resolveReach(entry: PeerEntry): Reach {
  if (entry.ttlSecurity !== undefined) return { kind: 'ttlSecurity', hops: entry.ttlSecurity };
  if (entry.multihop !== undefined) return { kind: 'multihop', ttl: entry.multihop };
  return { kind: 'direct' };
}

function resolveTimers(fields: PeerEntry['timers']): TimerConfig {
  return {
    hold: fields?.hold ?? 90,
    keepalive: fields?.keepalive,
    connectRetry: fields?.connectRetry ?? 5,
    delayOpen: fields?.delayOpen ?? 0,
    idleHold: fields?.idleHold ?? 1,
    idleHoldMax: fields?.idleHoldMax ?? Math.max(60, fields?.idleHold ?? 0),
    sendHold: fields?.sendHold ?? 'auto',
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
      nextHop: fields.nextHop ?? 'auto',
      allowOwnAs: fields.allowOwnAs ?? 0,
    });
  }
  return families;
}

function resolveMaxPrefixes(fields: NonNullable<PeerEntry['maxPrefixes']>): MaxPrefixes {
  return {
    limit: fields.limit,
    warnAt: fields.warnAt ?? 75,
    action: fields.action ?? 'stop',
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
