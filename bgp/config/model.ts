/**
 * The configuration of a speaker with every default filled in and every group merged: what the parts of the speaker
 * work from, and what a difference is made of. Plain data.
 */

import type { Filter } from '#bgp/filter/types.ts';
import type { AsRange } from '#bgp/session/settings.ts';
import type { Prefix } from '#bgp/wire/address.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { DatastoreSettings } from '#daemon/datastore-section.ts';
import type { LogLevel } from '#daemon/log.ts';
import type { LabelSelector } from '#datastore/label-selector.ts';
import type { Address } from './address.ts';
import type { PeerEntry } from './peer-schema.ts';

/** What a configuration file says. */
export type FileConfig = {
  /** All of it without `cluster`. With it, what is missing comes from the Node objects: see `bgp/cluster/`. */
  readonly speaker: SpeakerConfig;
  readonly cluster: ClusterConfig | undefined;
};

/** How the speaker follows the nodes of a cluster. */
export type ClusterConfig = {
  /** Name of this node's own Node object. */
  readonly node: string;
  readonly datastore: DatastoreSettings;
  /** The router id is said by the file, so that it is not the node's. */
  readonly fixedRouterId: boolean;
  readonly fixedClusterId: boolean;
  /** Sessions with all other nodes, or none of those. */
  readonly mesh: MeshConfig | undefined;
  /** Of neighbours of the file, by their key: on which nodes they are neighbours. */
  readonly selectors: ReadonlyMap<string, LabelSelector>;
  /** Folder in which the last known state is kept. */
  readonly stateFolder: string;
};

export type MeshConfig = {
  /** What all neighbours of the mesh have; the address is another for each. */
  readonly fields: PeerEntry;
  readonly password: string | undefined;
};

export type SpeakerConfig = {
  /** BGP Identifier, as a number in host order; 0 as long as it is not known. */
  readonly routerId: number;
  readonly as: number;
  /** Route reflection cluster (RFC 4456); the router id unless given. */
  readonly clusterId: number;
  readonly listen: readonly ListenConfig[];
  /** Prefixes of this node itself. */
  readonly originate: readonly OriginateConfig[];
  /** Neighbours by address, and dynamic ones by prefix, in the order of the file. */
  readonly peers: readonly PeerConfig[];
  readonly filters: ReadonlyMap<string, Filter>;
  readonly decision: DecisionConfig;
  readonly ecmp: EcmpConfig;
  readonly kernel: KernelConfig;
  /** Ask all neighbours to move their traffic away: RFC 8326. */
  readonly gracefulShutdown: boolean;
  readonly api: { readonly socket: string };
  readonly log: { readonly level: LogLevel };
};

export type ListenConfig = { readonly address: Address; readonly port: number };

export type OriginateConfig = {
  readonly prefix: Prefix;
  /** Keep a blackhole route behind it, so that unused addresses do not loop between this node and its router. */
  readonly blackhole: boolean;
  /** RFC 1997: AS in the upper half, value in the lower. */
  readonly communities: readonly number[];
};

export type PeerConfig = {
  /** Canonical address or prefix. What names the neighbour in differences. */
  readonly key: string;
  readonly match:
    | { readonly kind: 'address'; readonly address: Address }
    /** Whoever connects from the prefix; no more than `limit` at a time. */
    | { readonly kind: 'prefix'; readonly prefix: Prefix; readonly limit: number };
  readonly description: string;
  /** The peer group that it takes settings from, if any. */
  readonly group: string | undefined;
  readonly enabled: boolean;
  /** Told to the neighbour when `enabled` turns false: RFC 9003. */
  readonly shutdownMessage: string;

  readonly remoteAs: readonly AsRange[];
  readonly localAs: number;
  readonly port: number;
  /** TCP MD5 (RFC 2385). */
  readonly password: string | undefined;
  readonly passive: boolean;
  readonly reach: Reach;
  readonly sourceAddress: Address | undefined;
  readonly interface: string | undefined;

  readonly timers: TimerConfig;
  readonly extendedMessages: boolean;
  readonly enhancedRefresh: boolean;
  /** Of an external neighbour one hop away, next hops have to be on a subnet that we share: RFC 4271 section 6.3. */
  readonly connectedNextHop: boolean;

  readonly families: readonly FamilyConfig[];
  readonly routeReflectorClient: boolean;
  readonly asOverride: boolean;
  readonly gracefulShutdown: boolean;
};

/**
 * How far away the neighbour may be. `direct`: one hop for external neighbours, the system's TTL for internal ones.
 * `multihop`: sent with this TTL. `ttlSecurity`: sent with 255, and nothing accepted that came over more hops (RFC 5082).
 */
export type Reach =
  | { readonly kind: 'direct' }
  | { readonly kind: 'multihop'; readonly ttl: number }
  | { readonly kind: 'ttlSecurity'; readonly hops: number };

/** All in seconds. */
export type TimerConfig = {
  readonly hold: number;
  readonly keepalive: number | undefined;
  readonly connectRetry: number;
  readonly delayOpen: number;
  readonly idleHold: number;
  readonly idleHoldMax: number;
  readonly sendHold: number | 'auto';
};

export type FamilyConfig = {
  readonly family: Family;
  /** Names of filters, asked in this order. `undefined`: none given, which lets nothing pass for external neighbours (RFC 8212). */
  readonly import: readonly string[] | undefined;
  readonly export: readonly string[] | undefined;
  readonly maxPrefixes: MaxPrefixes | undefined;
  readonly nextHop: NextHopMode;
  /** How often our own AS may be in a path that is accepted. */
  readonly allowOwnAs: number;
};

/** `auto`: as RFC 4271 section 5.1.3 says. */
export type NextHopMode = 'auto' | 'self' | 'keep';

export type MaxPrefixes = {
  readonly limit: number;
  /** Warn from this share of the limit on, in per cent. */
  readonly warnAt: number;
  readonly action: 'warn' | 'stop';
  /** Seconds until a stopped session starts again; `undefined`: not until an operator says so. */
  readonly restart: number | undefined;
};

export type DecisionConfig = {
  /** Compare MED between neighbouring ASes too. */
  readonly alwaysCompareMed: boolean;
  /** Of external routes that are otherwise equal, prefer the one that came first. */
  readonly preferOldest: boolean;
};

export type EcmpConfig = {
  /** Most next hops of one route; 1 turns multipath off. */
  readonly maxPaths: number;
  readonly ebgp: boolean;
  readonly ibgp: boolean;
  /** AS paths need only be equally long, not equal. */
  readonly asPathRelax: boolean;
};

export type KernelConfig = {
  readonly enabled: boolean;
  readonly table: number;
  /** Routing protocol number that marks our routes. */
  readonly protocol: number;
  readonly metric: number;
  readonly families: readonly Family[];
};
