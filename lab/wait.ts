/** Thrown by {@link waitFor} when its condition did not come true in time. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'DEADLINE_PASSED';
}

/** How {@link waitFor} waits. */
export interface WaitOptions {
  /** What is awaited, for the error: `session to r2`. */
  readonly what: string;
  /** Longest wait in ms. Default 10,000. */
  readonly timeout?: number;
  /** Pause between two looks in ms. Default 20. */
  readonly interval?: number;
  /** Added to the error message, for example the end of a log. */
  readonly details?: () => string;
}

/**
 * Calls `look` until it returns something other than `undefined` or `false`, and resolves to that. An error thrown
 * by `look` counts as "not yet" and becomes the cause when time runs out.
 *
 * @throws DeadlineError when time runs out
 */
export async function waitFor<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const timeout = options.timeout ?? 10_000;
  const end = performance.now() + timeout;
  let cause: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      const details = options.details === undefined ? '' : `\n${options.details()}`;
      throw new DeadlineError(`not after ${timeout} ms: ${options.what}${details}`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, options.interval ?? 20));
  }
}
