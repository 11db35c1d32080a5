/**
 * From attributes as received to attributes as used: loop checks, import filters, GRACEFUL_SHUTDOWN.
 *
 * Neighbours with the same rules share one policy object. What it answers is kept per attribute set, so that asking again is
 * an array look-up, as long as the filters do not look at prefixes; for those that do, what is kept leaves only the prefix to
 * look at.
 */

import { type CompiledFilter, filterKey, LazyFacts } from '#bgp/filter/compile.ts';
import { PrefixSet } from '#bgp/filter/prefix-set.ts';
import type { Prefix, RouteSource } from '#bgp/filter/types.ts';
import { countInAsPath } from '#bgp/wire/as-path.ts';
import { equalBytes } from '#bgp/wire/bytes.ts';
import { GRACEFUL_SHUTDOWN } from '#bgp/wire/communities.ts';
import { ATTR_CLUSTER_LIST, ATTR_COMMUNITIES, ATTR_ORIGINATOR_ID } from '#bgp/wire/constants.ts';
import { isLinkLocal } from '#bgp/wire/next-hop.ts';
import type { NextHop } from '#bgp/wire/types.ts';
import type { AttributeStore, Derived } from './attribute-store.ts';
import { type PrefixTable, PrefixTable4, type PrefixTable6 } from './prefix-table.ts';
import type { PeerFamilySettings, PeerSession, PeerSettings, RibSettings } from './settings.ts';

/** Everything that the answer for an attribute set and a prefix depends on. */
export type ImportRules = {
  readonly asn: number;
  readonly localAs: number;
  readonly allowOwnAs: number;
  readonly routerId: number;
  readonly clusterId: number;
  readonly defaultLocalPref: number;
  readonly source: RouteSource;
  readonly honourGracefulShutdown: boolean;
  /** Our addresses on the session: a next hop can not be one of them. */
  readonly self4: NextHop | undefined;
  readonly self6: NextHop | undefined;
  /** Address of the neighbour, if the filters look at it or set it. */
  readonly peer: Uint8Array | undefined;
  /** Where next hops have to be, if that is looked at: subnets, and the address of a neighbour that is in none of them. */
  readonly connected:
    | { readonly subnets: readonly Prefix[]; readonly neighbour: Uint8Array | undefined }
    | undefined;
};

/** Why a route is not used. */
export type ImportProblem =
  | 'as-loop'
  | 'originator-loop'
  | 'cluster-loop'
  | 'own-next-hop'
  | 'foreign-next-hop'
  | 'filter';

/** The rules for a neighbour, and a text that is the same for neighbours that can share a policy. */
export function importRules(
  rib: RibSettings,
  settings: PeerSettings,
  family: PeerFamilySettings,
  session: PeerSession,
  filter: CompiledFilter,
): { readonly rules: ImportRules; readonly key: string } {
  const rules: ImportRules = {
    asn: rib.asn,
    localAs: settings.localAs,
    allowOwnAs: family.allowOwnAs,
    routerId: rib.routerId,
    clusterId: rib.clusterId,
    defaultLocalPref: rib.defaultLocalPref,
    source: session.codec.ebgp ? 'ebgp' : 'ibgp',
    honourGracefulShutdown: settings.honourGracefulShutdown,
    self4: session.self4,
    self6: session.self6,
    peer: filter.usesPeer ? settings.address : undefined,
    connected:
      settings.connectedNextHop && session.codec.ebgp && session.sharedSubnets !== undefined
        ? connected(session.sharedSubnets, settings.address)
        : undefined,
  };
  const key = JSON.stringify([rules, filterKey(family.import ?? [])], (_name, value) =>
    value instanceof Uint8Array ? [...value] : value,
  );
  return { rules, key };
}

/** Neighbours in the same subnets share a policy. */
function connected(subnets: readonly Prefix[], neighbour: Uint8Array): ImportRules['connected'] {
  const inside = isLinkLocal(neighbour, 0) || PrefixSet.within(subnets).hasAddress(neighbour);
  return { subnets, neighbour: inside ? undefined : neighbour };
}

export class ImportPolicy implements Derived {
  readonly rules: ImportRules;
  readonly filter: CompiledFilter;
  /** Called once: with the first next hop that is not connected. */
  onForeignNextHop: (nextHop: NextHop) => void = () => {};
  readonly #subnets: PrefixSet;
  readonly #store: AttributeStore;
  readonly #facts: LazyFacts;
  /**
   * Filters without prefixes: attribute id -> 0 not asked yet, -1 rejected, else id after policy. With prefixes: 0, -1, or
   * profile plus one.
   */
  #known = new Int32Array(1024);
  /** Filters with prefixes: attribute id -> outcome -> id after policy. */
  readonly #byOutcome = new Map<number, Map<number, number>>();

  /** The policy adds itself to the store's `derived`; see `close`. */
  constructor(rules: ImportRules, filter: CompiledFilter, store: AttributeStore) {
    this.rules = rules;
    this.filter = filter;
    this.#store = store;
    this.#subnets = PrefixSet.within(rules.connected?.subnets ?? []);
    this.#facts = new LazyFacts((id) => store.attributes(id));
    this.#facts.source = rules.source;
    this.#facts.peer = rules.peer;
    this.#facts.defaultLocalPref = rules.defaultLocalPref;
    store.derived.add(this);
  }

  /** Attribute id after policy for a route with attributes `raw`; 0 if it is rejected. The caller takes its own reference. */
  apply(raw: number, table: PrefixTable, net: number): number {
    const known = raw < this.#known.length ? this.#known[raw]! : 0;
    if (!this.filter.usesPrefix && known !== 0) return known < 0 ? 0 : known;
    return this.#applySlowly(raw, known, table, net);
  }

  /** Whether `apply` may differ between prefixes with the same attributes. */
  get usesPrefix(): boolean {
    return this.filter.usesPrefix;
  }

  /** Why `apply` returns 0, for people. */
  explain(raw: number, table: PrefixTable, net: number): ImportProblem | undefined {
    const loop = this.#loop(raw);
    if (loop !== undefined) return loop;
    return this.apply(raw, table, net) === 0 ? 'filter' : undefined;
  }

  forget(id: number): void {
    const known = id < this.#known.length ? this.#known[id]! : 0;
    if (known === 0) return;
    this.#known[id] = 0;
    if (!this.filter.usesPrefix) {
      if (known > 0 && known !== id) this.#store.dropReferences(known, 1);
      return;
    }
    const outcomes = this.#byOutcome.get(id);
    if (outcomes === undefined) return;
    this.#byOutcome.delete(id);
    for (const after of outcomes.values()) if (after !== id) this.#store.dropReferences(after, 1);
  }

  /** Gives up what is kept. Not to be asked after that. */
  close(): void {
    this.#store.derived.delete(this);
    for (let id = 1; id < this.#known.length; id++) this.forget(id);
  }

  #applySlowly(raw: number, known: number, table: PrefixTable, net: number): number {
    if (known === 0) {
      if (raw >= this.#known.length) this.#grow(raw);
      const problem = this.#loop(raw);
      if (problem !== undefined) {
        this.#known[raw] = -1;
        if (problem === 'foreign-next-hop') this.#tellOfForeign(raw);
        return 0;
      }
      this.#facts.id = raw;
      const profile = this.filter.profile(this.#facts);
      if (!this.filter.usesPrefix) {
        const outcome = this.filter.outcome(profile);
        if (!this.filter.accepts(outcome)) {
          this.#known[raw] = -1;
          return 0;
        }
        const after = this.#change(raw, outcome);
        this.#known[raw] = after;
        return after;
      }
      known = profile + 1;
      this.#known[raw] = known;
    }
    if (known < 0) return 0;
    const outcome = outcomeOf(this.filter, known - 1, table, net);
    if (!this.filter.accepts(outcome)) return 0;
    let outcomes = this.#byOutcome.get(raw);
    if (outcomes === undefined) {
      outcomes = new Map();
      this.#byOutcome.set(raw, outcomes);
    }
    let after = outcomes.get(outcome);
    if (after === undefined) {
      after = this.#change(raw, outcome);
      outcomes.set(outcome, after);
    }
    return after;
  }

  /** The id after policy, with a reference for the place that keeps it unless it is the same id. */
  #change(raw: number, outcome: number): number {
    const { localAs, peer } = this.rules;
    const shutsDown = this.rules.honourGracefulShutdown && this.#mayShutDown(raw, outcome);
    if (!shutsDown && !this.filter.changes(outcome)) return raw;
    const before = this.#store.attributes(raw);
    let after = this.filter.apply(outcome, before, { localAs, peer });
    if (shutsDown && after.communities.includes(GRACEFUL_SHUTDOWN) && after.localPref !== 0) {
      after = { ...after, localPref: 0 };
    }
    if (after === before) return raw;
    const id = this.#store.internAttributes(after, this.#store.scope(raw));
    if (id !== raw) this.#store.addReferences(id, 1);
    return id;
  }

  /** Whether the route may have GRACEFUL_SHUTDOWN after the filter. */
  #mayShutDown(raw: number, outcome: number): boolean {
    if (this.filter.changes(outcome)) return true;
    const plain = this.#store.plain(raw);
    return plain === undefined || plain.listHas(ATTR_COMMUNITIES, GRACEFUL_SHUTDOWN);
  }

  #loop(raw: number): ImportProblem | undefined {
    const { asn, localAs, allowOwnAs, routerId, clusterId, self4, self6 } = this.rules;
    const plain = this.#store.plain(raw);
    const attributes = plain === undefined ? this.#store.attributes(raw) : undefined;
    // RFC 4271 section 9.1.2: our own AS in the path, under either of its numbers. RFC 4456 section 8: originator and cluster.
    if (plain === undefined) {
      const { asPath } = attributes!;
      const own = countInAsPath(asPath, asn) + (localAs === asn ? 0 : countInAsPath(asPath, localAs));
      if (own > allowOwnAs) return 'as-loop';
      if (attributes!.originatorId === routerId) return 'originator-loop';
      if (attributes!.clusterList.includes(clusterId)) return 'cluster-loop';
    } else {
      const own = plain.countInPath(asn) + (localAs === asn ? 0 : plain.countInPath(localAs));
      if (own > allowOwnAs) return 'as-loop';
      if (plain.has(ATTR_ORIGINATOR_ID) && plain.number(ATTR_ORIGINATOR_ID) === routerId)
        return 'originator-loop';
      if (plain.listHas(ATTR_CLUSTER_LIST, clusterId)) return 'cluster-loop';
    }
    // RFC 4271 section 6.3: it must not be the address of the receiving speaker.
    const nextHop = this.#store.nextHop(raw);
    const self = nextHop.family === 4 ? self4 : self6;
    if (self !== undefined && equalBytes(self.bytes, nextHop.bytes)) return 'own-next-hop';
    if (this.rules.connected !== undefined && !this.#isConnected(nextHop)) return 'foreign-next-hop';
    return undefined;
  }

  /**
   * RFC 4271 section 6.3: of an external neighbour one hop away, it must be its address, or that of somebody on a subnet that we share.
   * Whoever has a link-local address is on the link.
   */
  #isConnected({ bytes, linkLocal }: NextHop): boolean {
    if (linkLocal !== undefined || (bytes.length === 16 && isLinkLocal(bytes, 0))) return true;
    const { neighbour } = this.rules.connected!;
    return this.#subnets.hasAddress(bytes) || (neighbour !== undefined && equalBytes(bytes, neighbour));
  }

  #tellOfForeign(raw: number): void {
    this.onForeignNextHop(this.#store.nextHop(raw));
    this.onForeignNextHop = () => {};
  }

  #grow(id: number): void {
    const known = new Int32Array(Math.max(id + 1, this.#known.length * 2));
    known.set(this.#known);
    this.#known = known;
  }
}

/** What a filter says of a net, given the profile of its attributes. */
export function outcomeOf(filter: CompiledFilter, profile: number, table: PrefixTable, net: number): number {
  if (!filter.usesPrefix) return filter.outcome(profile);
  const length = table.lengthOf(net);
  if (table instanceof PrefixTable4) return filter.outcome4(profile, table.address(net), length);
  const t = table as PrefixTable6;
  return filter.outcome6(profile, t.word(net, 0), t.word(net, 1), t.word(net, 2), t.word(net, 3), length);
}
