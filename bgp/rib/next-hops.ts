/**
 * Next hops of routes, interned, and what is known about the way to them.
 *
 * The RIB does not resolve next hops itself: a tracker outside (which knows the kernel's routes) is told of each one that
 * comes into use and sets whether and how it is reached. A change goes to the listener, and the RIB decides again over the
 * routes with that next hop and no others.
 */

import { toHex } from '#bgp/wire/bytes.ts';
import type { NextHop } from '#bgp/wire/types.ts';

/** What the way to a next hop is. */
export type Resolution = {
  readonly reachable: boolean;
  /** Cost of the way there, for the decision process: lower is better (RFC 4271 section 9.1.2.2 e). */
  readonly metric: number;
  /** What the kernel is to be given: the tracker's own value, passed on unread. Compared by identity. */
  readonly gateway?: unknown;
};

/** Who finds out about next hops. `set` of the table may be called from within `added`. */
export type NextHopTracker = {
  added(id: number, nextHop: NextHop, scope: number): void;
  removed(id: number): void;
};

export class NextHopTable {
  /** Next hops in use. */
  size = 0;
  /** By id: 1 if reachable. For the decision process. */
  reachable = new Uint8Array(64);
  /** By id: cost of the way. */
  metric = new Uint32Array(64);
  /** By id: index of the neighbour whose address it is, 0 for none. */
  owner = new Uint16Array(64);
  /** Called with the id of a next hop whose resolution is not what it was. */
  onChange: (id: number) => void = () => {};
  readonly #ids = new Map<number | string, number>();
  readonly #entries: (Entry | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** Neighbours by their address in hexadecimal. */
  readonly #owners = new Map<string, number>();
  #tracker: NextHopTracker | undefined;
  #initial: Resolution;

  /**
   * @param initial what holds for a next hop until the tracker says otherwise.
   */
  constructor(initial: Resolution, tracker?: NextHopTracker) {
    this.#initial = initial;
    this.#tracker = tracker;
  }

  /** Somebody else finds out about next hops from now on: those in use are found out about anew. */
  track(initial: Resolution, tracker?: NextHopTracker): void {
    const before = this.#tracker;
    this.#initial = initial;
    this.#tracker = tracker;
    for (const [id, entry] of this.#entries.entries()) {
      if (entry === undefined || isOwn(entry.nextHop)) continue;
      before?.removed(id);
      this.set(id, initial);
      tracker?.added(id, entry.nextHop, entry.scope);
    }
  }

  /**
   * Takes a reference to a next hop, new or not.
   *
   * @param scope tells equal link-local addresses of different interfaces apart; 0 for all others.
   */
  acquire(nextHop: NextHop, scope: number): number {
    const key = keyOf(nextHop, scope);
    const known = this.#ids.get(key);
    if (known !== undefined) {
      this.#entries[known]!.references++;
      return known;
    }
    const id = this.#free.pop() ?? this.#entries.length;
    this.#entries[id] = { nextHop, scope, key, references: 1, gateway: undefined };
    this.#ids.set(key, id);
    this.size++;
    if (id >= this.reachable.length) this.#grow();
    const own = isOwn(nextHop);
    const resolution = own ? { reachable: true, metric: 0 } : this.#initial;
    this.reachable[id] = resolution.reachable ? 1 : 0;
    this.metric[id] = resolution.metric;
    this.owner[id] = this.#owners.get(toHex(nextHop.bytes)) ?? 0;
    this.#entries[id]!.gateway = resolution.gateway;
    if (!own) this.#tracker?.added(id, nextHop, scope);
    return id;
  }

  /** `acquire` for an IPv4 address given as a number. */
  acquireIpv4(address: number): number {
    const known = this.#ids.get(address);
    if (known !== undefined) {
      this.#entries[known]!.references++;
      return known;
    }
    const bytes = Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
    return this.acquire({ family: 4, bytes, linkLocal: undefined }, 0);
  }

  release(id: number): void {
    const entry = this.#entries[id]!;
    if (--entry.references > 0) return;
    this.#ids.delete(entry.key);
    this.#entries[id] = undefined;
    this.#free.push(id);
    this.size--;
    this.#tracker?.removed(id);
  }

  /** Says what the way to a next hop is now. Nothing if that is what was known. */
  set(id: number, { reachable, metric, gateway }: Resolution): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    const same =
      (this.reachable[id] === 1) === reachable && this.metric[id] === metric && entry.gateway === gateway;
    if (same) return;
    this.reachable[id] = reachable ? 1 : 0;
    this.metric[id] = metric;
    entry.gateway = gateway;
    this.onChange(id);
  }

  nextHop(id: number): NextHop {
    return this.#entries[id]!.nextHop;
  }

  /**
   * A neighbour has this address from now on, or with 0 nobody has it.
   *
   * @returns the next hops in use that are this address
   */
  setOwner(address: Uint8Array, peer: number): number[] {
    const key = toHex(address);
    if ((this.#owners.get(key) ?? 0) === peer) return [];
    if (peer === 0) this.#owners.delete(key);
    else this.#owners.set(key, peer);
    const owned: number[] = [];
    for (const [id, entry] of this.#entries.entries()) {
      if (entry === undefined || toHex(entry.nextHop.bytes) !== key) continue;
      this.owner[id] = peer;
      owned.push(id);
    }
    return owned;
  }

  /** Whose address it is, 0 for nobody's. */
  ownerOf(address: Uint8Array): number {
    return this.#owners.get(toHex(address)) ?? 0;
  }

  /** The id of a next hop that is in use, 0 if it is not. */
  find(nextHop: NextHop, scope: number): number {
    return this.#ids.get(keyOf(nextHop, scope)) ?? 0;
  }

  resolution(id: number): Resolution {
    return {
      reachable: this.reachable[id] === 1,
      metric: this.metric[id]!,
      gateway: this.#entries[id]!.gateway,
    };
  }

  #grow(): void {
    const reachable = new Uint8Array(this.reachable.length * 2);
    reachable.set(this.reachable);
    this.reachable = reachable;
    const metric = new Uint32Array(reachable.length);
    metric.set(this.metric);
    this.metric = metric;
    const owner = new Uint16Array(reachable.length);
    owner.set(this.owner);
    this.owner = owner;
  }
}

type Entry = {
  readonly nextHop: NextHop;
  readonly scope: number;
  readonly key: number | string;
  references: number;
  gateway: unknown;
};

/** The unspecified address stands for ourselves: a route of our own, which needs no way. */
function isOwn({ bytes }: NextHop): boolean {
  return bytes.every((byte) => byte === 0);
}

/** IPv4 next hops, the usual case, have a number for a key. */
function keyOf({ family, bytes, linkLocal }: NextHop, scope: number): number | string {
  if (family === 4 && scope === 0) {
    return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
  }
  return `${toHex(bytes)}/${linkLocal === undefined ? '' : toHex(linkLocal)}/${scope}`;
}
