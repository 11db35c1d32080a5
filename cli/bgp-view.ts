import { margay } from '#proto/generated/bgp.js';
import { bytes, type Column, duration, type Style } from './output.ts';

/*
 * How the speaker's answers look to people: rows and fields, no printing.
 */

const v1 = margay.bgp.v1;
type Neighbor = margay.bgp.v1.INeighbor;
type Path = margay.bgp.v1.IPath;

/** A path with the prefix it belongs to; `first` of the paths of a prefix carries its name. */
export interface PathRow {
  readonly prefix: string;
  readonly path: Path;
  readonly first: boolean;
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
  ];
}

export function neighborTable(now: number): Column<Neighbor>[] {
  const sum = (n: Neighbor, of: 'received' | 'accepted' | 'advertised'): string =>
    established(n) ? String((n.families ?? []).reduce((total, f) => total + (f[of] ?? 0), 0)) : '-';
  return [
    { title: 'NEIGHBOUR', text: (n) => n.address ?? '' },
    { title: 'AS', text: (n) => String(n.remoteAs ?? 0), align: 'right' },
    { title: 'STATE', text: stateName, style: stateStyle },
    { title: 'SINCE', text: (n) => ago(n.changedAt, now), align: 'right' },
    { title: 'RECEIVED', text: (n) => sum(n, 'received'), align: 'right' },
    { title: 'ACCEPTED', text: (n) => sum(n, 'accepted'), align: 'right' },
    { title: 'SENT', text: (n) => sum(n, 'advertised'), align: 'right' },
    {
      title: 'DESCRIPTION',
      text: (n) =>
        established(n) ? (n.description ?? '') : [n.description, n.lastError].filter(Boolean).join(': '),
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
    ['state', `${stateName(n)} for ${ago(n.changedAt, now)}`],
    ['flaps', String(n.flaps ?? 0)],
    ['last error', n.lastError ? `${n.lastError} (${ago(n.lastErrorAt, now)} ago)` : ''],
    ['router id', n.remoteRouterId ?? ''],
    ['connection', established(n) ? `${n.localAddress}:${n.localPort} to ${n.address}:${n.remotePort}` : ''],
    [
      'hold time',
      `${timers?.holdNegotiated ?? 0} s (configured ${timers?.holdConfigured ?? 0}), keepalive ${timers?.keepalive ?? 0} s`,
    ],
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
      text: ({ path }) => (path.best ? '>' : path.multipath ? '=' : path.rejectedByFilter ? 'x' : ' '),
    },
    { title: 'PREFIX', text: ({ prefix, first }) => (first ? prefix : ''), style: () => 'bold' },
    { title: 'NEXT HOP', text: ({ path }) => path.attributes?.nextHop || '-' },
    { title: 'FROM', text: ({ path }) => path.neighbor || path.source || '' },
    { title: 'PREF', text: ({ path }) => optional(path.attributes?.localPreference), align: 'right' },
    { title: 'MED', text: ({ path }) => optional(path.attributes?.med), align: 'right' },
    {
      title: 'AS PATH',
      text: ({ path }) => `${path.attributes?.asPath ?? ''} ${originLetter(path)}`.trim(),
      shrink: true,
    },
    { title: 'COMMUNITIES', text: ({ path }) => communities(path), shrink: true },
    { title: 'AGE', text: ({ path }) => ago(path.receivedAt, now), align: 'right' },
    { title: 'WHY', text: ({ path }) => why(path), shrink: true, style: () => 'dim' },
  ];
}

function why(path: Path): string {
  if (path.rejectedByFilter) return 'rejected by the import filter';
  if (!path.nextHopReachable && path.attributes?.nextHop) return 'next hop unreachable';
  return path.decision ?? '';
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

function optional(value: number | null | undefined): string {
  return value === undefined || value === null ? '-' : String(value);
}

function established(n: Neighbor): boolean {
  return n.state === v1.SessionState.ESTABLISHED;
}

function stateName(n: Neighbor): string {
  if (n.enabled === false && !established(n)) return 'disabled';
  const names: Record<number, string> = {
    1: 'Idle',
    2: 'Connect',
    3: 'Active',
    4: 'OpenSent',
    5: 'OpenConfirm',
    6: 'Established',
  };
  return names[n.state ?? 0] ?? 'unknown';
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
