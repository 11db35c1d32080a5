import type { NextHopTracker, Resolution } from '#bgp/rib/next-hops.ts';
import type { NextHop } from '#bgp/wire/types.ts';
import { formatAddress } from '#kernel/ip.ts';
import type { NextHop as KernelNextHop, Route } from '#kernel/rtnetlink/route.ts';
import type { RouteMirror } from './route-mirror.ts';

/**
 * How packets get to a BGP next hop: the kernel next hops that a route by it is given. One object for one content, so that
 * equal ways are identical.
 */
export interface Way {
  /** Tells ways apart; never used again for another one. */
  readonly number: number;
  readonly nextHops: readonly KernelNextHop[];
}

/** Whether links can be used: by interface index. */
export interface LinkState {
  isUp(link: number): boolean;
}

/**
 * Resolves BGP next hops by the routes of others (RFC 4271 section 5.1.3 and 9.1.2.1): on a connected subnet the next hop is the
 * gateway itself; behind another route it is that route's gateways. Our own routes do not count, so that a next hop never
 * depends on a route that it resolves.
 *
 * `refresh` looks at all next hops again. There are few of them (one a neighbour, mostly), so nothing cleverer is needed.
 */
export class NextHopResolver implements NextHopTracker {
  readonly #mirror: RouteMirror;
  readonly #links: LinkState;
  readonly #set: (id: number, resolution: Resolution) => void;
  readonly #tracked = new Map<number, { readonly nextHop: NextHop; readonly scope: number }>();
  readonly #ways = new Map<string, Way>();
  #numbers = 0;

  /** @param set is told the resolution of each next hop, also if it is what it was */
  constructor(mirror: RouteMirror, links: LinkState, set: (id: number, resolution: Resolution) => void) {
    this.#mirror = mirror;
    this.#links = links;
    this.#set = set;
  }

  added(id: number, nextHop: NextHop, scope: number): void {
    this.#tracked.set(id, { nextHop, scope });
    this.#set(id, this.resolve(nextHop, scope));
  }

  removed(id: number): void {
    this.#tracked.delete(id);
  }

  /** The routes or links of others changed. */
  refresh(): void {
    for (const [id, { nextHop, scope }] of this.#tracked) this.#set(id, this.resolve(nextHop, scope));
    if (this.#ways.size > 2 * this.#tracked.size + 16) this.#forgetWays();
  }

  /** The way to a next hop. `scope` is the interface index of a link-local one. */
  resolve(nextHop: NextHop, scope: number): Resolution {
    const { bytes, linkLocal } = nextHop;
    // RFC 2545 section 3: the link-local address, where there is one, is what packets are sent to.
    const local = isLinkLocal(bytes) ? bytes : linkLocal;
    if (local !== undefined && scope !== 0) {
      if (!this.#links.isUp(scope)) return UNREACHABLE;
      return this.#reached(0, [{ gateway: formatAddress(local), link: scope }]);
    }
    if (isLinkLocal(bytes)) return UNREACHABLE;
    const route = this.#mirror.match(bytes, (each) => this.#usable(each));
    if (route === undefined || route.type !== 'unicast') return UNREACHABLE;
    const gateway = formatAddress(bytes);
    const hops = route.nextHops.filter((hop) => this.#works(hop));
    // The gateways of the route, or, where it is connected, the next hop itself.
    return this.#reached(
      route.nextHops.every((hop) => hop.gateway === undefined) ? 0 : route.metric,
      hops.map((hop) => ({
        gateway: hop.gateway ?? gateway,
        link: hop.link!,
        ...(hop.weight === undefined ? {} : { weight: hop.weight }),
        ...(hop.onlink === undefined ? {} : { onlink: hop.onlink }),
      })),
    );
  }

  #reached(metric: number, nextHops: readonly KernelNextHop[]): Resolution {
    const key = JSON.stringify(nextHops);
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = { number: ++this.#numbers, nextHops };
      this.#ways.set(key, way);
    }
    return { reachable: true, metric, gateway: way };
  }

  /** A route that drops packets ends the search as well: a shorter prefix does not get them. */
  #usable(route: Route): boolean {
    return route.type !== 'unicast' || route.nextHops.some((hop) => this.#works(hop));
  }

  #works(hop: KernelNextHop): boolean {
    return hop.link !== undefined && hop.dead !== true && this.#links.isUp(hop.link);
  }

  #forgetWays(): void {
    const used = new Set<string>();
    for (const { nextHop, scope } of this.#tracked.values()) {
      const { gateway } = this.resolve(nextHop, scope);
      if (gateway !== undefined) used.add(JSON.stringify((gateway as Way).nextHops));
    }
    for (const key of this.#ways.keys()) if (!used.has(key)) this.#ways.delete(key);
  }
}

const UNREACHABLE: Resolution = { reachable: false, metric: 0 };

function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
