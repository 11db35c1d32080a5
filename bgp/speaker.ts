/**
 * The speaker: sessions, RIB and the kernel's routes tied together, by a configuration that may change while it runs.
 */

import { isDeepStrictEqual } from 'node:util';
import { compareConfigs } from '#bgp/config/difference.ts';
import type { KernelConfig, SpeakerConfig } from '#bgp/config/model.ts';
import type { KernelRoutes } from '#bgp/kernel/kernel-routes.ts';
import { countersOf } from '#bgp/rib/queries.ts';
import { Rib, type UpdateResult } from '#bgp/rib/rib.ts';
import type { PeerSettings } from '#bgp/rib/settings.ts';
import type { Clock } from '#bgp/session/clock.ts';
import { describeFailure } from '#bgp/session/events.ts';
import type { Session, SessionEvent, SessionHandler } from '#bgp/session/handler.ts';
import { Sessions } from '#bgp/session/manager.ts';
import type { Peer } from '#bgp/session/peer.ts';
import type { Sockets } from '#bgp/session/transport/sockets.ts';
import {
  type Family,
  familyName,
  IPV4_UNICAST,
  REFRESH_BEGIN,
  REFRESH_END,
  REFRESH_REQUEST,
} from '#bgp/wire/constants.ts';
import { describeError } from '#bgp/wire/errors.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import type { RouteRefresh } from '#bgp/wire/refresh.ts';
import { type Log, LogLimit } from '#daemon/log.ts';
import { SessionEvents } from './daemon/events.ts';
import { KernelSide } from './daemon/kernel-side.ts';
import type { InterfaceAddress, OwnAddresses } from './daemon/own-addresses.ts';
import { OwnRoutes } from './daemon/own-routes.ts';
import { SessionAddresses } from './daemon/session-addresses.ts';
import { SessionLog } from './daemon/session-log.ts';
import { peerSession, peerSettings, ribSettings } from './daemon/settings.ts';
import { Slices } from './daemon/slices.ts';

export type SpeakerOptions = {
  readonly clock: Clock;
  /** Numbers from 0 up to 1. */
  readonly random: () => number;
  readonly sockets: Sockets;
  readonly log: Log;
  /**
   * Opens the kernel's routes. Where the configuration has them off, routes are only learned and passed on, and every next hop counts
   * as reachable.
   *
   * @throws Error when it can not be done
   */
  readonly openKernel: (config: KernelConfig) => KernelRoutes;
  /** Addresses of this host. */
  readonly addresses: () => readonly InterfaceAddress[];
};

/** What the speaker knows of a neighbour beside its session. */
export type PeerRecord = {
  /** Index in the RIB; none before the first session. */
  index: number | undefined;
  /** UPDATEs whose routes were withdrawn for a malformed attribute. */
  treatAsWithdraw: number;
  /** Why the last connection ended, until the change of state that follows is told. */
  reason: string;
};

/** What a reload came to. */
export type Reloaded = {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  /** Neighbours whose session it ended. */
  readonly reset: readonly string[];
};

/** Thrown when a changed setting can not take effect in a running speaker. Nothing has been changed then. */
export class ReloadError extends Error {
  override readonly name = 'ReloadError';
  readonly code = 'NOT_RELOADED';
  readonly fields: readonly string[];

  constructor(fields: readonly string[], reason: string, options?: ErrorOptions) {
    super(`${fields.join(', ')}: ${reason}; nothing was changed`, options);
    this.fields = fields;
  }
}

/** Prefixes worked on at a time. */
const PIECE = 256;
/** Longest wait for neighbours to take the Cease and for the kernel, in ms: neither keeps the process from ending. */
const FAREWELL_MS = 5000;
/** How often addresses are looked at where nothing tells of changes, in ms. */
const ADDRESS_INTERVAL_MS = 2000;
/** Parts of the configuration that are read at the start only. */
const FIXED = ['api'] as const;
/** Those that the RIB has to know of. */
const OF_RIB = ['routerId', 'as', 'clusterId', 'decision', 'ecmp'] as const;

export class Speaker implements SessionHandler {
  readonly rib: Rib;
  readonly sessions: Sessions;
  readonly own: OwnRoutes;
  readonly events = new SessionEvents();
  /** ms since 1970. */
  readonly startedAt: number;
  /** When the RIB's clock was 0, ms since 1970. */
  readonly ribEpoch: number;
  readonly #options: SpeakerOptions;
  readonly #slices: Slices;
  readonly #limit: LogLimit;
  readonly #sessionLog: SessionLog;
  readonly #records = new Map<Peer, PeerRecord>();
  readonly #byIndex: (Peer | undefined)[] = [];
  readonly #kernelSide: KernelSide;
  readonly #addresses: SessionAddresses;
  #config: SpeakerConfig;
  #stopWatching = (): void => {};

  constructor(config: SpeakerConfig, options: SpeakerOptions) {
    const { clock, random, sockets, log, openKernel } = options;
    this.#config = config;
    this.#options = options;
    this.startedAt = clock.date();
    this.ribEpoch = this.startedAt;
    const zero = clock.now();
    this.rib = new Rib(ribSettings(config), {
      seed: Math.floor(random() * 2 ** 32),
      now: () => Math.floor((clock.now() - zero) / 1000),
    });
    this.rib.onOutput = (index) => this.#byIndex[index]?.wake();
    this.rib.onForeignNextHop = (peers, nextHop) => {
      const names = peers.map((index) => this.#byIndex[index]?.name ?? '');
      this.#sessionLog.foreignNextHop(names, nextHop);
    };
    this.#limit = new LogLimit(clock.now);
    this.#addresses = new SessionAddresses(options.addresses, (peer, own) => this.#readdress(peer, own));
    this.#sessionLog = new SessionLog(log, this.#limit);
    this.#slices = new Slices(clock, () => this.#work());
    this.own = new OwnRoutes(this.rib, (prefixes) => {
      this.#kernelSide.ownChanged(prefixes);
      this.#slices.wake();
    });
    this.sessions = new Sessions(config, { clock, random, sockets, handler: this });
    this.#kernelSide = new KernelSide(config.kernel, {
      clock,
      log,
      limit: this.#limit,
      rib: this.rib,
      own: this.own,
      open: openKernel,
      wake: () => this.#slices.wake(),
      expected: () => this.#expected(),
      othersMayCome: () =>
        this.#config.peers.some(({ match, enabled }) => match.kind === 'prefix' && enabled),
      addressesChanged: () => this.#addresses.refresh(),
    });
  }

  get config(): SpeakerConfig {
    return this.#config;
  }

  get kernel(): KernelRoutes | undefined {
    return this.#kernelSide.kernel;
  }

  /** @throws NetlinkError SyscallError when the kernel's routes can not be read */
  start(): void {
    this.#kernelSide.start();
    this.own.configure(this.#config.originate);
    this.sessions.start();
    this.#watchAddresses();
  }

  /**
   * Puts another configuration into force. Neighbours whose settings are the same are not touched.
   *
   * @throws ReloadError
   */
  reload(config: SpeakerConfig): Reloaded {
    const fixed = FIXED.filter((field) => !isDeepStrictEqual(this.#config[field], config[field]));
    if (fixed.length > 0) {
      throw new ReloadError(
        fixed,
        'found another value than at the start, expected the same, as a change takes a restart of the speaker',
      );
    }
    const before = this.#config;
    const difference = compareConfigs(before, config);
    const handOver = difference.parts.includes('kernel') ? this.#prepareKernel(config.kernel) : undefined;
    this.#config = config;
    handOver?.();
    const established = new Set([...this.sessions.peers].filter((peer) => peer.session !== undefined));
    this.sessions.reconfigure(config, difference);
    this.#forgetRemoved();
    if (OF_RIB.some((part) => difference.parts.includes(part))) this.rib.configure(ribSettings(config));
    const changed = new Set(difference.changed.map(({ after }) => after.key));
    for (const [peer, record] of this.#records) {
      if (!changed.has(peer.config.key) || record.index === undefined) continue;
      this.rib.updatePeer(record.index, this.#settingsOf(peer));
      this.#checkLimits(peer, record.index);
    }
    if (difference.originate.added.length + difference.originate.removed.length > 0) {
      this.own.configure(config.originate);
    }
    this.#slices.wake();
    const reset = [...established].filter((peer) => peer.session === undefined).map(({ name }) => name);
    return {
      added: difference.added.length,
      removed: difference.removed.length,
      changed: difference.changed.length,
      reset: reset.sort(),
    };
  }

  /** Ends all sessions with a Cease and lets go of everything; the routes stay in the kernel. */
  async stop(text: string): Promise<void> {
    this.#stopWatching();
    const closed = this.sessions.close({ text });
    // From here on nothing of what the neighbours' routes come to reaches the kernel.
    this.#slices.stop();
    const left = this.#kernelSide.close();
    let cancel = (): void => {};
    const longEnough = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(FAREWELL_MS, resolve);
    });
    await Promise.race([Promise.all([closed, left]), longEnough]);
    cancel();
  }

  /** There may be something for the RIB to do: to be called after what changes it from outside. */
  wake(): void {
    this.#slices.wake();
  }

  record(peer: Peer): PeerRecord {
    let record = this.#records.get(peer);
    if (record === undefined) {
      record = { index: undefined, treatAsWithdraw: 0, reason: '' };
      this.#records.set(peer, record);
    }
    return record;
  }

  /** The neighbour with an index in the RIB. */
  peerAt(index: number): Peer | undefined {
    return this.#byIndex[index];
  }

  // What sessions bring

  up(peer: Peer, session: Session): void {
    const record = this.record(peer);
    const settings = this.#settingsOf(peer);
    if (record.index === undefined) {
      record.index = this.rib.addPeer(settings);
      this.#byIndex[record.index] = peer;
    } else {
      this.rib.updatePeer(record.index, settings);
    }
    const own = this.#addresses.up(peer, session);
    this.rib.peerUp(record.index, peerSession(session, own));
    this.#warnOfMissingPolicy(peer, session);
    this.#warnOfMissingAddress(peer, session, own);
    this.#slices.wake();
  }

  down(peer: Peer): void {
    this.#addresses.down(peer);
    const record = this.record(peer);
    if (record.index !== undefined) this.rib.peerDown(record.index);
    this.#slices.wake();
  }

  update(peer: Peer, bytes: Uint8Array, start: number, end: number): Fault | undefined {
    const result = this.rib.update(this.#records.get(peer)!.index!, bytes, start, end);
    this.#slices.wake();
    return result && this.#look(peer, result);
  }

  refresh(peer: Peer, { family, subtype }: RouteRefresh): void {
    const { index } = this.record(peer);
    if (index === undefined) return;
    if (subtype === REFRESH_REQUEST) this.rib.refreshRequested(index, family);
    else if (subtype === REFRESH_BEGIN) this.rib.refreshBegins(index, family);
    else if (subtype === REFRESH_END) this.rib.refreshEnds(index, family);
    this.#slices.wake();
  }

  take(peer: Peer, room: number): readonly Uint8Array[] {
    const index = this.#records.get(peer)?.index;
    const bytes = index === undefined ? undefined : this.rib.take(index, room);
    if (this.rib.runnable) this.#slices.wake();
    return bytes === undefined ? NOTHING : [bytes];
  }

  event(event: SessionEvent): void {
    this.#sessionLog.event(event);
    switch (event.kind) {
      case 'failure':
        this.record(event.peer).reason = describeFailure(event.failure);
        break;
      case 'state': {
        const { peer, from, to } = event;
        const record = this.record(peer);
        this.events.emit({
          at: this.#options.clock.date(),
          neighbor: peer.name,
          from,
          to,
          reason: record.reason,
        });
        record.reason = '';
        break;
      }
      case 'removed':
        this.#forget(event.peer);
        break;
    }
  }

  // Parts of that

  /** RFC 8212: nothing passes to or from an external neighbour without a policy. Most often one was forgotten. */
  #warnOfMissingPolicy(peer: Peer, { negotiated }: Session): void {
    if (!negotiated.external) return;
    for (const { family, import: imports, export: exports } of peer.config.families) {
      if (!negotiated.families.includes(family)) continue;
      const missing = [imports ? '' : 'import', exports ? '' : 'export'].filter((each) => each !== '');
      if (missing.length === 0) continue;
      this.#options.log.warn(
        { neighbor: peer.name, family: familyName(family), missing },
        'an external neighbour without a policy: no routes pass in that direction (RFC 8212)',
      );
    }
  }

  /** It may come yet: see `SessionAddresses`. */
  #warnOfMissingAddress(peer: Peer, { negotiated }: Session, { self4, self6 }: OwnAddresses): void {
    for (const family of negotiated.families) {
      if ((family === IPV4_UNICAST ? self4 : self6) !== undefined) continue;
      this.#options.log.warn(
        { neighbor: peer.name, family: familyName(family) },
        'no address of ours to be the next hop on this session: routes that need one are not sent until there is one',
      );
    }
  }

  #readdress(peer: Peer, { self4, self6, sharedSubnets }: OwnAddresses): void {
    const { index } = this.record(peer);
    if (index !== undefined) this.rib.readdress(index, { self4, self6, sharedSubnets });
    this.#slices.wake();
  }

  /** Where nobody watches the kernel's routes, addresses are looked at from time to time. */
  #watchAddresses(): void {
    this.#stopWatching = this.#options.clock.after(ADDRESS_INTERVAL_MS, () => {
      try {
        if (this.kernel === undefined) this.#addresses.refresh();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        this.#options.log.warn({ error: error.message }, 'the addresses of this host could not be read');
      }
      this.#watchAddresses();
    });
  }

  #look(peer: Peer, { errors, notification, prefixes }: UpdateResult): Fault | undefined {
    if (errors.length > 0) {
      this.#sessionLog.malformed(peer, errors);
      if (errors.some(({ action }) => action === 'withdraw')) this.record(peer).treatAsWithdraw++;
    }
    if (notification !== undefined) {
      const worst = errors.at(-1);
      return { kind: 'fault', notification, reason: worst === undefined ? '' : describeError(worst) };
    }
    if (prefixes !== undefined) this.#onLimit(peer, prefixes.family, prefixes.level, prefixes.count);
    return undefined;
  }

  #onLimit(peer: Peer, family: Family, level: 'warning' | 'limit', count: number): void {
    const limits = peer.config.families.find((each) => each.family === family)?.maxPrefixes;
    if (limits === undefined) return;
    const facts = { neighbor: peer.name, family: familyName(family), count, limit: limits.limit };
    if (level === 'warning') {
      this.#options.log.warn(facts, 'the number of prefixes is near its limit');
      return;
    }
    this.#options.log.error({ ...facts, action: limits.action }, 'more prefixes than the limit allows');
    if (limits.action === 'stop') peer.limitExceeded(family, limits.limit, limits.restart);
  }

  /** A limit that was lowered holds for what is there. */
  #checkLimits(peer: Peer, index: number): void {
    if (peer.session === undefined) return;
    for (const { family, maxPrefixes } of peer.config.families) {
      if (maxPrefixes === undefined) continue;
      const { received } = countersOf(this.rib, index, family);
      if (received > maxPrefixes.limit) this.#onLimit(peer, family, 'limit', received);
    }
  }

  #settingsOf(peer: Peer): PeerSettings {
    return peerSettings(peer.name, peer.address, peer.config, this.#config);
  }

  #forgetRemoved(): void {
    for (const peer of this.#records.keys()) {
      if (this.sessions.peer(peer.name) !== peer) this.#forget(peer);
    }
  }

  #forget(peer: Peer): void {
    const index = this.#records.get(peer)?.index;
    this.#records.delete(peer);
    if (index === undefined) return;
    this.rib.removePeer(index);
    this.#byIndex[index] = undefined;
    this.#slices.wake();
  }

  // Work in slices

  #work(): boolean {
    const more = this.rib.process(PIECE);
    const kernelMore = this.#kernelSide.work(more);
    return more || kernelMore;
  }

  /** @throws ReloadError */
  #prepareKernel(config: KernelConfig): () => void {
    try {
      return this.#kernelSide.prepare(config);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new ReloadError(['kernel'], error.message, { cause: error });
    }
  }

  /** Neighbours that are to have a session, with the index of each in the RIB. */
  #expected(): [Peer, number | undefined][] {
    const expected = [...this.sessions.peers].filter(({ config }) => config.enabled);
    return expected.map((peer) => [peer, this.record(peer).index]);
  }
}

const NOTHING: readonly Uint8Array[] = [];
