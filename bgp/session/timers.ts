/**
 * The timers that a state machine asked for, on a real clock.
 */

import type { Clock } from './clock.ts';
import type { ConnectionTimer, Input, NeighborTimer, Side } from './events.ts';

/** The event of a timer. */
export type TimerInput = Extract<Input, { type: 'timer' }>;

/** A timer that runs. */
export type RunningTimer = { readonly input: TimerInput; readonly at: number; readonly cancel: () => void };

export class Timers {
  readonly #clock: Clock;
  readonly #fired: (timer: RunningTimer) => void;
  readonly #running = new Map<string, RunningTimer>();

  /** `fired` is called with a timer whose time has come. It counts as running until `take` or `stop`. */
  constructor(clock: Clock, fired: (timer: RunningTimer) => void) {
    this.#clock = clock;
    this.#fired = fired;
  }

  /** Starts a timer, or starts it anew. */
  start(input: TimerInput, ms: number): void {
    const name = nameOf(input);
    this.#running.get(name)?.cancel();
    const timer: RunningTimer = {
      input,
      at: this.#clock.now() + ms,
      cancel: this.#clock.after(ms, () => this.#fired(timer)),
    };
    this.#running.set(name, timer);
  }

  stop(input: TimerKey): void {
    const name = nameOf(input);
    this.#running.get(name)?.cancel();
    this.#running.delete(name);
  }

  stopAll(): void {
    for (const { cancel } of this.#running.values()) cancel();
    this.#running.clear();
  }

  /** Takes a timer that has fired away. False if it was started anew or stopped since. */
  take(timer: RunningTimer): boolean {
    const name = nameOf(timer.input);
    return this.#running.get(name) === timer && this.#running.delete(name);
  }

  /** ms that are left by name, the side before that of a connection's timer. */
  left(): ReadonlyMap<string, number> {
    const now = this.#clock.now();
    return new Map([...this.#running].map(([name, { at }]) => [name, Math.max(0, at - now)]));
  }
}

type TimerKey = { readonly timer: NeighborTimer } | { readonly timer: ConnectionTimer; readonly side: Side };

function nameOf(key: TimerKey): string {
  return 'side' in key ? `${key.side} ${key.timer}` : key.timer;
}
