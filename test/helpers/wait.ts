/** Waiting for a condition: the lab's own way, for tests. */
export { DeadlineError, type WaitOptions, waitFor } from '#lab/wait.ts';
