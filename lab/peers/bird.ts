import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool, runCommand } from '../command.ts';
import {
  type Announcement,
  communityNumbers,
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

/** BIRD 2, asked through its control socket. Sessions are the protocols n0, n1... in the order of the description. */
export class BirdDriver implements Driver {
  readonly kind = 'bird';
  readonly processes: readonly DaemonProcess[];
  readonly #description: PeerDescription;
  readonly #folder: string;
  readonly #announced: Map<string, Announcement>;

  constructor(description: PeerDescription, folder: string) {
    this.#description = description;
    this.#folder = folder;
    this.#announced = new Map(description.announce?.map((route) => [route.prefix, route]));
    this.processes = [
      {
        command: findTool('bird') ?? 'bird',
        args: ['-f', '-c', this.#path('bird.conf'), '-s', this.#path('ctl'), '-P', this.#path('pid')],
        ready: async () => (await this.#ask('show status')).includes('Daemon is up and running'),
      },
    ];
  }

  configure(): void {
    writeFileSync(
      this.#path('bird.conf'),
      birdConfiguration(this.#description, [...this.#announced.values()]),
    );
  }

  async neighbours(): Promise<NeighbourState[]> {
    const text = await this.#ask('show protocols all');
    return this.#description.neighbours.map(({ address, asn }, index) => {
      const raw = new RegExp(`^n${index} [\\s\\S]*?(?=^\\S|$(?![\\s\\S]))`, 'm').exec(text)?.[0] ?? '';
      const field = (name: string) => new RegExp(`^ +${name}: +(\\S+)`, 'm').exec(raw)?.[1];
      const holdTime = /^ +Hold timer: +[\d.]+\/(\d+)/m.exec(raw)?.[1];
      return {
        address,
        asn,
        state: SESSION_STATES[field('BGP state') ?? ''] ?? 'idle',
        routerId: field('Neighbor ID'),
        holdTime: holdTime === undefined ? undefined : Number(holdTime),
        raw,
      };
    });
  }

  async routes(family: Family): Promise<PeerRoute[]> {
    const text = await this.#ask(`show route all table master${family.slice(-1)}`);
    return parseRoutes(
      text,
      (protocol) => this.#description.neighbours[Number(/^n(\d+)$/.exec(protocol)?.[1])],
    );
  }

  async advertised(neighbour: string, family: Family): Promise<string[]> {
    const text = await this.#ask(
      `show route table master${family.slice(-1)} export ${this.#protocol(neighbour)}`,
    );
    return [...text.matchAll(/^(\S+\/\d+) /gm)].map(([, prefix]) => prefix!);
  }

  async announce(routes: readonly Announcement[]): Promise<void> {
    for (const route of routes) this.#announced.set(route.prefix, route);
    await this.#reconfigure();
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#announced.delete(prefix);
    await this.#reconfigure();
  }

  async setEnabled(neighbour: string, enabled: boolean, reason?: string): Promise<void> {
    const said = reason === undefined ? '' : ` "${reason}"`;
    await this.#ask(`${enabled ? 'enable' : 'disable'} ${this.#protocol(neighbour)}${said}`);
  }

  async refresh(neighbour: string): Promise<void> {
    await this.#ask(`reload in ${this.#protocol(neighbour)}`);
  }

  async #reconfigure(): Promise<void> {
    this.configure();
    const said = await this.#ask('configure');
    if (!/Reconfigured|Reconfiguration in progress/.test(said)) throw new Error(`bird: ${said}`);
  }

  #protocol(neighbour: string): string {
    return `n${this.#description.neighbours.findIndex(({ address }) => address === neighbour)}`;
  }

  #ask(command: string): Promise<string> {
    return runCommand('birdc', ['-s', this.#path('ctl'), ...command.split(' ')]);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

/** The text of bird.conf. */
export function birdConfiguration(description: PeerDescription, announced: readonly Announcement[]): string {
  const external = (neighbour: NeighbourDescription) => neighbour.asn !== description.asn;
  return `log stderr all;
router id ${description.routerId};
protocol device {}
${FAMILIES.map((family) => staticRoutes(family, announced)).join('\n')}
${description.installRoutes ? FAMILIES.map((family) => kernel(family, description.ecmp)).join('\n') : ''}
function announce()
{
  if source = RTS_BGP then return true;
  if source != RTS_STATIC then return false;
${announced.map((route) => `  if net = ${route.prefix} then {${attributes(route)} }`).join('\n')}
  return true;
}
${description.neighbours
  .map(
    (neighbour, index) => `protocol bgp n${index} {
  local ${neighbour.localAddress ?? ''} port ${description.port ?? 179} as ${description.asn};
  neighbor ${neighbour.address} port ${neighbour.port ?? 179} as ${neighbour.asn};
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  hold time ${neighbour.holdTime ?? 90};
  ${neighbour.password === undefined ? '' : `password ${JSON.stringify(neighbour.password)};`}
  ${neighbour.passive ? 'passive on;' : ''}
  ${neighbour.extendedMessages ? 'enable extended messages on;' : ''}
  ${neighbour.multihop !== undefined ? `multihop ${neighbour.multihop};` : external(neighbour) ? 'direct;' : ''}
  ${neighbour.ttlSecurity === undefined ? '' : ttlSecurity(neighbour)}
  ${neighbour.routeReflectorClient ? `rr client; rr cluster id ${description.clusterId ?? description.routerId};` : ''}
  ${neighbour.allowOwnAs === undefined ? '' : `allow local as ${neighbour.allowOwnAs};`}
${familiesOf(neighbour)
  .map((family) => channel(family, neighbour))
  .join('\n')}
}`,
  )
  .join('\n')}
`;
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

const SESSION_STATES: Readonly<Record<string, SessionState>> = {
  Idle: 'idle',
  Down: 'idle',
  Connect: 'connect',
  Active: 'active',
  Passive: 'active',
  OpenSent: 'opensent',
  OpenConfirm: 'openconfirm',
  Established: 'established',
};

function ttlSecurity(neighbour: NeighbourDescription): string {
  const hops = neighbour.ttlSecurity! > 1 ? `multihop ${neighbour.ttlSecurity}; ` : '';
  return `${hops}ttl security on;`;
}

function channel(family: Family, neighbour: NeighbourDescription): string {
  const addPath = { receive: 'rx', send: 'tx', both: 'on' } as const;
  return `  ${family} {
    import all;
    export where announce();
    ${neighbour.maxPrefixes === undefined ? '' : `receive limit ${neighbour.maxPrefixes} action disable;`}
    ${neighbour.nextHopSelf ? 'next hop self;' : ''}
    ${neighbour.addPath === undefined ? '' : `add paths ${addPath[neighbour.addPath]};`}
  };`;
}

function staticRoutes(family: Family, announced: readonly Announcement[]): string {
  return `protocol static ${family}_routes {
  ${family};
${announced
  .filter(({ prefix }) => familyOf(prefix) === family)
  .map(({ prefix }) => `  route ${prefix} blackhole;`)
  .join('\n')}
}`;
}

/** Set at export: BIRD takes a MED or next hop from the route itself for one that must not leave the AS. */
function attributes(route: Announcement): string {
  const path = [...(route.asPath ?? [])].reverse().map((asn) => ` bgp_path.prepend(${asn});`);
  return [
    ' bgp_origin = ORIGIN_IGP;',
    route.med === undefined ? '' : ` bgp_med = ${route.med};`,
    route.localPreference === undefined ? '' : ` bgp_local_pref = ${route.localPreference};`,
    route.nextHop === undefined ? '' : ` bgp_next_hop = ${route.nextHop};`,
    ...path,
    ...(route.communities ?? []).map((text) => ` bgp_community.add((${communityNumbers(text).join(',')}));`),
    ...(route.largeCommunities ?? []).map(
      (text) => ` bgp_large_community.add((${communityNumbers(text).join(',')}));`,
    ),
  ].join('');
}

function kernel(family: Family, ecmp = 1): string {
  const merge = ecmp > 1 ? `merge paths on limit ${ecmp};` : '';
  return `protocol kernel { ${merge} ${family} { import none; export where source = RTS_BGP; }; }`;
}

/** Reads `show route all`: a line for each path, the prefix only on its first, then lines of attributes. */
function parseRoutes(
  text: string,
  neighbourOf: (protocol: string) => NeighbourDescription | undefined,
): PeerRoute[] {
  const blocks = text.split(/^(?=\S*\s+(?:unicast|blackhole|unreachable|prohibit)\s+\[)/m).slice(1);
  let prefix = '';
  return blocks.map((block) => {
    const head = /^(\S*)\s+\w+\s+\[(\S+)[^\]]*\]( \*)?/.exec(block)!;
    prefix = head[1] || prefix;
    const from = neighbourOf(head[2]!)?.address;
    const field = (name: string) => new RegExp(`^\\tBGP\\.${name}: (.*)$`, 'm').exec(block)?.[1];
    const number = (name: string) => (field(name) === undefined ? undefined : Number(field(name)));
    const list = (name: string) =>
      [...(field(name) ?? '').matchAll(/\(([^)]*)\)/g)].map(([, inside]) => inside!.split(/, ?/).join(':'));
    return {
      prefix,
      from,
      best: head[3] !== undefined,
      nextHop: from === undefined ? undefined : field('next_hop')?.split(' ')[0],
      asPath: field('as_path')?.trim() ?? '',
      origin: field('origin')?.toLowerCase() as PeerRoute['origin'],
      med: number('med'),
      localPreference: number('local_pref'),
      communities: sortCommunities(list('community')),
      largeCommunities: sortCommunities(list('large_community')),
      originatorId: field('originator_id'),
      clusterList: field('cluster_list')?.trim().split(' ') ?? [],
    };
  });
}
