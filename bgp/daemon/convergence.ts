/**
 * When the tables are what they will be, after a start: then what an earlier run left in the kernel can go.
 */

import type { Rib } from '#bgp/rib/rib.ts';
import type { Peer } from '#bgp/session/peer.ts';

/** A neighbour that sends no End-of-RIB has said everything once it has been quiet for so long, in ms. */
const QUIET_MS = 5000;
/** Nobody waits longer than this for a neighbour that does not come, in ms. */
const LONGEST_MS = 120_000;

export class Convergence {
  readonly #rib: Rib;
  readonly #now: () => number;
  readonly #start: number;
  readonly #seen = new Map<Peer, { updates: number; at: number }>();

  /** @param now ms, only ever growing */
  constructor(rib: Rib, now: () => number) {
    this.#rib = rib;
    this.#now = now;
    this.#start = now();
  }

  /**
   * Asked from time to time with all neighbours that are expected, and the index of each in the RIB. `othersMayCome`: there are neighbours
   * that are not known before they connect, so that nobody can say whether all are there.
   */
  reached(neighbours: Iterable<readonly [Peer, number | undefined]>, othersMayCome: boolean): boolean {
    if (this.#now() - this.#start >= LONGEST_MS) return true;
    if (this.#rib.runnable || othersMayCome) return false;
    let all = true;
    let any = false;
    for (const [peer, index] of neighbours) {
      any = true;
      if (!this.#isDone(peer, index)) all = false;
    }
    return any && all;
  }

  #isDone(peer: Peer, index: number | undefined): boolean {
    if (peer.session === undefined || index === undefined) return false;
    const families = this.#rib.peers[index]!.families;
    if (peer.session.negotiated.families.every((family) => families.get(family)?.endOfRibReceived)) {
      return true;
    }
    const updates = peer.received.update;
    const seen = this.#seen.get(peer);
    if (seen?.updates === updates) return this.#now() - seen.at >= QUIET_MS;
    this.#seen.set(peer, { updates, at: this.#now() });
    return false;
  }
}
