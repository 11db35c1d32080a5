/**
 * What goes into the state machine of a neighbour and what comes out of it. The numbers are the events of RFC 4271
 * section 8.1; event 29 is that of RFC 9687.
 */

import type { Notification } from '#bgp/wire/notification.ts';
import { describeNotification } from '#bgp/wire/notification.ts';
import type { Open } from '#bgp/wire/open.ts';
import type { Negotiated } from './open.ts';

/** States of RFC 4271 section 8.2.2. */
export type State = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/**
 * A neighbour has at most one connection that this speaker started and one that the neighbour started. Who started a
 * connection decides which of the two survives a collision, so it is their name.
 */
export type Side = 'outgoing' | 'incoming';

/** Timers of a neighbour as a whole. `stable` ends the growing of the idle hold time; `restart` follows a limit. */
export type NeighborTimer = 'connectRetry' | 'idleHold' | 'restart' | 'stable';
/** Timers that each connection has for itself. `collision` bounds the wait for the OPEN on the other connection. */
export type ConnectionTimer = 'delayOpen' | 'hold' | 'keepalive' | 'sendHold' | 'collision';

export type Input =
  /** ManualStart and AutomaticStart (1, 3 to 7): whether passive or damped is a setting. */
  | { readonly type: 'start' }
  /** ManualStop (2): stays down until `start`. */
  | { readonly type: 'stop'; readonly notification: Notification }
  /** AutomaticStop (8): the speaker's own decision. Comes back as `restart` says. */
  | { readonly type: 'automaticStop'; readonly notification: Notification; readonly restart: Restart }
  /** Closes what is there and starts again at once, out of an idle hold or a limit too. Nothing if stopped. */
  | { readonly type: 'reset'; readonly notification: Notification }
  /** ConnectRetryTimer_Expires (9), IdleHoldTimer_Expires (13), and timers that the RFC does not have. */
  | { readonly type: 'timer'; readonly timer: NeighborTimer }
  /** HoldTimer_Expires (10), KeepaliveTimer_Expires (11), DelayOpenTimer_Expires (12), SendHoldTimer_Expires (29). */
  | { readonly type: 'timer'; readonly timer: ConnectionTimer; readonly side: Side }
  /** Tcp_CR_Acked (16): the connection that an `connect` output asked for is up. */
  | { readonly type: 'connected' }
  /** TcpConnection_Valid and TcpConnectionConfirmed (14, 17): accepted from the neighbour; answered by `adopt` or `refuse`. */
  | { readonly type: 'incoming' }
  /** TcpConnectionFails (18): could not be made, or is gone. `error` is a line for people. */
  | { readonly type: 'lost'; readonly side: Side; readonly error: string }
  /** BGPOpen (19, and 20 with the DelayOpenTimer running): well formed; whether it is acceptable is judged inside. */
  | { readonly type: 'open'; readonly side: Side; readonly open: Open }
  /** BGPHeaderErr, BGPOpenMsgErr, UpdateMsgErr (21, 22, 28), and the like for ROUTE-REFRESH. */
  | {
      readonly type: 'malformed';
      readonly side: Side;
      readonly message: 'header' | 'open' | 'update' | 'routeRefresh';
      readonly notification: Notification;
      readonly reason: string;
    }
  /** NotifMsgVerErr and NotifMsg (24, 25). */
  | { readonly type: 'notification'; readonly side: Side; readonly notification: Notification }
  /** KeepAliveMsg, UpdateMsg (26, 27) and ROUTE-REFRESH: only that one came; its content goes to the RIB. */
  | { readonly type: 'keepalive' | 'update' | 'routeRefresh'; readonly side: Side }
  /** An UPDATE was handed to TCP: the next KEEPALIVE may wait its full time again. */
  | { readonly type: 'sent'; readonly side: Side }
  /** TCP has taken bytes that waited: the neighbour still reads. */
  | { readonly type: 'progress'; readonly side: Side };

/** After an automatic stop: `hold` for the idle hold time, `now`, `never` (until reset or start), or after milliseconds. */
export type Restart = 'hold' | 'now' | 'never' | { readonly afterMs: number };

export type Output =
  /** Start an outgoing connection; answered by `connected` or `lost`. */
  | { readonly do: 'connect' }
  /** The connection just offered by `incoming` is this neighbour's incoming one from now on. */
  | { readonly do: 'adopt' }
  /** The connection just offered is to be closed, after the notification if there is one. */
  | { readonly do: 'refuse'; readonly notification: Notification | undefined }
  | { readonly do: 'send'; readonly side: Side; readonly message: Message }
  /** Close after what was sent, or at once with what waits thrown away (`abort`). No event of it is wanted any more. */
  | { readonly do: 'close'; readonly side: Side; readonly abort: boolean }
  /** Start or restart a timer. */
  | { readonly do: 'startTimer'; readonly timer: NeighborTimer; readonly ms: number }
  | { readonly do: 'startTimer'; readonly timer: ConnectionTimer; readonly side: Side; readonly ms: number }
  | { readonly do: 'stopTimer'; readonly timer: NeighborTimer }
  | { readonly do: 'stopTimer'; readonly timer: ConnectionTimer; readonly side: Side }
  /** The session is Established on this side. */
  | { readonly do: 'up'; readonly side: Side; readonly negotiated: Negotiated }
  /** The Established session is over; its routes go. A `failure` with the reason follows. */
  | { readonly do: 'down'; readonly side: Side }
  /** A connection ended for this reason, whether it was Established or not. */
  | { readonly do: 'failure'; readonly side: Side; readonly failure: Failure };

export type Message =
  | { readonly type: 'open'; readonly open: Open }
  | { readonly type: 'keepalive' }
  | { readonly type: 'notification'; readonly notification: Notification };

/** Why a connection ended. */
export type Failure =
  | { readonly kind: 'sent'; readonly notification: Notification; readonly reason: string | undefined }
  | { readonly kind: 'received'; readonly notification: Notification }
  | { readonly kind: 'lost'; readonly error: string }
  | { readonly kind: 'unexpected'; readonly message: string }
  | { readonly kind: 'stuck'; readonly seconds: number };

/** One line for logs and tables: who ended it, and why. */
export function describeFailure(failure: Failure): string {
  switch (failure.kind) {
    case 'sent': {
      const text = `sent ${describeNotification(failure.notification)}`;
      return failure.reason === undefined ? text : `${text} (${failure.reason})`;
    }
    case 'received':
      return `received ${describeNotification(failure.notification)}`;
    case 'lost':
      return failure.error;
    case 'unexpected':
      return `unexpected ${failure.message} before any OPEN`;
    case 'stuck':
      return `Send Hold Timer Expired: the neighbour took no data for ${failure.seconds} s`;
  }
}
