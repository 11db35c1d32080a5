/**
 * Sets of protocols and ports, and verdicts on them, in a canonical form: two that say the same have the same text.
 *
 * Protocols with ports are TCP, UDP and SCTP; all others are one, for which only everything or nothing can be said.
 */

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** Ports from `first` to `last`, both included, 0 to 65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Which traffic is meant. */
export interface PortSet {
  /** Canonical: `TCP/80,443 UDP/all`, `all`, `none`. */
  readonly text: string;
  /** For each protocol with ports its ranges, sorted, apart and not touching. */
  readonly lanes: Readonly<Record<Protocol, readonly PortRange[]>>;
  /** Whether protocols without ports are in it. */
  readonly other: boolean;
}

export type PortVerdict = 'accept' | 'drop';

/** What becomes of which traffic; of what is in neither set, something else decides. */
export interface PortVerdicts {
  /** Canonical: `TCP/80`, or with what is dropped `TCP/all not TCP/22`. */
  readonly text: string;
  readonly accept: PortSet;
  readonly drop: PortSet;
}

/** All IP protocols from `protocols.first` to `.last` on all ports of `ports`: one element of an interval map. */
export interface PortBox {
  /** IANA protocol numbers. */
  readonly protocols: PortRange;
  readonly ports: PortRange;
}

export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** IANA protocol numbers. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const EVERY_PORT: readonly PortRange[] = [{ first: 0, last: 65535 }];

export const NO_PORTS: PortSet = portSet({ TCP: [], UDP: [], SCTP: [] }, false);
export const ALL_PORTS: PortSet = portSet({ TCP: EVERY_PORT, UDP: EVERY_PORT, SCTP: EVERY_PORT }, true);
export const NO_VERDICTS: PortVerdicts = portVerdicts(NO_PORTS, NO_PORTS);

/** Ports of one protocol; all of them without a range. */
export function portsOf(protocol: Protocol, ranges: readonly PortRange[] = EVERY_PORT): PortSet {
  return portSet({ ...NO_PORTS.lanes, [protocol]: mergeRanges(ranges) }, false);
}

export function unionOf(sets: readonly PortSet[]): PortSet {
  if (sets.length === 0) return NO_PORTS;
  if (sets.length === 1) return sets[0]!;
  const lane = (protocol: Protocol) => mergeRanges(sets.flatMap(({ lanes }) => lanes[protocol]));
  const lanes = { TCP: lane('TCP'), UDP: lane('UDP'), SCTP: lane('SCTP') };
  return portSet(
    lanes,
    sets.some(({ other }) => other),
  );
}

/** What is in `from` and not in `away`. */
export function without(from: PortSet, away: PortSet): PortSet {
  if (away.text === NO_PORTS.text || from.text === NO_PORTS.text) return from;
  const lane = (protocol: Protocol) =>
    from.lanes[protocol].flatMap((range) => pieces(range, away.lanes[protocol]));
  return portSet({ TCP: lane('TCP'), UDP: lane('UDP'), SCTP: lane('SCTP') }, from.other && !away.other);
}

export function intersectionOf(a: PortSet, b: PortSet): PortSet {
  return without(a, without(a, b));
}

export function isSubset(inner: PortSet, outer: PortSet): boolean {
  if (inner.other && !outer.other) return false;
  return PROTOCOLS.every((protocol) =>
    inner.lanes[protocol].every(({ first, last }) => {
      const ranges = outer.lanes[protocol];
      const range = ranges[indexAt(ranges, first)];
      return range !== undefined && range.first <= first && last <= range.last;
    }),
  );
}

export function includes(set: PortSet, protocol: Protocol | 'other', port: number): boolean {
  return protocol === 'other' ? set.other : lanesInclude(set.lanes[protocol], port);
}

/** What the verdicts say, `undefined` if nothing. */
export function verdictOn(
  verdicts: PortVerdicts,
  protocol: Protocol | 'other',
  port: number,
): PortVerdict | undefined {
  if (includes(verdicts.accept, protocol, port)) return 'accept';
  return includes(verdicts.drop, protocol, port) ? 'drop' : undefined;
}

/** The set as boxes that do not overlap, in a fixed order. */
export function boxesOf(set: PortSet): PortBox[] {
  if (set.text === ALL_PORTS.text) return [{ protocols: { first: 0, last: 255 }, ports: EVERY_PORT[0]! }];
  const boxes = PROTOCOLS.flatMap((protocol) => {
    const number = PROTOCOL_NUMBERS[protocol];
    return set.lanes[protocol].map((ports) => ({ protocols: { first: number, last: number }, ports }));
  });
  if (!set.other) return boxes;
  return [...boxes, ...OTHER_PROTOCOLS.map((protocols) => ({ protocols, ports: EVERY_PORT[0]! }))];
}

export function portSet(lanes: PortSet['lanes'], other: boolean): PortSet {
  return { text: describePorts(lanes, other), lanes, other };
}

export function portVerdicts(accept: PortSet, drop: PortSet): PortVerdicts {
  const text =
    drop === NO_PORTS || drop.text === NO_PORTS.text ? accept.text : `${accept.text} not ${drop.text}`;
  return { text, accept, drop };
}

/** Sorted, and those that overlap or touch made one. */
export function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  if (ranges.length < 2) return ranges;
  const sorted = [...ranges].sort((a, b) => a.first - b.first);
  const merged: PortRange[] = [];
  for (const range of sorted) {
    const before = merged.at(-1);
    if (before === undefined || range.first > before.last + 1) merged.push(range);
    else if (range.last > before.last) merged[merged.length - 1] = { first: before.first, last: range.last };
  }
  return merged;
}

/** What is left of a range without the holes, which are sorted and apart. */
function pieces(range: PortRange, holes: readonly PortRange[]): PortRange[] {
  const left: PortRange[] = [];
  let { first } = range;
  for (let i = indexAt(holes, first); i < holes.length && holes[i]!.first <= range.last; i++) {
    const hole = holes[i]!;
    if (first < hole.first) left.push({ first, last: hole.first - 1 });
    first = hole.last + 1;
  }
  if (first <= range.last) left.push({ first, last: range.last });
  return left;
}

/** What lies between, before and after TCP, UDP and SCTP. */
const OTHER_PROTOCOLS: readonly PortRange[] = [
  { first: 0, last: 5 },
  { first: 7, last: 16 },
  { first: 18, last: 131 },
  { first: 133, last: 255 },
];

function lanesInclude(ranges: readonly PortRange[], port: number): boolean {
  const range = ranges[indexAt(ranges, port)];
  return range !== undefined && range.first <= port;
}

/** The first of sorted ranges that does not end before the port; their number if all do. */
function indexAt(ranges: readonly PortRange[], port: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.last < port) low = middle + 1;
    else high = middle;
  }
  return low;
}

function describePorts(lanes: PortSet['lanes'], other: boolean): string {
  const isWhole = (protocol: Protocol) =>
    lanes[protocol][0]?.first === 0 && lanes[protocol][0].last === 65535;
  if (other && PROTOCOLS.every(isWhole)) return 'all';
  const parts = PROTOCOLS.filter((protocol) => lanes[protocol].length > 0).map((protocol) =>
    isWhole(protocol) ? `${protocol}/all` : `${protocol}/${lanes[protocol].map(describeRange).join(',')}`,
  );
  if (other) parts.push('other');
  return parts.length === 0 ? 'none' : parts.join(' ');
}

function describeRange({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}
