/**
 * How long a neighbour waits in Idle after a failure: DampPeerOscillations of RFC 4271 section 8.1.1, whose method the RFC leaves
 * open.
 */

import type { SessionSettings } from './settings.ts';

export class Damping {
  #doublings = 0;
  #wasStable = false;

  /** An operator has started the neighbour: what was before does not count. */
  clear(): void {
    this.#doublings = 0;
    this.#wasStable = false;
  }

  /** A session has begun, and may or may not last. */
  begin(): void {
    this.#wasStable = false;
  }

  /** The session lasts: its end will not be an oscillation. */
  stable(): void {
    this.#doublings = 0;
    this.#wasStable = true;
  }

  /**
   * The wait after a failure, in ms before jitter: none after a session that was stable, else the first value, doubled with
   * each further failure up to the maximum.
   */
  wait({ idleHoldMs, idleHoldMaxMs, damp }: SessionSettings): number {
    if (this.#wasStable) {
      this.#wasStable = false;
      return 0;
    }
    const ms = Math.min(idleHoldMaxMs, idleHoldMs * 2 ** this.#doublings);
    if (damp && ms < idleHoldMaxMs) this.#doublings++;
    return ms;
  }
}
