/** Wakes one waiter: when it is rung, when time runs out, or when the signal is aborted. */
export class Bell {
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.ring();
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort);
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Forgets earlier rings. */
  clear(): void {
    this.#rung = false;
  }

  /** Waits for a ring since `clear`, at most so many ms. */
  async wait(timeout: number): Promise<void> {
    if (this.#rung || this.#signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeout);
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      this.#wake = undefined;
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
