import { writeFileSync } from 'node:fs';
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
} from './description.ts';
import type { DaemonProcess, Driver } from './driver.ts';

/**
 * bgpd of FRR with zebra, asked by vtysh. Without zebra, bgpd knows no interfaces and refuses IPv6 routes that bring
 * a link-local next hop.
 */
export class FrrDriver implements Driver {
  readonly kind = 'frr';
  readonly processes: readonly DaemonProcess[];
  readonly #description: PeerDescription;
  readonly #folder: string;
  readonly #announced: Announcement[] = [];

  constructor(description: PeerDescription, folder: string) {
    this.#description = description;
    this.#folder = folder;
    const port = ['--bgp_port', String(description.port ?? 179)];
    this.processes = [
      this.#process('zebra', []),
      this.#process('bgpd', description.installRoutes ? port : [...port, '--no_kernel']),
    ];
  }

  configure(): void {
    const lines = frrConfiguration(this.#description);
    lines.push(...(this.#description.announce ?? []).flatMap((route) => this.#announcement(route)));
    writeFileSync(this.#path('bgpd.conf'), `${lines.join('\n')}\n`);
    writeFileSync(this.#path('zebra.conf'), '');
  }

  async neighbours(): Promise<NeighbourState[]> {
    const all = (await this.#show('show bgp neighbors json')) as Record<string, FrrNeighbour>;
    return this.#description.neighbours.map(({ address, asn }) => {
      const raw = all[address];
      return {
        address,
        asn,
        state: (raw?.bgpState?.toLowerCase() ?? 'idle') as SessionState,
        routerId: raw?.remoteRouterId === '0.0.0.0' ? undefined : raw?.remoteRouterId,
        holdTime: raw?.bgpState === 'Established' ? raw.bgpTimerHoldTimeMsecs / 1000 : undefined,
        raw,
      };
    });
  }

  async routes(family: Family): Promise<PeerRoute[]> {
    const table = (await this.#show(`show bgp ${family} unicast json detail`)) as {
      routes?: Record<string, FrrPath[]>;
    };
    return Object.entries(table.routes ?? {}).flatMap(([prefix, paths]) =>
      // The first entry of each list speaks of the prefix.
      paths.filter(({ nexthops }) => nexthops !== undefined).map((path) => toRoute(prefix, path)),
    );
  }

  async advertised(neighbour: string, family: Family): Promise<string[]> {
    const shown = (await this.#show(
      `show bgp ${family} unicast neighbors ${neighbour} advertised-routes json`,
    )) as { advertisedRoutes?: Record<string, unknown> };
    return Object.keys(shown.advertisedRoutes ?? {});
  }

  async announce(routes: readonly Announcement[]): Promise<void> {
    await this.#configure(routes.flatMap((route) => this.#announcement(route)));
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    await this.#configure([
      `router bgp ${this.#description.asn}`,
      ...prefixes.flatMap((prefix) => [
        `address-family ${familyOf(prefix)} unicast`,
        `no network ${prefix}`,
        'exit-address-family',
      ]),
    ]);
  }

  async setEnabled(neighbour: string, enabled: boolean, reason?: string): Promise<void> {
    const said = reason === undefined ? '' : ` message ${reason}`;
    await this.#configure([
      `router bgp ${this.#description.asn}`,
      `${enabled ? 'no ' : ''}neighbor ${neighbour} shutdown${said}`,
    ]);
  }

  async refresh(neighbour: string): Promise<void> {
    await this.#vtysh(['-c', `clear bgp ${neighbour} soft in`]);
  }

  /** Configuration lines for one route; its attributes stand in a route map of its own. */
  #announcement(route: Announcement): string[] {
    const name = `announce-${this.#announced.length}`;
    this.#announced.push(route);
    const nextHop = familyOf(route.prefix) === 'ipv6' ? 'ipv6 next-hop global' : 'ip next-hop';
    return [
      `route-map ${name} permit 10`,
      ...(route.med === undefined ? [] : [`set metric ${route.med}`]),
      ...(route.localPreference === undefined ? [] : [`set local-preference ${route.localPreference}`]),
      ...(route.asPath === undefined ? [] : [`set as-path prepend ${route.asPath.join(' ')}`]),
      ...(route.communities === undefined ? [] : [`set community ${route.communities.join(' ')}`]),
      ...(route.largeCommunities === undefined
        ? []
        : [`set large-community ${route.largeCommunities.join(' ')}`]),
      ...(route.nextHop === undefined ? [] : [`set ${nextHop} ${route.nextHop}`]),
      'exit',
      `router bgp ${this.#description.asn}`,
      `address-family ${familyOf(route.prefix)} unicast`,
      `network ${route.prefix} route-map ${name}`,
      'exit-address-family',
      'exit',
    ];
  }

  #process(name: 'zebra' | 'bgpd', more: readonly string[]): DaemonProcess {
    const files = ['--config_file', this.#path(`${name}.conf`), '--pid_file', this.#path(`${name}.pid`)];
    const sockets = ['--socket', this.#path('zserv.api'), '--vty_socket', this.#folder, '--vty_port', '0'];
    // As another user it could not write to the folder; the group is one that its sockets must have.
    const user = ['--user', 'root', '--group', 'frrvty'];
    return {
      command: 'unshare',
      args: [
        ...['--mount', 'sh', '-c', OWN_CRASH_FOLDER, this.#path('crash')],
        ...[findTool(name) ?? name, ...user, ...files, ...sockets, '--log', 'stdout', ...more],
      ],
      ready: async () => (await this.#vtysh(['-d', name, '-c', 'show version'])).includes('FRRouting'),
      // It goes on without a line that it does not understand.
      refusal: (log) => /on config line.*/.exec(log)?.[0],
    };
  }

  async #show(command: string): Promise<unknown> {
    return JSON.parse(await this.#vtysh(['-c', command]));
  }

  async #configure(lines: readonly string[]): Promise<void> {
    const commands = ['configure terminal', ...lines].flatMap((line) => ['-c', line]);
    const said = (await this.#vtysh(commands)).trim();
    // vtysh reports a refused line but still exits with 0.
    if (said.includes('%')) throw new Error(`frr: ${said}`);
  }

  #vtysh(args: readonly string[]): Promise<string> {
    return runCommand('vtysh', ['--vty_socket', this.#folder, ...args]);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

/** Lines of bgpd's configuration, without the routes to announce. */
export function frrConfiguration(description: PeerDescription): string[] {
  const { ecmp = 1 } = description;
  const families: readonly Family[] = ['ipv4', 'ipv6'];
  return [
    'frr defaults traditional',
    `router bgp ${description.asn}`,
    `bgp router-id ${description.routerId}`,
    // What it shows as the last reset is overwritten when zebra tells late that the neighbour can be reached; the log is not.
    'bgp log-neighbor-changes',
    'no bgp default ipv4-unicast',
    'no bgp ebgp-requires-policy',
    'no bgp network import-check',
    'bgp bestpath as-path multipath-relax',
    ...(description.clusterId === undefined ? [] : [`bgp cluster-id ${description.clusterId}`]),
    ...description.neighbours.flatMap(session),
    ...families.flatMap((family) => [
      `address-family ${family} unicast`,
      `maximum-paths ${ecmp}`,
      `maximum-paths ibgp ${ecmp}`,
      ...description.neighbours
        .filter((neighbour) => familiesOf(neighbour).includes(family))
        .flatMap((neighbour) => familySettings(neighbour)),
      'exit-address-family',
    ]),
    'exit',
  ];
}

/** A daemon of FRR keeps a folder below /var/tmp/frr, whatever its settings, and leaves it there when it is killed. */
const OWN_CRASH_FOLDER = 'mkdir -p "$0" /var/tmp/frr && mount --bind "$0" /var/tmp/frr && exec "$@"';

interface FrrNeighbour {
  readonly bgpState?: string;
  readonly remoteRouterId?: string;
  readonly bgpTimerHoldTimeMsecs: number;
}

interface FrrPath {
  readonly nexthops?: readonly { readonly ip: string; readonly scope?: string }[];
  readonly peer?: { readonly peerId: string };
  readonly bestpath?: { readonly overall?: boolean };
  readonly aspath?: { readonly segments: readonly { readonly type: string; readonly list: number[] }[] };
  readonly origin?: string;
  readonly metric?: number;
  readonly locPrf?: number;
  readonly local?: boolean;
  readonly community?: { readonly list: string[] };
  readonly largeCommunity?: { readonly list: string[] };
  readonly originatorId?: string;
  readonly clusterList?: { readonly list: string[] };
}

/** Names that FRR's JSON has for well-known communities (RFC 1997, RFC 7999, RFC 8326...). */
const WELL_KNOWN: Readonly<Record<string, string>> = {
  internet: '0:0',
  gracefulShutdown: '65535:0',
  llgrStale: '65535:6',
  noLlgr: '65535:7',
  blackhole: '65535:666',
  noExport: '65535:65281',
  noAdvertise: '65535:65282',
  localAs: '65535:65283',
  noPeer: '65535:65284',
};

function session(neighbour: NeighbourDescription): string[] {
  const { address, holdTime = 90 } = neighbour;
  const line = (text: string) => `neighbor ${address} ${text}`;
  return [
    line(`remote-as ${neighbour.asn}`),
    line(`timers ${Math.floor(holdTime / 3)} ${holdTime}`),
    line('timers connect 1'),
    line('advertisement-interval 0'),
    ...(neighbour.port === undefined ? [] : [line(`port ${neighbour.port}`)]),
    ...(neighbour.localAddress === undefined ? [] : [line(`update-source ${neighbour.localAddress}`)]),
    ...(neighbour.password === undefined ? [] : [line(`password ${neighbour.password}`)]),
    ...(neighbour.passive ? [line('passive')] : []),
    ...(neighbour.multihop === undefined ? [] : [line(`ebgp-multihop ${neighbour.multihop}`)]),
    ...(neighbour.ttlSecurity === undefined ? [] : [line(`ttl-security hops ${neighbour.ttlSecurity}`)]),
  ];
}

function familySettings(neighbour: NeighbourDescription): string[] {
  const line = (text: string) => `neighbor ${neighbour.address} ${text}`;
  const sendsAll = neighbour.addPath === 'send' || neighbour.addPath === 'both';
  return [
    line('activate'),
    line('soft-reconfiguration inbound'),
    ...(neighbour.routeReflectorClient ? [line('route-reflector-client')] : []),
    ...(neighbour.maxPrefixes === undefined ? [] : [line(`maximum-prefix ${neighbour.maxPrefixes}`)]),
    ...(neighbour.nextHopSelf ? [line('next-hop-self')] : []),
    ...(neighbour.allowOwnAs === undefined ? [] : [line(`allowas-in ${neighbour.allowOwnAs}`)]),
    ...(sendsAll ? [line('addpath-tx-all-paths')] : []),
    // It offers to receive additional paths unless told otherwise.
    ...(neighbour.addPath === 'receive' || neighbour.addPath === 'both' ? [] : [line('disable-addpath-rx')]),
  ];
}

function toRoute(prefix: string, path: FrrPath): PeerRoute {
  const isOwn = path.local === true;
  const nextHop = path.nexthops?.find(({ scope }) => scope !== 'link-local')?.ip;
  return {
    prefix,
    from: isOwn ? undefined : path.peer?.peerId,
    best: path.bestpath?.overall === true,
    nextHop: isOwn ? undefined : nextHop,
    asPath: (path.aspath?.segments ?? []).map(segmentText).join(' '),
    origin: path.origin?.toLowerCase() as PeerRoute['origin'],
    med: path.metric,
    localPreference: path.locPrf,
    communities: sortCommunities((path.community?.list ?? []).map((name) => WELL_KNOWN[name] ?? name)),
    largeCommunities: sortCommunities(path.largeCommunity?.list ?? []),
    originatorId: path.originatorId,
    clusterList: path.clusterList?.list ?? [],
  };
}

function segmentText({ type, list }: { readonly type: string; readonly list: number[] }): string {
  const text = list.join(' ');
  if (type === 'as-set') return `{${text}}`;
  return type.includes('confed') ? `(${text})` : text;
}
