/** The BGP daemons that {@link launchPeer} can start: gobgpd 3, BIRD 2, and bgpd of FRR. */
export type PeerKind = 'bird' | 'frr' | 'gobgpd';

/** All kinds, to run one test against each. */
export const PEER_KINDS: readonly PeerKind[] = ['bird', 'frr', 'gobgpd'];

/** Unicast routes of one address family. */
export type Family = 'ipv4' | 'ipv6';

/** What a real BGP daemon is to do. A setting that a daemon does not have is refused at the start. */
export interface PeerDescription {
  /** Autonomous system number. */
  readonly asn: number;
  /** BGP identifier, as an IPv4 address. */
  readonly routerId: string;
  /** TCP port to listen on. Default 179. */
  readonly port?: number;
  readonly neighbours: readonly NeighbourDescription[];
  /** Routes it originates from the start. */
  readonly announce?: readonly Announcement[];
  /** Cluster of a route reflector, as an IPv4 address (RFC 4456). Default the router id. */
  readonly clusterId?: string;
  /** Number of equal paths to use for one prefix. Default 1. */
  readonly ecmp?: number;
  /** Puts the routes it selects into the kernel of its namespace. BIRD and FRR. */
  readonly installRoutes?: boolean;
}

/** One session of a peer. */
export interface NeighbourDescription {
  readonly address: string;
  readonly asn: number;
  /** Own address for the session; by default the kernel chooses. */
  readonly localAddress?: string;
  /** TCP port to connect to. Default 179. */
  readonly port?: number;
  /** Families to negotiate. Default the one of `address`. */
  readonly families?: readonly Family[];
  /** TCP MD5 signature key (RFC 2385). */
  readonly password?: string;
  /** Waits for the neighbour to connect. */
  readonly passive?: boolean;
  /** For an external neighbour that is not directly connected: TTL of what is sent. */
  readonly multihop?: number;
  /** Generalized TTL security (RFC 5082): most hops away, 1 when directly connected. */
  readonly ttlSecurity?: number;
  /** Proposed hold time in seconds. Default 90. Keepalives go at a third of it. */
  readonly holdTime?: number;
  /** Reflects routes to and from this internal neighbour (RFC 4456). */
  readonly routeReflectorClient?: boolean;
  /** More prefixes than this from it end the session. */
  readonly maxPrefixes?: number;
  /** Announces itself as next hop of routes learnt elsewhere. BIRD and FRR. */
  readonly nextHopSelf?: boolean;
  /** Several paths for one prefix (RFC 7911). */
  readonly addPath?: 'receive' | 'send' | 'both';
  /** Messages of up to 65,535 bytes (RFC 8654): to be switched on in BIRD, always on in FRR. */
  readonly extendedMessages?: boolean;
  /** How often its own AS number may be in a path it accepts. Default 0. */
  readonly allowOwnAs?: number;
}

/** A route that a peer originates. */
export interface Announcement {
  readonly prefix: string;
  /** Default itself. */
  readonly nextHop?: string;
  /** Autonomous systems that stand in the path already, the nearest first. */
  readonly asPath?: readonly number[];
  readonly med?: number;
  readonly localPreference?: number;
  /** For example `65001:100`. */
  readonly communities?: readonly string[];
  /** For example `65001:1:2` (RFC 8092). */
  readonly largeCommunities?: readonly string[];
}

/** States of RFC 4271, section 8.2.2. */
export type SessionState = 'idle' | 'connect' | 'active' | 'opensent' | 'openconfirm' | 'established';

/** What a peer says of one of its sessions. */
export interface NeighbourState {
  readonly address: string;
  readonly asn: number;
  readonly state: SessionState;
  /** BGP identifier of the other side, once it is known. */
  readonly routerId: string | undefined;
  /** Hold time agreed on, in seconds, once the session is up. */
  readonly holdTime: number | undefined;
  /** The daemon's own words on this session, unchanged. */
  readonly raw: unknown;
}

/** A path that a peer holds in its table after its import rules. */
export interface PeerRoute {
  readonly prefix: string;
  /** Address of the neighbour it came from; undefined for the peer's own. */
  readonly from: string | undefined;
  readonly best: boolean;
  /** The global address only. Undefined for the peer's own. */
  readonly nextHop: string | undefined;
  /** As text: `65001 65002 {65003 65004}`; `{}` is an AS_SET, `()` a confederation. */
  readonly asPath: string;
  readonly origin: 'igp' | 'egp' | 'incomplete' | undefined;
  readonly med: number | undefined;
  readonly localPreference: number | undefined;
  /** In the order of their numbers, for example `65001:100`; well-known ones in numbers too. */
  readonly communities: readonly string[];
  readonly largeCommunities: readonly string[];
  /** RFC 4456. */
  readonly originatorId: string | undefined;
  readonly clusterList: readonly string[];
}

/** Thrown when a daemon has no setting for something in its description. */
export class UnsupportedByPeerError extends Error {
  override readonly name = 'UnsupportedByPeerError';
  readonly code = 'PEER_OPTION_UNSUPPORTED';
  readonly kind: PeerKind;
  readonly option: string;

  constructor(kind: PeerKind, option: string) {
    super(`${kind} has no setting for ${option}`);
    this.kind = kind;
    this.option = option;
  }
}

export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

export function familiesOf(neighbour: NeighbourDescription): readonly Family[] {
  return neighbour.families ?? [familyOf(neighbour.address)];
}

/** Splits `65001:1`, or `65001:1:2`, into its numbers. */
export function communityNumbers(text: string): number[] {
  return text.split(':').map(Number);
}

/** Puts communities in the order of their numbers, as RFC 1997 sets compare. */
export function sortCommunities(list: readonly string[]): string[] {
  return [...list].sort((a, b) => {
    const [left, right] = [communityNumbers(a), communityNumbers(b)];
    const at = left.findIndex((number, index) => number !== right[index]);
    return at < 0 ? 0 : left[at]! - right[at]!;
  });
}
