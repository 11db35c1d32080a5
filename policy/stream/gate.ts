import { setImmediate } from 'node:timers/promises';

/**
 * Lets in one after the other, with a turn of the event loop in between, and only so many at a time. Who stays longer
 * than there is patience for does not count any more, so that nobody is kept out for long by those that do not move.
 */
export class Gate {
  readonly #most: number;
  readonly #patience: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;
  #isOpening = false;

  /** @param patience ms */
  constructor(most: number, patience: number) {
    this.#most = most;
    this.#patience = patience;
  }

  /** Waits for its turn, or for the signal. @returns to be called when it is through */
  async enter(signal: AbortSignal): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const come = () => resolve();
    this.#waiting.push(come);
    const giveUp = () => {
      const at = this.#waiting.indexOf(come);
      // Who has been let in already leaves as all do.
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      this.#inside++;
      resolve();
    };
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
    void this.#open();
    await promise;
    signal.removeEventListener('abort', giveUp);
    let isInside = true;
    const leave = () => {
      clearTimeout(timer);
      if (!isInside) return;
      isInside = false;
      this.#inside--;
      void this.#open();
    };
    const timer = setTimeout(leave, this.#patience).unref();
    return leave;
  }

  async #open(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    while (this.#inside < this.#most && this.#waiting.length > 0) {
      this.#inside++;
      this.#waiting.shift()!();
      await setImmediate();
    }
    this.#isOpening = false;
  }
}
