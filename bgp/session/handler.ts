/**
 * What sessions and the RIB say to each other.
 */

import type { Address } from '#bgp/config/address.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import type { RouteRefresh } from '#bgp/wire/refresh.ts';
import type { Failure, Side, State } from './events.ts';
import type { Negotiated } from './open.ts';
import type { Peer } from './peer.ts';

/** Takes what sessions bring. All calls are made from the event loop's own turns, never from within another one. */
export interface SessionHandler {
  /** The session is Established. */
  up(peer: Peer, session: Session): void;
  /** It is over: the routes of the neighbour go. */
  down(peer: Peer): void;
  /**
   * The body of an UPDATE, from `start` to `end`, valid during the call. A fault that is returned ends the session with its
   * NOTIFICATION.
   */
  update(peer: Peer, bytes: Uint8Array, start: number, end: number): Fault | undefined;
  /** A ROUTE-REFRESH of a family that is carried, of a subtype that was agreed on. */
  refresh(peer: Peer, refresh: RouteRefresh): void;
  /**
   * Whole messages to send, some `room` bytes of them; none if there is nothing to send now. Their bytes must not change any
   * more. Asked again while there is room; after it gave none, once `peer.wake()` was called.
   */
  take(peer: Peer, room: number): readonly Uint8Array[];
  /** For logs and for those who watch. */
  event(event: SessionEvent): void;
}

/** An Established session. */
export type Session = {
  readonly side: Side;
  readonly negotiated: Negotiated;
  readonly localAddress: Address | undefined;
  readonly localPort: number;
  readonly remotePort: number;
};

export type SessionEvent =
  | { readonly kind: 'state'; readonly peer: Peer; readonly from: State; readonly to: State }
  /** A connection ended; `established` if it was the session that ended with it. */
  | {
      readonly kind: 'failure';
      readonly peer: Peer;
      readonly side: Side;
      readonly failure: Failure;
      readonly established: boolean;
    }
  /** Dynamic neighbours come and go. */
  | { readonly kind: 'added' | 'removed'; readonly peer: Peer }
  /** A connection from nobody that is known, or from one too many. */
  | { readonly kind: 'rejected'; readonly address: string; readonly reason: string }
  /** The kernel did not take the password of a neighbour, named by address or prefix: nobody may connect from there. */
  | { readonly kind: 'keyFailed'; readonly neighbor: string; readonly error: Error }
  | { readonly kind: 'listening'; readonly address: string; readonly port: number }
  /** Listening failed; it is tried again. */
  | { readonly kind: 'listenFailed'; readonly address: string; readonly port: number; readonly error: Error };
