/**
 * What the codec works on: the decoded form of path attributes, what a session has agreed on, and what becomes of
 * errors.
 */

import type { Family } from './constants.ts';
import type { Notification } from './notification.ts';

/** One segment of an AS path; `type` is AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE or AS_CONFED_SET. */
export type AsPathSegment = {
  readonly type: number;
  readonly asns: readonly number[];
};

/** AS path in full four-octet numbers, the nearest AS first. An empty path is one that starts in our own AS. */
export type AsPath = readonly AsPathSegment[];

/**
 * Where to send packets: `bytes` is an address of 4 or 16 bytes. An IPv6 next hop may carry the link-local address of
 * the same interface beside it (RFC 2545 section 3); if only that is known it stands in `bytes`. IPv4 prefixes may
 * have an IPv6 next hop (RFC 8950).
 */
export type NextHop = {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly linkLocal?: Uint8Array | undefined;
};

/** Who formed an aggregate: RFC 4271 section 5.1.7. `address` is a router id as a number. */
export type Aggregator = {
  readonly asn: number;
  readonly address: number;
};

/** An attribute that this speaker does not know, kept to pass it on. `flags` are as they came. */
export type UnknownAttribute = {
  readonly flags: number;
  readonly code: number;
  readonly value: Uint8Array;
};

/**
 * Path attributes of a route. Immutable; whoever changes one makes a new object. The decoder sets every key, always
 * in the same order, so that all of them have one shape for the engine.
 */
export type PathAttributes = {
  /** ORIGIN_IGP, ORIGIN_EGP or ORIGIN_INCOMPLETE. */
  readonly origin: number;
  readonly asPath: AsPath;
  readonly nextHop: NextHop;
  readonly med?: number | undefined;
  readonly localPref?: number | undefined;
  readonly atomicAggregate: boolean;
  readonly aggregator?: Aggregator | undefined;
  /** RFC 1997: AS in the upper half, value in the lower. */
  readonly communities: Uint32Array;
  /** RFC 4360: 8 bytes each, as on the wire. */
  readonly extendedCommunities: Uint8Array;
  /** RFC 8092: 3 numbers each: global administrator, two of local data. */
  readonly largeCommunities: Uint32Array;
  /** RFC 4456: router ids as numbers. */
  readonly originatorId?: number | undefined;
  readonly clusterList: Uint32Array;
  readonly unknown: readonly UnknownAttribute[];
  /**
   * Codes of known optional transitive attributes that came with the Partial bit: somebody on the way did not know
   * them. The bit is never taken off again (RFC 4271 section 5).
   */
  readonly partial?: readonly number[] | undefined;
};

/**
 * What the two ends of a session are to each other and agreed on, as far as reading and writing UPDATEs depends on
 * it.
 */
export type CodecContext = {
  /**
   * Both sides sent the four-octet AS capability: AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793).
   */
  readonly as4: boolean;
  /** The neighbour is in another AS, and not in our confederation either. */
  readonly ebgp: boolean;
  /** The neighbour is in our confederation (RFC 5065), in our member AS or in another one; `ebgp` is false then. */
  readonly confederation?: 'own-member' | 'other-member';
  /** IPv4 prefixes may have an IPv6 next hop (RFC 8950): both sides sent the capability for IPv4 unicast. */
  readonly extendedNextHop?: boolean;
  /** Families whose prefixes come with a path identifier in what the neighbour sends (RFC 7911). */
  readonly addPathReceive?: readonly Family[];
  /** Families whose prefixes carry a path identifier in what we send. */
  readonly addPathSend?: readonly Family[];
  /**
   * The first AS of a path from this eBGP neighbour must be this one (RFC 4271 section 6.3); 0 or absent: not
   * checked.
   */
  readonly firstAs?: number;
  /** Treat routes whose path has an AS_SET or AS_CONFED_SET as withdrawn, as RFC 9774 section 3 asks. */
  readonly rejectAsSets?: boolean;
};

/**
 * What an error in an UPDATE leads to, from mild to severe (RFC 7606 section 2):
 * - `discard`: the attribute is left out, the routes stay;
 * - `withdraw`: the routes of the UPDATE are taken as withdrawn;
 * - `disable`: every route of the family is dropped and the family is ignored for the rest of the session; whoever
 *   does not implement that resets instead, with the NOTIFICATION of `errorNotification`;
 * - `reset`: the session ends with a NOTIFICATION.
 */
export type ErrorAction = 'discard' | 'withdraw' | 'disable' | 'reset';

/** One error in an UPDATE, with all that a log line needs. */
export type AttributeError = {
  readonly action: ErrorAction;
  /** Attribute type code; 0 if the error is not in one attribute. */
  readonly code: number;
  /** The family whose prefixes are concerned, where that is one family; else 0. */
  readonly family: Family;
  /** The rule that was broken, such as `RFC 7606 7.1`. */
  readonly rule: string;
  /** What was found and what was expected. */
  readonly reason: string;
  /** The attribute as it came, header included (a copy). */
  readonly bytes: Uint8Array;
  /** UPDATE Message Error subcode that RFC 4271 section 6.3 has for it. */
  readonly subcode: number;
};

/** What became of an attribute block. `errors` lists everything that was wrong, down to discarded attributes. */
export type DecodedAttributes =
  | {
      readonly kind: 'attributes';
      readonly attributes: PathAttributes;
      readonly errors: readonly AttributeError[];
    }
  | { readonly kind: 'treat-as-withdraw'; readonly errors: readonly AttributeError[] }
  | {
      readonly kind: 'reset';
      readonly notification: Notification;
      readonly errors: readonly AttributeError[];
    };
