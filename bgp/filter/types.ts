/**
 * Filters as data: what a configuration is read into and what a `projectcalico.org/v3` BGPFilter is translated to.
 *
 * A filter is a list of statements that are asked in order. All conditions of a statement must hold; within one condition
 * one of the given values is enough. Conditions look at the route as it came to the filter: what an earlier statement has
 * set does not change what a later one sees. (So whether a statement applies depends on the route alone, and the outcome can be kept
 * per attribute set.) Plain immutable values; two filters that say the same are the same.
 */

import type { Prefix } from '#bgp/wire/address.ts';

export type { Prefix };

export type Filter = {
  readonly name: string;
  readonly statements: readonly Statement[];
  /** What becomes of routes that no statement decided: `next` leaves them to the next filter of the list. */
  readonly otherwise: 'accept' | 'reject' | 'next';
};

export type Statement = {
  /** No conditions: every route. */
  readonly match?: Match;
  /** Applied if the route is accepted in the end, by whatever statement. */
  readonly set?: Actions;
  /** `next` goes on with the next statement. */
  readonly action: 'accept' | 'reject' | 'next';
};

/** An absent condition holds for every route. */
export type Match = {
  readonly prefixes?: readonly PrefixRange[];
  readonly notPrefixes?: readonly PrefixRange[];
  /** The next hop lies in one of these. */
  readonly nextHops?: readonly Prefix[];
  readonly asPath?: AsPathMatch;
  readonly communities?: CommunityMatch;
  /** Where the route is from. */
  readonly sources?: readonly RouteSource[];
  /** The neighbour it was learned from has an address in one of these. Routes of our own are from no neighbour. */
  readonly peers?: readonly Prefix[];
  readonly notPeers?: readonly Prefix[];
  /** ORIGIN codes. */
  readonly origins?: readonly number[];
  readonly localPref?: NumberRange;
  /** A route without MED counts as one with 0. */
  readonly med?: NumberRange;
};

/** `local`: originated here. `kernel`: taken over from the kernel's routes. */
export type RouteSource = 'local' | 'kernel' | 'ebgp' | 'ibgp';

/**
 * Prefixes within `prefix` whose length is in a range. Neither `ge` nor `le`: only `prefix` itself. Only `ge`: from there
 * to the longest. Only `le`: from the length of `prefix` to there.
 */
export type PrefixRange = {
  readonly prefix: Prefix;
  readonly ge?: number;
  readonly le?: number;
};

/** Both ends included. */
export type NumberRange = {
  readonly min?: number;
  readonly max?: number;
};

/** All that are given must hold. */
export type AsPathMatch = {
  /** One of these is somewhere in the path. */
  readonly contains?: readonly AsRange[];
  /** None of these is in the path. */
  readonly excludes?: readonly AsRange[];
  /** The neighbouring AS: the first of the path. */
  readonly first?: readonly AsRange[];
  /** The AS that the route starts in: the last of the path. */
  readonly last?: readonly AsRange[];
  /** Length as the decision process counts it. */
  readonly length?: NumberRange;
  /** The whole path is like one of these. */
  readonly patterns?: readonly AsPathPattern[];
};

/** AS numbers from `first` to `last`, both included. */
export type AsRange = { readonly first: number; readonly last: number };

/** Elements in a row; a set of the path counts as one AS, which is all of its members. */
export type AsPathPattern = readonly AsPathElement[];

/** `one`: an AS in one of the ranges. `some`: one or more of them in a row. `any`: one AS. `rest`: any number of them, none too. */
export type AsPathElement =
  | { readonly kind: 'one' | 'some'; readonly asns: readonly AsRange[] }
  | { readonly kind: 'any' }
  | { readonly kind: 'rest' };

/** All that are given must hold. */
export type CommunityMatch = {
  readonly any?: readonly CommunityPattern[];
  readonly all?: readonly CommunityPattern[];
  readonly none?: readonly CommunityPattern[];
};

/** A community of any kind, in which parts may be left open. */
export type CommunityPattern =
  /** RFC 1997: halves of 16 bits. */
  | { readonly kind: 'standard'; readonly as?: number; readonly value?: number }
  /** RFC 8092: parts of 32 bits. */
  | { readonly kind: 'large'; readonly global?: number; readonly local1?: number; readonly local2?: number }
  /** RFC 4360: 8 bytes; only the bits that are set in `mask` (all without one) are compared. */
  | { readonly kind: 'extended'; readonly bytes: Uint8Array; readonly mask?: Uint8Array };

export type Actions = {
  /** In this order: `replace` drops what is there, `remove` takes some out, `add` puts in. */
  readonly communities?: {
    readonly replace?: boolean;
    readonly remove?: readonly CommunityPattern[];
    readonly add?: readonly Community[];
  };
  readonly localPref?: number;
  readonly med?: number;
  /** ORIGIN code. */
  readonly origin?: number;
  /** Puts an AS in front of the path, `times` over; our own AS towards this neighbour if none is given. */
  readonly prepend?: { readonly as?: number; readonly times: number };
  /** An address (4 or 16 bytes), our own one on this session, or that of the neighbour. */
  readonly nextHop?: Uint8Array | 'self' | 'peer';
};

/** A community in full. */
export type Community =
  | { readonly kind: 'standard'; readonly as: number; readonly value: number }
  | { readonly kind: 'large'; readonly global: number; readonly local1: number; readonly local2: number }
  | { readonly kind: 'extended'; readonly bytes: Uint8Array };
