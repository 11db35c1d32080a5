/**
 * What can go wrong between the API server and the loop. All of it can get better again: none of these ends a loop.
 */

/** Thrown when the server answers a request with a status of failure, or a watch with an event of type ERROR. */
export class ApiStatusError extends Error {
  override readonly name = 'ApiStatusError';
  readonly code = 'API_STATUS';
  /** HTTP status; in an event, the `code` of its Status. */
  readonly status: number;
  /** Machine-readable, such as `Forbidden` or `Expired`; empty if there is none. */
  readonly reason: string;
  /** How long the server asks to be left alone, ms; 0 if it does not say. */
  readonly retryAfter: number;
  /** Whether it came as an event of a watch that had begun well. */
  readonly inStream: boolean;

  constructor(status: number, reason: string, message: string, { retryAfter = 0, inStream = false } = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
    this.inStream = inStream;
  }
}

/** Thrown when a connection stays open and nothing comes, or not the end that was agreed. */
export class StallError extends Error {
  override readonly name = 'StallError';
  readonly code = 'STALL';
  readonly found: string;
  readonly expected: string;

  constructor(found: string, expected: string) {
    super(`found ${found}, expected ${expected}`);
    this.found = found;
    this.expected = expected;
  }
}

/** Thrown when what comes is not what the API sends. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly code = 'STREAM';
  readonly found: string;
  readonly expected: string;

  constructor(found: string, expected: string) {
    super(`found ${found}, expected ${expected}`);
    this.found = found;
    this.expected = expected;
  }
}

/** Thrown when an answer ends before it is whole. */
export class CutError extends Error {
  override readonly name = 'CutError';
  readonly code = 'CUT';
}

/** Thrown when there is no connection to be had. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  readonly code = 'UNREACHABLE';
}

/** Thrown when it is not known how to reach the API server: no kubeconfig, no pod of a cluster, no credentials. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
  readonly code = 'ACCESS';
  /** The file, or where else it should have been found. */
  readonly object: string;
  readonly found: string;
  readonly expected: string;

  constructor(object: string, found: string, expected: string, options?: ErrorOptions) {
    super(`${object}: found ${found}, expected ${expected}`, options);
    this.object = object;
    this.found = found;
    this.expected = expected;
  }
}

/**
 * Thrown when the server speaks of versions before the one from which it was asked to go on: it was set back in time, and
 * what is known of its objects may never have been.
 */
export class BackInTimeError extends Error {
  override readonly name = 'BackInTimeError';
  readonly code = 'BACK_IN_TIME';
  readonly found: string;
  readonly expected: string;

  constructor(found: string, asked: string) {
    super(`found version ${found}, expected one after ${asked}`);
    this.found = `version ${found}: the server was set back in time`;
    this.expected = `a version after ${asked}`;
  }
}
