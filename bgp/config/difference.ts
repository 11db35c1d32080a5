/**
 * What changes from one configuration to another, as data: which neighbours come, go, or change, and for each changed
 * field what it asks of the session. A neighbour that is not named here is not touched.
 */

import { isDeepStrictEqual } from 'node:util';
import { formatPrefix } from '#bgp/wire/address.ts';
import type { Family } from '#bgp/wire/constants.ts';
import { formatAddress } from './address.ts';
import type { FamilyConfig, ListenConfig, OriginateConfig, PeerConfig, SpeakerConfig } from './model.ts';

/**
 * - `reset`: only a new session can have it: it is in the OPEN, or in the connection itself;
 * - `enable`, `disable`: start or stop the session;
 * - `softIn`: run the routes of the neighbour through import again (a refresh if they are not kept);
 * - `softOut`: send our routes again as far as they come out otherwise;
 * - `none`: holds from now on, nothing to be done.
 */
export type Effect = 'reset' | 'enable' | 'disable' | 'softIn' | 'softOut' | 'none';

export type ChangedField = {
  /** Name in `PeerConfig`; `families.ipv4-unicast.import` style names carry the family in `family`. */
  readonly field: string;
  readonly family: Family | undefined;
  readonly effects: readonly Effect[];
};

export type ChangedPeer = {
  readonly before: PeerConfig;
  readonly after: PeerConfig;
  readonly fields: readonly ChangedField[];
  readonly reset: boolean;
  /** Families to run through import again; empty if the session is reset anyway. */
  readonly softIn: readonly Family[];
  readonly softOut: readonly Family[];
};

export type ListDifference<T> = { readonly added: readonly T[]; readonly removed: readonly T[] };

export type ConfigDifference = {
  readonly added: readonly PeerConfig[];
  readonly removed: readonly PeerConfig[];
  readonly changed: readonly ChangedPeer[];
  readonly listen: ListDifference<ListenConfig>;
  /** A changed origination is removed and added. */
  readonly originate: ListDifference<OriginateConfig>;
  /** Names of filters that are new, gone, or say something else. */
  readonly filters: readonly string[];
  /** Parts of the speaker, by their name in `SpeakerConfig`, that have to read their settings again. */
  readonly parts: readonly (typeof PARTS)[number][];
};

const PARTS = [
  'routerId',
  'as',
  'clusterId',
  'gracefulShutdown',
  'decision',
  'ecmp',
  'kernel',
  'api',
  'log',
] as const;

export function compareConfigs(before: SpeakerConfig, after: SpeakerConfig): ConfigDifference {
  const filters = changedKeys(before.filters, after.filters);
  const old = new Map(before.peers.map((peer) => [peer.key, peer]));
  const now = new Map(after.peers.map((peer) => [peer.key, peer]));
  const common = commonFields(before, after);
  const changed: ChangedPeer[] = [];
  for (const peer of after.peers) {
    const was = old.get(peer.key);
    const change = was && comparePeers(was, peer, new Set(filters), common);
    if (change !== undefined) changed.push(change);
  }
  return {
    added: after.peers.filter((peer) => !old.has(peer.key)),
    removed: before.peers.filter((peer) => !now.has(peer.key)),
    changed,
    listen: compareLists(
      before.listen,
      after.listen,
      ({ address, port }) => `${formatAddress(address)} ${port}`,
    ),
    originate: compareLists(before.originate, after.originate, (origin) => formatPrefix(origin.prefix)),
    filters,
    parts: PARTS.filter((part) => !isDeepStrictEqual(before[part], after[part])),
  };
}

/** What each field of a neighbour asks for when it changes. Those of `families` are in the table after this one. */
const PEER_EFFECTS: Readonly<
  Record<Exclude<keyof PeerConfig, 'key' | 'families' | 'timers' | 'enabled'>, readonly Effect[]>
> = {
  match: ['none'], // the key says all of it but the limit, which holds for those who come from now on
  description: ['none'],
  group: ['none'], // what it says is in the other fields
  shutdownMessage: ['none'],
  remoteAs: ['reset'],
  localAs: ['reset'],
  port: ['reset'],
  password: ['reset'],
  passive: ['none'],
  reach: ['reset'],
  sourceAddress: ['reset'],
  interface: ['reset'],
  extendedMessages: ['reset'],
  enhancedRefresh: ['reset'],
  connectedNextHop: ['softIn'],
  routeReflectorClient: ['softIn', 'softOut'],
  asOverride: ['softOut'],
  gracefulShutdown: ['softIn', 'softOut'],
};

const TIMER_EFFECTS: Readonly<Record<keyof PeerConfig['timers'], readonly Effect[]>> = {
  hold: ['reset'],
  keepalive: ['reset'],
  connectRetry: ['none'],
  delayOpen: ['none'],
  idleHold: ['none'],
  idleHoldMax: ['none'],
  sendHold: ['none'],
};

const FAMILY_EFFECTS: Readonly<Record<Exclude<keyof FamilyConfig, 'family'>, readonly Effect[]>> = {
  import: ['softIn'],
  export: ['softOut'],
  maxPrefixes: ['none'], // compared with what is there at once, by whoever counts
  nextHop: ['softOut'],
  allowOwnAs: ['softIn'],
};

function comparePeers(
  before: PeerConfig,
  after: PeerConfig,
  changedFilters: ReadonlySet<string>,
  common: readonly ChangedField[],
): ChangedPeer | undefined {
  const fields = [
    ...common,
    ...changedFields(before, after, PEER_EFFECTS),
    ...changedFields(before.timers, after.timers, TIMER_EFFECTS, 'timers.'),
    ...compareFamilies(before.families, after.families, changedFilters),
  ];
  if (before.enabled !== after.enabled) {
    fields.push({ field: 'enabled', family: undefined, effects: [after.enabled ? 'enable' : 'disable'] });
  }
  if (fields.length === 0) return undefined;
  const reset = fields.some(({ effects }) => effects.includes('reset'));
  const familiesWith = (effect: Effect): Family[] => {
    const all = fields.some((field) => field.family === undefined && field.effects.includes(effect));
    return after.families
      .map(({ family }) => family)
      .filter(
        (family) => all || fields.some((field) => field.family === family && field.effects.includes(effect)),
      );
  };
  return {
    before,
    after,
    fields,
    reset,
    softIn: reset ? [] : familiesWith('softIn'),
    softOut: reset ? [] : familiesWith('softOut'),
  };
}

/** What a change of the speaker itself means for every neighbour. */
function commonFields(before: SpeakerConfig, after: SpeakerConfig): ChangedField[] {
  const fields: ChangedField[] = [];
  const add = (field: string, ...effects: Effect[]) => fields.push({ field, family: undefined, effects });
  // It is in every OPEN.
  if (before.routerId !== after.routerId) add('routerId', 'reset');
  // Shows in the local AS of those whom it is for; for the others it is the AS that must not be in a path.
  if (before.as !== after.as) add('as', 'softIn');
  if (before.clusterId !== after.clusterId) add('clusterId', 'softIn', 'softOut');
  if (before.gracefulShutdown !== after.gracefulShutdown) add('gracefulShutdown', 'softOut');
  return fields;
}

function compareFamilies(
  before: readonly FamilyConfig[],
  after: readonly FamilyConfig[],
  changedFilters: ReadonlySet<string>,
): ChangedField[] {
  const fields: ChangedField[] = [];
  const families = new Set([...before, ...after].map(({ family }) => family));
  for (const family of families) {
    const was = before.find((item) => item.family === family);
    const is = after.find((item) => item.family === family);
    if (was === undefined || is === undefined) {
      fields.push({ field: 'families', family, effects: ['reset'] });
      continue;
    }
    const changed = changedFields(was, is, FAMILY_EFFECTS).map((field) => ({ ...field, family }));
    fields.push(...changed);
    for (const direction of ['import', 'export'] as const) {
      if (changed.some(({ field }) => field === direction)) continue;
      if (is[direction]?.some((name) => changedFilters.has(name)) !== true) continue;
      fields.push({ field: direction, family, effects: FAMILY_EFFECTS[direction] });
    }
  }
  return fields;
}

function changedFields<T extends object, K extends keyof T & string>(
  before: T,
  after: T,
  effects: Readonly<Record<K, readonly Effect[]>>,
  prefix = '',
): ChangedField[] {
  return (Object.keys(effects) as K[])
    .filter((field) => !isDeepStrictEqual(before[field], after[field]))
    .map((field) => ({ field: prefix + field, family: undefined, effects: effects[field] }));
}

function changedKeys(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => !isDeepStrictEqual(before.get(name), after.get(name)));
}

function compareLists<T>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (item: T) => string,
): ListDifference<T> {
  const old = new Map(before.map((item) => [nameOf(item), item]));
  const now = new Map(after.map((item) => [nameOf(item), item]));
  return {
    added: after.filter((item) => !isDeepStrictEqual(old.get(nameOf(item)), item)),
    removed: before.filter((item) => !isDeepStrictEqual(now.get(nameOf(item)), item)),
  };
}
