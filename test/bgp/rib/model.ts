/**
 * What a speaker has to come to, written down as slowly and plainly as can be: everything is worked out from scratch from what
 * the neighbours say now. Shares no code with the RIB.
 */

import { NO_ADVERTISE, NO_EXPORT } from '#bgp/wire/communities.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';
import { OUR_AS } from './harness.ts';

export type Kind = 'ebgp' | 'ibgp' | 'client';

/** A route on its way through a policy. */
export type PolicyRoute = {
  readonly prefix: string;
  readonly attributes: PathAttributes;
  readonly source: 'local' | 'ebgp' | 'ibgp';
  /** Address of the neighbour it is from. */
  readonly from: string | undefined;
};

/** What a policy makes of a route: other attributes and whether it has set the MED, or `undefined` to reject it. */
export type ModelPolicy = (route: PolicyRoute) => (PathAttributes & { medSet?: boolean }) | undefined;

export type ModelNeighbour = {
  readonly asn: number;
  readonly address: string;
  readonly routerId: number;
  readonly kind: Kind;
  up: boolean;
  /** What it announced, as sent. */
  readonly routes: Map<string, { readonly attributes: PathAttributes; stale: boolean }>;
  import: ModelPolicy;
  export: ModelPolicy;
};

export type ModelSettings = {
  readonly clusterId: number;
  readonly routerId: number;
  readonly alwaysCompareMed: boolean;
  readonly maxPaths: number;
  readonly asPathRelax: boolean;
  /** Neighbours are on 10.0.0.0/24 with us. */
  readonly sharedLink: boolean;
  /** External ones announce next hops there and nowhere else. */
  readonly connectedNextHop: boolean;
};

type Candidate = {
  readonly neighbour: ModelNeighbour | undefined;
  readonly attributes: PathAttributes;
};

export type Way = { readonly resolved: boolean; readonly metric: number };

export class Model {
  readonly neighbours: ModelNeighbour[] = [];
  readonly local = new Map<string, PathAttributes>();
  /** By address as text. */
  readonly nextHops = new Map<string, Way>();
  readonly settings: ModelSettings;

  constructor(settings: ModelSettings) {
    this.settings = settings;
  }

  prefixes(): string[] {
    const all = new Set(this.local.keys());
    for (const { routes } of this.neighbours) for (const name of routes.keys()) all.add(name);
    return [...all].sort();
  }

  /** The paths in use, the best first. */
  decide(prefix: string): Candidate[] {
    let left = this.#candidates(prefix);
    if (left.length === 0) return [];
    left = keep(left, ({ neighbour }) => (neighbour === undefined ? 0 : 1));
    left = keep(left, ({ attributes }) => -localPref(attributes));
    left = keep(left, ({ attributes }) => length(attributes));
    left = keep(left, ({ attributes }) => attributes.origin);
    left = left.filter((one) =>
      left.every(
        (other) =>
          (!this.settings.alwaysCompareMed && firstAs(one.attributes) !== firstAs(other.attributes)) ||
          (one.attributes.med ?? 0) <= (other.attributes.med ?? 0),
      ),
    );
    left = keep(left, ({ neighbour }) => (neighbour?.kind === 'ebgp' ? 0 : 1));
    left = keep(left, ({ attributes }) => this.way(attributes).metric);
    const ties = left.toSorted(
      (a, b) =>
        routerId(a) - routerId(b) ||
        a.attributes.clusterList.length - b.attributes.clusterList.length ||
        compareText(a.neighbour?.address ?? '', b.neighbour?.address ?? ''),
    );
    const best = ties[0]!;
    if (best.neighbour === undefined) return [best];
    const used: Candidate[] = [];
    for (const each of ties) {
      if (used.length >= this.settings.maxPaths) break;
      if (!this.settings.asPathRelax && pathText(each.attributes) !== pathText(best.attributes)) continue;
      const known = used.some((other) => nextHopText(other.attributes) === nextHopText(each.attributes));
      if (!known) used.push(each);
    }
    return used;
  }

  /** What a neighbour has to have been told: prefix -> attributes. */
  sentTo(
    to: ModelNeighbour,
    selfAddress: (prefix: string) => string,
  ): Map<string, ReturnType<typeof summary>> {
    const sent = new Map<string, ReturnType<typeof summary>>();
    for (const prefix of this.prefixes()) {
      const [best] = this.decide(prefix);
      if (best === undefined || best.neighbour === to) continue;
      const attributes = this.#exported(best, to, prefix, selfAddress(prefix));
      // RFC 4271 section 5.1.3: not to whom the next hop belongs.
      if (attributes !== undefined && attributes.nextHop !== to.address) sent.set(prefix, attributes);
    }
    return sent;
  }

  way(attributes: PathAttributes): Way {
    if (attributes.nextHop.bytes.every((byte) => byte === 0)) return { resolved: true, metric: 0 };
    return this.nextHops.get(nextHopText(attributes)) ?? { resolved: true, metric: 0 };
  }

  #candidates(prefix: string): Candidate[] {
    const list: Candidate[] = [];
    const own = this.local.get(prefix);
    if (own !== undefined) list.push({ neighbour: undefined, attributes: own });
    for (const neighbour of this.neighbours) {
      const route = neighbour.routes.get(prefix);
      if (route === undefined) continue;
      const attributes = this.#imported(neighbour, prefix, route.attributes);
      if (attributes !== undefined) list.push({ neighbour, attributes });
    }
    return list.filter(({ attributes }) => this.way(attributes).resolved);
  }

  #imported(from: ModelNeighbour, prefix: string, attributes: PathAttributes): PathAttributes | undefined {
    if (attributes.asPath.some(({ asns }) => asns.includes(OUR_AS))) return undefined;
    if (attributes.originatorId === this.settings.routerId) return undefined;
    if (attributes.clusterList.includes(this.settings.clusterId)) return undefined;
    const { connectedNextHop, sharedLink } = this.settings;
    const checked = connectedNextHop && sharedLink && from.kind === 'ebgp';
    if (checked && !isOnLink(attributes)) return undefined;
    const source = from.kind === 'ebgp' ? 'ebgp' : 'ibgp';
    const imported = from.import({ prefix, attributes, source, from: from.address });
    return imported === undefined ? undefined : ({ ...imported, medSet: false } as PathAttributes);
  }

  #exported(
    { neighbour: from, attributes }: Candidate,
    to: ModelNeighbour,
    prefix: string,
    self: string,
  ): ReturnType<typeof summary> | undefined {
    const internal = from !== undefined && from.kind !== 'ebgp';
    if (internal && to.kind === 'ibgp' && from.kind === 'ibgp') return undefined;
    if (attributes.communities.includes(NO_ADVERTISE)) return undefined;
    if (attributes.communities.includes(NO_EXPORT) && to.kind === 'ebgp') return undefined;
    const source = from === undefined ? 'local' : internal ? 'ibgp' : 'ebgp';
    const filtered = to.export({ prefix, attributes, source, from: from?.address });
    if (filtered === undefined) return undefined;
    const result = summary(filtered);
    const unspecified = filtered.nextHop.bytes.every((byte) => byte === 0);
    if (to.kind === 'ebgp') {
      return {
        ...result,
        asPath: `${OUR_AS} ${result.asPath}`.trim(),
        nextHop: this.settings.sharedLink && from !== undefined && isOnLink(filtered) ? result.nextHop : self,
        med: from === undefined || filtered.medSet ? result.med : undefined,
        localPref: undefined,
        originatorId: undefined,
        clusterList: '',
      };
    }
    return {
      ...result,
      nextHop: unspecified ? self : result.nextHop,
      localPref: result.localPref ?? 100,
      originatorId: internal ? (filtered.originatorId ?? from.routerId) : filtered.originatorId,
      clusterList: internal ? `${this.settings.clusterId} ${result.clusterList}`.trim() : result.clusterList,
    };
  }
}

/** Attributes in a form that compares and prints well. */
export function summary(attributes: PathAttributes) {
  return {
    asPath: pathText(attributes),
    nextHop: nextHopText(attributes),
    origin: attributes.origin,
    med: attributes.med,
    localPref: attributes.localPref,
    communities: attributes.communities.join(' '),
    originatorId: attributes.originatorId,
    clusterList: attributes.clusterList.join(' '),
  };
}

export function nextHopText({ nextHop }: PathAttributes): string {
  return nextHop.bytes.join('.');
}

function isOnLink(attributes: PathAttributes): boolean {
  return nextHopText(attributes).startsWith('10.0.0.');
}

function pathText({ asPath }: PathAttributes): string {
  return asPath.map(({ type, asns }) => (type === 1 ? `{${asns.join(' ')}}` : asns.join(' '))).join(' ');
}

function keep(list: readonly Candidate[], cost: (candidate: Candidate) => number): Candidate[] {
  const least = Math.min(...list.map(cost));
  return list.filter((each) => cost(each) === least);
}

function localPref({ localPref }: PathAttributes): number {
  return localPref ?? 100;
}

function length({ asPath }: PathAttributes): number {
  return asPath.reduce((sum, { type, asns }) => sum + (type === 1 ? 1 : asns.length), 0);
}

function firstAs({ asPath }: PathAttributes): number {
  return asPath[0]?.type === 2 ? asPath[0].asns[0]! : 0;
}

function routerId({ neighbour, attributes }: Candidate): number {
  return attributes.originatorId ?? neighbour?.routerId ?? 0;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
