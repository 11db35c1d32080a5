/**
 * The RIB of a speaker: routes in from sessions, routes out to sessions, and the tables between.
 *
 * Everything here is synchronous and without clock or socket. Calls that bring news (`update`, `peerDown`, `originate`, ...) only
 * note it; `process` works on it in slices, until it says that nothing is left to do. What is to be sent waits to be taken.
 */

import { ACCEPT_ALL, REJECT_ALL } from '#bgp/filter/builtin.ts';
import { CompiledFilter } from '#bgp/filter/compile.ts';
import type { Filter } from '#bgp/filter/types.ts';
import { type Family, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { AttributeStore } from './attribute-store.ts';
import { ByteStore } from './byte-store.ts';
import { ExportPolicy, exportRules } from './export-policy.ts';
import { FamilyRib } from './family-rib.ts';
import { ImportPolicy, importRules } from './import-policy.ts';
import { Inbound, type UpdateResult } from './inbound.ts';
import { NextHopTable, type NextHopTracker, type Resolution } from './next-hops.ts';
import { NlriList } from './nlri-list.ts';
import { Packer } from './packer.ts';
import {
  activeFamily,
  FROM_CLIENT,
  FROM_EBGP,
  FROM_IBGP,
  FROM_KERNEL,
  FROM_LOCAL,
  PeerFamily,
  RibPeer,
} from './peer.ts';
import { PrefixTable4, PrefixTable6 } from './prefix-table.ts';
import type { OwnSessionAddresses, PeerSession, PeerSettings, RibSettings } from './settings.ts';
import type { Member } from './stream.ts';
import { type GroupContext, type OutLimits, UpdateGroup } from './update-group.ts';

export type { UpdateResult };

export type RibOptions = {
  /** Any number; random in production, so that nobody outside can choose keys that collide. */
  readonly seed: number;
  /** Seconds since some fixed moment. */
  readonly now: () => number;
  /** What holds for next hops that the tracker has not spoken of; reachable at no cost unless given. */
  readonly unresolved?: Resolution;
  readonly tracker?: NextHopTracker;
  readonly limits?: OutLimits;
};

export type OwnSource = 'local' | 'kernel';

/** Peer indexes of routes of our own. */
export const LOCAL_PEER = 1;
export const KERNEL_PEER = 2;

export class Rib {
  readonly nextHops: NextHopTable;
  readonly attributes: AttributeStore;
  /** Encoded attributes as they are sent. */
  readonly out: ByteStore;
  readonly families: ReadonlyMap<Family, FamilyRib>;
  readonly peers: (RibPeer | undefined)[] = [undefined];
  /** Called with the index of a peer that had nothing to be sent and has something. */
  onOutput: (peer: number) => void = () => {};
  /**
   * Called when a next hop that is not connected (RFC 4271 section 6.3) has come from one of these peers: for the first one only, as long
   * as their rules stay the same.
   */
  onForeignNextHop: (peers: readonly number[], nextHop: NextHop) => void = () => {};
  #settings: RibSettings;
  readonly #now: () => number;
  readonly #limits: OutLimits;
  readonly #packer: Packer;
  readonly #inbound: Inbound;
  readonly #single = new NlriList();
  readonly #importPolicies = new Map<string, { readonly policy: ImportPolicy; users: number }>();
  /** Removed peers whose index may still stand somewhere. */
  readonly #retired: RibPeer[] = [];
  readonly #freeIndexes: number[] = [];
  #identities = 0;

  constructor(settings: RibSettings, options: RibOptions) {
    this.#settings = settings;
    this.#now = options.now;
    this.#limits = options.limits ?? OUT_LIMITS;
    this.nextHops = new NextHopTable(options.unresolved ?? { reachable: true, metric: 0 }, options.tracker);
    this.attributes = new AttributeStore(options.seed, this.nextHops, {
      localPref: settings.defaultLocalPref,
      med: settings.decision.missingMedIsWorst ? 0xffffffff : 0,
    });
    this.out = new ByteStore(options.seed);
    this.#packer = new Packer(this.out);
    const familyRib = (family: Family) =>
      new FamilyRib(
        family,
        family === IPV4_UNICAST ? new PrefixTable4(options.seed) : new PrefixTable6(options.seed),
        this.attributes,
        this.nextHops,
        this.peers,
        settings.decision,
        settings.multipath,
        this.#limits.batch,
      );
    this.families = new Map([IPV4_UNICAST, IPV6_UNICAST].map((family) => [family, familyRib(family)]));
    this.#inbound = new Inbound(this.families, this.attributes, options.now);
    this.nextHops.onChange = (id) => {
      for (const rib of this.families.values()) rib.sweepNextHop(id);
    };
    for (const source of [FROM_LOCAL, FROM_KERNEL] as const) {
      const own: PeerSettings = { ...OWN, name: source === FROM_LOCAL ? 'local' : 'kernel' };
      const peer = new RibPeer(this.peers.length, own, source, settings.routerId, this.#identities++);
      for (const family of this.families.keys()) peer.families.set(family, new PeerFamily(peer, family));
      this.peers.push(peer);
    }
  }

  get settings(): RibSettings {
    return this.#settings;
  }

  /**
   * Puts other settings into force without touching any session: everything is decided again, and what depends on AS, router id
   * and cluster id is filtered and sent again. The local preference of routes that come without one stays what it was.
   */
  configure(settings: RibSettings): void {
    const { routerId } = this.#settings;
    this.#settings = { ...settings, defaultLocalPref: this.#settings.defaultLocalPref };
    for (const index of [LOCAL_PEER, KERNEL_PEER]) {
      const own = this.peers[index]!;
      own.routerId = settings.routerId;
      if (routerId !== settings.routerId) own.identity = this.#identities++;
    }
    for (const rib of this.families.values()) rib.setDecision(settings.decision, settings.multipath);
    for (const [index, peer] of this.peers.entries()) {
      if (peer?.session !== undefined) this.updatePeer(index, peer.settings);
    }
  }

  /** A neighbour that sessions may come up for. @returns its index, which names it in all other calls. */
  addPeer(settings: PeerSettings): number {
    this.#recycle();
    const index = this.#freeIndexes.shift() ?? this.peers.length;
    if (index > 0xffff) throw new RangeError('RIB: more than 65,535 neighbours');
    this.peers[index] = new RibPeer(index, settings, FROM_EBGP, 0, this.#identities++);
    this.#setOwner(settings.address, index);
    return index;
  }

  /** Forgets a neighbour, and its routes in slices of `process`. Its index is not to be used again. */
  removePeer(index: number): void {
    const peer = this.#peer(index);
    if (peer.session !== undefined) this.peerDown(index);
    for (const of of peer.families.values()) this.families.get(of.family)!.sweepStale(of);
    const { address } = peer.settings;
    if (this.nextHops.ownerOf(address) === index) this.#setOwner(address, 0);
    this.#retired.push(peer);
  }

  /**
   * Puts other settings into force without touching the session: paths are filtered again, and what is sent differently is
   * sent. Families that are not among the agreed ones wait for the next session.
   */
  updatePeer(index: number, settings: PeerSettings): void {
    const peer = this.#peer(index);
    const before = peer.settings;
    peer.settings = settings;
    const { session } = peer;
    if (session === undefined) return;
    const source = sourceOf(settings, session);
    const changed = source !== peer.source || before.address !== settings.address;
    peer.source = source;
    if (changed) peer.identity = this.#identities++;
    for (const of of peer.families.values()) {
      if (!of.active || !settings.families.has(of.family)) continue;
      if (this.#setPolicy(of, session)) this.#rib(of).sweepPolicy(of);
      if (changed) this.#rib(of).sweepChanged(of);
      this.#regroup(of, session);
    }
  }

  /** Our addresses on a running session are others than when it came up: what depends on them is filtered and sent again. */
  readdress(index: number, own: OwnSessionAddresses): void {
    const peer = this.#peer(index);
    if (peer.session === undefined) return;
    peer.session = { ...peer.session, ...own };
    this.updatePeer(index, peer.settings);
  }

  /** The session with a neighbour is Established. */
  peerUp(index: number, session: PeerSession): void {
    const peer = this.#peer(index);
    if (peer.session !== undefined) this.peerDown(index);
    peer.session = session;
    const source = sourceOf(peer.settings, session);
    const changed = peer.source !== source || peer.routerId !== session.routerId;
    peer.source = source;
    peer.routerId = session.routerId;
    if (changed) peer.identity = this.#identities++;
    peer.context = this.attributes.context(session.codec, session.scope ?? 0);
    for (const family of session.families) {
      const rib = this.families.get(family);
      if (rib === undefined || !peer.settings.families.has(family)) continue;
      let of = peer.families.get(family);
      if (of === undefined) {
        of = new PeerFamily(peer, family);
        peer.families.set(family, of);
      }
      of.active = true;
      of.endOfRibReceived = false;
      of.limitReached = 0;
      of.addPath = session.codec.addPathReceive?.includes(family) === true;
      if (this.#setPolicy(of, session)) rib.sweepPolicy(of);
      if (changed) rib.sweepChanged(of);
      of.member = this.#group(of, session).join(of);
    }
    // What was kept for a family that is not carried any more.
    for (const of of peer.families.values()) if (!of.active) this.#rib(of).sweepStale(of);
  }

  /**
   * The session with a neighbour is over. Its routes go, in slices of `process`; with `keep` they stay, as stale ones, until an
   * End-of-RIB in the next session or `dropStale` (RFC 4724).
   */
  peerDown(index: number, keep = false): void {
    const peer = this.#peer(index);
    if (peer.session === undefined) return;
    for (const of of peer.families.values()) {
      if (!of.active) continue;
      const rib = this.#rib(of);
      this.#leave(of);
      of.active = false;
      of.restarting = keep;
      rib.markStale(of);
      if (!keep) rib.sweepStale(of);
    }
    peer.session = undefined;
  }

  /** Takes in the UPDATE whose body is `bytes` from `start` to `end`. The session with the neighbour has to be up. */
  update(index: number, bytes: Uint8Array, start: number, end: number): UpdateResult | undefined {
    return this.#inbound.update(this.peers[index]!, bytes, start, end);
  }

  /** The neighbour wants our routes again: RFC 2918, RFC 7313. */
  refreshRequested(index: number, family: Family): void {
    const peer = this.#peer(index);
    const member = peer.families.get(family)?.member;
    member?.group.refresh(member, peer.session!.enhancedRefresh);
  }

  /** Begin of a refresh by the neighbour (RFC 7313 section 4): what it does not say again until the end is gone. */
  refreshBegins(index: number, family: Family): void {
    const of = activeFamily(this.#peer(index), family);
    if (of !== undefined) this.#rib(of).markStale(of);
  }

  refreshEnds(index: number, family: Family): void {
    this.dropStale(index, family);
  }

  /** Drops what is stale of a neighbour: at the end of a refresh, or when a restart takes too long. */
  dropStale(index: number, family: Family): void {
    const of = this.#peer(index).families.get(family);
    if (of === undefined) return;
    of.restarting = false;
    this.#rib(of).sweepStale(of);
  }

  /** Runs the import filters of a neighbour over everything again. */
  softReset(index: number, family: Family): void {
    const of = activeFamily(this.#peer(index), family);
    if (of !== undefined) this.#rib(of).sweepPolicy(of);
  }

  /** Sends everything to a neighbour again, without being asked. */
  resend(index: number, family: Family): void {
    const member = this.#peer(index).families.get(family)?.member;
    member?.group.refresh(member, false);
  }

  /**
   * Adds a route of our own or changes it. `address` is 4 or 16 bytes. The unspecified address as next hop stands for us, on each session
   * for the address that we have there.
   */
  originate(
    family: Family,
    address: Uint8Array,
    length: number,
    attributes: PathAttributes,
    source: OwnSource = 'local',
  ): void {
    const rib = this.families.get(family)!;
    const of = this.peers[source === 'local' ? LOCAL_PEER : KERNEL_PEER]!.families.get(family)!;
    this.#single.single(rib.table.internBytes(address, length));
    rib.announce(of, this.#single, this.attributes.internAttributes(attributes), this.#now());
  }

  /** Takes a route of our own back. @returns whether there was one. */
  withdraw(family: Family, address: Uint8Array, length: number, source: OwnSource = 'local'): boolean {
    const rib = this.families.get(family)!;
    const of = this.peers[source === 'local' ? LOCAL_PEER : KERNEL_PEER]!.families.get(family)!;
    const before = of.received;
    this.#single.single(rib.table.findBytes(address, length));
    rib.withdraw(of, this.#single);
    return of.received < before;
  }

  /**
   * Works on what is to be done, in a slice: up to `budget` prefixes for each of the things that there are to do with them.
   *
   * @returns whether something is left that can be done now. (What waits for a neighbour to read can not.)
   */
  process(budget: number): boolean {
    for (const rib of this.families.values()) if (rib.runnable) rib.process(budget);
    return this.runnable;
  }

  /** Whether `process` would have something to do. It may after every other call, `take` among them. */
  get runnable(): boolean {
    for (const rib of this.families.values()) if (rib.runnable) return true;
    return false;
  }

  /**
   * The next messages for a neighbour, as a view that stays as it is: whole ones, up to `maxBytes` unless the first is longer alone.
   * `undefined` if there are none; `onOutput` tells when there are again.
   */
  take(index: number, maxBytes: number): Uint8Array | undefined {
    for (const { member } of this.peers[index]!.families.values()) {
      const bytes = member?.take(maxBytes);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** Octets that wait to be taken for a neighbour, roughly: some may turn out to be for others. */
  queued(index: number): number {
    let sum = 0;
    for (const { member } of this.peers[index]!.families.values()) sum += member?.reader.behind ?? 0;
    return sum;
  }

  /** Who is sent routes whose next hop is this address depends on whose address it is. */
  #setOwner(address: Uint8Array, index: number): void {
    for (const id of this.nextHops.setOwner(address, index)) {
      for (const rib of this.families.values()) rib.sweepNextHop(id, true);
    }
  }

  #rib(of: PeerFamily): FamilyRib {
    return this.families.get(of.family)!;
  }

  #peer(index: number): RibPeer {
    const peer = this.peers[index];
    if (peer === undefined) throw new RangeError(`RIB: no peer with index ${index}`);
    return peer;
  }

  /** @returns whether the import policy is another one than before. */
  #setPolicy(of: PeerFamily, session: PeerSession): boolean {
    const { settings } = of.peer;
    const family = settings.families.get(of.family)!;
    const filter = new CompiledFilter(family.import ?? [defaultFilter(session)]);
    const { rules, key } = importRules(this.#settings, settings, family, session, filter);
    let entry = this.#importPolicies.get(key);
    if (entry === undefined) {
      const policy = new ImportPolicy(rules, filter, this.attributes);
      policy.onForeignNextHop = (nextHop) => this.onForeignNextHop(this.#usersOf(policy), nextHop);
      entry = { policy, users: 0 };
      this.#importPolicies.set(key, entry);
    }
    if (of.policy === entry.policy) return false;
    entry.users++;
    this.#releasePolicy(of);
    of.policy = entry.policy;
    return true;
  }

  #usersOf(policy: ImportPolicy): number[] {
    return this.peers.flatMap((peer) =>
      [...(peer?.families.values() ?? [])].some((of) => of.policy === policy) ? peer!.index : [],
    );
  }

  #releasePolicy(of: PeerFamily): void {
    for (const [key, entry] of this.#importPolicies) {
      if (entry.policy !== of.policy) continue;
      if (--entry.users === 0) {
        this.#importPolicies.delete(key);
        entry.policy.close();
      }
      break;
    }
    of.policy = undefined;
  }

  /** The update group of a peer, new if there is none for its rules. */
  #group(of: PeerFamily, session: PeerSession, like?: UpdateGroup): UpdateGroup {
    const rib = this.#rib(of);
    const { settings } = of.peer;
    const family = settings.families.get(of.family)!;
    const { rules, key } = exportRules(this.#settings, settings, family, session, of.family);
    let group = rib.groups.find((each) => each.key === key);
    if (group === undefined) {
      const filter = new CompiledFilter(family.export ?? [defaultFilter(session)]);
      const policy = new ExportPolicy(rules, filter, this.attributes, this.out);
      group = new UpdateGroup(key, policy, this.#groupContext(rib));
      rib.groups.push(group);
      if (like === undefined) group.markAll();
      else group.inherit(like);
    }
    return group;
  }

  #groupContext(rib: FamilyRib): GroupContext {
    return {
      family: rib.family,
      table: rib.table,
      paths: rib.paths,
      peers: this.peers,
      attributes: this.attributes,
      nextHops: this.nextHops,
      out: this.out,
      packer: this.#packer,
      limits: this.#limits,
      undecided: rib.undecided,
      onOutput: (member) => this.onOutput(member.peerFamily.peer.index),
      released: rib.release,
    };
  }

  /** Moves a peer whose export rules have changed to the group that it belongs to now. */
  #regroup(of: PeerFamily, session: PeerSession): void {
    const { member } = of;
    if (member === undefined) return;
    const group = this.#group(of, session, member.group);
    if (group === member.group) return;
    of.member = group.adopt(of, member);
    this.#leaveGroup(of, member.group, member);
  }

  #leave(of: PeerFamily): void {
    const { member } = of;
    of.member = undefined;
    if (member !== undefined) this.#leaveGroup(of, member.group, member);
  }

  #leaveGroup(of: PeerFamily, group: UpdateGroup, member: Member): void {
    group.leave(member);
    if (group.size > 0) return;
    const { groups } = this.#rib(of);
    groups.splice(groups.indexOf(group), 1);
    group.close();
  }

  /** Frees the indexes of removed peers that stand nowhere any more. */
  #recycle(): void {
    for (let i = this.#retired.length - 1; i >= 0; i--) {
      const peer = this.#retired[i]!;
      const used = [...peer.families.values()].some((of) => {
        const rib = this.#rib(of);
        const waits = rib.undecided.size > 0 || rib.groups.some((group) => group.pendingCount > 0);
        return of.received + of.stale > 0 || rib.sweeping || waits;
      });
      if (used) continue;
      for (const of of peer.families.values()) this.#releasePolicy(of);
      this.#retired.splice(i, 1);
      this.peers[peer.index] = undefined;
      this.#freeIndexes.push(peer.index);
    }
  }
}

/** Enough for a socket to be busy, and a few of the largest buffers that the kernel has for one. */
const OUT_LIMITS: OutLimits = { ahead: 256 * 1024, slow: 4 * 1024 * 1024, batch: 4096 };

const OWN: PeerSettings = {
  name: '',
  address: new Uint8Array(0),
  localAs: 0,
  routeReflectorClient: false,
  asOverride: false,
  honourGracefulShutdown: false,
  connectedNextHop: false,
  gracefulShutdown: false,
  families: new Map(),
};

/** Without a filter: everything from and to internal neighbours, nothing from and to external ones (RFC 8212). */
function defaultFilter(session: PeerSession): Filter {
  return session.codec.ebgp ? REJECT_ALL : ACCEPT_ALL;
}

function sourceOf(
  settings: PeerSettings,
  session: PeerSession,
): typeof FROM_EBGP | typeof FROM_IBGP | typeof FROM_CLIENT {
  if (session.codec.ebgp) return FROM_EBGP;
  return settings.routeReflectorClient ? FROM_CLIENT : FROM_IBGP;
}
