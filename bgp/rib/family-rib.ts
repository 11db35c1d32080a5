/**
 * The tables of one address family: paths as received and as used, best paths, and who is told of changes.
 *
 * Changes mark nets; `process` decides marked nets, and hands on those whose best path has changed to update groups and
 * feeds. Work that concerns many paths (a neighbour went down, a filter or a next hop changed) is a walk over all rows in
 * slices, however many reasons there are for it at once.
 */

import type { Family } from '#bgp/wire/constants.ts';
import { type AttributeStore, KEY_NEXT_HOP } from './attribute-store.ts';
import { ChangeFeed } from './change-feed.ts';
import { DecisionProcess } from './decision.ts';
import { NetSet } from './net-set.ts';
import type { NextHopTable } from './next-hops.ts';
import type { NlriList } from './nlri-list.ts';
import {
  BEST_GONE,
  EPOCH_SHIFT,
  PATH_CHANGED,
  PATH_ID,
  PATH_MULTI,
  PATH_NET,
  PATH_NEXT,
  PATH_PEER,
  PATH_POST,
  PATH_RAW,
  PATH_TIME,
  PathStore,
  PEER_MASK,
} from './paths.ts';
import type { PeerFamily, RibPeer } from './peer.ts';
import { NET_BEST, NET_FIRST, type PrefixTable } from './prefix-table.ts';
import { RowWalk } from './row-walk.ts';
import type { DecisionSettings, MultipathSettings } from './settings.ts';
import type { UpdateGroup } from './update-group.ts';

/** What a walk does with the rows of a peer. */
/** Remove what is stale. */
export const SWEEP_STALE = 1;
/** Ask the import policy again. */
export const SWEEP_POLICY = 2;
/** Take the paths for changed: something that what is sent depends on is not what it was. */
export const SWEEP_CHANGED = 4;

/** Groups wait no longer than so many slices. */
const MOST_SLICES = 16;

/** A walk for stale rows is due before the epoch, a number of 8 bits, comes round. */
const MAX_EPOCHS = 250;

export class FamilyRib {
  readonly family: Family;
  readonly table: PrefixTable;
  readonly paths = new PathStore();
  /** Nets with a change that has not been decided. */
  readonly undecided = new NetSet();
  readonly groups: UpdateGroup[] = [];
  readonly feeds: ChangeFeed[] = [];
  /** Nets with a best path. */
  routes = 0;
  decision: DecisionProcess;
  readonly #attributes: AttributeStore;
  readonly #nextHops: NextHopTable;
  readonly #peers: readonly (RibPeer | undefined)[];
  #multipath: boolean;
  #cursor = 0;

  /** Nets that groups take at a time. */
  readonly #batch: number;
  /** Slices since groups had their turn. */
  #sinceGroups = 0;
  readonly #walk = new RowWalk();
  readonly #sweeping = new Set<PeerFamily>();
  /** Next hops whose paths are to be decided again, each with the end of the walk for it. */
  readonly #changedNextHops = new Map<number, number>();
  /** Those of them whose paths are taken for changed. */
  readonly #resentNextHops = new Set<number>();

  constructor(
    family: Family,
    table: PrefixTable,
    attributes: AttributeStore,
    nextHops: NextHopTable,
    peers: readonly (RibPeer | undefined)[],
    decision: DecisionSettings,
    multipath: MultipathSettings,
    batch: number,
  ) {
    this.#batch = batch;
    this.family = family;
    this.table = table;
    this.#attributes = attributes;
    this.#nextHops = nextHops;
    this.#peers = peers;
    this.#multipath = multipath.maxPaths > 1;
    this.decision = new DecisionProcess(this.paths, attributes, nextHops, peers, decision, multipath);
  }

  /** Other settings of the decision process: everything is decided again. */
  setDecision(decision: DecisionSettings, multipath: MultipathSettings): void {
    this.#multipath = multipath.maxPaths > 1;
    this.decision = new DecisionProcess(
      this.paths,
      this.#attributes,
      this.#nextHops,
      this.#peers,
      decision,
      multipath,
    );
    for (const net of this.table.netsInUse()) this.undecided.add(net);
  }

  /** Somebody who wants to know of changes from now on. */
  subscribe(): ChangeFeed {
    const feed = new ChangeFeed(this.table, this.undecided, this.release);
    this.feeds.push(feed);
    return feed;
  }

  unsubscribe(feed: ChangeFeed): void {
    const at = this.feeds.indexOf(feed);
    if (at >= 0) this.feeds.splice(at, 1);
    feed.close();
  }

  /** Takes the routes of a list, all with the attributes `raw`, from a peer. `raw` must not be 0. */
  announce(from: PeerFamily, list: NlriList, raw: number, time: number): void {
    const { table, paths } = this;
    const { rows } = paths;
    const attributes = this.#attributes;
    const policy = from.policy;
    const { nets, count } = list;
    const peer = from.peer.index;
    const mark = peer | PATH_CHANGED | (from.epoch << EPOCH_SHIFT);
    const each = policy?.usesPrefix === true;
    // References are taken for all rows first, so that nothing disappears in between, and what was too many is given back.
    attributes.addReferences(raw, count);
    let post = policy === undefined ? raw : each ? 0 : policy.apply(raw, table, 0);
    if (post !== 0) attributes.addReferences(post, count);
    let spare = 0;
    for (let i = 0; i < count; i++) {
      const net = nets[i]!;
      const netRow = table.nets.chunk(net);
      const netAt = table.nets.at(net);
      const first = netRow[netAt + NET_FIRST]!;
      const pathId = list.pathId(i);
      let row = from.nets.has(net) ? first : 0;
      while (row !== 0) {
        const chunk = rows.chunk(row);
        const at = rows.at(row);
        if ((chunk[at + PATH_PEER]! & PEER_MASK) === peer && chunk[at + PATH_ID] === pathId) break;
        row = chunk[at + PATH_NEXT]!;
      }
      if (each) {
        post = policy.apply(raw, table, net);
        if (post !== 0) attributes.addReferences(post, 1);
      }
      if (row === 0) {
        row = paths.allocate();
        const chunk = rows.chunk(row);
        const at = rows.at(row);
        chunk[at + PATH_NET] = net;
        chunk[at + PATH_PEER] = mark;
        chunk[at + PATH_RAW] = raw;
        chunk[at + PATH_POST] = post;
        chunk[at + PATH_NEXT] = first;
        chunk[at + PATH_ID] = pathId;
        chunk[at + PATH_TIME] = time;
        netRow[netAt + NET_FIRST] = row;
        from.nets.add(net);
        if (pathId !== 0) from.several = true;
        from.received++;
        if (post !== 0) from.accepted++;
        if (first === 0 || !this.#changesNothing(net, row)) this.undecided.add(net);
        continue;
      }
      const chunk = rows.chunk(row);
      const at = rows.at(row);
      this.#uncount(from, chunk[at + PATH_PEER]!, chunk[at + PATH_POST]!);
      from.received++;
      if (post !== 0) from.accepted++;
      const rawBefore = chunk[at + PATH_RAW]!;
      const postBefore = chunk[at + PATH_POST]!;
      chunk[at + PATH_PEER] = (chunk[at + PATH_PEER]! & PATH_MULTI) | mark;
      if (rawBefore === raw && postBefore === post) {
        // Said again. A change that has not been decided is still one.
        if (!this.undecided.has(net)) chunk[at + PATH_PEER]! &= ~PATH_CHANGED;
        spare++;
        if (each && post !== 0) attributes.dropReferences(post, 1);
        continue;
      }
      const missed = !this.#mayLeave(net, row, first);
      chunk[at + PATH_RAW] = raw;
      chunk[at + PATH_POST] = post;
      chunk[at + PATH_TIME] = time;
      attributes.dropReferences(rawBefore, 1);
      if (postBefore !== 0) attributes.dropReferences(postBefore, 1);
      if (missed || !this.#changesNothing(net, row)) this.undecided.add(net);
    }
    if (spare > 0) {
      if (!each && post !== 0) attributes.dropReferences(post, spare);
      attributes.dropReferences(raw, spare);
    }
  }

  /** Takes the routes of a list away that a peer has announced. Prefixes that are not there (net 0) are passed over. */
  withdraw(from: PeerFamily, list: NlriList): void {
    const { rows } = this.paths;
    const peer = from.peer.index;
    for (let i = 0; i < list.count; i++) {
      const net = list.nets[i]!;
      if (net === 0) continue;
      const pathId = list.pathId(i);
      let previous = 0;
      let row = from.nets.has(net) ? this.#first(net) : 0;
      while (row !== 0) {
        const chunk = rows.chunk(row);
        const at = rows.at(row);
        if ((chunk[at + PATH_PEER]! & PEER_MASK) === peer && chunk[at + PATH_ID] === pathId) {
          this.#remove(row, from, previous);
          break;
        }
        previous = row;
        row = chunk[at + PATH_NEXT]!;
      }
    }
  }

  /** What a peer has announced so far is stale from now on: it goes with the next `sweepStale` unless announced again. */
  markStale(of: PeerFamily): void {
    of.stale += of.received;
    of.staleAccepted += of.accepted;
    of.received = 0;
    of.accepted = 0;
    if (of.stale === 0) return;
    of.epoch = (of.epoch + 1) & 0xff;
    if ((of.sweep & SWEEP_STALE) !== 0) of.sweepAge++;
    if (++of.epochs < MAX_EPOCHS) return;
    // So often without an end: nobody counts on what is this old.
    this.sweepStale(of);
    while (this.isSweeping(of)) this.#sweep(this.paths.limit);
  }

  /** Removes what is stale of a peer, in slices of `process`. */
  sweepStale(of: PeerFamily): void {
    if (of.stale === 0) return;
    of.sweepAge = 1;
    this.#sweepFor(of, SWEEP_STALE);
  }

  /** Asks the import policy of a peer again for all of its paths, in slices of `process`. */
  sweepPolicy(of: PeerFamily): void {
    if (of.received + of.stale > 0) this.#sweepFor(of, SWEEP_POLICY);
  }

  /** Takes all paths of a peer for changed, in slices of `process`. */
  sweepChanged(of: PeerFamily): void {
    if (of.received + of.stale > 0) this.#sweepFor(of, SWEEP_CHANGED);
  }

  /**
   * Decides all nets with paths over a next hop again, in slices of `process`. With `resend` the paths are taken for changed: what is
   * sent of them is looked at again too.
   */
  sweepNextHop(id: number, resend = false): void {
    this.#changedNextHops.set(id, this.#walk.extend());
    if (resend) this.#resentNextHops.add(id);
  }

  /** Whether a peer's rows are still being walked over. */
  isSweeping(of: PeerFamily): boolean {
    return this.#sweeping.has(of);
  }

  /** Whether `process` would have something to do now. */
  get runnable(): boolean {
    return this.undecided.size > 0 || this.sweeping || this.groups.some((group) => group.runnable);
  }

  get sweeping(): boolean {
    return this.#sweeping.size > 0 || this.#changedNextHops.size > 0;
  }

  /** Works on up to `budget` rows and nets each. */
  process(budget: number): void {
    if (this.sweeping) this.#sweep(budget);
    this.#decide(budget);
    // While there is more to decide, groups wait until they have something to pack, but not for ever.
    const late = ++this.#sinceGroups >= MOST_SLICES;
    const decided = this.undecided.size === 0;
    if (decided || late) this.#sinceGroups = 0;
    for (const group of this.groups) {
      if (decided || late || group.pendingCount >= this.#batch) group.process(Math.max(budget, this.#batch));
    }
  }

  /** Takes a net without paths and holders out of the table, unless it waits to be decided. */
  readonly release = (net: number): void => {
    if (!this.undecided.has(net)) this.table.remove(net);
  };

  /** The best path of a net, 0 if there is none. */
  best(net: number): number {
    return Math.max(0, this.table.nets.chunk(net)[this.table.nets.at(net) + NET_BEST]!);
  }

  /** The first path of a net; the others follow by `PATH_NEXT`. */
  firstPath(net: number): number {
    return this.#first(net);
  }

  #first(net: number): number {
    return this.table.nets.chunk(net)[this.table.nets.at(net) + NET_FIRST]!;
  }

  #decide(budget: number): void {
    const { undecided } = this;
    while (budget-- > 0 && undecided.size > 0) {
      let net = undecided.next(this.#cursor);
      if (net === -1) net = undecided.next(0);
      this.#cursor = net + 1;
      undecided.delete(net);
      this.#decideNet(net);
    }
  }

  #decideNet(net: number): void {
    const { rows } = this.paths;
    const netRow = this.table.nets.chunk(net);
    const netAt = this.table.nets.at(net);
    const first = netRow[netAt + NET_FIRST]!;
    const before = netRow[netAt + NET_BEST]!;
    let best = 0;
    let changed = false;
    let waysChanged = false;
    if (first !== 0) {
      const chunk = rows.chunk(first);
      const at = rows.at(first);
      if (chunk[at + PATH_NEXT] === 0) {
        // One path, as most nets have.
        const post = chunk[at + PATH_POST]!;
        if (post !== 0) {
          const nextHop = this.#attributes.keys.chunk(post)[this.#attributes.keys.at(post) + KEY_NEXT_HOP]!;
          if (this.#nextHops.reachable[nextHop] === 1) best = first;
        }
        const flags = chunk[at + PATH_PEER]!;
        changed = best !== 0 && (flags & PATH_CHANGED) !== 0;
        waysChanged = (flags & PATH_MULTI) !== 0;
        chunk[at + PATH_PEER] = flags & ~(PATH_CHANGED | PATH_MULTI);
      } else {
        best = this.decision.select(first);
        changed = best !== 0 && (this.paths.get(best, PATH_PEER) & PATH_CHANGED) !== 0;
        waysChanged = this.#setWays(first);
      }
    }
    if (best !== before) {
      if (best === 0) this.routes--;
      else if (before === 0) this.routes++;
      netRow[netAt + NET_BEST] = best;
      changed = true;
    }
    if (changed) {
      for (const group of this.groups) group.mark(net);
    }
    if (changed || waysChanged) {
      for (const feed of this.feeds) feed.mark(net);
    }
    if (first === 0 && this.table.releasable(net)) this.table.remove(net);
  }

  /** Notes which paths are in use together, and forgets what was changed. @returns whether the set is another one. */
  #setWays(first: number): boolean {
    const { rows } = this.paths;
    const { chosen } = this.decision;
    const several = this.#multipath && chosen.length > 1;
    let different = false;
    for (let row = first; row !== 0; ) {
      const chunk = rows.chunk(row);
      const at = rows.at(row);
      const flags = chunk[at + PATH_PEER]!;
      const now = several && chosen.includes(row) ? PATH_MULTI : 0;
      if ((flags & PATH_MULTI) !== now || (now !== 0 && (flags & PATH_CHANGED) !== 0)) different = true;
      chunk[at + PATH_PEER] = (flags & ~(PATH_CHANGED | PATH_MULTI)) | now;
      row = chunk[at + PATH_NEXT]!;
    }
    return different;
  }

  /**
   * Whether a path that is new or has changed leaves the decision on its net as it is: it is not marked as changed then. So a net
   * with many paths is not decided anew for each that comes.
   */
  #changesNothing(net: number, row: number): boolean {
    const best = this.best(net);
    if (best === 0 || best === row || this.undecided.has(net)) return false;
    const alone = (this.paths.get(best, PATH_PEER) & PATH_MULTI) === 0;
    if (!this.decision.isBehind(row, best, alone)) return false;
    this.paths.rows.chunk(row)[this.paths.rows.at(row) + PATH_PEER]! &= ~PATH_CHANGED;
    return true;
  }

  /** Whether the decision on a net is what it is without this path, too. */
  #mayLeave(net: number, row: number, first: number): boolean {
    const best = this.best(net);
    if (best === 0 || best === row || this.undecided.has(net)) return false;
    if ((this.paths.get(row, PATH_PEER) & PATH_MULTI) !== 0) return false;
    return this.decision.holdsBackNone(row, best, first);
  }

  /** @param previous the path before it in the chain, 0 if that is not known */
  #remove(row: number, from: PeerFamily, previous = 0): void {
    const { rows } = this.paths;
    const chunk = rows.chunk(row);
    const at = rows.at(row);
    const net = chunk[at + PATH_NET]!;
    const next = chunk[at + PATH_NEXT]!;
    const netRow = this.table.nets.chunk(net);
    const netAt = this.table.nets.at(net);
    const first = netRow[netAt + NET_FIRST]!;
    const wasBest = netRow[netAt + NET_BEST] === row;
    const missed = wasBest || !this.#mayLeave(net, row, first);
    if (!from.several) from.nets.delete(net);
    if (first === row) {
      netRow[netAt + NET_FIRST] = next;
    } else {
      if (previous === 0) {
        previous = first;
        while (this.paths.get(previous, PATH_NEXT) !== row) previous = this.paths.get(previous, PATH_NEXT);
      }
      rows.chunk(previous)[rows.at(previous) + PATH_NEXT] = next;
    }
    if (wasBest) netRow[netAt + NET_BEST] = BEST_GONE;
    else if ((chunk[at + PATH_PEER]! & PATH_MULTI) !== 0) for (const feed of this.feeds) feed.mark(net);
    const raw = chunk[at + PATH_RAW]!;
    const post = chunk[at + PATH_POST]!;
    this.#uncount(from, chunk[at + PATH_PEER]!, post);
    this.paths.free(row);
    if (missed) this.undecided.add(net);
    this.#attributes.dropReferences(raw, 1);
    if (post !== 0) this.#attributes.dropReferences(post, 1);
  }

  #uncount(from: PeerFamily, flags: number, post: number): void {
    if (flags >>> EPOCH_SHIFT === from.epoch) {
      from.received--;
      if (post !== 0) from.accepted--;
    } else {
      from.stale--;
      if (post !== 0) from.staleAccepted--;
    }
  }

  #sweepFor(of: PeerFamily, what: number): void {
    of.sweep |= what;
    of.sweepUntil = this.#walk.extend();
    this.#sweeping.add(of);
  }

  #sweep(budget: number): void {
    const { rows } = this.paths;
    while (budget-- > 0) {
      const row = this.#walk.next(this.paths.limit);
      if (row === 0) break;
      const chunk = rows.chunk(row);
      const at = rows.at(row);
      if (chunk[at + PATH_NET] === 0) continue;
      const flags = chunk[at + PATH_PEER]!;
      const from = this.#peers[flags & PEER_MASK]!.families.get(this.family)!;
      if (from.sweep !== 0) {
        const age = (from.epoch - (flags >>> EPOCH_SHIFT)) & 0xff;
        if ((from.sweep & SWEEP_STALE) !== 0 && age >= from.sweepAge) {
          this.#remove(row, from);
          continue;
        }
        if ((from.sweep & SWEEP_POLICY) !== 0) this.#askPolicy(row, from);
        if ((from.sweep & SWEEP_CHANGED) !== 0) {
          chunk[at + PATH_PEER]! |= PATH_CHANGED;
          this.undecided.add(chunk[at + PATH_NET]!);
        }
      }
      if (this.#changedNextHops.size > 0) this.#followNextHop(row);
    }
    this.#endSweeps();
  }

  #endSweeps(): void {
    for (const of of this.#sweeping) {
      if (!this.#walk.passed(of.sweepUntil)) continue;
      if ((of.sweep & SWEEP_STALE) !== 0) of.epochs = of.sweepAge - 1;
      of.sweep = 0;
      this.#sweeping.delete(of);
    }
    for (const [id, until] of this.#changedNextHops) {
      if (!this.#walk.passed(until)) continue;
      this.#changedNextHops.delete(id);
      this.#resentNextHops.delete(id);
    }
  }

  #askPolicy(row: number, from: PeerFamily): void {
    const { rows } = this.paths;
    const chunk = rows.chunk(row);
    const at = rows.at(row);
    const net = chunk[at + PATH_NET]!;
    const raw = chunk[at + PATH_RAW]!;
    const before = chunk[at + PATH_POST]!;
    const post = from.policy === undefined ? raw : from.policy.apply(raw, this.table, net);
    if (post === before) return;
    if (post !== 0) this.#attributes.addReferences(post, 1);
    if (before !== 0) this.#attributes.dropReferences(before, 1);
    const change = (post !== 0 ? 1 : 0) - (before !== 0 ? 1 : 0);
    if (chunk[at + PATH_PEER]! >>> EPOCH_SHIFT === from.epoch) from.accepted += change;
    else from.staleAccepted += change;
    chunk[at + PATH_POST] = post;
    chunk[at + PATH_PEER]! |= PATH_CHANGED;
    this.undecided.add(net);
  }

  #followNextHop(row: number): void {
    const { rows } = this.paths;
    const chunk = rows.chunk(row);
    const at = rows.at(row);
    const post = chunk[at + PATH_POST]!;
    if (post === 0) return;
    const nextHop = this.#attributes.keys.chunk(post)[this.#attributes.keys.at(post) + KEY_NEXT_HOP]!;
    if (!this.#changedNextHops.has(nextHop)) return;
    if (this.#resentNextHops.has(nextHop)) chunk[at + PATH_PEER]! |= PATH_CHANGED;
    const net = chunk[at + PATH_NET]!;
    this.undecided.add(net);
    // The gateway may be another one although the path stays best.
    if (this.best(net) === row || (chunk[at + PATH_PEER]! & PATH_MULTI) !== 0) {
      for (const feed of this.feeds) feed.mark(net);
    }
  }
}
