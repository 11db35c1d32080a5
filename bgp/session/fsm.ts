/**
 * The state machine of one neighbour: RFC 4271 section 8.2.2 with the collisions of section 6.8, for the up to two
 * connections that it may have at a time. `step` takes an event and says what to do; there are no sockets or clocks in here.
 *
 * The RFC gives every connection a machine and links the two when they turn out to collide. Here one machine holds
 * both, so that what the neighbour as a whole does (retry, idle hold, being stopped) is said once. Its state is that of
 * the connection that has come furthest.
 *
 * Where this differs from the letter of section 8.2.2, and why, is listed in README.md of this folder.
 */

import {
  CEASE_COLLISION,
  CEASE_CONNECTION_REJECTED,
  ERROR_CEASE,
  ERROR_FSM,
  ERROR_HOLD_TIMER,
  ERROR_OPEN,
  FSM_IN_ESTABLISHED,
  FSM_IN_OPEN_CONFIRM,
  FSM_IN_OPEN_SENT,
  type Notification,
  notification,
  OPEN_UNSUPPORTED_PARAMETER,
  OPEN_UNSUPPORTED_VERSION,
  UNSPECIFIC,
} from '#bgp/wire/notification.ts';
import type { Open } from '#bgp/wire/open.ts';
import { Actions } from './actions.ts';
import { survivor } from './collision.ts';
import { type Connection, furthest, isOpen, newConnection, stateOf } from './connection.ts';
import { Damping } from './damping.ts';
import type {
  ConnectionTimer,
  Failure,
  Input,
  NeighborTimer,
  Output,
  Restart,
  Side,
  State,
} from './events.ts';
import { judgeOpen, localOpen, mayOmitCapabilities, type Negotiated } from './open.ts';
import type { SessionSettings } from './settings.ts';

/** HoldTimer until the OPEN of the neighbour is there: the "large value" of RFC 4271 section 8.2.2. */
export const LARGE_HOLD_MS = 240_000;
/** Least time of the send hold timer: RFC 9687 section 5. */
export const MIN_SEND_HOLD_MS = 480_000;
/** How long a connection that is about to lose a collision is kept from being a session. */
export const COLLISION_WAIT_MS = 1000;

/** Why a neighbour is Idle: never started, stopped by an operator, waiting out a failure, or kept down by a limit. */
export type IdleReason = 'new' | 'stopped' | 'hold' | 'limit';

export class Fsm {
  /** Retries and failures since the last start by an operator: RFC 4271 section 8. */
  connectRetryCounter = 0;

  readonly #actions: Actions;
  #settings: SessionSettings;
  #idle: IdleReason | undefined = 'new';
  #outgoing: Connection | undefined;
  #incoming: Connection | undefined;
  readonly #damping = new Damping();
  /** RFC 5492 section 3: the neighbour answered our capabilities with Unsupported Optional Parameter. */
  #withoutCapabilities = false;

  /** `random` gives numbers from 0 up to 1, as Math.random does; it is for the jitter of timers. */
  constructor(settings: SessionSettings, random: () => number) {
    this.#settings = settings;
    this.#actions = new Actions(random);
  }

  get state(): State {
    if (this.#idle !== undefined) return 'Idle';
    const connection = this.#furthest();
    if (connection === undefined) return 'Active';
    const state = stateOf(connection);
    return state === 'Active' && this.#outgoing !== undefined ? 'Connect' : state;
  }

  /** Why the state is Idle, `undefined` in all others. */
  get idleReason(): IdleReason | undefined {
    return this.#idle;
  }

  /** The side whose session is Established. */
  get established(): Side | undefined {
    if (this.#outgoing?.phase === 'established') return 'outgoing';
    return this.#incoming?.phase === 'established' ? 'incoming' : undefined;
  }

  /** What the Established session has agreed on. */
  get negotiated(): Negotiated | undefined {
    const side = this.established;
    return side && this.#at(side)?.negotiated;
  }

  /** State of one connection, `undefined` if there is none on that side. */
  connectionState(side: Side): State | undefined {
    const connection = this.#at(side);
    return connection && stateOf(connection);
  }

  /** Running timers: the name, with the side before it for those of a connection. */
  get runningTimers(): ReadonlySet<string> {
    return this.#actions.running;
  }

  /** Takes effect with the next connection; what an open one has agreed on stays. */
  configure(settings: SessionSettings): void {
    this.#settings = settings;
  }

  step(input: Input): Output[] {
    switch (input.type) {
      case 'start':
        this.#onStart();
        break;
      case 'stop':
        this.connectRetryCounter = 0;
        this.#closeAll(input.notification);
        this.#enterIdle('stopped');
        break;
      case 'automaticStop':
        if (this.#idle !== undefined) break;
        this.connectRetryCounter++;
        this.#closeAll(input.notification);
        this.#comeBack(input.restart);
        break;
      case 'reset':
        if (this.#idle === 'stopped' || this.#idle === 'new') break;
        this.#closeAll(input.notification);
        this.#comeBack('now');
        break;
      case 'timer':
        if ('side' in input) this.#onConnectionTimer(input.timer, input.side);
        else this.#onNeighborTimer(input.timer);
        break;
      case 'connected':
        if (this.#outgoing?.phase === 'connecting') this.#tcpUp(this.#outgoing);
        break;
      case 'incoming':
        this.#onIncoming();
        break;
      default: {
        const connection = this.#at(input.side);
        if (connection !== undefined) this.#onConnection(connection, input);
      }
    }
    this.#keepRetrying();
    return this.#actions.take();
  }

  #onConnection(connection: Connection, input: ConnectionInput): void {
    if (input.type === 'lost') {
      this.#onLost(connection, input.error);
      return;
    }
    if (!isOpen(connection)) return; // nobody has spoken yet
    switch (input.type) {
      case 'open':
        this.#onOpen(connection, input.open);
        break;
      case 'malformed':
        this.#onMalformed(connection, input);
        break;
      case 'notification':
        this.#onNotification(connection, input.notification);
        break;
      case 'keepalive':
        if (connection.phase === 'openConfirm' && !connection.confirmed) this.#onConfirmation(connection);
        else this.#onSessionMessage(connection, 'KEEPALIVE');
        break;
      case 'update':
        this.#onSessionMessage(connection, 'UPDATE');
        break;
      case 'routeRefresh':
        this.#onSessionMessage(connection, 'ROUTE-REFRESH');
        break;
      case 'sent':
        if (this.#actions.isRunning(connection.side, 'keepalive')) this.#startKeepalive(connection);
        break;
      case 'progress':
        if (this.#actions.isRunning(connection.side, 'sendHold')) this.#startSendHold(connection);
        break;
    }
  }

  // Timers

  #onNeighborTimer(timer: NeighborTimer): void {
    if (!this.#actions.expired(timer)) return;
    switch (timer) {
      case 'connectRetry':
        this.connectRetryCounter++;
        if (this.#outgoing !== undefined) this.#close(this.#outgoing);
        this.#connect();
        break;
      case 'idleHold':
      case 'restart':
        this.#start();
        break;
      case 'stable':
        this.#damping.stable();
        break;
    }
  }

  #onConnectionTimer(timer: ConnectionTimer, side: Side): void {
    const connection = this.#at(side);
    if (!this.#actions.expired(timer, side) || connection === undefined) return;
    switch (timer) {
      case 'delayOpen':
        this.#sendOpen(connection);
        break;
      case 'hold':
        this.#fail(connection, notification(ERROR_HOLD_TIMER, UNSPECIFIC));
        break;
      case 'keepalive':
        this.#actions.send(side, { type: 'keepalive' });
        this.#startKeepalive(connection);
        break;
      case 'collision':
        this.#establish(connection);
        break;
      case 'sendHold':
        // Nothing can be sent any more, so no NOTIFICATION either: RFC 9687 section 4.3.
        this.#end(connection, { kind: 'stuck', seconds: this.#sendHoldMs(connection) / 1000 });
        break;
    }
  }

  /**
   * ConnectRetryTimer runs while there is no open connection and this speaker is one that connects. Kept here for all
   * states at once; where the RFC restarts it, it was stopped before.
   */
  #keepRetrying(): void {
    const connection = this.#furthest();
    const open = connection !== undefined && isOpen(connection);
    if (this.#idle !== undefined || open || this.#settings.passive) this.#actions.stopTimer('connectRetry');
    else if (!this.#actions.running.has('connectRetry')) {
      this.#actions.startTimer('connectRetry', this.#actions.jitter(this.#settings.connectRetryMs));
    }
  }

  #restartHold({ side, negotiated }: Connection): void {
    if (!this.#actions.isRunning(side, 'hold')) return;
    this.#actions.startConnectionTimer(side, 'hold', negotiated!.holdTime * 1000);
  }

  #startKeepalive(connection: Connection): void {
    connection.probing = false;
    const { keepalive } = connection.negotiated!;
    // Not more often than once a second: RFC 4271 section 4.4.
    const ms = Math.max(1000, this.#actions.jitter(keepalive * 1000));
    this.#actions.startConnectionTimer(connection.side, 'keepalive', ms);
  }

  #sendHoldMs(connection: Connection): number {
    const { sendHold } = this.#settings;
    const { holdTime } = connection.negotiated!;
    if (sendHold === 'auto') return Math.max(MIN_SEND_HOLD_MS, 2000 * holdTime);
    // It must be longer than the hold time: RFC 9687 section 4.1.
    return sendHold === 0 ? 0 : 1000 * Math.max(sendHold, holdTime + 1);
  }

  #startSendHold(connection: Connection): void {
    const ms = this.#sendHoldMs(connection);
    if (ms > 0) this.#actions.startConnectionTimer(connection.side, 'sendHold', ms);
  }

  // From Idle to open connections

  #onStart(): void {
    if (this.#idle === undefined) return;
    this.connectRetryCounter = 0;
    this.#damping.clear();
    this.#withoutCapabilities = false;
    this.#start();
  }

  #start(): void {
    this.#idle = undefined;
    this.#actions.stopTimer('idleHold');
    this.#actions.stopTimer('restart');
    if (!this.#settings.passive) this.#connect();
  }

  #connect(): void {
    this.#outgoing = newConnection('outgoing', 'connecting');
    this.#actions.add({ do: 'connect' });
  }

  #onIncoming(): void {
    if (this.#idle !== undefined) {
      // RFC 4486 section 4: say so when it is a decision; while a failure is waited out, the neighbour is just to try again.
      const decided = this.#idle !== 'hold';
      this.#refuse(decided ? notification(ERROR_CEASE, CEASE_CONNECTION_REJECTED) : undefined);
      return;
    }
    const established = this.established;
    if (established !== undefined && !this.#settings.collisionDetectEstablished) {
      this.#probe(this.#at(established)!);
      this.#refuse(undefined);
      return;
    }
    // Nobody needs two connections of its own: the neighbour has given up on its older one.
    if (this.#incoming !== undefined) this.#dump(this.#incoming, 'the neighbour opened a new connection');
    this.#actions.add({ do: 'adopt' });
    this.#incoming = newConnection('incoming', 'delayed');
    this.#tcpUp(this.#incoming);
  }

  #refuse(reason: Notification | undefined): void {
    this.#actions.add({ do: 'refuse', notification: reason });
  }

  /**
   * A neighbour that connects anew may have restarted without a word. Let the next KEEPALIVE go out within a second: a
   * host that has no such connection any more answers with a reset, long before the hold time is over.
   */
  #probe(connection: Connection): void {
    if (connection.probing || !this.#actions.isRunning(connection.side, 'keepalive')) return;
    connection.probing = true;
    this.#actions.startConnectionTimer(connection.side, 'keepalive', 1000);
  }

  #tcpUp(connection: Connection): void {
    const { delayOpenMs } = this.#settings;
    if (delayOpenMs === 0) {
      this.#sendOpen(connection);
      return;
    }
    connection.phase = 'delayed';
    this.#actions.startConnectionTimer(connection.side, 'delayOpen', delayOpenMs);
  }

  #sendOpen(connection: Connection): void {
    const { side } = connection;
    connection.phase = 'openSent';
    connection.sentCapabilities = !this.#withoutCapabilities;
    this.#actions.send(side, { type: 'open', open: localOpen(this.#settings, connection.sentCapabilities) });
    this.#actions.startConnectionTimer(side, 'hold', LARGE_HOLD_MS);
  }

  // From an open connection to a session

  #onOpen(connection: Connection, open: Open): void {
    const { side, phase } = connection;
    if (phase !== 'delayed' && phase !== 'openSent') {
      this.#unexpected(connection, 'OPEN');
      return;
    }
    const withCapabilities = phase === 'delayed' ? !this.#withoutCapabilities : connection.sentCapabilities;
    const verdict = judgeOpen(open, this.#settings, withCapabilities);
    if (verdict.kind === 'fault') {
      this.#fail(connection, verdict.notification, verdict.reason);
      return;
    }
    if (phase === 'delayed') {
      this.#actions.stopConnectionTimer(side, 'delayOpen');
      this.#sendOpen(connection);
    }
    connection.negotiated = verdict;
    if (!this.#survives(connection, verdict)) return;

    connection.phase = 'openConfirm';
    this.#actions.send(side, { type: 'keepalive' });
    // With a hold time of zero the large value goes on, so that a neighbour that never answers does not stay here for good.
    if (verdict.holdTime > 0) {
      this.#actions.startConnectionTimer(side, 'hold', verdict.holdTime * 1000);
      this.#startKeepalive(connection);
    }
  }

  /** Collision detection on an acceptable OPEN (RFC 4271 section 6.8). Closes the connection that loses. */
  #survives(connection: Connection, remote: Negotiated): boolean {
    const other = this.#otherOf(connection);
    if (other === undefined || other.phase === 'openSent') return true; // its OPEN may come yet, and decides then
    if (other.phase === 'connecting' || other.phase === 'delayed') {
      this.#dump(other);
      return true;
    }
    const keepEstablished = other.phase === 'established' && !this.#settings.collisionDetectEstablished;
    const keep = keepEstablished ? other.side : this.#keepOf(remote);
    this.#dump(keep === connection.side ? other : connection);
    return keep === connection.side;
  }

  /**
   * The KEEPALIVE that answers our OPEN. If there is another connection, on which only the OPEN of the neighbour is missing, and
   * which would win the collision then, the neighbour may be just about to close this one because our OPEN on the other has
   * reached it first. Were this one a session now, and the other closed for it, both would be gone. So it waits for a moment:
   * for that OPEN, for the end of the other connection, or for any message that only comes in Established.
   */
  #onConfirmation(connection: Connection): void {
    if (
      this.#otherOf(connection)?.phase !== 'openSent' ||
      this.#keepOf(connection.negotiated!) === connection.side
    ) {
      this.#establish(connection);
      return;
    }
    connection.confirmed = true;
    this.#actions.startConnectionTimer(connection.side, 'collision', COLLISION_WAIT_MS);
  }

  /** The side that a collision with this speaker leaves. */
  #keepOf(remote: Negotiated): Side {
    return survivor(
      { identifier: this.#settings.identifier, as: this.#settings.localAs },
      { identifier: remote.peerIdentifier, as: remote.peerAs },
    );
  }

  #establish(connection: Connection): void {
    const { side } = connection;
    this.#actions.stopConnectionTimer(side, 'collision');
    const negotiated = connection.negotiated!;
    const other = this.#otherOf(connection);
    if (other !== undefined && !(this.#settings.collisionDetectEstablished && other.phase === 'openSent')) {
      this.#dump(other);
    }
    connection.phase = 'established';
    this.#damping.begin();
    if (negotiated.holdTime > 0) {
      this.#restartHold(connection);
      this.#startSendHold(connection);
    } else {
      this.#actions.stopConnectionTimer(side, 'hold');
    }
    this.#actions.startTimer('stable', this.#settings.stableMs);
    this.#actions.add({ do: 'up', side, negotiated });
  }

  #onSessionMessage(connection: Connection, message: string): void {
    // Whoever speaks like this has the session already.
    if (connection.confirmed && connection.phase === 'openConfirm') this.#establish(connection);
    if (connection.phase === 'established') this.#restartHold(connection);
    else this.#unexpected(connection, message);
  }

  // Ends

  #onLost(connection: Connection, error: string): void {
    const failure: Failure = { kind: 'lost', error };
    if (connection.phase === 'openConfirm' || connection.phase === 'established') {
      this.#end(connection, failure);
      return;
    }
    if (isOpen(connection)) this.connectRetryCounter++;
    this.#close(connection, failure);
    this.#settle();
    // Active: keep listening, and try again after the full time.
    this.#actions.stopTimer('connectRetry');
  }

  #onMalformed(connection: Connection, input: Extract<Input, { type: 'malformed' }>): void {
    const established = connection.phase === 'established';
    const expected = input.message === 'header' || (input.message === 'open') !== established;
    if (expected) this.#fail(connection, input.notification, input.reason);
    else this.#unexpected(connection, MESSAGE_NAME[input.message]);
  }

  #onNotification(connection: Connection, received: Notification): void {
    if (received.code === ERROR_OPEN && connection.phase === 'openSent') {
      // RFC 5492 section 3: only this answer says that it is the capabilities that the neighbour can not read.
      this.#withoutCapabilities =
        received.subcode === OPEN_UNSUPPORTED_PARAMETER &&
        connection.sentCapabilities &&
        mayOmitCapabilities(this.#settings);
    }
    this.#end(connection, { kind: 'received', notification: received });
  }

  /** A message that this state does not expect: RFC 4271 section 6.6, subcodes of RFC 6608. */
  #unexpected(connection: Connection, message: string): void {
    switch (connection.phase) {
      case 'connecting':
      case 'delayed':
        this.#end(connection, { kind: 'unexpected', message });
        break;
      case 'openSent':
        this.#fail(connection, notification(ERROR_FSM, FSM_IN_OPEN_SENT), message);
        break;
      case 'openConfirm':
        this.#fail(connection, notification(ERROR_FSM, FSM_IN_OPEN_CONFIRM), message);
        break;
      case 'established':
        this.#fail(connection, notification(ERROR_FSM, FSM_IN_ESTABLISHED), message);
        break;
    }
  }

  #fail(connection: Connection, why: Notification, reason?: string): void {
    this.#actions.send(connection.side, { type: 'notification', notification: why });
    this.#end(connection, { kind: 'sent', notification: why, reason });
  }

  /** This connection is over; the neighbour goes Idle, unless its other connection is still on the way. */
  #end(connection: Connection, failure: Failure): void {
    const { phase } = connection;
    this.#close(connection, failure);
    this.#settle();
    const other = this.#furthest();
    if (other !== undefined && isOpen(other)) return;
    if (other !== undefined) this.#close(other);
    if (phase === 'established' || !isVersionError(failure)) this.connectRetryCounter++;
    this.#comeBack('hold');
  }

  /** A connection that waited for the end of the other one need not wait any more. */
  #settle(): void {
    const connection = this.#furthest();
    if (connection?.phase === 'openConfirm' && connection.confirmed) this.#establish(connection);
  }

  /** The loser of a collision. The neighbour as a whole goes on with the other connection. */
  #dump(connection: Connection, reason?: string): void {
    const why = notification(ERROR_CEASE, CEASE_COLLISION);
    const { phase, side } = connection;
    if (phase === 'connecting' || phase === 'delayed') {
      this.#close(connection);
      return;
    }
    this.#actions.send(side, { type: 'notification', notification: why });
    this.#close(connection, { kind: 'sent', notification: why, reason });
  }

  #closeAll(why: Notification): void {
    for (const connection of [this.#outgoing, this.#incoming]) {
      if (connection === undefined) continue;
      if (isOpen(connection)) {
        this.#actions.send(connection.side, { type: 'notification', notification: why });
        this.#close(connection, { kind: 'sent', notification: why, reason: undefined });
      } else {
        this.#close(connection);
      }
    }
  }

  /** Takes a connection away with its timers. Only what has nothing more to say to the neighbour is cut off at once. */
  #close(connection: Connection, failure?: Failure): void {
    const { side, phase } = connection;
    if (side === 'outgoing') this.#outgoing = undefined;
    else this.#incoming = undefined;
    for (const timer of CONNECTION_TIMERS) this.#actions.stopConnectionTimer(side, timer);
    this.#actions.add({ do: 'close', side, abort: failure?.kind !== 'sent' });
    if (phase === 'established') {
      this.#actions.add({ do: 'down', side });
      this.#actions.stopTimer('stable');
      this.#withoutCapabilities = false;
    }
    if (failure !== undefined) this.#actions.add({ do: 'failure', side, failure });
  }

  // Idle

  #comeBack(restart: Restart): void {
    if (restart === 'never') {
      this.#enterIdle('limit');
    } else if (typeof restart === 'object') {
      this.#enterIdle('limit');
      this.#actions.startTimer('restart', restart.afterMs);
    } else {
      this.#enterIdle('hold');
      const ms = restart === 'now' ? 0 : this.#damping.wait(this.#settings);
      this.#actions.startTimer('idleHold', this.#actions.jitter(ms));
    }
  }

  #enterIdle(reason: IdleReason): void {
    this.#idle = reason;
    this.#actions.stopTimer('idleHold');
    this.#actions.stopTimer('restart');
  }

  #at(side: Side): Connection | undefined {
    return side === 'outgoing' ? this.#outgoing : this.#incoming;
  }

  #otherOf({ side }: Connection): Connection | undefined {
    return this.#at(side === 'outgoing' ? 'incoming' : 'outgoing');
  }

  #furthest(): Connection | undefined {
    return furthest(this.#outgoing, this.#incoming);
  }
}

/** Events of one connection. */
type ConnectionInput = Exclude<
  Input,
  { type: 'start' | 'stop' | 'automaticStop' | 'reset' | 'timer' | 'incoming' | 'connected' }
>;

const CONNECTION_TIMERS: readonly ConnectionTimer[] = [
  'delayOpen',
  'hold',
  'keepalive',
  'sendHold',
  'collision',
];

const MESSAGE_NAME = {
  header: 'header',
  open: 'OPEN',
  update: 'UPDATE',
  routeRefresh: 'ROUTE-REFRESH',
} as const;

/** NotifMsgVerErr (event 24), which does not count as a retry. */
function isVersionError(failure: Failure): boolean {
  if (failure.kind !== 'received') return false;
  const { code, subcode } = failure.notification;
  return code === ERROR_OPEN && subcode === OPEN_UNSUPPORTED_VERSION;
}
