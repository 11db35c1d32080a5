/**
 * Work of the RIB in slices, so that sockets and timers get their turn in between, however long a burst is.
 */

import type { Clock } from '#bgp/session/clock.ts';

/** Longest time at a stretch, in ms. Sessions take up to about as much in each round of the event loop. */
const SLICE_MS = 4;

export class Slices {
  readonly #clock: Pick<Clock, 'now' | 'defer'>;
  readonly #work: () => boolean;
  #due = false;
  #stopped = false;

  /** @param work does a small piece, a fraction of a millisecond, and says whether there is more */
  constructor(clock: Pick<Clock, 'now' | 'defer'>, work: () => boolean) {
    this.#clock = clock;
    this.#work = work;
  }

  /** There is, or may be, something to do. */
  wake(): void {
    if (this.#due || this.#stopped) return;
    this.#due = true;
    this.#clock.defer(() => this.#run());
  }

  stop(): void {
    this.#stopped = true;
  }

  #run(): void {
    this.#due = false;
    if (this.#stopped) return;
    const end = this.#clock.now() + SLICE_MS;
    let more = true;
    while (more && this.#clock.now() < end) more = this.#work();
    if (more) this.wake();
  }
}
