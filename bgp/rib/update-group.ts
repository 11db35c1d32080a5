/**
 * Neighbours with the same export rules, and their Adj-RIB-Out: worked out once, encoded once, read by each at its own pace.
 *
 * Nets that changed wait in a set, so that repeated changes collapse. When there is room they are taken out in bulk, what is
 * to be sent for each is compared with what was sent, and the difference goes into the group's log. Neighbours that keep up
 * read from there. One that does not (a slow one, a new one, one that asked for a refresh) becomes a follower: it has its own set
 * of nets in which it differs from the group, and its own log; once both are empty it knows what the group's readers know, and
 * goes back to them. So what a slow neighbour costs is bounded by the number of nets, and nobody waits for it.
 *
 * A path is not sent back to the neighbour it was learned from, nor to the one whose own address is its next hop. That is a
 * matter of who reads a message (its audience), not of separate streams.
 */

import { type Family, REFRESH_BEGIN, REFRESH_END } from '#bgp/wire/constants.ts';
import { encodeEndOfRib } from '#bgp/wire/pack.ts';
import { encodeRouteRefresh } from '#bgp/wire/refresh.ts';
import { AdjRibOut } from './adj-rib-out.ts';
import { type AttributeStore, KEY_NEXT_HOP } from './attribute-store.ts';
import type { ByteStore } from './byte-store.ts';
import type { ExportPolicy } from './export-policy.ts';
import { NetSet } from './net-set.ts';
import type { NextHopTable } from './next-hops.ts';
import { FOR_ALL, forAllBut, forOnly, isLeftOut, type LeftOut, leaveOut } from './out-log.ts';
import type { Packer } from './packer.ts';
import { PATH_PEER, PATH_POST, type PathStore, PEER_MASK } from './paths.ts';
import { FROM_KERNEL, type PeerFamily, type RibPeer } from './peer.ts';
import { NET_BEST, type PrefixTable } from './prefix-table.ts';
import { Follower, Member, Stream } from './stream.ts';
import { readUnsent, type Unsent } from './unsent.ts';

/** How much is encoded ahead of those who read it, in octets. */
export type OutLimits = {
  /** Encoding stops when even the fastest reader is this far behind. */
  readonly ahead: number;
  /** A reader that is this far behind, while others are not, goes on its own. */
  readonly slow: number;
  /** Nets that are packed together, if so many wait: what comes in small pieces still goes out in full messages. */
  readonly batch: number;
};

/** What a group needs of the table it serves. */
export type GroupContext = {
  readonly family: Family;
  readonly table: PrefixTable;
  readonly paths: PathStore;
  readonly peers: readonly (RibPeer | undefined)[];
  readonly attributes: AttributeStore;
  /** By next hop id: the neighbour whose address that is. */
  readonly nextHops: NextHopTable;
  readonly out: ByteStore;
  readonly packer: Packer;
  readonly limits: OutLimits;
  /** Nets whose best path has not been decided since they changed. */
  readonly undecided: NetSet;
  /** Called when a member that had nothing to read has something. */
  readonly onOutput: (member: Member) => void;
  /** Called when a net has neither path nor holder any more. */
  readonly released: (net: number) => void;
};

export class UpdateGroup {
  readonly policy: ExportPolicy;
  /** The text that names its export rules. */
  readonly key: string;
  readonly sent: AdjRibOut;
  readonly #context: GroupContext;
  readonly #pending = new NetSet();
  readonly #main = new Stream();
  readonly #followers = new Set<Follower>();
  /** Where the walk through the pending nets is, and how often it has come to the end. */
  #cursor = 0;
  #laps = 0;
  /** Nets without paths and holders whose prefixes the packer still needs. */
  readonly #gone: number[] = [];

  constructor(key: string, policy: ExportPolicy, context: GroupContext) {
    this.key = key;
    this.policy = policy;
    this.#context = context;
    this.sent = new AdjRibOut(context.out);
  }

  /** Members, those on their own included. */
  get size(): number {
    let size = this.#main.members.size;
    for (const { members } of this.#followers) size += members.size;
    return size;
  }

  /** Nets whose change has not been looked at. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** A net's best path changed. */
  mark(net: number): void {
    if (this.#pending.add(net)) this.#context.table.hold(net, 1);
  }

  /** Every net is to be looked at again, for example because the rules are others. */
  markAll(): void {
    for (const net of this.#context.table.netsInUse()) this.mark(net);
  }

  /** Takes in a neighbour that knows nothing yet; it gets the whole Adj-RIB-Out and then an End-of-RIB. */
  join(peerFamily: PeerFamily): Member {
    let follower: Follower | undefined;
    for (const each of this.#followers) if (each.isNew && !each.begun) follower = each;
    if (follower === undefined) {
      follower = this.#follow(true);
      follower.owesEndOfRib = true;
      for (let net = this.sent.next(0); net !== 0; net = this.sent.next(net)) {
        this.#markFollower(follower, net);
      }
    }
    follower.since = this.#laps;
    follower.readyLap = undefined;
    return new Member(peerFamily, this, follower);
  }

  /**
   * Takes in a neighbour that moves here from another group, as its rules changed; it gets only what is different. The caller lets it
   * leave the old group.
   */
  adopt(peerFamily: PeerFamily, from: Member): Member {
    const old = from.group;
    const unsent = old.#unsent(from);
    const follower = this.#follow(false);
    follower.owesEndOfRib = unsent.endOfRib;
    for (const net of unsent.said) this.#markFollower(follower, net);
    for (const net of unsent.pending) this.#markFollower(follower, net);
    for (const net of this.#context.table.netsInUse()) {
      const same =
        this.sent.attributes(net) === old.sent.attributes(net) &&
        this.sent.leftOut(net) === old.sent.leftOut(net);
      if (!same) this.#markFollower(follower, net);
    }
    const member = new Member(peerFamily, this, follower);
    member.initialSent = from.initialSent;
    return member;
  }

  /** Starts a new group with the Adj-RIB-Out of another one, so that its members get only what their new rules change. */
  inherit(from: UpdateGroup): void {
    const { table } = this.#context;
    for (let net = from.sent.next(0); net !== 0; net = from.sent.next(net)) {
      this.sent.set(net, from.sent.attributes(net), from.sent.leftOut(net));
      table.hold(net, 1);
    }
    this.markAll();
  }

  leave(member: Member): void {
    member.stream.delete(member);
    this.#dropIfEmpty(member.stream);
  }

  /** Gives up everything that is kept. Not to be used after that. */
  close(): void {
    for (const follower of this.#followers) this.#drop(follower);
    for (const net of this.#pending) this.#unhold(net);
    for (let net = this.sent.next(0); net !== 0; net = this.sent.next(net)) {
      this.sent.set(net, 0, 0);
      this.#unhold(net);
    }
    this.policy.close();
  }

  /** Sends everything to a neighbour again (RFC 2918), between begin and end markers if it knows them (RFC 7313). */
  refresh(member: Member, enhanced: boolean): void {
    const inRefresh = member.stream instanceof Follower && member.stream.owesRefreshEnd;
    const follower = this.#detach(member);
    if (enhanced && !inRefresh) follower.owesRefreshBegin = true;
    if (enhanced) follower.owesRefreshEnd = true;
    follower.readyLap = undefined;
    for (let net = this.sent.next(0); net !== 0; net = this.sent.next(net)) {
      if (this.sentToMember(member, net) !== 0) this.#markFollower(follower, net);
    }
  }

  /** Encoded attributes that a member was or is being sent for a net, 0 for none. */
  sentToMember(member: Member, net: number): number {
    return isLeftOut(this.sent.leftOut(net), member.index) ? 0 : this.sent.attributes(net);
  }

  /** Nets in the Adj-RIB-Out of a member. */
  countFor(member: Member): number {
    return this.sent.count - this.sent.countWithout(member.index);
  }

  /** Nets whose change a member has not been told of. */
  pendingFor(member: Member): number {
    return this.#pending.size + (member.stream instanceof Follower ? member.stream.pending.size : 0);
  }

  /** Whether `process` would have something to do now. */
  get runnable(): boolean {
    if (this.#pending.size > 0 && this.#canRun()) return true;
    for (const follower of this.#followers) {
      if ((follower.pending.size > 0 || this.#owesNow(follower)) && this.#hasRoom(follower)) return true;
    }
    return false;
  }

  /** Looks at up to `budget` nets, and as many again for all that are on their own, and encodes what has changed. */
  process(budget: number): void {
    if (this.#pending.size > 0 && this.#canRun()) {
      this.#run(budget);
      this.#shedSlow(this.#main);
    }
    if (this.#followers.size === 0) return;
    const share = Math.ceil(budget / this.#followers.size);
    for (const follower of [...this.#followers]) {
      if (!this.#hasRoom(follower)) continue;
      if (follower.pending.size > 0 || follower.owesRefreshBegin) {
        this.#catchUp(follower, share);
        this.#shedSlow(follower);
      }
      this.#finish(follower);
    }
  }

  /** A member has read all that there is for it. */
  drained(member: Member): void {
    const { stream } = member;
    if (!(stream instanceof Follower)) return;
    if (stream.pending.size > 0 || stream.owes || !member.reader.empty) return;
    member.moveTo(this.#main);
    this.#dropIfEmpty(stream);
  }

  /** Moves changed nets into the log of the main stream; without readers there it only notes what readers would know. */
  #run(budget: number): void {
    const { table, packer, family } = this.#context;
    this.#collect(budget, this.#main.members.size > 0);
    if (packer.size > 0) {
      packer.flush(this.#main.log, table, family, this.policy.rules.maxMessage);
      this.#notify(this.#main);
    }
    this.#releaseGone();
  }

  /** The loop of `#run`; by itself, so that the engine compiles it with nothing behind it that it has not seen yet. */
  #collect(budget: number, encode: boolean): void {
    const { undecided } = this.#context;
    let wrapped = false;
    while (budget > 0 && this.#pending.size > 0) {
      const net = this.#pending.next(this.#cursor);
      if (net === -1) {
        if (wrapped) return; // all that is left is undecided
        wrapped = true;
        this.#cursor = 0;
        this.#laps++;
        continue;
      }
      this.#cursor = net + 1;
      budget--;
      if (!undecided.has(net)) this.#visit(net, encode);
    }
  }

  #visit(net: number, encode: boolean): void {
    const { table } = this.#context;
    this.#pending.delete(net);
    // It does not wait any more; being sent is another reason to hold it.
    const held = this.sent.attributes(net) !== 0;
    this.#settle(net, encode);
    const holds = this.sent.attributes(net) !== 0;
    const change = (holds ? 1 : 0) - (held ? 1 : 0) - 1;
    if (change === 0) return;
    table.hold(net, change);
    if (table.releasable(net)) this.#gone.push(net);
  }

  /** Compares what is to be sent for a net with what was sent. */
  #settle(net: number, encode: boolean): void {
    const { table, paths, peers, packer } = this.#context;
    const best = table.nets.chunk(net)[table.nets.at(net) + NET_BEST]!;
    let attributes = 0;
    let left: LeftOut = 0;
    if (best > 0) {
      const rows = paths.rows.chunk(best);
      const at = paths.rows.at(best);
      const peer = peers[rows[at + PATH_PEER]! & PEER_MASK]!;
      const post = rows[at + PATH_POST]!;
      attributes = this.policy.apply(post, peer, table, net);
      if (attributes !== 0) left = this.#leftOut(post, peer, attributes);
    }
    const before = this.sent.attributes(net);
    const leftBefore = this.sent.leftOut(net);
    if (attributes === before && left === leftBefore) return;

    if (encode) {
      if (attributes !== before) {
        const audience = amongMembers(this.#main, attributes !== 0 ? left : leftBefore);
        packer.add(net, attributes, audience === 0 ? FOR_ALL : forAllBut(audience));
      }
      if (left !== leftBefore && attributes !== 0 && before !== 0) {
        this.#tellOnly(net, 0, left, leftBefore);
        if (attributes === before) this.#tellOnly(net, attributes, leftBefore, left);
      }
    }
    if (this.#followers.size > 0) {
      for (const follower of this.#followers) this.#markFollower(follower, net);
    }
    this.sent.set(net, attributes, left);
  }

  /**
   * Who is not sent a path: where it is from, and whose own address would be its next hop (RFC 4271 section 5.1.3: such a route shall not
   * be advertised to that peer).
   */
  #leftOut(post: number, from: RibPeer, attributes: number): LeftOut {
    const source = from.source > FROM_KERNEL ? from.index : 0;
    const { attributes: store, nextHops } = this.#context;
    const owner = nextHops.owner[store.keys.chunk(post)[store.keys.at(post) + KEY_NEXT_HOP]!]!;
    if (owner === 0 || owner === source) return source;
    return this.policy.sends(attributes, store.nextHop(post)) ? leaveOut(source, owner) : source;
  }

  /** Says of a net to those members of the main stream that are among `peers` and not among `others` what nobody else is told. */
  #tellOnly(net: number, attributes: number, peers: LeftOut, others: LeftOut): void {
    for (const peer of [peers & 0xffff, peers >>> 16]) {
      if (peer === 0 || isLeftOut(others, peer) || !this.#main.indexes.has(peer)) continue;
      this.#context.packer.add(net, attributes, forOnly(peer));
    }
  }

  /** Encodes for a follower what its group knows of its pending nets. */
  #catchUp(follower: Follower, budget: number): void {
    const { table, packer, family } = this.#context;
    if (follower.owesRefreshBegin) {
      follower.log.appendCopy(encodeRouteRefresh(family, REFRESH_BEGIN), FOR_ALL);
      follower.owesRefreshBegin = false;
    }
    follower.begun = true;
    for (; budget > 0 && follower.pending.size > 0; budget--) {
      let net = follower.pending.next(follower.cursor);
      if (net === -1) {
        follower.laps++;
        net = follower.pending.next(0);
      }
      follower.cursor = net + 1;
      follower.pending.delete(net);
      const attributes = this.sent.attributes(net);
      const left = amongMembers(follower, this.sent.leftOut(net));
      const known = follower.sent === undefined || follower.sent.has(net);
      if (attributes !== 0) {
        const count = left === 0 ? 0 : left > 0xffff ? 2 : 1;
        if (follower.members.size > count) {
          packer.add(net, attributes, count === 0 ? FOR_ALL : forAllBut(left));
        }
        if (known) {
          if (count > 0) packer.add(net, 0, forOnly(left & 0xffff));
          if (count > 1) packer.add(net, 0, forOnly(left >>> 16));
        }
        follower.sent?.add(net);
      } else if (known) {
        packer.add(net, 0, FOR_ALL);
        follower.sent?.delete(net);
      }
      table.hold(net, -1);
      if (table.releasable(net)) this.#gone.push(net);
    }
    if (packer.size > 0) packer.flush(follower.log, table, family, this.policy.rules.maxMessage);
    this.#releaseGone();
    this.#notify(follower);
  }

  /** Ends what a follower was for, once it has caught up. */
  #finish(follower: Follower): void {
    if (this.#owesNow(follower)) {
      const { family } = this.#context;
      follower.begun = true;
      if (follower.owesEndOfRib) {
        follower.log.appendCopy(encodeEndOfRib(family), FOR_ALL);
        for (const member of follower.members) member.initialSent = true;
      }
      if (follower.owesRefreshEnd) {
        follower.log.appendCopy(encodeRouteRefresh(family, REFRESH_END), FOR_ALL);
      }
      follower.owesEndOfRib = false;
      follower.owesRefreshEnd = false;
      this.#notify(follower);
    }
    if (follower.pending.size > 0 || follower.owes) return;
    for (const member of follower.members) this.drained(member);
  }

  /**
   * Whether the end marker is due: the group has looked at all that was pending when the follower came, and the follower at
   * all that it differed in then. (Both may never be without changes, but each has been all the way round.)
   */
  #owesNow(follower: Follower): boolean {
    if (!follower.owes) return false;
    if (this.#pending.size > 0 && this.#laps < follower.since + 2) return false;
    if (follower.pending.size === 0) return true;
    follower.readyLap ??= follower.laps;
    return follower.laps > follower.readyLap + 1;
  }

  /** Lets readers of a stream that are far behind go on their own if anybody in the group is not. */
  #shedSlow(stream: Stream): void {
    const { slow } = this.#context.limits;
    const laggards: Member[] = [];
    for (const member of stream.members) if (member.reader.behind > slow) laggards.push(member);
    // One that is alone in its stream holds up the main stream only.
    if (laggards.length === 0 || (stream !== this.#main && stream.members.size === 1)) return;
    if (this.#anyHasRoom()) for (const member of laggards) this.#detach(member);
  }

  /** The main stream goes on for followers too: what they wait for goes through it. */
  #canRun(): boolean {
    return this.#main.members.size === 0 || this.#anyHasRoom();
  }

  #anyHasRoom(): boolean {
    if (this.#hasRoom(this.#main)) return true;
    for (const follower of this.#followers) if (this.#hasRoom(follower)) return true;
    return false;
  }

  /** Whether some reader of a stream is not far behind. */
  #hasRoom(stream: Stream): boolean {
    const { ahead } = this.#context.limits;
    for (const { reader } of stream.members) if (reader.behind < ahead) return true;
    return false;
  }

  /** Makes a member the only one of a new follower that owes it what it has not read. */
  #detach(member: Member): Follower {
    const unsent = this.#unsent(member);
    const old = member.stream;
    const follower = this.#follow(false);
    if (old instanceof Follower && old.sent !== undefined) {
      follower.sent = new NetSet();
      for (const net of old.sent) follower.sent.add(net);
    }
    follower.owesEndOfRib = unsent.endOfRib;
    follower.owesRefreshBegin = unsent.refreshBegin;
    follower.owesRefreshEnd = unsent.refreshEnd;
    for (const net of unsent.said) {
      this.#markFollower(follower, net);
      // It may be the withdrawal that has not been read.
      follower.sent?.add(net);
    }
    for (const net of unsent.pending) this.#markFollower(follower, net);
    member.moveTo(follower);
    this.#dropIfEmpty(old);
    return follower;
  }

  /** What a member does not know although its group's readers do; its reader is at the end then. */
  #unsent(member: Member): Unsent {
    const { family, table } = this.#context;
    const unsent = readUnsent(member.reader, family, table);
    const { stream } = member;
    if (stream instanceof Follower) {
      for (const net of stream.pending) unsent.pending.add(net);
      unsent.endOfRib ||= stream.owesEndOfRib;
      unsent.refreshBegin ||= stream.owesRefreshBegin;
      unsent.refreshEnd ||= stream.owesRefreshEnd;
    }
    return unsent;
  }

  #follow(isNew: boolean): Follower {
    const follower = new Follower(isNew, this.#laps);
    this.#followers.add(follower);
    return follower;
  }

  #dropIfEmpty(stream: Stream): void {
    if (stream instanceof Follower && stream.members.size === 0) this.#drop(stream);
  }

  #drop(follower: Follower): void {
    this.#followers.delete(follower);
    for (const net of follower.pending) this.#unhold(net);
    follower.pending.clear();
  }

  #markFollower(follower: Follower, net: number): void {
    if (follower.pending.add(net)) this.#context.table.hold(net, 1);
  }

  #unhold(net: number): void {
    const { table, released } = this.#context;
    table.hold(net, -1);
    if (table.releasable(net)) released(net);
  }

  #notify(stream: Stream): void {
    for (const member of stream.members) {
      if (member.notified || member.reader.empty) continue;
      member.notified = true;
      this.#context.onOutput(member);
    }
  }

  #releaseGone(): void {
    const { table, released } = this.#context;
    for (const net of this.#gone) if (table.releasable(net)) released(net);
    this.#gone.length = 0;
  }
}

/** Of those who are left out, the ones that read a stream. */
function amongMembers({ indexes }: Stream, left: LeftOut): LeftOut {
  if (left === 0) return 0;
  const one = left & 0xffff;
  const other = left >>> 16;
  return leaveOut(indexes.has(one) ? one : 0, other !== 0 && indexes.has(other) ? other : 0);
}
