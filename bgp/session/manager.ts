/**
 * All neighbours of the speaker: who there is by configuration, who connects from a prefix, and to whom a connection
 * belongs.
 */

import type { Socket } from 'node:net';
import { type Address, containsAddress, formatAddress, parseAddress } from '#bgp/config/address.ts';
import type { ConfigDifference } from '#bgp/config/difference.ts';
import type { ListenConfig, PeerConfig, SpeakerConfig } from '#bgp/config/model.ts';
import {
  CEASE_CONNECTION_REJECTED,
  ERROR_CEASE,
  type Notification,
  notification,
} from '#bgp/wire/notification.ts';
import type { Clock } from './clock.ts';
import type { SessionEvent, SessionHandler } from './handler.ts';
import { Listener } from './listener.ts';
import { Peer, type PeerOptions } from './peer.ts';
import { type SessionSettings, settingsOf } from './settings.ts';
import { Lingering, rejectConnection } from './transport/link.ts';
import { hopsOf, type KeyScope, type Listening, type Sockets } from './transport/sockets.ts';
import { Turns } from './transport/turns.ts';

export type SessionsOptions = {
  readonly clock: Clock;
  /** Numbers from 0 up to 1. */
  readonly random: () => number;
  readonly sockets: Sockets;
  readonly handler: SessionHandler;
};

/** How often a new connection waits a millisecond for what the neighbour said on its old one. */
const MAX_WAITS = 20;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #handler: SessionHandler;
  readonly #turns: Turns;
  readonly #lingering = new Lingering();
  readonly #peers = new Map<string, Peer>();
  /** Dynamic neighbours by the prefix that let them in. */
  readonly #templates = new Map<string, Template>();
  readonly #listeners = new Map<string, Listener>();
  /** Keys that the kernel did not take, by the neighbour's and the listener's name: without them anybody could come in. */
  readonly #missingKeys = new Map<string, Set<string>>();
  #config: SpeakerConfig;
  /** A dynamic neighbour whose connection is just about to be handed over. */
  #arriving: Peer | undefined;

  constructor(config: SpeakerConfig, options: SessionsOptions) {
    this.#config = config;
    this.#options = options;
    this.#turns = new Turns(options.clock);
    this.#handler = watching(options.handler, (event) => this.#onEvent(event));
  }

  /** Starts to listen and all neighbours that are enabled. */
  start(): void {
    for (const at of this.#config.listen) this.#listen(at);
    for (const peer of this.#config.peers) this.#add(peer);
  }

  get peers(): Iterable<Peer> {
    return this.#peers.values();
  }

  /** The neighbour with this address, written in any way. */
  peer(address: string): Peer | undefined {
    const parsed = parseAddress(address);
    return parsed && this.#peers.get(formatAddress(parsed));
  }

  /** Ports that are listened on, in the order of the configuration; 0 where that did not work (yet). */
  get ports(): number[] {
    return [...this.#listeners.values()].map((listener) => listener.listening?.port ?? 0);
  }

  /** Lets a new configuration take effect. Sessions that the difference does not name are not touched. */
  reconfigure(config: SpeakerConfig, difference: ConfigDifference): void {
    this.#config = config;
    for (const at of difference.listen.removed) this.#unlisten(at);
    for (const peer of difference.removed) this.#remove(peer);
    for (const { before, after, reset, fields } of difference.changed) {
      const passwordChanged = fields.some(({ field }) => field === 'password');
      if (passwordChanged) this.#setKey(after);
      const template = this.#templates.get(before.key);
      if (template !== undefined) template.config = after;
      for (const peer of this.#membersOf(before)) {
        peer.configure(after, this.#settings(after), reset);
        if (after.enabled && !before.enabled) peer.start();
        if (!after.enabled && before.enabled) peer.stop(after.shutdownMessage);
      }
    }
    for (const at of difference.listen.added) this.#listen(at);
    for (const peer of difference.added) {
      this.#setKey(peer);
      this.#add(peer);
    }
    // What had no room for it before may have now.
    for (const peer of config.peers) if (this.#missingKeys.has(peer.key)) this.#setKey(peer);
  }

  /**
   * Ends all sessions with Administrative Shutdown and the text, or without a word, and stops listening. Resolves when the
   * neighbours have taken what was sent to them, or after a few seconds.
   */
  close(farewell: { readonly text: string } | 'silent'): Promise<void> {
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
    for (const peer of this.#peers.values()) {
      if (farewell === 'silent') peer.abandon();
      else peer.stop(farewell.text);
    }
    this.#peers.clear();
    this.#templates.clear();
    return this.#lingering.none();
  }

  /** Prefixes that neighbours may connect from, with those that did. */
  get prefixes(): Iterable<{ readonly config: PeerConfig; readonly members: ReadonlySet<Peer> }> {
    return this.#templates.values();
  }

  #add(config: PeerConfig): void {
    if (config.match.kind === 'prefix') {
      this.#templates.set(config.key, { config, members: new Set() });
      return;
    }
    const peer = this.#newPeer(config.match.address, config);
    const dynamic = this.#peers.get(peer.name);
    if (dynamic !== undefined) this.#end(dynamic);
    this.#peers.set(peer.name, peer);
    if (config.enabled) peer.start();
  }

  /** A dynamic neighbour is one by its own address now. */
  #end(dynamic: Peer): void {
    this.#templates.get(dynamic.config.key)?.members.delete(dynamic);
    this.#peers.delete(dynamic.name);
    dynamic.remove();
    this.#handler.event({ kind: 'removed', peer: dynamic });
  }

  #remove(config: PeerConfig): void {
    this.#setKey({ ...config, password: undefined });
    for (const peer of this.#membersOf(config)) {
      this.#peers.delete(peer.name);
      peer.remove();
    }
    this.#templates.delete(config.key);
    this.#missingKeys.delete(config.key);
  }

  #membersOf(config: PeerConfig): Peer[] {
    if (config.match.kind === 'prefix') return [...(this.#templates.get(config.key)?.members ?? [])];
    const peer = this.#peers.get(formatAddress(config.match.address));
    return peer === undefined ? [] : [peer];
  }

  #newPeer(address: Address, config: PeerConfig): Peer {
    const { clock, random, sockets } = this.#options;
    const options: PeerOptions = {
      address,
      config,
      settings: this.#settings(config),
      clock,
      random,
      sockets,
      turns: this.#turns,
      lingering: this.#lingering,
      handler: this.#handler,
    };
    return new Peer(options);
  }

  #settings(peer: PeerConfig): SessionSettings {
    return settingsOf(peer, this.#config.routerId);
  }

  // Connections from others

  #accept(socket: Socket, waited = 0): void {
    const address = socket.remoteAddress === undefined ? undefined : parseAddress(socket.remoteAddress);
    if (address === undefined) {
      socket.on('error', () => {}); // gone before it was looked at
      socket.destroy();
      return;
    }
    if (socket.destroyed) return;
    const name = formatAddress(address);
    const known = this.#peers.get(name);
    const template = known === undefined ? this.#templateFor(address) : undefined;
    const config = (known ?? template)?.config;
    if (config !== undefined && this.#missingKeys.has(config.key)) {
      this.#reject(socket, name, `the kernel did not take the password of ${config.key}`);
      return;
    }
    if (config !== undefined && waited === 0 && this.#isTooFar(socket, name, config)) return;
    if (known !== undefined) {
      if (waited < MAX_WAITS && (known.unsettled || (waited === 0 && known.state === 'Established'))) {
        // The end of its last connection arrived with this one, or before it: that comes first.
        if (waited === 0) socket.on('error', () => {});
        this.#options.clock.after(1, () => this.#accept(socket, waited + 1));
      } else {
        known.offer(socket);
      }
      return;
    }
    if (template === undefined) this.#reject(socket, name, 'no such neighbour is configured');
    else if (!template.config.enabled) this.#reject(socket, name, `${template.config.key} is disabled`);
    else if (template.members.size >= limitOf(template.config)) {
      this.#reject(
        socket,
        name,
        `${template.config.key} has its ${limitOf(template.config)} neighbours already`,
      );
    } else {
      const peer = this.#newPeer(address, template.config);
      this.#peers.set(name, peer);
      template.members.add(peer);
      this.#handler.event({ kind: 'added', peer });
      this.#arriving = peer;
      peer.start();
      this.#arriving = undefined;
      peer.offer(socket);
    }
  }

  /**
   * Whether a connection came from farther away than its neighbour may be (RFC 5082). The kernel only looks at the TTL from when it has been
   * told to: what a stranger had sent before that would be read. Nothing is answered.
   */
  #isTooFar(socket: Socket, address: string, config: PeerConfig): boolean {
    const { minTtl } = hopsOf(config);
    if (minTtl === undefined) return false;
    let ttl: number | undefined;
    try {
      ttl = this.#options.sockets.firstTtl(socket);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return false; // it is gone already, as will be seen
    }
    if (ttl === undefined || ttl >= minTtl) return false;
    const reason = `it came with TTL ${ttl}, ttlSecurity expects ${minTtl} or more`;
    this.#turnAway(socket, address, reason, undefined);
    return true;
  }

  /** The longest prefix that the address is in. */
  #templateFor(address: Address): Template | undefined {
    let best: { length: number; template: Template } | undefined;
    for (const template of this.#templates.values()) {
      const { match } = template.config;
      if (match.kind !== 'prefix' || !containsAddress(match.prefix, address)) continue;
      if (best === undefined || match.prefix.length > best.length) {
        best = { length: match.prefix.length, template };
      }
    }
    return best?.template;
  }

  #reject(socket: Socket, address: string, reason: string): void {
    // RFC 4486 section 4.
    this.#turnAway(socket, address, reason, notification(ERROR_CEASE, CEASE_CONNECTION_REJECTED));
  }

  /** `why`: what it is told; nothing if `undefined`. */
  #turnAway(socket: Socket, address: string, reason: string, why: Notification | undefined): void {
    const { clock } = this.#options;
    const options = {
      turns: this.#turns,
      lingering: this.#lingering,
      now: clock.now,
      after: clock.after,
    };
    rejectConnection(socket, why, options);
    this.#handler.event({ kind: 'rejected', address, reason });
  }

  /** A dynamic neighbour without a connection is none any more, unless it is to be kept out. */
  #onEvent(event: SessionEvent): void {
    if (event.kind !== 'state' || (event.to !== 'Idle' && event.to !== 'Active')) return;
    const { peer } = event;
    const template = this.#templates.get(peer.config.key);
    if (template === undefined || !template.members.has(peer) || peer.hasConnection) return;
    if (peer.idleReason === 'stopped' || peer.idleReason === 'limit') return;
    if (peer === this.#arriving) return;
    template.members.delete(peer);
    this.#peers.delete(peer.name);
    peer.abandon();
    this.#handler.event({ kind: 'removed', peer });
  }

  // Listening

  #listen(at: ListenConfig): void {
    const { clock, sockets } = this.#options;
    const listener = new Listener(at, {
      clock,
      sockets,
      accept: (socket) => this.#accept(socket),
      opened: (listening) => {
        for (const peer of this.#config.peers) this.#setKeyOf(nameOf(at), listening, peer);
      },
      event: (event) => this.#handler.event(event),
    });
    this.#listeners.set(nameOf(at), listener);
    listener.open();
  }

  #unlisten(at: ListenConfig): void {
    this.#listeners.get(nameOf(at))?.close();
    this.#listeners.delete(nameOf(at));
    for (const key of [...this.#missingKeys.keys()]) this.#keyMissing(key, nameOf(at), false);
  }

  #setKey(peer: PeerConfig): void {
    for (const [name, { listening }] of this.#listeners) {
      if (listening !== undefined) this.#setKeyOf(name, listening, peer);
    }
  }

  /** The kernel has room for a number of keys only: a neighbour without its own is kept out, and the others are served. */
  #setKeyOf(listener: string, listening: Listening, peer: PeerConfig): void {
    try {
      setKey(listening, peer);
      this.#keyMissing(peer.key, listener, false);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#keyMissing(peer.key, listener, true);
      this.#handler.event({ kind: 'keyFailed', neighbor: peer.key, error });
    }
  }

  #keyMissing(key: string, listener: string, missing: boolean): void {
    const listeners = this.#missingKeys.get(key) ?? new Set();
    if (missing) listeners.add(listener);
    else listeners.delete(listener);
    if (listeners.size > 0) this.#missingKeys.set(key, listeners);
    else this.#missingKeys.delete(key);
  }
}

/** A prefix that neighbours may connect from, and those that did. */
type Template = { config: PeerConfig; readonly members: Set<Peer> };

function setKey(listening: Listening, { match, password }: PeerConfig): void {
  const scope: KeyScope = match;
  const family = scope.kind === 'address' ? scope.address.family : scope.prefix.family;
  if (family === listening.family) listening.setKey(scope, password);
}

function limitOf({ match }: PeerConfig): number {
  return match.kind === 'prefix' ? match.limit : 1;
}

function nameOf({ address, port }: ListenConfig): string {
  return `${formatAddress(address)} ${port}`;
}

/** A handler whose events somebody else sees too, after it. */
function watching(handler: SessionHandler, also: (event: SessionEvent) => void): SessionHandler {
  return {
    up: (peer, session) => handler.up(peer, session),
    down: (peer) => handler.down(peer),
    update: (peer, bytes, start, end) => handler.update(peer, bytes, start, end),
    refresh: (peer, refresh) => handler.refresh(peer, refresh),
    take: (peer, room) => handler.take(peer, room),
    event: (event) => {
      handler.event(event);
      also(event);
    },
  };
}
