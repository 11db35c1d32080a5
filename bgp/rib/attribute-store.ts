/**
 * Interned path attributes: id <-> attributes, with what the decision process compares in typed arrays.
 *
 * An attribute block that came in an UPDATE is looked up by its bytes and decoded once, when it is new. What is kept is
 * the bytes, not the object: it is decoded again when somebody looks (a filter, an export, the API), which for most sets is once or twice.
 * A set that nothing refers to any more is dropped, and with it what was derived from it.
 */

import { asPathLength, neighbourAs } from '#bgp/wire/as-path.ts';
import { decodeAttributes, encodeAttributes } from '#bgp/wire/attributes.ts';
import { getU32 } from '#bgp/wire/bytes.ts';
import {
  AS_SEQUENCE,
  ATTR_AS_PATH,
  ATTR_CLUSTER_LIST,
  ATTR_LOCAL_PREF,
  ATTR_MED,
  ATTR_NEXT_HOP,
  ATTR_ORIGINATOR_ID,
} from '#bgp/wire/constants.ts';
import { decodeNextHop, nextHopProblem, nextHopSize, putNextHop } from '#bgp/wire/next-hop.ts';
import type { AsPath, CodecContext, DecodedAttributes, NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { ByteKey, ByteStore } from './byte-store.ts';
import type { NextHopTable } from './next-hops.ts';
import { PlainAttributes } from './plain-attributes.ts';
import { Rows } from './rows.ts';

/** Fields of a row of decision keys: one cache line of half the usual size. */
export const KEY_LOCAL_PREF = 0;
/** AS path length times four plus ORIGIN: compared together, as one follows the other in the decision. */
export const KEY_LENGTH_ORIGIN = 1;
export const KEY_MED = 2;
export const KEY_NEIGHBOUR_AS = 3;
/** ORIGINATOR_ID, 0 if there is none. */
export const KEY_ORIGINATOR = 4;
export const KEY_CLUSTERS = 5;
export const KEY_NEXT_HOP = 6;
/** Equal for equal AS paths, and seldom for others. */
export const KEY_PATH_HASH = 7;

export type AttributeDefaults = {
  /** LOCAL_PREF of routes that come without one: those from external neighbours. */
  readonly localPref: number;
  /** MED of routes that come without one: 0, or the largest number for "missing is worst". */
  readonly med: number;
};

/** Something that was worked out from an attribute set and has to be forgotten with it. */
export type Derived = {
  forget(id: number): void;
};

/**
 * Which rules a block of bytes was written by: a codec context, and a scope for link-local next hops. `own`: written here, with
 * the next hop standing apart.
 */
type Context = { readonly codec: CodecContext; readonly scope: number; readonly own: boolean };

export class AttributeStore {
  /** Decision keys by attribute id: see `KEY_LOCAL_PREF` and so on. */
  readonly keys = new Rows(3);
  /** Told of ids that are dropped. */
  readonly derived = new Set<Derived>();
  /** What the last `intern` that returned 0 found in the attributes, or one that returned something new was not content with. */
  problem: DecodedAttributes | undefined = undefined;
  readonly #bytes: ByteStore;
  readonly #nextHops: NextHopTable;
  readonly #defaults: AttributeDefaults;
  readonly #contexts: Context[] = [];
  readonly #contextNumbers = new Map<string, number>();
  readonly #ownContexts = new Map<number, number>();
  readonly #key = new ByteKey();
  readonly #plain = new PlainAttributes();
  /** Whose attributes `#plain` has, 0: nobody's. */
  #plainId = 0;
  readonly #recent: (PathAttributes | undefined)[] = new Array(RECENT).fill(undefined);
  readonly #recentIds = new Int32Array(RECENT);
  #scratch = new Uint8Array(4096);
  #scratchNextHop = new Uint8Array(32);

  constructor(seed: number, nextHops: NextHopTable, defaults: AttributeDefaults) {
    this.#bytes = new ByteStore(seed);
    this.#nextHops = nextHops;
    this.#defaults = defaults;
    this.keys.reserve(0);
  }

  /** Attribute sets in the store. */
  get size(): number {
    return this.#bytes.size;
  }

  /** All ids in use are below this one. */
  get limit(): number {
    return this.#bytes.limit;
  }

  /** Octets that the sets take, without indexes and keys. */
  get bytesInUse(): number {
    return this.#bytes.bytesInUse;
  }

  /** The number that stands for these rules of reading in `intern`. The same rules give the same number. */
  context(codec: CodecContext, scope: number): number {
    return this.#context(codec, scope, false);
  }

  /**
   * The id of the attributes in `block` from `start` to `end`, as they came on a session with these rules of reading. `nextHop` from
   * `nextHopStart` to `nextHopEnd` is that of MP_REACH_NLRI (an empty range: NEXT_HOP is in the block).
   *
   * 0 if routes can not be taken with them: `problem` says why. If the attributes are new and some had to be left out, `problem`
   * says that too. A new set has no references; call `addReferences`, or `dropUnused` if it is not wanted after all.
   */
  intern(
    context: number,
    block: Uint8Array,
    start: number,
    end: number,
    nextHop: Uint8Array,
    nextHopStart: number,
    nextHopEnd: number,
  ): number {
    const key = this.#key;
    key.tag = context;
    key.nextHop = nextHop;
    key.nextHopStart = nextHopStart;
    key.nextHopEnd = nextHopEnd;
    key.block = block;
    key.blockStart = start;
    key.blockEnd = end;
    this.problem = undefined;
    const id = this.#bytes.intern(key);
    if (!this.#bytes.isNew || this.#addPlain(id)) return id;
    const { codec, scope } = this.#contexts[context]!;
    const decoded = decodeAttributes(this.#bytes.block(id), codec, this.#nextHopApart(id));
    if (decoded.kind !== 'attributes') {
      this.problem = decoded;
      this.#bytes.discard(id);
      return 0;
    }
    if (decoded.errors.length > 0) this.problem = decoded;
    return this.#add(id, decoded.attributes, scope);
  }

  /** The scope of link-local next hops of a set. */
  scope(id: number): number {
    return this.#contexts[this.#bytes.tag(id)]!.scope;
  }

  /** The id of attributes that were made here: by a filter, or for a route of our own. */
  internAttributes(attributes: PathAttributes, scope = 0): number {
    const key = this.#key;
    const nextHop = attributes.nextHop;
    if (nextHopSize(nextHop) > this.#scratchNextHop.length) {
      throw new RangeError(`next hop of ${nextHopSize(nextHop)} bytes`);
    }
    // The next hop stands apart, so that ours may be one that no neighbour may send.
    const apart = { ...attributes, nextHop: PLACEHOLDER };
    let end = encodeAttributes(apart, OWN_CONTEXT, this.#scratch, 0);
    while (end < 0) {
      this.#scratch = new Uint8Array(this.#scratch.length * 2);
      end = encodeAttributes(apart, OWN_CONTEXT, this.#scratch, 0);
    }
    key.tag = this.#ownContext(scope);
    key.nextHop = this.#scratchNextHop;
    key.nextHopStart = 0;
    key.nextHopEnd = putNextHop(nextHop, this.#scratchNextHop, 0);
    key.block = this.#scratch;
    key.blockStart = 0;
    key.blockEnd = end;
    const id = this.#bytes.intern(key);
    return this.#bytes.isNew ? this.#add(id, attributes, scope) : id;
  }

  /** The attributes of an id. */
  attributes(id: number): PathAttributes {
    const slot = id & (RECENT - 1);
    if (this.#recentIds[slot] === id) return this.#recent[slot]!;
    const attributes = this.#decode(id);
    this.#recentIds[slot] = id;
    this.#recent[slot] = attributes;
    return attributes;
  }

  /** Octets of the attribute block of an id. */
  blockLength(id: number): number {
    return this.#bytes.blockLength(id);
  }

  /** The next hop of an id, which needs no decoding. */
  nextHop(id: number): NextHop {
    return this.#nextHops.nextHop(this.keys.chunk(id)[this.keys.at(id) + KEY_NEXT_HOP]!);
  }

  /**
   * The attributes of an id as bytes, if they are plain: see `PlainAttributes`. Valid until the next call of this or `intern`.
   */
  plain(id: number): PlainAttributes | undefined {
    if (this.#plainId === id) return this.#plain;
    const { codec } = this.#contexts[this.#bytes.tag(id)]!;
    const start = this.#bytes.blockStart(id);
    const end = start + this.#bytes.blockLength(id);
    const apart = this.#bytes.nextHopLength(id) !== 0;
    if (!this.#plain.scan(this.#bytes.blockBytes(id), start, end, codec, apart)) {
      this.#plainId = 0;
      return undefined;
    }
    this.#plainId = id;
    return this.#plain;
  }

  addReferences(id: number, count: number): void {
    this.#bytes.addReferences(id, count);
  }

  dropReferences(id: number, count: number): void {
    if (this.#bytes.dropReferences(id, count)) this.#drop(id);
  }

  /** Drops a set that got no reference after it was interned. */
  dropUnused(id: number): void {
    if (this.#bytes.references(id) === 0) this.#drop(id);
  }

  references(id: number): number {
    return this.#bytes.references(id);
  }

  inUse(id: number): boolean {
    return this.#bytes.inUse(id);
  }

  #ownContext(scope: number): number {
    let number = this.#ownContexts.get(scope);
    if (number === undefined) {
      number = this.#context(OWN_CONTEXT, scope, true);
      this.#ownContexts.set(scope, number);
    }
    return number;
  }

  #context(codec: CodecContext, scope: number, own: boolean): number {
    const name = JSON.stringify([codec, scope, own]);
    let number = this.#contextNumbers.get(name);
    if (number === undefined) {
      number = this.#contexts.length;
      if (number > 0xffff) throw new RangeError('attribute store: more than 65,536 codec contexts');
      this.#contexts.push({ codec, scope, own });
      this.#contextNumbers.set(name, number);
    }
    return number;
  }

  /** Works out the keys of a new set that is plain. @returns whether it is. */
  #addPlain(id: number): boolean {
    this.#plainId = 0;
    const plain = this.plain(id);
    if (plain === undefined) return false;
    let nextHop: number;
    if (plain.nextHopApart) {
      const apart = this.#nextHopApart(id)!;
      if (nextHopProblem(apart) !== undefined) return false;
      nextHop = this.#nextHops.acquire(apart, this.#contexts[this.#bytes.tag(id)]!.scope);
    } else {
      nextHop = this.#nextHops.acquireIpv4(plain.number(ATTR_NEXT_HOP));
    }
    this.keys.reserve(id);
    const keys = this.keys.chunk(id);
    const at = this.keys.at(id);
    keys[at + KEY_LOCAL_PREF] = plain.has(ATTR_LOCAL_PREF)
      ? plain.number(ATTR_LOCAL_PREF)
      : this.#defaults.localPref;
    keys[at + KEY_LENGTH_ORIGIN] = (plain.pathLength << 2) | plain.origin;
    keys[at + KEY_MED] = plain.has(ATTR_MED) ? plain.number(ATTR_MED) : this.#defaults.med;
    keys[at + KEY_NEIGHBOUR_AS] = plain.firstAs;
    keys[at + KEY_ORIGINATOR] = plain.has(ATTR_ORIGINATOR_ID) ? plain.number(ATTR_ORIGINATOR_ID) : 0;
    keys[at + KEY_CLUSTERS] = plain.has(ATTR_CLUSTER_LIST)
      ? (plain.end[ATTR_CLUSTER_LIST]! - plain.start[ATTR_CLUSTER_LIST]!) >>> 2
      : 0;
    keys[at + KEY_NEXT_HOP] = nextHop;
    keys[at + KEY_PATH_HASH] = hashPlainPath(plain);
    return true;
  }

  #add(id: number, attributes: PathAttributes, scope: number): number {
    const slot = id & (RECENT - 1);
    this.#recentIds[slot] = id;
    this.#recent[slot] = attributes;
    this.keys.reserve(id);
    const keys = this.keys.chunk(id);
    const at = this.keys.at(id);
    keys[at + KEY_LOCAL_PREF] = attributes.localPref ?? this.#defaults.localPref;
    keys[at + KEY_LENGTH_ORIGIN] = (asPathLength(attributes.asPath) << 2) | attributes.origin;
    keys[at + KEY_MED] = attributes.med ?? this.#defaults.med;
    keys[at + KEY_NEIGHBOUR_AS] = neighbourAs(attributes.asPath);
    keys[at + KEY_ORIGINATOR] = attributes.originatorId ?? 0;
    keys[at + KEY_CLUSTERS] = attributes.clusterList.length;
    keys[at + KEY_NEXT_HOP] = this.#nextHops.acquire(attributes.nextHop, scope);
    keys[at + KEY_PATH_HASH] = hashAsPath(attributes.asPath);
    return id;
  }

  #decode(id: number): PathAttributes {
    const { codec, own } = this.#contexts[this.#bytes.tag(id)]!;
    const nextHop = this.#nextHopApart(id);
    const decoded = decodeAttributes(this.#bytes.block(id), codec, own ? PLACEHOLDER : nextHop);
    if (decoded.kind !== 'attributes') {
      throw new Error(`attribute set ${id} can not be decoded again: ${decoded.errors[0]?.reason}`);
    }
    return own ? { ...decoded.attributes, nextHop: nextHop! } : decoded.attributes;
  }

  #nextHopApart(id: number): NextHop | undefined {
    if (this.#bytes.nextHopLength(id) === 0) return undefined;
    const bytes = this.#bytes.nextHop(id);
    return decodeNextHop(bytes, 0, bytes.length);
  }

  #drop(id: number): void {
    for (const each of this.derived) each.forget(id);
    this.#nextHops.release(this.keys.chunk(id)[this.keys.at(id) + KEY_NEXT_HOP]!);
    if (this.#plainId === id) this.#plainId = 0;
    const slot = id & (RECENT - 1);
    if (this.#recentIds[slot] === id) {
      this.#recentIds[slot] = 0;
      this.#recent[slot] = undefined;
    }
    this.#bytes.discard(id);
  }
}

/** How many decoded sets are kept at hand: a burst is decoded on the way in and needed again on the way out. A power of two. */
const RECENT = 2048;

/** What sets made here are written by: everything that can be said is kept. */
const OWN_CONTEXT: CodecContext = { as4: true, ebgp: false, confederation: 'own-member' };

/** Takes the place of a next hop that stands apart. An IPv6 one, which is not written to the block. */
const PLACEHOLDER: NextHop = {
  family: 6,
  bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  linkLocal: undefined,
};

export const UNSPECIFIED4: NextHop = { family: 4, bytes: new Uint8Array(4), linkLocal: undefined };
export const UNSPECIFIED6: NextHop = { family: 6, bytes: new Uint8Array(16), linkLocal: undefined };

function hashAsPath(path: AsPath): number {
  let hash = 0;
  for (const { type, asns } of path) {
    hash = Math.imul(hash ^ type, 0x9e3779b1);
    for (const asn of asns) hash = hashAs(hash, asn);
  }
  return hash ^ (hash >>> 13);
}

function hashPlainPath(plain: PlainAttributes): number {
  if (plain.pathLength === 0) return 0;
  let hash = Math.imul(AS_SEQUENCE, 0x9e3779b1);
  const end = plain.end[ATTR_AS_PATH]!;
  for (let at = plain.start[ATTR_AS_PATH]! + 2; at < end; at += 4)
    hash = hashAs(hash, getU32(plain.bytes, at));
  return hash ^ (hash >>> 13);
}

function hashAs(hash: number, asn: number): number {
  return Math.imul(hash ^ (hash >>> 15) ^ asn, 0x85ebca6b);
}
