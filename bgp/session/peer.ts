/**
 * One neighbour at work: its state machine, tied to real connections and timers. Decides nothing itself.
 */

import type { Socket } from 'node:net';
import { type Address, formatAddress, parseAddress } from '#bgp/config/address.ts';
import type { PeerConfig } from '#bgp/config/model.ts';
import { findCapability } from '#bgp/wire/capabilities.ts';
import {
  afiOf,
  type Family,
  HEADER_LENGTH,
  KEEPALIVE,
  NOTIFICATION,
  OPEN,
  REFRESH_END,
  REFRESH_REQUEST,
  ROUTE_REFRESH,
  safiOf,
  UPDATE,
} from '#bgp/wire/constants.ts';
import { encodeKeepalive } from '#bgp/wire/header.ts';
import {
  CEASE_ADMIN_RESET,
  CEASE_ADMIN_SHUTDOWN,
  CEASE_COLLISION,
  CEASE_CONFIGURATION_CHANGE,
  CEASE_MAX_PREFIXES,
  CEASE_PEER_DECONFIGURED,
  decodeNotification,
  ERROR_CEASE,
  encodeNotification,
  type Fault,
  type Notification,
  notification,
  shutdown,
} from '#bgp/wire/notification.ts';
import { decodeOpen, encodeOpen } from '#bgp/wire/open.ts';
import { decodeRouteRefresh, encodeRouteRefresh } from '#bgp/wire/refresh.ts';
import type { Clock } from './clock.ts';
import { type Counters, countMessages, noCounters } from './counters.ts';
import {
  describeFailure,
  type Failure,
  type Input,
  type Message,
  type Output,
  type Side,
  type State,
} from './events.ts';
import { Fsm, type IdleReason } from './fsm.ts';
import type { Session, SessionHandler } from './handler.ts';
import type { SessionSettings } from './settings.ts';
import { type RunningTimer, type TimerInput, Timers } from './timers.ts';
import { type Lingering, Link, type LinkOptions, rejectConnection } from './transport/link.ts';
import { hopsOf, type Sockets } from './transport/sockets.ts';
import type { Task, Turns } from './transport/turns.ts';

export type PeerOptions = {
  readonly address: Address;
  readonly config: PeerConfig;
  readonly settings: SessionSettings;
  readonly clock: Clock;
  readonly random: () => number;
  readonly sockets: Sockets;
  readonly turns: Turns;
  readonly lingering: Lingering;
  readonly handler: SessionHandler;
};

/** Bytes asked of the RIB at a time. */
const ROOM = 64 * 1024;
/** When input waits to be looked at, the neighbour is not silent: this long until the hold timer is asked again, in ms. */
const HOLD_GRACE_MS = 1000;
/** A wait of which no more than this is left is as good as over, in ms. */
const SETTLE_MS = 10;

export class Peer {
  readonly address: Address;
  /** The address as text, canonical. */
  readonly name: string;
  readonly received: Counters = noCounters();
  readonly sent: Counters = noCounters();
  /** How often a session has ended. */
  flaps = 0;
  /** Why the last connection ended that ended with an error, and when (ms since 1970). */
  lastError: { readonly text: string; readonly at: number } | undefined;
  /** When the session last became Established or ceased to be, ms since 1970; before the first one, when all began. */
  changedAt: number;

  readonly #fsm: Fsm;
  readonly #options: PeerOptions;
  readonly #links: Record<Side, Link | undefined> = { outgoing: undefined, incoming: undefined };
  readonly #timers: Timers;
  readonly #inputs: Input[] = [];
  readonly #output: Task = { run: (until) => this.#writeSome(until) };
  #config: PeerConfig;
  #session: Session | undefined;
  #offered: Socket | undefined;
  #feeding = false;
  /** The side of the session has brought UPDATEs since the state machine was last told. */
  #updates = false;
  /** A session has just ended, its failure is the next to be told. */
  #ended = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#config = options.config;
    this.address = options.address;
    this.name = formatAddress(options.address);
    this.changedAt = options.clock.date();
    this.#fsm = new Fsm(options.settings, options.random);
    this.#timers = new Timers(options.clock, (timer) => this.#onTimer(timer));
  }

  get config(): PeerConfig {
    return this.#config;
  }

  get state(): State {
    return this.#fsm.state;
  }

  get idleReason(): IdleReason | undefined {
    return this.#fsm.idleReason;
  }

  /** The Established session, if there is one. */
  get session(): Session | undefined {
    return this.#session;
  }

  get connectRetryCounter(): number {
    return this.#fsm.connectRetryCounter;
  }

  /** Whether there is any connection, or the beginning of one. */
  get hasConnection(): boolean {
    return this.#links.outgoing !== undefined || this.#links.incoming !== undefined;
  }

  /** Its state is about to change: the last connection has brought something that is still to be looked at, or a wait is over. */
  get unsettled(): boolean {
    const idleHold = this.#timers.left().get('idleHold') ?? Number.POSITIVE_INFINITY;
    return idleHold < SETTLE_MS || this.#sessionLink()?.hasInput === true;
  }

  /** Bytes that wait for the neighbour to take them. */
  get queued(): number {
    return this.#sessionLink()?.queued ?? 0;
  }

  /** Running timers with the ms that they have left; those of a connection have its side before the name. */
  timers(): ReadonlyMap<string, number> {
    return this.#timers.left();
  }

  start(): void {
    this.#feed({ type: 'start' });
  }

  /** Stays down until `start`. The text is told to the neighbour (RFC 9003). */
  stop(text = ''): void {
    this.#feed({ type: 'stop', notification: shutdown(CEASE_ADMIN_SHUTDOWN, text) });
  }

  /** Ends the session and starts a new one. */
  reset(text = ''): void {
    this.#feed({ type: 'reset', notification: shutdown(CEASE_ADMIN_RESET, text) });
  }

  /** The neighbour is not one any more. */
  remove(): void {
    this.#feed({ type: 'stop', notification: notification(ERROR_CEASE, CEASE_PEER_DECONFIGURED) });
  }

  /** Ends all without a word, as if this process had died: the neighbour may keep its routes (RFC 4724). */
  abandon(): void {
    for (const side of SIDES) this.#links[side]?.abort();
    this.#timers.stopAll();
  }

  /** More prefixes than are allowed: RFC 4486 section 4. Starts again after so many seconds, or not by itself. */
  limitExceeded(family: Family, limit: number, restartSeconds: number | undefined): void {
    const data = new Uint8Array(7);
    const view = new DataView(data.buffer);
    view.setUint16(0, afiOf(family));
    data[2] = safiOf(family);
    view.setUint32(3, limit);
    this.#feed({
      type: 'automaticStop',
      notification: notification(ERROR_CEASE, CEASE_MAX_PREFIXES, data),
      restart: restartSeconds === undefined ? 'never' : { afterMs: restartSeconds * 1000 },
    });
  }

  /** New settings. Those that only a new session can have take effect with `reset`. */
  configure(config: PeerConfig, settings: SessionSettings, reset: boolean): void {
    this.#config = config;
    this.#fsm.configure(settings);
    if (reset) {
      const why = notification(ERROR_CEASE, CEASE_CONFIGURATION_CHANGE);
      this.#feed({ type: 'reset', notification: why });
    }
  }

  /** A connection from this neighbour. */
  offer(socket: Socket): void {
    this.#offered = socket;
    this.#feed({ type: 'incoming' });
  }

  /** There is something to send: `take` of the handler is asked for it. */
  wake(): void {
    const link = this.#sessionLink();
    if (link !== undefined && !link.blocked) this.#options.turns.add(this.#output);
  }

  /** Asks the neighbour for its routes of a family again. False if it can not be asked. */
  requestRefresh(family: Family): boolean {
    const link = this.#sessionLink();
    const negotiated = this.#session?.negotiated;
    if (link === undefined || negotiated?.routeRefresh !== true || !negotiated.families.includes(family))
      return false;
    this.sent.routeRefresh++;
    this.#write(link, encodeRouteRefresh(family));
    return true;
  }

  // What comes in

  #linkEvents(side: Side): ConstructorParameters<typeof Link>[1] {
    return {
      connected: () => this.#feed({ type: 'connected' }),
      message: (type, bytes, start, end) => this.#onMessage(side, type, bytes, start, end),
      batch: () => this.#tellUpdates(side),
      fault: (fault) => this.#onFault(side, 'header', fault),
      progress: () => this.#feed({ type: 'progress', side }),
      writable: () => this.wake(),
      lost: (error) => {
        this.#links[side] = undefined;
        this.#feed({ type: 'lost', side, error });
      },
    };
  }

  #onMessage(side: Side, type: number, bytes: Uint8Array, start: number, end: number): void {
    this.received.bytes += HEADER_LENGTH + end - start;
    switch (type) {
      case UPDATE:
        this.received.update++;
        this.#onUpdate(side, bytes, start, end);
        break;
      case KEEPALIVE:
        this.received.keepalive++;
        this.#feed({ type: 'keepalive', side });
        break;
      case OPEN: {
        this.received.open++;
        const open = decodeOpen(bytes.subarray(start, end));
        if (open.kind === 'fault') this.#onFault(side, 'open', open);
        else this.#feed({ type: 'open', side, open });
        break;
      }
      case NOTIFICATION:
        this.received.notification++;
        this.#feed({
          type: 'notification',
          side,
          notification: decodeNotification(bytes.subarray(start, end)),
        });
        break;
      case ROUTE_REFRESH:
        this.received.routeRefresh++;
        this.#onRefresh(side, bytes.subarray(start, end));
        break;
    }
  }

  #onUpdate(side: Side, bytes: Uint8Array, start: number, end: number): void {
    if (this.#session?.side !== side) {
      this.#feed({ type: 'update', side });
      if (this.#sessionSide() !== side) return;
    }
    // The hold timer is restarted once for all UPDATEs of a batch.
    this.#updates = true;
    const fault = this.#options.handler.update(this, bytes, start, end);
    if (fault !== undefined) this.#onFault(side, 'update', fault);
  }

  #tellUpdates(side: Side): void {
    if (!this.#updates) return;
    this.#updates = false;
    if (this.#session?.side === side) this.#feed({ type: 'update', side });
  }

  #onRefresh(side: Side, body: Uint8Array): void {
    const refresh = decodeRouteRefresh(body);
    if (refresh.kind === 'fault') {
      this.#onFault(side, 'routeRefresh', refresh);
      return;
    }
    this.#feed({ type: 'routeRefresh', side });
    if (this.#session?.side !== side) return;
    const { families, enhancedRefresh } = this.#session.negotiated;
    const last = enhancedRefresh ? REFRESH_END : REFRESH_REQUEST;
    // What was not agreed on is passed over: RFC 2918 section 4, RFC 7313 section 5.
    if (families.includes(refresh.family) && refresh.subtype <= last)
      this.#options.handler.refresh(this, refresh);
  }

  #onFault(side: Side, message: Extract<Input, { type: 'malformed' }>['message'], fault: Fault): void {
    this.#feed({ type: 'malformed', side, message, notification: fault.notification, reason: fault.reason });
  }

  // What goes out

  /** Sends what the handler has, as long as TCP takes it and the turn lasts. */
  #writeSome(until: number): boolean {
    const { clock, handler } = this.#options;
    const link = this.#sessionLink();
    if (link === undefined) return false;
    let wrote = false;
    let more = true;
    while (more && !link.blocked) {
      const parts = handler.take(this, ROOM);
      if (parts.length === 0) {
        more = false;
        break;
      }
      wrote = true;
      for (const part of parts) countMessages(this.sent, part);
      this.#write(link, ...parts);
      if (clock.now() >= until) break;
    }
    const side = this.#session?.side;
    if (wrote && side !== undefined) this.#feed({ type: 'sent', side });
    return more && !link.blocked && this.#sessionLink() === link;
  }

  #send(side: Side, message: Message): void {
    const link = this.#links[side];
    if (link === undefined) return; // it is gone already, `lost` is on the way
    switch (message.type) {
      case 'open':
        this.sent.open++;
        // Who has read it may send longer messages before we know that the session is up: RFC 8654 section 4.
        if (findCapability(message.open.capabilities, 'extended-message') !== undefined) {
          link.allowExtendedMessages();
        }
        this.#write(link, encodeOpen(message.open));
        break;
      case 'keepalive':
        // One more behind what the neighbour does not take would not reach it sooner.
        if (link.blocked) break;
        this.sent.keepalive++;
        this.#write(link, KEEPALIVE_BYTES);
        break;
      case 'notification':
        this.sent.notification++;
        this.#write(link, encodeNotification(message.notification));
        break;
    }
  }

  #write(link: Link, ...parts: readonly Uint8Array[]): void {
    for (const part of parts) this.sent.bytes += part.length;
    link.write(...parts);
  }

  // The state machine and its outputs

  /** One event after the other: what an output leads to waits until the step before is done. */
  #feed(input: Input): void {
    this.#inputs.push(input);
    if (this.#feeding) return;
    this.#feeding = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const from = this.#fsm.state;
        for (const output of this.#fsm.step(next)) this.#do(output);
        this.#noteState(from);
      }
    } finally {
      this.#feeding = false;
    }
  }

  #noteState(from: State): void {
    const to = this.#fsm.state;
    if (from === to) return;
    if (from === 'Established' || to === 'Established') this.changedAt = this.#options.clock.date();
    this.#options.handler.event({ kind: 'state', peer: this, from, to });
  }

  #do(output: Output): void {
    switch (output.do) {
      case 'connect':
        this.#connect();
        break;
      case 'adopt':
        this.#adopt();
        break;
      case 'refuse':
        this.#refuse(output.notification);
        break;
      case 'send':
        this.#send(output.side, output.message);
        break;
      case 'close': {
        const link = this.#links[output.side];
        this.#links[output.side] = undefined;
        if (output.abort) link?.abort();
        else link?.finish();
        break;
      }
      case 'startTimer':
        this.#timers.start(timerInput(output), output.ms);
        break;
      case 'stopTimer':
        this.#timers.stop(output);
        break;
      case 'up':
        this.#onUp(output);
        break;
      case 'down':
        this.flaps++;
        this.#session = undefined;
        this.#ended = true;
        this.#options.handler.down(this);
        break;
      case 'failure':
        this.#onFailure(output.side, output.failure);
        break;
    }
  }

  #onUp({ side, negotiated }: Extract<Output, { do: 'up' }>): void {
    const link = this.#links[side]!;
    const local = link.localAddress;
    this.#session = {
      side,
      negotiated,
      localAddress: local === undefined ? undefined : parseAddress(local),
      localPort: link.localPort ?? 0,
      remotePort: link.remotePort ?? 0,
    };
    this.#updates = false;
    this.#options.handler.up(this, this.#session);
    this.wake();
  }

  #onFailure(side: Side, failure: Failure): void {
    const established = this.#ended;
    this.#ended = false;
    // That one of two connections went is how it should be.
    if (established || !isCollision(failure)) {
      this.lastError = { text: describeFailure(failure), at: this.#options.clock.date() };
    }
    this.#options.handler.event({ kind: 'failure', peer: this, side, failure, established });
  }

  #connect(): void {
    const { sockets } = this.#options;
    const { port, sourceAddress, password } = this.#config;
    try {
      const socket = sockets.connect({
        address: this.address,
        port,
        source: sourceAddress,
        interface: this.#config.interface,
        password,
        hops: hopsOf(this.#config),
      });
      this.#links.outgoing = this.#newLink('outgoing', socket);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#feed({ type: 'lost', side: 'outgoing', error: error.message });
    }
  }

  #adopt(): void {
    const socket = this.#takeOffered();
    try {
      this.#options.sockets.prepare(socket, hopsOf(this.#config));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      // It is gone already; its link will say so.
    }
    this.#links.incoming = this.#newLink('incoming', socket);
  }

  #refuse(why: Notification | undefined): void {
    rejectConnection(this.#takeOffered(), why, this.#linkOptions());
  }

  #takeOffered(): Socket {
    const socket = this.#offered!;
    this.#offered = undefined;
    return socket;
  }

  #newLink(side: Side, socket: Socket): Link {
    return new Link(socket, this.#linkEvents(side), this.#linkOptions());
  }

  #linkOptions(): LinkOptions {
    const { clock, turns, lingering } = this.#options;
    return { turns, lingering, now: clock.now, after: clock.after };
  }

  #sessionSide(): Side | undefined {
    return this.#session?.side;
  }

  #sessionLink(): Link | undefined {
    return this.#session && this.#links[this.#session.side];
  }

  #onTimer(timer: RunningTimer): void {
    if (timer.input.timer === 'hold') this.#holdExpired(timer, timer.input.side);
    else if (this.#timers.take(timer)) this.#feed(timer.input);
  }

  /**
   * The neighbour is silent only if nothing of it waits to be looked at: if this process was busy, or stopped for a while,
   * timers come first and what arrived meanwhile comes after.
   */
  #holdExpired(timer: RunningTimer, side: Side): void {
    this.#options.clock.defer(() => {
      if (!this.#timers.take(timer)) return;
      if (this.#links[side]?.hasInput) this.#timers.start(timer.input, HOLD_GRACE_MS);
      else this.#feed(timer.input);
    });
  }
}

function timerInput(output: Extract<Output, { do: 'startTimer' }>): TimerInput {
  return 'side' in output
    ? { type: 'timer', timer: output.timer, side: output.side }
    : { type: 'timer', timer: output.timer };
}

const SIDES: readonly Side[] = ['outgoing', 'incoming'];
const KEEPALIVE_BYTES = encodeKeepalive();
function isCollision(failure: Failure): boolean {
  if (failure.kind !== 'sent' && failure.kind !== 'received') return false;
  const { code, subcode } = failure.notification;
  return code === ERROR_CEASE && subcode === CEASE_COLLISION;
}
