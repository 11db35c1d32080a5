/**
 * Routes that this speaker originates: those of the configuration, and over them those that were asked for while it runs.
 */

import type { Rib } from '#bgp/rib/rib.ts';
import { formatPrefix, type Prefix } from '#bgp/wire/address.ts';
import { NO_BYTES } from '#bgp/wire/bytes.ts';
import { type Family, IPV4_UNICAST, IPV6_UNICAST, ORIGIN_IGP } from '#bgp/wire/constants.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';

export type OwnRoute = {
  readonly prefix: Prefix;
  /** 4 or 16 bytes; our own address on each session if absent. */
  readonly nextHop?: Uint8Array | undefined;
  readonly med?: number | undefined;
  readonly localPref?: number | undefined;
  readonly communities: readonly number[];
  /** Three numbers each. */
  readonly largeCommunities?: readonly (readonly [number, number, number])[];
  /** A blackhole route stands behind it, so that unused addresses do not loop between this node and its router. */
  readonly blackhole: boolean;
};

export class OwnRoutes {
  readonly #rib: Rib;
  readonly #onChange: (prefixes: readonly Prefix[]) => void;
  readonly #configured = new Map<string, OwnRoute>();
  readonly #added = new Map<string, OwnRoute>();

  /** @param onChange is called with prefixes that came, went, or have something else behind them */
  constructor(rib: Rib, onChange: (prefixes: readonly Prefix[]) => void) {
    this.#rib = rib;
    this.#onChange = onChange;
  }

  /** All routes, each prefix once. */
  get routes(): OwnRoute[] {
    return [...new Map([...this.#configured, ...this.#added]).values()];
  }

  /** The route for a prefix. */
  get(prefix: Prefix): OwnRoute | undefined {
    const key = formatPrefix(prefix);
    return this.#added.get(key) ?? this.#configured.get(key);
  }

  /** What the configuration has, all of it. */
  configure(routes: readonly OwnRoute[]): void {
    const now = new Map(routes.map((route) => [formatPrefix(route.prefix), route]));
    const all = new Map([...this.#configured, ...now]);
    this.#configured.clear();
    for (const [key, route] of now) this.#configured.set(key, route);
    this.#apply([...all.values()].filter((route) => !this.isAdded(route.prefix)));
  }

  advertise(routes: readonly OwnRoute[]): { readonly added: number; readonly changed: number } {
    let changed = 0;
    for (const route of routes) {
      if (this.get(route.prefix) !== undefined) changed++;
      this.#added.set(formatPrefix(route.prefix), route);
    }
    this.#apply(routes);
    return { added: routes.length - changed, changed };
  }

  /** Whether `advertise` has added this one. */
  isAdded(prefix: Prefix): boolean {
    return this.#added.has(formatPrefix(prefix));
  }

  /** Takes back what `advertise` added; a route of the configuration for the same prefix is in force again. */
  withdraw(prefixes: readonly Prefix[]): void {
    const gone: OwnRoute[] = [];
    for (const prefix of prefixes) {
      const route = this.#added.get(formatPrefix(prefix));
      if (route !== undefined) gone.push(route);
      this.#added.delete(formatPrefix(prefix));
    }
    this.#apply(gone);
  }

  /** Puts what there is for the prefixes of the routes into the RIB. */
  #apply(routes: readonly OwnRoute[]): void {
    for (const { prefix } of routes) {
      const route = this.get(prefix);
      const family = familyOfPrefix(prefix);
      if (route === undefined) this.#rib.withdraw(family, prefix.bytes, prefix.length);
      else this.#rib.originate(family, prefix.bytes, prefix.length, attributesOf(route));
    }
    if (routes.length > 0) this.#onChange(routes.map(({ prefix }) => prefix));
  }
}

export function familyOfPrefix({ family }: Prefix): Family {
  return family === 4 ? IPV4_UNICAST : IPV6_UNICAST;
}

function attributesOf(route: OwnRoute): PathAttributes {
  const { prefix, nextHop = new Uint8Array(prefix.family === 4 ? 4 : 16) } = route;
  return {
    origin: ORIGIN_IGP,
    asPath: [],
    nextHop: { family: nextHop.length === 4 ? 4 : 6, bytes: nextHop, linkLocal: undefined },
    med: route.med,
    localPref: route.localPref,
    atomicAggregate: false,
    aggregator: undefined,
    // RFC 1997 and RFC 8092 have them as sets: in order, each once.
    communities: Uint32Array.from(new Set(route.communities)).sort(),
    extendedCommunities: NO_BYTES,
    largeCommunities: Uint32Array.from((route.largeCommunities ?? []).flat()),
    originatorId: undefined,
    clusterList: new Uint32Array(0),
    unknown: [],
    partial: undefined,
  };
}
