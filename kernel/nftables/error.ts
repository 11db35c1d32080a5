import type { NetlinkError } from '../netlink/error.ts';
import type { Hex } from './hex.ts';
import type { Operation } from './operation.ts';

/** A netlink message that can not be read: cut short, or a value that nf_tables does not have. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly code = 'NFT_UNREADABLE';
  /** What was being read, e.g. `rule`. */
  readonly object: string;

  constructor(object: string, cause: unknown) {
    super(`${object}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.object = object;
  }
}

/** A value that nf_tables has no room for, found before anything was sent. */
export class InvalidObjectError extends Error {
  override readonly name = 'InvalidObjectError';
  readonly code = 'NFT_INVALID';
  readonly object: string;

  constructor(object: string, problem: string, cause?: unknown) {
    super(`${object}: ${problem}`, cause === undefined ? {} : { cause });
    this.object = object;
  }
}

/** Two elements of one map overlap and say different things, so that no order of sending them is right. */
export class IntervalConflictError extends Error {
  override readonly name = 'IntervalConflictError';
  readonly code = 'NFT_INTERVAL_CONFLICT';
  /** The overlapping elements, as text. */
  readonly elements: readonly [string, string];

  constructor(first: string, second: string) {
    super(`${first} and ${second} overlap and differ`);
    this.elements = [first, second];
  }
}

/** One operation of a transaction that the kernel refused. */
export interface OperationFailure {
  /** Position in the transaction, from 0. */
  readonly index: number;
  readonly operation: Operation;
  /** Names the object, the errno and the kernel's own words. */
  readonly error: NetlinkError;
  /** Key of the element that the kernel pointed at. */
  readonly key?: Hex;
}

/**
 * The kernel refused a transaction, and nothing of it is in force. `failures` holds all that the kernel named; the
 * first is the cause, and those after it may only follow from it.
 */
export class TransactionError extends Error {
  override readonly name: string = 'TransactionError';
  /** The errno.h name of the first failure, e.g. `ENOENT`. */
  readonly code: string;
  readonly errno: number;
  readonly failures: readonly OperationFailure[];

  constructor(
    error: NetlinkError,
    failures: readonly OperationFailure[],
    message = refusalText(error, failures),
  ) {
    super(message, { cause: error });
    this.code = error.code;
    this.errno = error.errno;
    this.failures = failures;
  }
}

/**
 * The ruleset's generation is not the expected one: somebody else has committed since it was read. Nothing of the
 * transaction is in force. Read again what it was based on and send what is still right.
 */
export class GenerationMovedError extends TransactionError {
  override readonly name = 'GenerationMovedError';
  /** The generation that the transaction was based on. */
  readonly expected: number;

  constructor(expected: number, error: NetlinkError) {
    super(error, [], `nftables transaction refused: the ruleset's generation is no longer ${expected}`);
    this.expected = expected;
  }
}

/** A table or set changed under each of the attempts to read it whole. */
export class UnstableDumpError extends Error {
  override readonly name = 'UnstableDumpError';
  readonly code = 'NFT_UNSTABLE';
  readonly object: string;

  constructor(object: string, attempts: number) {
    super(`${object}: changed during each of ${attempts} dumps`);
    this.object = object;
  }
}

function refusalText(error: NetlinkError, failures: readonly OperationFailure[]): string {
  const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : '';
  return `nftables transaction refused: ${error.message}${more}`;
}
