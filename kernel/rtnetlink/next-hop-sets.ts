import type { Message } from '../netlink/socket.ts';
import { MessageWriter } from '../netlink/writer.ts';
import { type NextHop, pathOf, type RoutePath, type RoutePathSpec, routeTypes } from './route.ts';
import { pathFlags, readRoutePath, writePath } from './route-message.ts';
import { scopeNumber } from './scope.ts';
import { type IpFamily, ipFamily, ValueError } from './value.ts';

/**
 * What routes do with their packets, each different one kept once under a number: many routes share few sets of next
 * hops. Two sets are the same number exactly when the kernel treats packets the same by them; the order of next hops does
 * not matter. Number 0 is never used.
 *
 * A set is kept as long as somebody holds it: whoever interned it, and a route table once for each of its routes. A number
 * that nobody holds any more may come to mean another set.
 */
export class NextHopSets {
  readonly #ids = new Map<string, number>();
  readonly #sets: (NextHopSet | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** What the kernel sends for sets, by the low bits of its hash. */
  readonly #received: (Received | undefined)[] = new Array(BUCKETS).fill(undefined);

  /** Sets that there are. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * The number of a set for routes of `family`, held for the caller until it calls `release`. Each next hop must name its link: the kernel would find one by itself,
   * but then what reads back would not be what was asked for.
   *
   * @throws ValueError
   */
  intern(family: IpFamily, spec: RoutePathSpec): number {
    const path = pathOf('next-hop set', family, spec);
    for (const hop of path.nextHops) {
      if (hop.link === undefined)
        throw new ValueError('next-hop set', 'link', undefined, 'an interface index');
    }
    const id = this.#intern(family, path);
    this.hold(id);
    return id;
  }

  /** The set of a number, its next hops in the order in which they are compared. */
  path(id: number): RoutePath {
    return this.get(id).path;
  }

  /** Keeps a set. */
  hold(id: number): void {
    this.get(id).holders++;
  }

  /** Ends what `intern` or `hold` began. With the last holder the set goes. */
  release(id: number): void {
    const set = this.get(id);
    if (set.holders === 0) throw new RangeError(`next-hop set ${id}: released more often than held`);
    if (--set.holders > 0) return;
    this.#ids.delete(set.key);
    this.#sets[id] = undefined;
    this.#free.push(id);
    for (const bucket of set.buckets) this.#forget(bucket, id);
  }

  /** Lets a set go that nobody holds. */
  discard(id: number): void {
    if (this.get(id).holders > 0) return;
    this.hold(id);
    this.release(id);
  }

  /** What the encoder needs of a set. */
  get(id: number): NextHopSet {
    const set = this.#sets[id];
    if (set === undefined) throw new RangeError(`next-hop set ${id}: there is none`);
    return set;
  }

  /**
   * The number of the set that a route message tells of, held for nobody: put it into a table, hold it or discard it at
   * once. The attributes that say so are in the first `count` of `words` as they were received, and `hash` is some number
   * that follows from them; such words that were seen before need no decoding.
   */
  ofMessage(message: Message, words: Int32Array, count: number, hash: number): number {
    const bucket = (hash ^ (hash >>> 12) ^ (hash >>> 24)) & (BUCKETS - 1);
    const first = this.#received[bucket];
    for (let seen = first; seen !== undefined; seen = seen.next) {
      if (sameWords(seen.words, words, count)) return seen.id;
    }
    const family = ipFamily(message.bytes[message.start]!) ?? 4;
    const id = this.#intern(family, readRoutePath(message));
    this.#received[bucket] = { words: words.slice(0, count), id, next: first };
    this.get(id).buckets.push(bucket);
    return id;
  }

  #intern(family: IpFamily, given: RoutePath): number {
    const path = canonical(given);
    const key = `${family} ${JSON.stringify(path)}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const writer = new MessageWriter(256);
    writePath(writer, 'next-hop set', family, path);
    const set: NextHopSet = {
      path,
      key,
      attributes: writer.words.slice(0, writer.length >>> 2),
      kind:
        scopeNumber('next-hop set', path.scope) | (routeTypes.number('next-hop set', 'type', path.type) << 8),
      flags: pathFlags(path),
      holders: 0,
      buckets: [],
    };
    const id = this.#free.pop() ?? this.#sets.length;
    this.#sets[id] = set;
    this.#ids.set(key, id);
    return id;
  }

  #forget(bucket: number, id: number): void {
    let kept: Received | undefined;
    for (let seen = this.#received[bucket]; seen !== undefined; seen = seen.next) {
      if (seen.id !== id) kept = { words: seen.words, id: seen.id, next: kept };
    }
    this.#received[bucket] = kept;
  }
}

/** A set as the encoder wants it. */
export interface NextHopSet {
  readonly path: RoutePath;
  readonly key: string;
  /** The attributes of an RTM_NEWROUTE that say what the route does. */
  readonly attributes: Uint32Array;
  /** rtm_scope in the lowest byte, rtm_type in the next. */
  readonly kind: number;
  /** rtm_flags. */
  readonly flags: number;
  holders: number;
  /** Where it stands among what was received. */
  readonly buckets: number[];
}

const BUCKETS = 1 << 12;

interface Received {
  readonly words: Int32Array;
  readonly id: number;
  readonly next: Received | undefined;
}

/** One way to write each path: fields in one order, next hops sorted, no link state. */
function canonical(path: RoutePath): RoutePath {
  const { type, scope, source, mtu } = path;
  const nextHops = path.nextHops.map(({ gateway, link, weight, onlink }): NextHop => {
    return {
      ...(gateway !== undefined && { gateway }),
      ...(link !== undefined && { link }),
      ...(weight !== undefined && { weight }),
      ...(onlink && { onlink }),
    };
  });
  if (nextHops.length > 1) {
    const keys = new Map(nextHops.map((hop) => [hop, JSON.stringify(hop)]));
    nextHops.sort((a, b) => (keys.get(a)! < keys.get(b)! ? -1 : 1));
  }
  return {
    type,
    scope,
    nextHops,
    ...(source !== undefined && { source }),
    ...(mtu !== undefined && { mtu }),
  };
}

function sameWords(a: Int32Array, b: Int32Array, count: number): boolean {
  if (a.length !== count) return false;
  for (let i = 0; i < count; i++) if (a[i] !== b[i]) return false;
  return true;
}
