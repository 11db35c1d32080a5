/**
 * Turns for work that comes in pieces, so that a long burst of one neighbour holds up neither the others nor any timer.
 */

/** Something that has work to do from time to time. */
export interface Task {
  /** Works until about `until` (ms, as the clock says it) or until there is nothing left. Returns whether there is. */
  run(until: number): boolean;
}

export type TurnOptions = {
  /** ms, only ever growing. */
  readonly now: () => number;
  /** Runs a function once the event loop has looked at timers and sockets again. */
  readonly defer: (run: () => void) => void;
};

/** Longest time that one task works at a stretch, in ms. */
const PIECE_MS = 1;
/** Longest time that all tasks together work before the event loop goes round, in ms. */
const ROUND_MS = 5;

/**
 * Goes round the tasks that have work: a piece of each in turn, and after a few milliseconds lets the event loop look at
 * timers and sockets. So a KEEPALIVE is never late by more than a round and one piece that can not be cut.
 */
export class Turns {
  readonly #options: TurnOptions;
  #waiting: Task[] = [];
  readonly #queued = new Set<Task>();
  #deferred = false;

  constructor(options: TurnOptions) {
    this.#options = options;
  }

  /** Has the task run soon. Adding it twice is no more than once. */
  add(task: Task): void {
    if (this.#queued.has(task)) return;
    this.#queued.add(task);
    this.#waiting.push(task);
    this.#defer();
  }

  #defer(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.#options.defer(() => {
      this.#deferred = false;
      try {
        this.#round();
      } finally {
        // Whatever one task did, the others still get their turn.
        if (this.#waiting.length > 0) this.#defer();
      }
    });
  }

  #round(): void {
    const { now } = this.#options;
    const end = now() + ROUND_MS;
    for (let time = now(); time < end && this.#waiting.length > 0; time = now()) {
      const tasks = this.#waiting;
      this.#waiting = [];
      for (const [i, task] of tasks.entries()) {
        if (i > 0) time = now();
        if (time >= end) {
          // Those that had no turn go before those that ask for another.
          this.#waiting = [...tasks.slice(i), ...this.#waiting];
          break;
        }
        this.#queued.delete(task);
        let more = false;
        try {
          more = task.run(Math.min(end, time + PIECE_MS));
        } catch (error) {
          this.#waiting = [...tasks.slice(i + 1), ...this.#waiting];
          throw error;
        }
        if (more && !this.#queued.has(task)) {
          this.#queued.add(task);
          this.#waiting.push(task);
        }
      }
    }
  }
}
