import { parsePrefix } from '#bgp/config/address.ts';
import { margay } from '#proto/generated/bgp.js';
import { bytes, type Column, duration, paint, type Style, type Terminal } from './output.ts';

/*
 * How the speaker's answers look to people: rows and fields, no printing.
 */

const v1 = margay.bgp.v1;
type Neighbor = margay.bgp.v1.INeighbor;
type Path = margay.bgp.v1.IPath;

/** A path with the prefix it belongs to, and its place among the paths of that, from 0. */
export interface PathRow {
  readonly prefix: string;
  readonly path: Path;
  readonly rank: number;
}

export function statusFields(status: margay.bgp.v1.IStatus, now: number): [string, string | undefined][] {
  const kernel = status.kernel;
  const families = (status.families ?? []).map(
    (f) =>
      [
        familyName(f.family),
        `${f.prefixes ?? 0} prefixes, ${f.paths ?? 0} paths, ${f.originated ?? 0} of our own`,
      ] as [string, string],
  );
  return [
    ['router id', status.routerId ?? ''],
    ['waiting', status.cluster?.waitsFor ?? ''],
    ['local AS', String(status.localAs ?? 0)],
    ['version', status.version ?? ''],
    ['up', ago(status.startedAt, now)],
    ['neighbours', `${status.neighborsEstablished ?? 0} of ${status.neighbors ?? 0} established`],
    ...families,
    [
      'kernel',
      kernel?.enabled
        ? `${kernel.routes ?? 0} routes in table ${kernel.table}, protocol ${kernel.protocol}; ${kernel.repaired ?? 0} put back, ${kernel.refused ?? 0} refused`
        : 'off',
    ],
    ['kernel error', kernel?.lastError ?? ''],
    ['configuration', `read ${ago(status.configLoadedAt, now)} ago`],
    ['configuration error', status.configError ?? ''],
    ['memory', bytes(status.memoryBytes ?? 0)],
    ['nodes', nodesText(status.cluster, now)],
    ...(status.cluster?.problems ?? []).map((problem): [string, string] => ['problem', problem]),
  ];
}

function nodesText(cluster: margay.bgp.v1.IClusterStatus | null | undefined, now: number): string {
  if (!cluster) return '';
  const { node, nodes, datastore, inSyncSince } = cluster;
  const state = inSyncSince ? `in sync for ${ago(inSyncSince, now)}` : 'as last known, not in sync';
  return `${nodes ?? 0}, this one is ${node}; ${state} (${datastore})`;
}

export function neighborTable(now: number): Column<Neighbor>[] {
  const sum = (n: Neighbor, of: 'received' | 'accepted' | 'advertised'): string =>
    established(n) ? String((n.families ?? []).reduce((total, f) => total + (f[of] ?? 0), 0)) : '-';
  return [
    { title: 'NEIGHBOUR', text: (n) => n.address ?? '' },
    { title: 'AS', text: (n) => String(n.remoteAs ?? 0), align: 'right' },
    { title: 'STATE', text: shownState, style: stateStyle },
    { title: 'SINCE', text: (n) => ago(n.changedAt, now), align: 'right' },
    { title: 'RECEIVED', text: (n) => sum(n, 'received'), align: 'right', spare: true },
    { title: 'ACCEPTED', text: (n) => sum(n, 'accepted'), align: 'right', spare: true },
    { title: 'SENT', text: (n) => sum(n, 'advertised'), align: 'right', spare: true },
    {
      title: 'DESCRIPTION',
      text: (n) =>
        established(n) ? (n.description ?? '') : [n.description, n.lastError].filter(Boolean).join(': '),
      shrink: true,
    },
  ];
}

/** Prefixes that neighbours may connect from. */
export function prefixTable(): Column<margay.bgp.v1.INeighborPrefix>[] {
  return [
    { title: 'FROM', text: ({ prefix }) => prefix ?? '' },
    { title: 'AS', text: ({ remoteAs }) => remoteAs ?? '', align: 'right' },
    {
      title: 'CONNECTED',
      text: ({ neighbors, limit }) => `${neighbors ?? 0} of ${limit ?? 0} at most`,
      align: 'right',
    },
    { title: 'ESTABLISHED', text: ({ established: up }) => String(up ?? 0), align: 'right' },
    {
      title: 'DESCRIPTION',
      text: ({ description, enabled }) => [enabled ? '' : 'disabled', description].filter(Boolean).join(': '),
      shrink: true,
    },
  ];
}

export function neighborFields(n: Neighbor, now: number): [string, string | undefined][] {
  const counters = (c: margay.bgp.v1.IMessageCounters | null | undefined): string =>
    `${c?.updates ?? 0} updates, ${c?.keepalives ?? 0} keepalives, ${c?.opens ?? 0} opens, ${c?.notifications ?? 0} notifications, ${c?.refreshes ?? 0} refreshes; ${bytes(c?.bytes ?? 0)}`;
  const timers = n.timers;
  return [
    ['neighbour', n.address ?? ''],
    ['description', n.description ?? ''],
    ['peer group', n.peerGroup ?? ''],
    [
      'type',
      `${n.type}${n.dynamic ? ', dynamic' : ''}${n.routeReflectorClient ? ', route reflector client' : ''}${n.authenticated ? ', MD5' : ''}`,
    ],
    ['remote AS', String(n.remoteAs ?? 0)],
    ['local AS', String(n.localAs ?? 0)],
    ['state', `${shownState(n)} for ${ago(n.changedAt, now)}`],
    ['flaps', String(n.flaps ?? 0)],
    ['last error', n.lastError ? `${n.lastError} (${ago(n.lastErrorAt, now)} ago)` : ''],
    ['router id', n.remoteRouterId ?? ''],
    ['connection', established(n) ? `${n.localAddress}:${n.localPort} to ${n.address}:${n.remotePort}` : ''],
    ['hold time', established(n) ? holdTime(timers) : `${timers?.holdConfigured ?? 0} s configured`],
    ['keepalive', established(n) ? keepalive(timers) : ''],
    ['capabilities sent', (n.capabilitiesAdvertised ?? []).join(', ')],
    ['capabilities received', (n.capabilitiesReceived ?? []).join(', ')],
    ['received', counters(n.received)],
    ['sent', counters(n.sent)],
    ['waiting to be sent', (n.queuedBytes ?? 0) > 0 ? bytes(n.queuedBytes ?? 0) : ''],
    ...(n.families ?? []).map(
      (f) =>
        [
          familyName(f.family),
          f.negotiated
            ? `${f.received ?? 0} received, ${f.accepted ?? 0} accepted, ${f.advertised ?? 0} advertised${f.maxPrefixes ? `, at most ${f.maxPrefixes}` : ''}`
            : 'not negotiated',
        ] as [string, string],
    ),
  ];
}

export function pathTable(now: number): Column<PathRow>[] {
  return [
    {
      title: '',
      text: ({ path }) => marker(path),
    },
    { title: 'PREFIX', text: ({ prefix, rank }) => (rank === 0 ? prefix : ''), style: () => 'bold' },
    { title: 'NEXT HOP', text: ({ path }) => path.attributes?.nextHop || '-' },
    { title: 'FROM', text: ({ path }) => path.neighbor || path.source || '', optional: true },
    {
      title: 'PREF',
      text: ({ path }) => given(path.attributes?.localPreference),
      align: 'right',
      optional: true,
    },
    { title: 'MED', text: ({ path }) => given(path.attributes?.med), align: 'right', optional: true },
    {
      title: 'AS PATH',
      text: ({ path }) => `${path.attributes?.asPath ?? ''} ${originLetter(path)}`.trim(),
      shrink: true,
    },
    {
      title: 'COMMUNITIES',
      text: ({ path }) => communities(path),
      shrink: true,
      spare: true,
      optional: true,
    },
    {
      title: 'AGE',
      text: ({ path }) => (path.receivedAt ? ago(path.receivedAt, now) : ''),
      align: 'right',
      spare: true,
      optional: true,
    },
    { title: 'WHY', text: ({ path }) => why(path), shrink: true, style: () => 'dim', optional: true },
  ];
}

/** By family, address and length, and the paths of a prefix as they came. */
export function comparePaths(a: PathRow, b: PathRow): number {
  return comparePrefixes(a.prefix, b.prefix) || a.rank - b.rank;
}

function comparePrefixes(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [parsePrefix(a), parsePrefix(b)];
  if (left === undefined || right === undefined) return a < b ? -1 : 1;
  return left.family - right.family || Buffer.compare(left.bytes, right.bytes) || left.length - right.length;
}

/** A prefix with all its paths, why each of them won or lost first. */
export function routeLines(route: margay.bgp.v1.IRoute, terminal: Terminal, now: number): string[] {
  const lines = [paint(terminal, 'bold', route.prefix ?? '')];
  for (const path of route.paths ?? []) {
    const { attributes } = path;
    const from = path.neighbor ? `from ${path.neighbor} (${path.source})` : 'of our own';
    const age = ago(path.receivedAt, now);
    lines.push(
      `${marker(path) || ' '} via ${attributes?.nextHop || 'ourselves'}, ${from}, ${age}: ${why(path) || 'the only path'}`,
    );
    const facts = [
      `AS path ${attributes?.asPath || 'empty'}`,
      `origin ${attributes?.origin}`,
      fact('local preference', attributes?.localPreference),
      fact('MED', attributes?.med),
      fact('communities', communities(path)),
      fact('originator', attributes?.originatorId),
      fact('clusters', (attributes?.clusterList ?? []).join(' ')),
      fact('aggregator', attributes?.aggregator),
      path.stale ? 'stale' : '',
    ];
    lines.push(`    ${facts.filter((each) => each !== '').join(', ')}`);
  }
  return lines;
}

function fact(name: string, value: string | number | null | undefined): string {
  return value === undefined || value === null || value === '' ? '' : `${name} ${value}`;
}

function marker(path: Path): string {
  return path.best ? '>' : path.multipath ? '=' : path.rejectedByFilter ? 'x' : '';
}

function why(path: Path): string {
  return path.decision || (path.nextHopReachable || !path.attributes?.nextHop ? '' : 'next hop unreachable');
}

function communities(path: Path): string {
  const a = path.attributes;
  return [...(a?.communities ?? []), ...(a?.largeCommunities ?? []), ...(a?.extendedCommunities ?? [])].join(
    ' ',
  );
}

function originLetter(path: Path): string {
  return { igp: 'i', egp: 'e', incomplete: '?' }[path.attributes?.origin ?? ''] ?? '';
}

function given(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : String(value);
}

function established(n: Neighbor): boolean {
  return n.state === v1.SessionState.ESTABLISHED;
}

/** `OpenSent`, as RFC 4271 writes it. */
export function stateName(state: number | null | undefined): string {
  return STATE_NAMES[state ?? 0] ?? 'unknown';
}

const STATE_NAMES: Readonly<Record<number, string>> = {
  [v1.SessionState.IDLE]: 'Idle',
  [v1.SessionState.CONNECT]: 'Connect',
  [v1.SessionState.ACTIVE]: 'Active',
  [v1.SessionState.OPEN_SENT]: 'OpenSent',
  [v1.SessionState.OPEN_CONFIRM]: 'OpenConfirm',
  [v1.SessionState.ESTABLISHED]: 'Established',
};

function shownState(n: Neighbor): string {
  return n.enabled === false && !established(n) ? 'disabled' : stateName(n.state);
}

function holdTime(timers: margay.bgp.v1.ITimers | null | undefined): string {
  const { holdNegotiated, holdConfigured, holdRemaining } = v1.Timers.fromObject(timers ?? {});
  if (holdNegotiated === 0) return `off (configured ${holdConfigured} s)`;
  return `${holdNegotiated} s (configured ${holdConfigured} s), ${Math.ceil(holdRemaining)} s left`;
}

function keepalive(timers: margay.bgp.v1.ITimers | null | undefined): string {
  const { keepalive: every, keepaliveRemaining } = v1.Timers.fromObject(timers ?? {});
  return every === 0 ? 'off' : `every ${Math.round(every)} s, the next in ${Math.ceil(keepaliveRemaining)} s`;
}

function stateStyle(n: Neighbor): Style {
  return established(n) ? 'green' : n.enabled === false ? 'dim' : 'red';
}

function familyName(family: number | null | undefined): string {
  return family === v1.Family.IPV6_UNICAST ? 'IPv6 unicast' : 'IPv4 unicast';
}

function ago(at: number | null | undefined, now: number): string {
  return at ? duration(now / 1000 - at) : 'never';
}
