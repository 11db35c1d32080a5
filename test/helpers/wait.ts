/** Waiting for a condition: the lab's own way, for tests. */

import { type WaitOptions, waitFor as waitForIn } from '#lab/wait.ts';

export { DeadlineError, type WaitOptions } from '#lab/wait.ts';

/**
 * As the lab's `waitFor`, with a deadline that a machine under any load keeps: 30 s unless told. It only says when to give
 * up; what is to happen soon is measured by whoever asserts it.
 */
export function waitFor<T>(
  look: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  return waitForIn(look, { timeout: 30_000, ...options });
}
