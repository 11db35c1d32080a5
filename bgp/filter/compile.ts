/**
 * Filters made ready to be asked millions of times.
 *
 * What a filter does with a route depends on two things: the attributes (with where the route is from), which routes share by the dozen,
 * and the prefix. So it is asked in two steps. `profile` looks at everything but the prefix and names the statements that are
 * left; the caller keeps it per attribute set. `outcome4` and `outcome6` then look at the prefix only. An outcome says which
 * statements applied; the attributes that it leads to are made by `apply` and kept per attribute set too. For a filter that
 * does not look at prefixes the profile has one outcome, and both steps together are one array look-up of the caller's.
 */

import { prependAsPath } from '#bgp/wire/as-path.ts';
import type { NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { inNumberRange, matchesAsPath } from './as-path-match.ts';
import { changeCommunities, matchesCommunities } from './communities.ts';
import { PrefixSet } from './prefix-set.ts';
import type { Actions, Filter, RouteSource, Statement } from './types.ts';

/** What a filter sees of a route besides its prefix. */
export type RouteFacts = {
  readonly attributes: PathAttributes;
  readonly source: RouteSource;
  /** Address of the neighbour that the route was learned from, 4 or 16 bytes; absent for routes of our own. */
  readonly peer?: Uint8Array | undefined;
  /** Local preference of a route that does not say it. */
  readonly defaultLocalPref: number;
};

/** What actions refer to besides the route. */
export type ActionContext = {
  /** Our AS towards the neighbour of the session. */
  readonly localAs: number;
  /** Our address on the session, as a next hop for the family of the route. */
  readonly self?: NextHop | undefined;
  /** Address of the neighbour of the session. */
  readonly peer?: Uint8Array | undefined;
};

/** Facts about an attribute set that is decoded only if a filter looks at it. One object is filled again and again. */
export class LazyFacts implements RouteFacts {
  source: RouteSource = 'local';
  peer: Uint8Array | undefined = undefined;
  defaultLocalPref = 0;
  #id = 0;
  readonly #decode: (id: number) => PathAttributes;

  constructor(decode: (id: number) => PathAttributes) {
    this.#decode = decode;
  }

  /** The attribute set that the facts are about, as `decode` knows it. */
  set id(id: number) {
    this.#id = id;
  }

  get attributes(): PathAttributes {
    return this.#decode(this.#id);
  }
}

export class CompiledFilter {
  /** Whether the outcome may depend on the prefix. If not, `outcome` of a profile is all there is. */
  readonly usesPrefix: boolean;
  /** Whether the outcome may depend on which neighbour the route was learned from. */
  readonly usesPeer: boolean;
  readonly #statements: readonly CompiledStatement[];
  readonly #looksAtRoutes: boolean;
  /** Statements that are left for a profile, and the profiles by that list. */
  readonly #profiles: (readonly number[])[] = [];
  readonly #profileIds = new Map<string, number>();
  readonly #outcomes: Outcome[] = [];
  readonly #outcomeIds = new Map<string, number>();
  /** Outcome of each profile of a filter that does not use prefixes. */
  readonly #only: number[] = [];

  /** @param filters asked one after the other; what none of them decides is rejected. */
  constructor(filters: readonly Filter[]) {
    this.#statements = filters.flatMap(flatten).map(compileStatement);
    this.#looksAtRoutes = this.#statements.some(({ conditions }) => conditions.length > 0);
    this.usesPrefix = this.#statements.some(({ prefix }) => prefix !== undefined);
    this.usesPeer = this.#statements.some(({ usesPeer }) => usesPeer);
  }

  /** The small number of what is left to ask for routes of these attributes and source. */
  profile(facts: RouteFacts): number {
    // Without conditions besides those on prefixes all routes are alike.
    if (!this.#looksAtRoutes && this.#profiles.length > 0) return 0;
    const left: number[] = [];
    for (let i = 0; i < this.#statements.length; i++) {
      const statement = this.#statements[i]!;
      if (!statement.conditions.every((holds) => holds(facts))) continue;
      left.push(i);
      if (statement.prefix === undefined && statement.action !== 'next') break;
    }
    const key = left.join();
    let id = this.#profileIds.get(key);
    if (id === undefined) {
      id = this.#profiles.length;
      this.#profileIds.set(key, id);
      this.#profiles.push(left);
      this.#only.push(this.usesPrefix ? -1 : this.#decide(left, () => true));
    }
    return id;
  }

  /** The outcome for a profile, if this filter does not use prefixes. */
  outcome(profile: number): number {
    return this.#only[profile]!;
  }

  /** The outcome for an IPv4 prefix; the address is a number, signed or not. */
  outcome4(profile: number, address: number, length: number): number {
    return this.#decide(this.#profiles[profile]!, (test) => test.has4(address, length));
  }

  /** The outcome for an IPv6 prefix; the address is four words, the highest first. */
  outcome6(profile: number, w0: number, w1: number, w2: number, w3: number, length: number): number {
    return this.#decide(this.#profiles[profile]!, (test) => test.has6(w0, w1, w2, w3, length));
  }

  accepts(outcome: number): boolean {
    return this.#outcomes[outcome]!.accept;
  }

  /** Whether `apply` has anything to change. */
  changes(outcome: number): boolean {
    return this.#outcomes[outcome]!.actions.length > 0;
  }

  /** Whether the outcome sets the MED or the next hop, which then are not for the speaker to rewrite. */
  sets(outcome: number, what: 'med' | 'nextHop'): boolean {
    return this.#outcomes[outcome]!.actions.some((actions) => actions[what] !== undefined);
  }

  /** The attributes that an accepting outcome makes of these. */
  apply(outcome: number, attributes: PathAttributes, context: ActionContext): PathAttributes {
    for (const actions of this.#outcomes[outcome]!.actions) {
      attributes = applyActions(actions, attributes, context);
    }
    return attributes;
  }

  #decide(statements: readonly number[], inPrefixes: (test: PrefixSet) => boolean): number {
    let key = '';
    let accept = false;
    for (const i of statements) {
      const { prefix, action, set } = this.#statements[i]!;
      if (prefix !== undefined) {
        if (prefix.in !== undefined && !inPrefixes(prefix.in)) continue;
        if (prefix.notIn !== undefined && inPrefixes(prefix.notIn)) continue;
      }
      if (set !== undefined) key += `${i},`;
      if (action === 'next') continue;
      accept = action === 'accept';
      break;
    }
    if (!accept) key = 'reject';
    let id = this.#outcomeIds.get(key);
    if (id === undefined) {
      id = this.#outcomes.length;
      this.#outcomeIds.set(key, id);
      const applied = accept && key !== '' ? key.slice(0, -1).split(',').map(Number) : [];
      this.#outcomes.push({ accept, actions: applied.map((i) => this.#statements[i]!.set!) });
    }
    return id;
  }
}

/** The same text for filters that say the same, whatever objects they are. */
export function filterKey(filters: readonly Filter[]): string {
  return JSON.stringify(filters, (_name, value) => (value instanceof Uint8Array ? [...value] : value));
}

type Outcome = { readonly accept: boolean; readonly actions: readonly Actions[] };

type CompiledStatement = {
  readonly conditions: readonly ((facts: RouteFacts) => boolean)[];
  readonly prefix: { readonly in: PrefixSet | undefined; readonly notIn: PrefixSet | undefined } | undefined;
  readonly usesPeer: boolean;
  readonly set: Actions | undefined;
  readonly action: Statement['action'];
};

/** The statements of a filter and one more for what it does otherwise. */
function flatten(filter: Filter): Statement[] {
  return filter.otherwise === 'next'
    ? [...filter.statements]
    : [...filter.statements, { action: filter.otherwise }];
}

function compileStatement({ match = {}, set, action }: Statement): CompiledStatement {
  const conditions: ((facts: RouteFacts) => boolean)[] = [];
  const { nextHops, asPath, communities, sources, peers, notPeers, origins, localPref, med } = match;
  if (sources !== undefined) conditions.push((facts) => sources.includes(facts.source));
  if (origins !== undefined) conditions.push(({ attributes }) => origins.includes(attributes.origin));
  if (nextHops !== undefined) {
    const set = PrefixSet.within(nextHops);
    conditions.push(({ attributes }) => set.hasAddress(attributes.nextHop.bytes));
  }
  if (peers !== undefined) {
    const set = PrefixSet.within(peers);
    conditions.push(({ peer }) => peer !== undefined && set.hasAddress(peer));
  }
  if (notPeers !== undefined) {
    const set = PrefixSet.within(notPeers);
    conditions.push(({ peer }) => peer === undefined || !set.hasAddress(peer));
  }
  if (localPref !== undefined) {
    conditions.push((facts) =>
      inNumberRange(localPref, facts.attributes.localPref ?? facts.defaultLocalPref),
    );
  }
  if (med !== undefined) conditions.push(({ attributes }) => inNumberRange(med, attributes.med ?? 0));
  if (asPath !== undefined) conditions.push(({ attributes }) => matchesAsPath(asPath, attributes.asPath));
  if (communities !== undefined) {
    conditions.push(({ attributes }) => matchesCommunities(communities, attributes));
  }
  const { prefixes, notPrefixes } = match;
  const prefix =
    prefixes === undefined && notPrefixes === undefined
      ? undefined
      : {
          in: prefixes === undefined ? undefined : new PrefixSet(prefixes),
          notIn: notPrefixes === undefined ? undefined : new PrefixSet(notPrefixes),
        };
  return { conditions, prefix, usesPeer: peers !== undefined || notPeers !== undefined, set, action };
}

function applyActions(actions: Actions, attributes: PathAttributes, context: ActionContext): PathAttributes {
  const { communities, localPref, med, origin, prepend, nextHop } = actions;
  let result = attributes;
  if (communities !== undefined) result = changeCommunities(result, communities);
  if (prepend !== undefined) {
    const asPath = prependAsPath(result.asPath, prepend.as ?? context.localAs, prepend.times);
    result = { ...result, asPath };
  }
  if (nextHop !== undefined) result = { ...result, nextHop: nextHopFor(nextHop, result, context) };
  if (localPref !== undefined) result = { ...result, localPref };
  if (med !== undefined) result = { ...result, med };
  if (origin !== undefined) result = { ...result, origin };
  return result;
}

function nextHopFor(
  nextHop: NonNullable<Actions['nextHop']>,
  attributes: PathAttributes,
  context: ActionContext,
): NextHop {
  if (nextHop === 'self') return context.self ?? attributes.nextHop;
  const bytes = nextHop === 'peer' ? context.peer : nextHop;
  // One filter may serve both families: routes of the other one keep what they have.
  if (bytes?.length !== attributes.nextHop.bytes.length) return attributes.nextHop;
  return { family: bytes.length === 4 ? 4 : 6, bytes, linkLocal: undefined };
}
