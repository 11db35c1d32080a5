import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool, runCommand } from '../command.ts';
import {
  type Announcement,
  type Family,
  familiesOf,
  familyOf,
  type NeighbourDescription,
  type NeighbourState,
  type PeerDescription,
  type PeerRoute,
  type SessionState,
  sortCommunities,
  UnsupportedByPeerError,
} from './description.ts';
import type { DaemonProcess, Driver } from './driver.ts';

/** gobgpd 3, asked by gobgp over a unix socket. */
export class GobgpdDriver implements Driver {
  readonly kind = 'gobgpd';
  readonly processes: readonly DaemonProcess[];
  readonly #description: PeerDescription;
  readonly #folder: string;

  constructor(description: PeerDescription, folder: string) {
    if (description.installRoutes) throw new UnsupportedByPeerError('gobgpd', 'installRoutes');
    for (const neighbour of description.neighbours) {
      if (neighbour.nextHopSelf) throw new UnsupportedByPeerError('gobgpd', 'nextHopSelf');
      if (neighbour.extendedMessages) throw new UnsupportedByPeerError('gobgpd', 'extendedMessages');
    }
    this.#description = description;
    this.#folder = folder;
    const api = ['--api-hosts', `unix://${this.#path('api')}`, '--pprof-disable', '--log-plain'];
    this.processes = [
      {
        command: findTool('gobgpd') ?? 'gobgpd',
        args: ['--config-type', 'json', '--config-file', this.#path('gobgpd.json'), ...api],
        // It does not listen where the socket of one that was killed still lies.
        prepare: () => rmSync(this.#path('api'), { force: true }),
        ready: () => this.#isReady(),
      },
    ];
  }

  configure(): void {
    writeFileSync(
      this.#path('gobgpd.json'),
      JSON.stringify(gobgpdConfiguration(this.#description), undefined, 2),
    );
  }

  async neighbours(): Promise<NeighbourState[]> {
    const all = (await this.#show(['neighbor'])) as GobgpNeighbour[];
    return all.map((raw) => ({
      address: raw.state.neighbor_address,
      asn: raw.state.peer_asn,
      state: SESSION_STATES[raw.state.session_state ?? 0] ?? 'idle',
      routerId: raw.state.router_id,
      holdTime: raw.state.session_state === 6 ? raw.timers?.state?.negotiated_hold_time : undefined,
      raw,
    }));
  }

  async routes(family: Family): Promise<PeerRoute[]> {
    const table = (await this.#show(['global', 'rib', '-a', family])) as Record<string, GobgpPath[]>;
    return Object.entries(table).flatMap(([prefix, paths]) => paths.map((path) => toRoute(prefix, path)));
  }

  async advertised(neighbour: string, family: Family): Promise<string[]> {
    return Object.keys((await this.#show(['neighbor', neighbour, 'adj-out', '-a', family])) as object);
  }

  async announce(routes: readonly Announcement[]): Promise<void> {
    for (const route of routes) await this.#gobgp(['global', 'rib', 'add', ...announcement(route)]);
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes)
      await this.#gobgp(['global', 'rib', 'del', prefix, '-a', familyOf(prefix)]);
  }

  async setEnabled(neighbour: string, enabled: boolean, reason?: string): Promise<void> {
    const said = reason === undefined ? [] : ['--reason', reason];
    await this.#gobgp(['neighbor', neighbour, enabled ? 'enable' : 'disable', ...said]);
  }

  async refresh(neighbour: string): Promise<void> {
    await this.#gobgp(['neighbor', neighbour, 'softresetin']);
  }

  /** It takes no routes from its configuration, so they are announced as soon as it answers. */
  async #isReady(): Promise<boolean> {
    const known = (await this.#show(['neighbor'])) as unknown[];
    if (known.length < this.#description.neighbours.length) return false;
    await this.announce(this.#description.announce ?? []);
    return true;
  }

  async #show(args: readonly string[]): Promise<unknown> {
    return JSON.parse((await this.#gobgp(['--json', ...args])) || '[]');
  }

  #gobgp(args: readonly string[]): Promise<string> {
    return runCommand('gobgp', ['--target', `unix://${this.#path('api')}`, ...args]);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

/** The value of gobgpd's JSON configuration. */
export function gobgpdConfiguration(description: PeerDescription): object {
  return {
    global: {
      config: { as: description.asn, 'router-id': description.routerId, port: description.port ?? 179 },
      'use-multiple-paths': { config: { enabled: (description.ecmp ?? 1) > 1 } },
    },
    neighbors: description.neighbours.map((neighbour) => session(description, neighbour)),
  };
}

interface GobgpNeighbour {
  readonly state: {
    readonly neighbor_address: string;
    readonly peer_asn: number;
    readonly session_state?: number;
    readonly router_id?: string;
  };
  readonly timers?: { readonly state?: { readonly negotiated_hold_time?: number } };
}

interface GobgpPath {
  readonly best: boolean;
  readonly 'neighbor-ip'?: string;
  readonly attrs: readonly GobgpAttribute[];
}

/** A path attribute by its type code (RFC 4271 and later). */
interface GobgpAttribute {
  readonly type: number;
  readonly value?: unknown;
  readonly nexthop?: string;
  readonly metric?: number;
  readonly as_paths?: readonly { readonly segment_type: number; readonly asns: number[] }[];
  readonly communities?: number[];
}

/** In the order of gobgp's api, PeerState.SessionState. */
const SESSION_STATES: readonly (SessionState | undefined)[] = [
  undefined,
  'idle',
  'connect',
  'active',
  'opensent',
  'openconfirm',
  'established',
];

function session(description: PeerDescription, neighbour: NeighbourDescription): object {
  const { holdTime = 90, multihop, ttlSecurity, maxPrefixes, addPath } = neighbour;
  const limit =
    maxPrefixes === undefined ? {} : { 'prefix-limit': { config: { 'max-prefixes': maxPrefixes } } };
  const paths =
    addPath === undefined
      ? {}
      : {
          'add-paths': {
            config: {
              receive: addPath !== 'send',
              'send-max': addPath === 'receive' ? 0 : 16,
            },
          },
        };
  return {
    config: {
      'neighbor-address': neighbour.address,
      'peer-as': neighbour.asn,
      ...(neighbour.password === undefined ? {} : { 'auth-password': neighbour.password }),
    },
    transport: {
      config: {
        'passive-mode': neighbour.passive === true,
        'remote-port': neighbour.port ?? 179,
        ...(neighbour.localAddress === undefined ? {} : { 'local-address': neighbour.localAddress }),
      },
    },
    timers: {
      config: {
        'hold-time': holdTime,
        'keepalive-interval': Math.floor(holdTime / 3),
        'connect-retry': 1,
        'idle-hold-time-after-reset': 1,
      },
    },
    ...(multihop === undefined
      ? {}
      : { 'ebgp-multihop': { config: { enabled: true, 'multihop-ttl': multihop } } }),
    ...(ttlSecurity === undefined
      ? {}
      : { 'ttl-security': { config: { enabled: true, 'ttl-min': 256 - ttlSecurity } } }),
    ...(neighbour.routeReflectorClient
      ? {
          'route-reflector': {
            config: {
              'route-reflector-client': true,
              'route-reflector-cluster-id': description.clusterId ?? description.routerId,
            },
          },
        }
      : {}),
    ...(neighbour.allowOwnAs === undefined
      ? {}
      : { 'as-path-options': { config: { 'allow-own-as': neighbour.allowOwnAs } } }),
    'afi-safis': familiesOf(neighbour).map((family) => ({
      config: { 'afi-safi-name': `${family}-unicast` },
      ...limit,
      ...paths,
    })),
  };
}

/** Arguments of `gobgp global rib add`. */
function announcement(route: Announcement): string[] {
  const isIpv6 = familyOf(route.prefix) === 'ipv6';
  const option = (name: string, value: string | number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  return [
    route.prefix,
    ...option('origin', 'igp'),
    // The unspecified address stands for the speaker's own.
    ...option('nexthop', route.nextHop ?? (isIpv6 ? '::' : '0.0.0.0')),
    ...option('aspath', route.asPath?.join(' ')),
    ...option('med', route.med),
    ...option('local-pref', route.localPreference),
    ...option('community', route.communities?.join(',')),
    ...option('large-community', route.largeCommunities?.join(',')),
    '-a',
    familyOf(route.prefix),
  ];
}

function toRoute(prefix: string, path: GobgpPath): PeerRoute {
  const attribute = (type: number) => path.attrs.find((candidate) => candidate.type === type);
  const from = path['neighbor-ip'];
  const communities = attribute(8)?.communities ?? [];
  const large = (attribute(32)?.value ?? []) as { ASN: number; LocalData1: number; LocalData2: number }[];
  return {
    prefix,
    from,
    best: path.best,
    nextHop: from === undefined ? undefined : (attribute(3)?.nexthop ?? attribute(14)?.nexthop),
    asPath: (attribute(2)?.as_paths ?? []).map(segmentText).join(' '),
    origin: (['igp', 'egp', 'incomplete'] as const)[attribute(1)?.value as number],
    med: attribute(4)?.metric,
    localPreference: attribute(5)?.value as number | undefined,
    communities: sortCommunities(communities.map((value) => `${value >>> 16}:${value & 0xffff}`)),
    largeCommunities: sortCommunities(
      large.map(({ ASN, LocalData1, LocalData2 }) => `${ASN}:${LocalData1}:${LocalData2}`),
    ),
    originatorId: attribute(9)?.value as string | undefined,
    clusterList: (attribute(10)?.value ?? []) as string[],
  };
}

/** Segment types of RFC 4271 and RFC 5065: 1 set, 2 sequence, 3 and 4 the same inside a confederation. */
function segmentText(segment: { readonly segment_type: number; readonly asns: number[] }): string {
  const text = segment.asns.join(' ');
  if (segment.segment_type === 1) return `{${text}}`;
  return segment.segment_type === 2 ? text : `(${text})`;
}
