import { IPPROTO_DCCP, IPPROTO_SCTP, IPPROTO_TCP } from './constants.ts';

/** One direction of a flow, as its packets bear it. */
export interface Tuple {
  readonly source: string;
  readonly destination: string;
  /** Number of the transport protocol (IPPROTO_*). */
  readonly protocol: number;
  /** Of TCP, UDP, SCTP, DCCP and UDP-Lite; of GRE the keys. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** Of ICMP and ICMPv6 echo and the like. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number };
  /** Zone of this direction alone, where `ct original zone` or `ct reply zone` set it. */
  readonly zone?: number;
}

/** Packets and bytes of one direction. Exact up to 2^53. */
export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

/** What names a flow to the kernel. */
export interface FlowKey {
  readonly family: 4 | 6;
  readonly original: Tuple;
  /** 0 unless told. */
  readonly zone?: number;
  /**
   * With it, a later flow of the same addresses and ports is told from this one. (It is a hash of these and of where the
   * kernel keeps the entry, which the later flow may by chance have taken over.) An update does not look at it.
   */
  readonly id?: number;
}

/** An entry of the connection tracking table. */
export interface Flow extends FlowKey {
  /** What answers bear: after NAT not the mirror of `original`. Its source is the real destination. */
  readonly reply: Tuple;
  readonly zone: number;
  readonly id: number;
  /** Bits of {@link FlowStatus}; names by {@link statusNames}. */
  readonly status: number;
  /** Of TCP, SCTP and DCCP: as the conntrack tool prints it, e.g. `ESTABLISHED`. */
  readonly state?: string;
  /** Seconds until it goes unless a packet comes; absent where the kernel tells none. */
  readonly timeout?: number;
  readonly mark: number;
  /** Numbers of the labels that are set, 0 to 127, in order. */
  readonly labels: readonly number[];
  /** Present when net.netfilter.nf_conntrack_acct was on as the flow began. */
  readonly counters?: { readonly original: Counter; readonly reply: Counter };
  /** ns since 1970; present when net.netfilter.nf_conntrack_timestamp was on. */
  readonly started?: bigint;
  readonly stopped?: bigint;
  /** Name of the helper that is attached, e.g. `ftp`. */
  readonly helper?: string;
}

/** An entry to be made. */
export interface NewFlow {
  readonly family: 4 | 6;
  readonly original: Tuple;
  /** The mirror of `original` unless told. */
  readonly reply?: Tuple;
  readonly zone?: number;
  /** Seconds. */
  readonly timeout: number;
  /** Bits of {@link FlowStatus}; the kernel adds `confirmed`. */
  readonly status?: number;
  /** Of TCP and SCTP; `NONE` unless told. */
  readonly state?: string;
  readonly mark?: number;
  /** Needs a rule that sets labels, see the README. */
  readonly labels?: readonly number[];
}

/** Bits of a flow's status (linux/netfilter/nf_conntrack_common.h, IPS_*). */
export const FlowStatus = {
  expected: 1 << 0,
  /** Packets went both ways. */
  seenReply: 1 << 1,
  /** It is not ended early to make room. */
  assured: 1 << 2,
  confirmed: 1 << 3,
  sourceNat: 1 << 4,
  destinationNat: 1 << 5,
  sequenceAdjust: 1 << 6,
  sourceNatDone: 1 << 7,
  destinationNatDone: 1 << 8,
  dying: 1 << 9,
  fixedTimeout: 1 << 10,
  template: 1 << 11,
  untracked: 1 << 12,
  helper: 1 << 13,
  offload: 1 << 14,
  hardwareOffload: 1 << 15,
} as const;

/** Names of the bits that are set in a status, in the order of {@link FlowStatus}. */
export function statusNames(status: number): (keyof typeof FlowStatus)[] {
  return (Object.keys(FlowStatus) as (keyof typeof FlowStatus)[]).filter((name) => status & FlowStatus[name]);
}

/** Labels are the numbers below this one. */
export const LABELS = 128;

/** The name of a protocol's state, or `STATE<number>`; undefined for protocols without states. */
export function stateName(protocol: number, state: number): string | undefined {
  const names = STATES.get(protocol);
  return names && (names[state] ?? `STATE${state}`);
}

/** The number of a state's name. @throws RangeError when the protocol has none of this name */
export function stateNumber(protocol: number, name: string): number {
  const number = STATES.get(protocol)?.indexOf(name) ?? -1;
  if (number < 0)
    throw new RangeError(`state ${JSON.stringify(name)} of protocol ${protocol}: there is none`);
  return number;
}

/** A tuple in words: `6 10.0.0.1:40000 > 10.0.0.2:80`. */
export function describeTuple(tuple: Tuple): string {
  const end = (address: string, port: number | undefined): string =>
    port === undefined ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const { source, destination, protocol, icmp } = tuple;
  const tail = icmp ? ` type ${icmp.type} code ${icmp.code} id ${icmp.id}` : '';
  return `${protocol} ${end(source, tuple.sourcePort)} > ${end(destination, tuple.destinationPort)}${tail}`;
}

/** The tuple that answers bear when nothing is translated. */
export function mirror(tuple: Tuple): Tuple {
  const { source, destination, sourcePort, destinationPort, icmp, ...rest } = tuple;
  return {
    ...rest,
    source: destination,
    destination: source,
    ...(destinationPort === undefined ? {} : { sourcePort: destinationPort }),
    ...(sourcePort === undefined ? {} : { destinationPort: sourcePort }),
    ...(icmp ? { icmp: { ...icmp, type: ICMP_ANSWERS.get(icmp.type) ?? icmp.type } } : {}),
  };
}

/** Requests and their answers, ICMP (echo, timestamp, information, address mask) and ICMPv6 (echo, node information). */
const ICMP_PAIRS = [
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
  [128, 129],
  [139, 140],
] as const;
const ICMP_ANSWERS = new Map<number, number>(
  ICMP_PAIRS.flatMap(([request, answer]) => [
    [request, answer],
    [answer, request],
  ]),
);

/** By number: enum tcp_conntrack, sctp_conntrack and ct_dccp_states of linux/netfilter. */
const STATES: ReadonlyMap<number, readonly string[]> = new Map([
  [
    IPPROTO_TCP,
    [
      'NONE',
      'SYN_SENT',
      'SYN_RECV',
      'ESTABLISHED',
      'FIN_WAIT',
      'CLOSE_WAIT',
      'LAST_ACK',
      'TIME_WAIT',
      'CLOSE',
      'SYN_SENT2',
    ],
  ],
  [
    IPPROTO_SCTP,
    [
      'NONE',
      'CLOSED',
      'COOKIE_WAIT',
      'COOKIE_ECHOED',
      'ESTABLISHED',
      'SHUTDOWN_SENT',
      'SHUTDOWN_RECD',
      'SHUTDOWN_ACK_SENT',
      'HEARTBEAT_SENT',
      'HEARTBEAT_ACKED',
    ],
  ],
  [
    IPPROTO_DCCP,
    [
      'NONE',
      'REQUEST',
      'RESPOND',
      'PARTOPEN',
      'OPEN',
      'CLOSEREQ',
      'CLOSING',
      'TIMEWAIT',
      'IGNORE',
      'INVALID',
    ],
  ],
]);
