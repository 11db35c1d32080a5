/** Thrown when the set-up can not go on: `what` failed, and what to `remedy`. Together they are a message for people. */
export class SetupError extends Error {
  code = 'SETUP_FAILED';

  /**
   * @param {string} what
   * @param {string} remedy
   * @param {{ exitCode?: number, cause?: unknown }} [more]
   */
  constructor(what, remedy, more = {}) {
    super(`${what} ${remedy}`, { cause: more.cause });
    this.name = 'SetupError';
    this.exitCode = more.exitCode ?? 1;
  }
}
