/**
 * Prefix -> net index. A net index is a small dense number that everything else is kept by: paths, best path, what was
 * sent to whom. Index 0 is never used: it means "none".
 *
 * A prefix that is removed is only marked so and goes for good when its row is needed for another one. So the table never takes
 * more room than it needed at its fullest, a neighbour that withdraws everything causes no work for nothing but tidiness, and
 * if it comes back, its prefixes are found where they were.
 *
 * One row of four numbers per net holds the key and the two ends that the path store hangs on it, so that finding a prefix
 * and working on its paths touches one cache line.
 */

import { HashIndex } from './hash-index.ts';
import { NetSet } from './net-set.ts';
import { Rows } from './rows.ts';

/** Fields of a row in `nets`. */
/** IPv4: the address as a signed number. IPv6: the hash of the key. */
export const NET_KEY = 0;
/** Lowest octet: prefix length. Above: `REMOVED`, and `NET_HOLDER` times the number of holders. */
export const NET_INFO = 1;
/** First path of the net, 0 if none. Kept by the path store. */
export const NET_FIRST = 2;
/** Best path of the net, 0 if none. Kept by the path store. */
export const NET_BEST = 3;

/** What one holder adds to `NET_INFO`. */
export const NET_HOLDER = 512;
const REMOVED = 256;
const LENGTH_MASK = 255;

/** What IPv4 and IPv6 have in common. */
export abstract class PrefixTable {
  /** Length of an address in bits: 32 or 128. */
  abstract readonly addressBits: 32 | 128;
  readonly nets = new Rows(2);
  /** Prefixes in the table. */
  size = 0;
  /** All net indexes in use are below this one. */
  limit = 1;
  /** How many prefixes there are of each length. */
  readonly lengthCounts = new Int32Array(129);
  protected readonly index = new HashIndex();
  protected readonly seed: number;
  readonly #removed = new NetSet();
  /** Where the walk through the removed ones is, which are used again in their order in memory. */
  #cursor = 0;

  /** @param seed any 32-bit number; a random one keeps neighbours from choosing prefixes that collide. */
  constructor(seed: number) {
    this.seed = seed | 0;
    this.nets.reserve(0);
  }

  /** Appends the prefix as NLRI (length octet, then as many octets as it needs) and returns the position after it. */
  abstract writeNlri(net: number, out: Uint8Array, at: number): number;

  /** The address of the net as 4 or 16 bytes. */
  abstract addressOf(net: number): Uint8Array;

  /** Finds the net of a prefix given as bytes; 0 if there is none. Bits beyond the length do not matter. */
  abstract findBytes(address: Uint8Array, length: number): number;

  /** Like `findBytes`, but puts the prefix into the table if it is not there. */
  abstract internBytes(address: Uint8Array, length: number): number;

  /**
   * The longest prefix that holds the address and that `accept` takes; 0 if there is none. Asks the hash table once for each
   * length that occurs, longest first: no tree has to be kept for it.
   */
  longestMatch(address: Uint8Array, accept: (net: number) => boolean): number {
    for (let length = this.addressBits; length >= 0; length--) {
      if (this.lengthCounts[length] === 0) continue;
      const net = this.findBytes(address, length);
      if (net !== 0 && accept(net)) return net;
    }
    return 0;
  }

  lengthOf(net: number): number {
    return this.nets.chunk(net)[this.nets.at(net) + NET_INFO]! & LENGTH_MASK;
  }

  inUse(net: number): boolean {
    if (net <= 0 || net >= this.limit) return false;
    return (this.nets.chunk(net)[this.nets.at(net) + NET_INFO]! & REMOVED) === 0;
  }

  /**
   * Counts places that wait on a net although it may have no path any more: pending sets it is in, Adj-RIBs-Out that still
   * have it. Below zero: so many less. A net without paths and without holders can be removed; see `releasable`.
   */
  hold(net: number, count: number): void {
    this.nets.chunk(net)[this.nets.at(net) + NET_INFO]! += count * NET_HOLDER;
  }

  /** All nets, in order. Where speed counts, `limit` and `inUse` are the way. */
  *netsInUse(): Generator<number> {
    for (let net = 1; net < this.limit; net++) if (this.inUse(net)) yield net;
  }

  /** No path and no holder. */
  releasable(net: number): boolean {
    const chunk = this.nets.chunk(net);
    const at = this.nets.at(net);
    return chunk[at + NET_INFO]! < REMOVED && chunk[at + NET_FIRST] === 0;
  }

  /** Forgets a prefix without paths and holders. Its index may be given out again at once. */
  remove(net: number): void {
    const chunk = this.nets.chunk(net);
    const at = this.nets.at(net);
    const info = chunk[at + NET_INFO]!;
    this.lengthCounts[info & LENGTH_MASK]!--;
    chunk[at + NET_INFO] = info | REMOVED;
    chunk[at + NET_BEST] = 0;
    this.#removed.add(net);
    this.size--;
  }

  protected abstract hashOf(net: number): number;

  /** Takes a row for a key that is not among the rows. */
  protected allocate(hash: number, key: number, length: number): number {
    const net = this.#row();
    const chunk = this.nets.chunk(net);
    const at = this.nets.at(net);
    chunk[at + NET_KEY] = key;
    chunk[at + NET_INFO] = length;
    this.lengthCounts[length]!++;
    this.size++;
    this.index.insert(hash, net);
    return net;
  }

  /** Takes a prefix whose row was found in again, if it had been removed. */
  protected revive(net: number): void {
    const chunk = this.nets.chunk(net);
    const at = this.nets.at(net);
    const info = chunk[at + NET_INFO]!;
    if ((info & REMOVED) === 0) return;
    chunk[at + NET_INFO] = info & ~REMOVED;
    this.lengthCounts[info & LENGTH_MASK]!++;
    this.#removed.delete(net);
    this.size++;
  }

  #row(): number {
    if (this.#removed.size === 0) {
      const net = this.limit++;
      this.nets.reserve(net);
      return net;
    }
    let net = this.#removed.next(this.#cursor);
    if (net === -1) net = this.#removed.next(0);
    this.#cursor = net + 1;
    this.#removed.delete(net);
    this.index.remove(this.hashOf(net), net);
    return net;
  }
}

/** IPv4 prefixes. Addresses are numbers, signed or not; bits beyond the length must be zero. */
export class PrefixTable4 extends PrefixTable {
  readonly addressBits = 32;

  find(address: number, length: number): number {
    const net = this.#find(hash4(address | 0, length, this.seed), address | 0, length);
    return this.inUse(net) ? net : 0;
  }

  /** The net of a prefix, new if need be. */
  intern(address: number, length: number): number {
    const key = address | 0;
    const hash = hash4(key, length, this.seed);
    const net = this.#find(hash, key, length);
    if (net === 0) return this.allocate(hash, key, length);
    this.revive(net);
    return net;
  }

  /** The address of a net, unsigned. */
  address(net: number): number {
    return this.nets.chunk(net)[this.nets.at(net) + NET_KEY]! >>> 0;
  }

  writeNlri(net: number, out: Uint8Array, at: number): number {
    const nets = this.nets.chunk(net);
    const row = this.nets.at(net);
    const address = nets[row + NET_KEY]!;
    const length = nets[row + NET_INFO]! & LENGTH_MASK;
    out[at++] = length;
    if (length > 0) out[at++] = address >>> 24;
    if (length > 8) out[at++] = address >>> 16;
    if (length > 16) out[at++] = address >>> 8;
    if (length > 24) out[at++] = address;
    return at;
  }

  addressOf(net: number): Uint8Array {
    const address = this.address(net);
    return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
  }

  findBytes(address: Uint8Array, length: number): number {
    return this.find(word(address, 0) & mask(length), length);
  }

  internBytes(address: Uint8Array, length: number): number {
    return this.intern(word(address, 0) & mask(length), length);
  }

  protected hashOf(net: number): number {
    return hash4(this.address(net) | 0, this.lengthOf(net), this.seed);
  }

  #find(hash: number, key: number, length: number): number {
    let net = this.index.first(hash);
    while (net !== 0) {
      const chunk = this.nets.chunk(net);
      const at = this.nets.at(net);
      if (chunk[at + NET_KEY] === key && (chunk[at + NET_INFO]! & LENGTH_MASK) === length) return net;
      net = this.index.after(hash, net);
    }
    return 0;
  }
}

/** IPv6 prefixes. Addresses are four 32-bit words, signed or not, the first the highest; bits beyond the length must be zero. */
export class PrefixTable6 extends PrefixTable {
  readonly addressBits = 128;
  /** Four words per net. */
  readonly #words = new Rows(2);

  find(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const hash = hash6(w0, w1, w2, w3, length, this.seed);
    const net = this.#find(hash, w0 | 0, w1 | 0, w2 | 0, w3 | 0, length);
    return this.inUse(net) ? net : 0;
  }

  /** The net of a prefix, new if need be. */
  intern(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const hash = hash6(w0, w1, w2, w3, length, this.seed);
    let net = this.#find(hash, w0 | 0, w1 | 0, w2 | 0, w3 | 0, length);
    if (net !== 0) {
      this.revive(net);
      return net;
    }
    net = this.allocate(hash, hash, length);
    this.#words.reserve(net);
    const words = this.#words.chunk(net);
    const at = this.#words.at(net);
    words[at] = w0;
    words[at + 1] = w1;
    words[at + 2] = w2;
    words[at + 3] = w3;
    return net;
  }

  /** One of the four words of the address of a net, signed. */
  word(net: number, which: number): number {
    return this.#words.chunk(net)[this.#words.at(net) + which]!;
  }

  writeNlri(net: number, out: Uint8Array, at: number): number {
    const length = this.lengthOf(net);
    out[at++] = length;
    const octets = (length + 7) >>> 3;
    const words = this.#words.chunk(net);
    const row = this.#words.at(net);
    for (let i = 0; i < octets; i++) out[at++] = words[row + (i >>> 2)]! >>> (24 - 8 * (i & 3));
    return at;
  }

  addressOf(net: number): Uint8Array {
    const out = new Uint8Array(16);
    for (let i = 0; i < 16; i++) out[i] = this.word(net, i >>> 2) >>> (24 - 8 * (i & 3));
    return out;
  }

  findBytes(address: Uint8Array, length: number): number {
    return this.find(
      word(address, 0) & mask(length),
      word(address, 4) & mask(length - 32),
      word(address, 8) & mask(length - 64),
      word(address, 12) & mask(length - 96),
      length,
    );
  }

  internBytes(address: Uint8Array, length: number): number {
    return this.intern(
      word(address, 0) & mask(length),
      word(address, 4) & mask(length - 32),
      word(address, 8) & mask(length - 64),
      word(address, 12) & mask(length - 96),
      length,
    );
  }

  protected hashOf(net: number): number {
    return this.nets.chunk(net)[this.nets.at(net) + NET_KEY]!;
  }

  #find(hash: number, w0: number, w1: number, w2: number, w3: number, length: number): number {
    let net = this.index.first(hash);
    while (net !== 0) {
      const words = this.#words.chunk(net);
      const at = this.#words.at(net);
      if (
        words[at] === w0 &&
        words[at + 1] === w1 &&
        words[at + 2] === w2 &&
        words[at + 3] === w3 &&
        this.lengthOf(net) === length
      ) {
        return net;
      }
      net = this.index.after(hash, net);
    }
    return 0;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** The first `length` bits of a word set; lengths out of 0..32 count as the nearest of them. */
function mask(length: number): number {
  if (length <= 0) return 0;
  return length >= 32 ? -1 : ~(-1 >>> length);
}

/*
 * The hashes of eight neighbouring prefixes of one length (10.0.0.0/24 to 10.0.7.0/24) differ in the last three bits alone: one
 * cache line of the index. Prefixes of one origin are mostly neighbours and mostly come together, in whatever order the origins
 * come. The three bits are mixed with the others, so that prefixes that are all the first of such eight spread over all lanes.
 */

function hash4(address: number, length: number, seed: number): number {
  const ordinal = length === 0 ? 0 : address >>> (32 - length);
  return finish((ordinal >>> 3) ^ Math.imul(length + seed, 0x9e3779b1)) ^ (ordinal & 7);
}

function hash6(w0: number, w1: number, w2: number, w3: number, length: number, seed: number): number {
  // The three bits before the end of the prefix, wherever they are; prefixes that cross words there are rare enough.
  const last = length <= 32 ? w0 : length <= 64 ? w1 : length <= 96 ? w2 : w3;
  const ordinal = length === 0 ? 0 : last >>> (31 - ((length - 1) & 31));
  const low = (ordinal & 7) << (31 - ((length - 1) & 31));
  let hash = finish(w0 ^ seed ^ (length <= 32 ? low : 0));
  hash = finish(hash ^ w1 ^ (length > 32 && length <= 64 ? low : 0));
  hash = Math.imul(hash ^ w2 ^ (length > 64 && length <= 96 ? low : 0), 0x85ebca6b);
  hash = finish(hash ^ (hash >>> 15) ^ w3 ^ (length > 96 ? low : 0));
  return finish(hash ^ Math.imul(length, 0x9e3779b1)) ^ (ordinal & 7);
}

/** Spreads every bit over all others, so that both ends of the hash can be used. */
function finish(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x21f0aaad);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x735a2d97);
  return hash ^ (hash >>> 15);
}
