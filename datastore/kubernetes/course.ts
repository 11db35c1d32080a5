/**
 * What a list-watch loop does next: a plain function of what it knows and of how the last attempt went.
 *
 * A watch is taken up again where it ended for as long as the server lets it. Everything is asked for anew when it does
 * not (410), and when the same place has led nowhere twice. A server that was set back in time knows nothing of the version
 * that it is asked to begin from and says so by saying nothing; so one that was away is asked where it is.
 */

import {
  AccessError,
  ApiStatusError,
  BackInTimeError,
  CutError,
  StallError,
  StreamError,
  UnreachableError,
} from './errors.ts';

export interface Course {
  /** Version to watch from; `undefined` if everything has to be asked for. */
  readonly version: string | undefined;
  /**
   * How everything is asked for: `stream`, as the beginning of a watch; `pages`, as a list in pieces of which each has to
   * be asked for before the server has forgotten that version; `whole`, as a list in one piece.
   */
  readonly way: 'stream' | 'pages' | 'whole';
  /** Attempts in a row that failed without anything new. */
  readonly failures: number;
  /** Those among them in which the server was there and made no sense, or none at all. */
  readonly barren: number;
  /** Whether the server was away since the version was told, so that it may have been set back. */
  readonly away: boolean;
}

export const BEGINNING: Course = { version: undefined, way: 'stream', failures: 0, barren: 0, away: false };

/** How an attempt went. */
export interface Attempt {
  /** `undefined` for a watch that ended as agreed. */
  readonly error: unknown;
  /** Version up to which everything is known now. */
  readonly version: string | undefined;
  /** Whether anything came that is valid: events, bookmarks, a page. */
  readonly progress: boolean;
  /** Whether it lasted as long as a watch should. */
  readonly lasted: boolean;
}

export interface Step {
  readonly course: Course;
  readonly pause: 'none' | 'backoff';
  /** `nothing` for what is in the way of things; `status` for what is, but is counted; `problem` for the rest. */
  readonly report: 'nothing' | 'status' | 'problem';
}

/** How often the same place may lead nowhere. */
const MOST_BARREN = 2;

export function nextCourse(course: Course, attempt: Attempt): Step {
  const { error, version, progress, lasted } = attempt;
  const failures = progress ? 1 : course.failures + 1;
  if (error === undefined) {
    const rested = { ...course, version, failures: 0, barren: 0, away: false };
    if (lasted) return { course: rested, pause: 'none', report: 'nothing' };
    // A server that is about to go ends all watches of all nodes at once, and one that is broken does so for ever.
    return { course: { ...rested, failures }, pause: 'backoff', report: 'nothing' };
  }
  if (isGone(error)) {
    // Of a version that was followed, it is the way of things. Of one that was just listed, there is more to it than time.
    const isUsual = course.version !== undefined;
    const isPages = version === undefined && course.way === 'pages';
    return {
      course: { ...BEGINNING, way: isPages ? 'whole' : 'stream', failures: course.failures + 1 },
      pause: isUsual ? 'none' : 'backoff',
      report: isUsual || isPages ? 'status' : 'problem',
    };
  }
  if (error instanceof BackInTimeError) {
    return { course: { ...BEGINNING, failures }, pause: 'backoff', report: 'problem' };
  }
  if (version === undefined && course.way === 'stream' && refusesStreams(error)) {
    return { course: { ...course, way: 'pages', barren: 0 }, pause: 'none', report: 'nothing' };
  }
  const isVain = isBarren(error) || (version === undefined && error instanceof CutError);
  const barren = progress ? 0 : course.barren + (isVain ? 1 : 0);
  const report = 'problem';
  if (barren < MOST_BARREN) {
    const away = wasAway(error) || (course.away && !progress);
    return { course: { ...course, version, failures, barren, away }, pause: 'backoff', report };
  }
  const way = version === undefined && course.way === 'stream' ? 'pages' : 'stream';
  return { course: { ...BEGINNING, way, failures }, pause: 'backoff', report };
}

/** The version that was asked for is not known any more. */
function isGone(error: unknown): boolean {
  return error instanceof ApiStatusError && error.status === 410;
}

/**
 * A server that can not begin a watch with everything refuses the request as invalid (422; 400 by some): the feature
 * WatchList is not enabled, or the server is from before it.
 */
function refusesStreams(error: unknown): boolean {
  return error instanceof ApiStatusError && !error.inStream && (error.status === 422 || error.status === 400);
}

/**
 * No server was reached. What stands before it, as a load balancer, answers for it (502 to 504) or lets one wait; and one that has just
 * begun is not ready (500, 503).
 */
function wasAway(error: unknown): boolean {
  if (error instanceof UnreachableError || error instanceof StallError) return true;
  return error instanceof ApiStatusError && !error.inStream && error.status >= 500;
}

/** The server was there, and nothing came of it. */
function isBarren(error: unknown): boolean {
  if (error instanceof StallError || error instanceof StreamError) return true;
  return error instanceof ApiStatusError && error.inStream && error.status !== 429;
}

const EXPECTED = [
  ApiStatusError,
  StallError,
  StreamError,
  BackInTimeError,
  CutError,
  UnreachableError,
  AccessError,
];

/** Errors of which a loop knows that they can get better; any other is a fault of ours. */
export function isExpected(error: unknown): boolean {
  return EXPECTED.some((type) => error instanceof type);
}

/**
 * Whether a version is before another one. They are decimal numbers that grow with each change (KEP-5504); of any that is
 * not, nothing is known.
 */
export function isBefore(version: string, other: string): boolean {
  if (!DECIMAL.test(version) || !DECIMAL.test(other)) return false;
  return version.length === other.length ? version < other : version.length < other.length;
}

const DECIMAL = /^[1-9]\d*$/;

/**
 * How long to wait before the next attempt, ms: longer each time, up to a limit, and never the same for all nodes of a
 * cluster whose API server comes back.
 *
 * @param random from 0 to 1
 */
export function backoff(
  failures: number,
  { shortest, longest }: { readonly shortest: number; readonly longest: number },
  random: number,
): number {
  const full = Math.min(longest, shortest * 2 ** Math.min(failures, 30));
  return full / 2 + (random * full) / 2;
}
