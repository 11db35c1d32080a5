/**
 * From attributes in use to attributes as sent: who gets a route at all, export filters, and what RFC 4271 and RFC 4456 have a
 * speaker rewrite on the way out.
 *
 * Neighbours with the same rules share one policy and so the encoded form of everything. What it answers is kept per attribute
 * set and kind of source.
 */

import { type CompiledFilter, filterKey, LazyFacts } from '#bgp/filter/compile.ts';
import { PrefixSet } from '#bgp/filter/prefix-set.ts';
import type { Prefix } from '#bgp/filter/types.ts';
import { prependAsPath, withoutConfederation } from '#bgp/wire/as-path.ts';
import { encodeAttributes } from '#bgp/wire/attributes.ts';
import { getU16 } from '#bgp/wire/bytes.ts';
import {
  GRACEFUL_SHUTDOWN,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  transitiveExtendedCommunities,
} from '#bgp/wire/communities.ts';
import {
  ATTR_COMMUNITIES,
  ATTR_NEXT_HOP,
  type Family,
  FLAG_EXTENDED_LENGTH,
  FLAG_PARTIAL,
  IPV4_UNICAST,
} from '#bgp/wire/constants.ts';
import { isLinkLocal, putNextHop } from '#bgp/wire/next-hop.ts';
import type { AsPath, CodecContext, NextHop, PathAttributes } from '#bgp/wire/types.ts';
import type { AttributeStore, Derived } from './attribute-store.ts';
import { ByteKey, type ByteStore } from './byte-store.ts';
import { outcomeOf } from './import-policy.ts';
import {
  FROM_CLIENT,
  FROM_EBGP,
  FROM_IBGP,
  FROM_KERNEL,
  type PathSource,
  type RibPeer,
  sourceName,
} from './peer.ts';
import { MOST_ADDED, Rewrite, rewritePlain } from './plain-rewrite.ts';
import type { PrefixTable } from './prefix-table.ts';
import type { NextHopMode, PeerFamilySettings, PeerSession, PeerSettings, RibSettings } from './settings.ts';

/** Tags of encoded attributes: whether the prefixes go into the NLRI field or into MP_REACH_NLRI. */
export const CLASSIC = 0;
export const MULTIPROTOCOL = 1;

/** Octets of an UPDATE besides attributes and NLRI: header and two lengths. */
const UPDATE_OVERHEAD = 23;
/** Octets of MP_REACH_NLRI besides next hop and NLRI: header of four, AFI, SAFI, length, reserved. */
const MP_REACH_OVERHEAD = 9;
/** Length octet and the octets of the longest prefix. */
const LONGEST_NLRI = 17;

/** Everything that the answer for an attribute set, its source and a prefix depends on. */
export type ExportRules = {
  readonly family: Family;
  readonly codec: CodecContext;
  readonly maxMessage: number;
  readonly localAs: number;
  readonly clusterId: number;
  readonly defaultLocalPref: number;
  readonly routeReflectorClient: boolean;
  /** The AS to put ours in place of, 0 for none. */
  readonly overrideAs: number;
  readonly nextHop: NextHopMode;
  readonly self: NextHop | undefined;
  readonly sharedSubnets: readonly Prefix[];
  readonly gracefulShutdown: boolean;
  /** Address of the neighbour if a filter may set it as next hop. */
  readonly peer: Uint8Array | undefined;
};

/** The rules for a neighbour, and a text that is the same for neighbours that can share a stream. */
export function exportRules(
  rib: RibSettings,
  settings: PeerSettings,
  family: PeerFamilySettings,
  session: PeerSession,
  code: Family,
): { readonly rules: ExportRules; readonly key: string } {
  const { as4, ebgp, confederation, extendedNextHop, addPathSend } = session.codec;
  const rules: ExportRules = {
    family: code,
    codec: {
      as4,
      ebgp,
      ...(confederation === undefined ? {} : { confederation }),
      ...(extendedNextHop ? { extendedNextHop } : {}),
      ...(addPathSend === undefined ? {} : { addPathSend }),
    },
    maxMessage: session.maxMessage,
    localAs: settings.localAs,
    clusterId: rib.clusterId,
    defaultLocalPref: rib.defaultLocalPref,
    routeReflectorClient: !ebgp && settings.routeReflectorClient,
    overrideAs: ebgp && settings.asOverride ? session.remoteAs : 0,
    nextHop: family.nextHop,
    self: code === IPV4_UNICAST ? (session.self4 ?? fallback6(session)) : session.self6,
    sharedSubnets: ebgp && family.nextHop === 'auto' ? (session.sharedSubnets ?? []) : [],
    gracefulShutdown: settings.gracefulShutdown,
    peer: setsPeerAsNextHop(family) ? settings.address : undefined,
  };
  const key = JSON.stringify(
    [rules, filterKey(family.export ?? []), family.export === undefined],
    (_name, value) => (value instanceof Uint8Array ? [...value] : value),
  );
  return { rules, key };
}

export class ExportPolicy implements Derived {
  readonly rules: ExportRules;
  readonly filter: CompiledFilter;
  /** Attribute sets that came out too long for one message and were therefore not sent. */
  tooLong = 0;
  readonly #store: AttributeStore;
  readonly #facts: LazyFacts;
  readonly #out: ByteStore;
  readonly #shared: PrefixSet;
  /** By attribute id: for which source the other column holds, plus one; 0: none yet. */
  #source = new Int32Array(1024);
  /** Filters without prefixes: -1 not sent, else id of the encoded form. With prefixes: profile. */
  #known = new Int32Array(1024);
  /** For attribute sets that came from more sources than one. */
  readonly #others = new Map<number, Map<number, number>>();
  /** Filters with prefixes: attribute id -> source and outcome -> -1 or id of the encoded form. */
  readonly #byOutcome = new Map<number, Map<number, number>>();
  readonly #key = new ByteKey();
  readonly #rewriting = new Rewrite();
  /** The neighbours get what plain sets can be copied to: see `plain-rewrite.ts`. */
  readonly #canCopy: boolean;
  readonly #scratch: Uint8Array;
  readonly #scratchNextHop = new Uint8Array(32);

  /** The policy adds itself to the store's `derived`; see `close`. */
  constructor(rules: ExportRules, filter: CompiledFilter, store: AttributeStore, out: ByteStore) {
    this.rules = rules;
    this.filter = filter;
    this.#store = store;
    this.#out = out;
    this.#shared = PrefixSet.within(rules.sharedSubnets);
    this.#scratch = new Uint8Array(rules.maxMessage);
    const { codec, overrideAs, gracefulShutdown } = rules;
    this.#canCopy = codec.as4 && codec.confederation === undefined && overrideAs === 0 && !gracefulShutdown;
    this.#facts = new LazyFacts((id) => store.attributes(id));
    this.#facts.defaultLocalPref = rules.defaultLocalPref;
    store.derived.add(this);
  }

  /**
   * The encoded form of what the neighbours of this policy get for a path with attributes `post` from `source`; 0 for nothing. The caller
   * takes its own reference.
   */
  apply(post: number, source: RibPeer, table: PrefixTable, net: number): number {
    // Reflection adds the originator, and filters may ask for the neighbour: then each source stands for itself.
    const key =
      (source.source >= FROM_IBGP && !this.rules.codec.ebgp) || this.filter.usesPeer
        ? 16 + source.identity
        : 1 + source.source;
    let known = 0;
    if (post < this.#source.length && this.#source[post] === key) known = this.#known[post]!;
    else known = this.#learn(post, source, key);
    if (!this.filter.usesPrefix || known < 0) return known < 0 ? 0 : known;
    return this.#applyToPrefix(post, source, key, known, table, net);
  }

  /** Whether an encoded form has this next hop in it. */
  sends(id: number, { bytes }: NextHop): boolean {
    const apart = this.#out.nextHop(id);
    if (apart.length > 0) return startsWith(apart, 0, bytes);
    const block = this.#out.block(id);
    const at = findAttribute(block, ATTR_NEXT_HOP);
    return at >= 0 && bytes.length === 4 && startsWith(block, at, bytes);
  }

  forget(id: number): void {
    const drop = (known: number) => {
      if (known > 0) this.#release(known);
    };
    if (id >= this.#source.length || this.#source[id] === 0) return;
    this.#source[id] = 0;
    if (!this.filter.usesPrefix) drop(this.#known[id]!);
    const others = this.#others.get(id);
    if (others !== undefined) {
      this.#others.delete(id);
      if (!this.filter.usesPrefix) others.forEach(drop);
    }
    const outcomes = this.#byOutcome.get(id);
    if (outcomes !== undefined) {
      this.#byOutcome.delete(id);
      outcomes.forEach(drop);
    }
  }

  /** Gives up what is kept. Not to be asked after that. */
  close(): void {
    this.#store.derived.delete(this);
    for (let id = 1; id < this.#source.length; id++) this.forget(id);
  }

  #learn(post: number, source: RibPeer, key: number): number {
    if (post >= this.#source.length) this.#grow(post);
    const first = this.#source[post] === 0;
    if (!first) {
      const other = this.#others.get(post)?.get(key);
      if (other !== undefined) return other;
    }
    const known = this.#ask(post, source);
    if (first) {
      this.#source[post] = key;
      this.#known[post] = known;
    } else {
      const others = this.#others.get(post) ?? new Map<number, number>();
      this.#others.set(post, others);
      others.set(key, known);
    }
    return known;
  }

  /** -1 if it is not sent; else the profile for a filter with prefixes, and for one without the encoded form, with a reference. */
  #ask(post: number, source: RibPeer): number {
    if (!this.#mayGo(post, source.source)) return -1;
    this.#facts.id = post;
    this.#facts.source = sourceName(source.source);
    this.#facts.peer = source.source <= FROM_KERNEL ? undefined : source.settings.address;
    const profile = this.filter.profile(this.#facts);
    return this.filter.usesPrefix ? profile : this.#encode(post, source, this.filter.outcome(profile));
  }

  #applyToPrefix(
    post: number,
    source: RibPeer,
    key: number,
    profile: number,
    table: PrefixTable,
    net: number,
  ): number {
    const outcome = outcomeOf(this.filter, profile, table, net);
    if (!this.filter.accepts(outcome)) return 0;
    let outcomes = this.#byOutcome.get(post);
    if (outcomes === undefined) {
      outcomes = new Map();
      this.#byOutcome.set(post, outcomes);
    }
    const name = key * MAX_OUTCOMES + outcome;
    let known = outcomes.get(name);
    if (known === undefined) {
      known = this.#encode(post, source, outcome);
      outcomes.set(name, known);
    }
    return known < 0 ? 0 : known;
  }

  /** Rules that no filter can relax: RFC 4456, RFC 1997. NOPEER (RFC 3765) is for filters to look at. */
  #mayGo(post: number, source: PathSource): boolean {
    const { codec, routeReflectorClient } = this.rules;
    // RFC 4456 section 6: what came from a non-client goes to clients and to external neighbours only.
    if (source === FROM_IBGP && !codec.ebgp && !routeReflectorClient) return false;
    const plain = this.#store.plain(post);
    if (plain !== undefined && !plain.has(ATTR_COMMUNITIES)) return true;
    const external = codec.ebgp || codec.confederation === 'other-member';
    return !(
      this.#hasCommunity(post, NO_ADVERTISE) ||
      (codec.ebgp && this.#hasCommunity(post, NO_EXPORT)) ||
      (external && this.#hasCommunity(post, NO_EXPORT_SUBCONFED))
    );
  }

  #hasCommunity(post: number, community: number): boolean {
    const plain = this.#store.plain(post);
    return plain === undefined
      ? this.#store.attributes(post).communities.includes(community)
      : plain.listHas(ATTR_COMMUNITIES, community);
  }

  /** The encoded form with a reference, or -1. */
  #encode(post: number, source: RibPeer, outcome: number): number {
    if (!this.filter.accepts(outcome)) return -1;
    const { family, maxMessage } = this.rules;
    const key = this.#key;
    let nextHop: NextHop | undefined;
    let end: number;
    if (this.#canCopy && !this.filter.changes(outcome) && this.#store.plain(post) !== undefined) {
      nextHop = this.#nextHop(this.#store.nextHop(post), source.source);
      end = nextHop === undefined ? -1 : this.#copyAttributes(post, source, nextHop);
    } else {
      end = -1;
    }
    if (end < 0) {
      const sent = this.#rewrite(this.#store.attributes(post), source, outcome);
      if (sent === undefined) return -1;
      nextHop = sent.nextHop;
      // A next hop that goes into MP_REACH_NLRI must not appear as NEXT_HOP, even if it is an IPv4 address.
      const written =
        family === IPV4_UNICAST || nextHop.family === 6 ? sent : { ...sent, nextHop: NOT_WRITTEN };
      end = encodeAttributes(written, this.rules.codec, this.#scratch, 0);
    }
    const classic = family === IPV4_UNICAST && nextHop!.family === 4;
    key.tag = classic ? CLASSIC : MULTIPROTOCOL;
    key.nextHop = this.#scratchNextHop;
    key.nextHopStart = 0;
    key.nextHopEnd = classic ? 0 : putNextHop(nextHop!, this.#scratchNextHop, 0);
    const overhead = UPDATE_OVERHEAD + LONGEST_NLRI + (classic ? 0 : MP_REACH_OVERHEAD + key.nextHopEnd);
    if (end < 0 || end + overhead > maxMessage) {
      // RFC 8654 section 4 has no way to send it either: the route is not advertised.
      this.tooLong++;
      return -1;
    }
    key.block = this.#scratch;
    key.blockStart = 0;
    key.blockEnd = end;
    const id = this.#out.intern(key);
    this.#out.addReferences(id, 1);
    return id;
  }

  /** The short way: writes the attributes of a plain set to the scratch buffer; -1 if they have to go the long way. */
  #copyAttributes(post: number, source: RibPeer, nextHop: NextHop): number {
    const plain = this.#store.plain(post)!;
    const { codec, family, localAs, clusterId, defaultLocalPref } = this.rules;
    if (this.#store.blockLength(post) + MOST_ADDED > this.#scratch.length) return -1;
    const rewrite = this.#rewriting;
    rewrite.external = codec.ebgp;
    rewrite.prependAs = localAs;
    rewrite.keepMed = !codec.ebgp || source.source <= FROM_KERNEL;
    rewrite.nextHop = family === IPV4_UNICAST && nextHop.family === 4 ? nextHop.bytes : undefined;
    rewrite.defaultLocalPref = defaultLocalPref;
    rewrite.reflected = !codec.ebgp && source.source >= FROM_IBGP;
    rewrite.originatorId = source.routerId;
    rewrite.clusterId = clusterId;
    return rewritePlain(plain, rewrite, this.#scratch, 0);
  }

  #rewrite(attributes: PathAttributes, source: RibPeer, outcome: number): PathAttributes | undefined {
    const { codec, localAs, clusterId, defaultLocalPref, self, peer, gracefulShutdown } = this.rules;
    const changes = this.filter.changes(outcome);
    const filtered = changes ? this.filter.apply(outcome, attributes, { localAs, self, peer }) : attributes;
    // A filter makes a new one wherever what it says can be done.
    const nextHop =
      filtered.nextHop !== attributes.nextHop
        ? filtered.nextHop
        : this.#nextHop(filtered.nextHop, source.source);
    if (nextHop === undefined) return undefined;
    const own = source.source <= FROM_KERNEL;
    const external = codec.ebgp;
    const reflected = !external && source.source >= FROM_IBGP;
    const keepsMed = !external || own || (changes && this.filter.sets(outcome, 'med'));
    let communities = filtered.communities;
    if (gracefulShutdown && external && !communities.includes(GRACEFUL_SHUTDOWN)) {
      communities = Uint32Array.of(...communities, GRACEFUL_SHUTDOWN);
    }
    return {
      origin: filtered.origin,
      asPath: external ? this.#externalPath(filtered.asPath) : filtered.asPath,
      nextHop,
      // RFC 4271 section 5.1.4: not from one neighbouring AS to another.
      med: keepsMed ? filtered.med : undefined,
      localPref: external ? undefined : gracefulShutdown ? 0 : (filtered.localPref ?? defaultLocalPref),
      atomicAggregate: filtered.atomicAggregate,
      aggregator: filtered.aggregator,
      communities,
      extendedCommunities: external
        ? transitiveExtendedCommunities(filtered.extendedCommunities)
        : filtered.extendedCommunities,
      largeCommunities: filtered.largeCommunities,
      // RFC 4456 section 8.
      originatorId: external
        ? undefined
        : reflected
          ? (filtered.originatorId ?? source.routerId)
          : filtered.originatorId,
      clusterList: external
        ? NO_CLUSTERS
        : reflected
          ? Uint32Array.of(clusterId, ...filtered.clusterList)
          : filtered.clusterList,
      // RFC 4271 section 5: what we pass on without knowing it is marked as partial.
      unknown: filtered.unknown.map((each) => ({ ...each, flags: each.flags | FLAG_PARTIAL })),
      partial: filtered.partial,
    };
  }

  #externalPath(path: AsPath): AsPath {
    const { localAs, overrideAs } = this.rules;
    let result = withoutConfederation(path);
    if (overrideAs !== 0) {
      result = result.map(({ type, asns }) => ({
        type,
        asns: asns.map((asn) => (asn === overrideAs ? localAs : asn)),
      }));
    }
    return prependAsPath(result, localAs);
  }

  /** `undefined`: there is none that could be sent. */
  #nextHop(nextHop: NextHop, source: PathSource): NextHop | undefined {
    const { self, codec, nextHop: mode } = this.rules;
    if (isUnspecified(nextHop.bytes) || mode === 'self' || !this.#fits(nextHop)) return self;
    if (mode === 'keep' || !codec.ebgp) return withoutLinkLocal(nextHop);
    // RFC 4271 section 5.1.3 (2): a third party on the subnet that we share with the neighbour.
    const third = source === FROM_EBGP || source === FROM_IBGP || source === FROM_CLIENT;
    return third && this.#shared.hasAddress(nextHop.bytes) ? nextHop : self;
  }

  /**
   * Whether the neighbour understands a next hop of this family for our prefixes. A link-local one says nothing on any other link than
   * that where we learned it.
   */
  #fits(nextHop: NextHop): boolean {
    const { family, codec } = this.rules;
    if (nextHop.family === 6 && isLinkLocal(nextHop.bytes, 0)) return false;
    return family === IPV4_UNICAST
      ? nextHop.family === 4 || codec.extendedNextHop === true
      : nextHop.family === 6;
  }

  #release(id: number): void {
    if (this.#out.dropReferences(id, 1)) this.#out.discard(id);
  }

  #grow(id: number): void {
    const length = Math.max(id + 1, this.#source.length * 2);
    const source = new Int32Array(length);
    source.set(this.#source);
    this.#source = source;
    const known = new Int32Array(length);
    known.set(this.#known);
    this.#known = known;
  }
}

/** The address that stands for ourselves. */
function isUnspecified(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** RFC 2545 section 3: a link-local address goes along only to those who share the link with its owner. */
function withoutLinkLocal(nextHop: NextHop): NextHop {
  return nextHop.linkLocal === undefined ? nextHop : { ...nextHop, linkLocal: undefined };
}

/** Where in well-formed attributes the value of one begins, -1 if it is not among them. */
function findAttribute(block: Uint8Array, type: number): number {
  for (let at = 0; at < block.length; ) {
    const long = (block[at]! & FLAG_EXTENDED_LENGTH) !== 0;
    const value = at + (long ? 4 : 3);
    if (block[at + 1] === type) return value;
    at = value + (long ? getU16(block, at + 2) : block[at + 2]!);
  }
  return -1;
}

function startsWith(bytes: Uint8Array, at: number, start: Uint8Array): boolean {
  for (let i = 0; i < start.length; i++) if (bytes[at + i] !== start[i]) return false;
  return true;
}

/** Outcomes of one filter are fewer; sources and outcomes are named by one number. */
const MAX_OUTCOMES = 1 << 20;

const NO_CLUSTERS = new Uint32Array(0);
const NOT_WRITTEN: NextHop = { family: 6, bytes: new Uint8Array(16), linkLocal: undefined };

/** An IPv4 route may go out with our IPv6 address where the neighbour takes that: RFC 8950. */
function fallback6(session: PeerSession): NextHop | undefined {
  return session.codec.extendedNextHop ? session.self6 : undefined;
}

function setsPeerAsNextHop(family: PeerFamilySettings): boolean {
  return (family.export ?? []).some(({ statements }) =>
    statements.some(({ set }) => set?.nextHop === 'peer'),
  );
}
