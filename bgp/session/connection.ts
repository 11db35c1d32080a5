/**
 * How far one connection of a neighbour has come.
 */

import type { Side, State } from './events.ts';
import type { Negotiated } from './open.ts';

/** The furthest last. `delayed`: TCP is up and our OPEN waits, the DelayOpenTimer runs. */
const PHASES = ['connecting', 'delayed', 'openSent', 'openConfirm', 'established'] as const;
export type Phase = (typeof PHASES)[number];

export type Connection = {
  readonly side: Side;
  phase: Phase;
  /** Whether our OPEN carried capabilities. */
  sentCapabilities: boolean;
  /** Set with the OPEN of the neighbour. */
  negotiated: Negotiated | undefined;
  /** The KEEPALIVE that makes it a session is there, but a collision is likely to end it: see `Fsm`. */
  confirmed: boolean;
  /** A KEEPALIVE is due early, to see whether the neighbour still knows this connection. */
  probing: boolean;
};

export function newConnection(side: Side, phase: Phase): Connection {
  return { side, phase, sentCapabilities: false, negotiated: undefined, confirmed: false, probing: false };
}

/** Of two connections the one that has come further. */
export function furthest(a: Connection | undefined, b: Connection | undefined): Connection | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return PHASES.indexOf(a.phase) >= PHASES.indexOf(b.phase) ? a : b;
}

/** TCP is up on it. */
export function isOpen(connection: Connection): boolean {
  return connection.phase !== 'connecting';
}

/** The state of RFC 4271 that a connection by itself is in. */
export function stateOf({ phase, side }: Connection): State {
  switch (phase) {
    case 'connecting':
      return 'Connect';
    case 'delayed':
      return side === 'outgoing' ? 'Connect' : 'Active';
    case 'openSent':
      return 'OpenSent';
    case 'openConfirm':
      return 'OpenConfirm';
    case 'established':
      return 'Established';
  }
}
