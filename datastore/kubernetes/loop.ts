/**
 * Follows one kind: everything first, then what changes, for as long as it is told to, whatever the server does.
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/ (watches, bookmarks, streaming lists, pages, 410)
 */

import { describeValue, type Problem } from '../problem.ts';
import { type ApiCollection, collectionPath } from './api.ts';
import { type Connection, piecesOf } from './connection.ts';
import { BEGINNING, backoff, type Course, isBefore, isExpected, nextCourse } from './course.ts';
import { ApiStatusError, BackInTimeError, CutError, StallError, StreamError } from './errors.ts';
import { readEvent } from './events.ts';
import { ItemSplitter } from './items.ts';
import { LineSplitter } from './lines.ts';
import { isObject, type Replacement, type Shelf } from './shelf.ts';
import type { KindStatus } from './status.ts';
import { describeTrouble } from './trouble.ts';
import { Watchdog } from './watchdog.ts';

/** Times are ms. */
export interface LoopTimes {
  /** A watch is asked to last between this and twice that, so that they do not end all at once. */
  readonly watch: number;
  /** Longest silence before an answer begins, and within a list. */
  readonly answer: number;
  /** Longest silence of a watch in which the server is known to speak once a minute. */
  readonly idle: number;
  /** Pause after a failure: the shortest, at first, and the longest, after many. */
  readonly shortestPause: number;
  readonly longestPause: number;
}

export interface LoopOptions {
  readonly api: ApiCollection;
  readonly connection: Connection;
  readonly shelf: Shelf;
  /** Objects that are asked for, as `spec.nodeName=n1`; empty for all. */
  readonly fieldSelector: string;
  readonly times: LoopTimes;
  /** Most bytes of one object as text. */
  readonly objectLimit: number;
  /** Most objects of a page. */
  readonly pageSize: number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** ms since 1970. */
  readonly now: () => number;
  /** Something is new: objects or problems. */
  readonly onNews: () => void;
}

/** How much longer than agreed a watch may last, ms; a part of what was agreed if that is shorter. */
const GRACE_MS = 30_000;

const A_BOOKMARK = 'a bookmark';

/** Silences after which a server that was never heard to speak by itself is not expected to. */
const MOST_GUESSES = 2;

export class KindLoop {
  readonly #options: LoopOptions;
  #course: Course = BEGINNING;
  /** A list in pages that is under way, so that it can go on after a failure. */
  #listing: Listing | undefined;
  #trouble: Problem | undefined;
  /** Whether the trouble is over when the next answer begins, or only when something comes. */
  #troubleIsLasting = false;
  /** Whether the server sends bookmarks by itself: known, or guessed, so many times more. */
  #speaks: 'unknown' | 'yes' | number = 'unknown';
  #status = { state: 'listing' as KindStatus['state'], syncedSince: 0, lastEvent: 0, lists: 0, restarts: 0 };
  #stalls = 0;
  #lastError = '';
  #lastErrorAt = 0;
  /** What the attempt that is under way brought. */
  #progress = false;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  get status(): KindStatus {
    const { api, shelf } = this.#options;
    return {
      kind: api.kind,
      ...this.#status,
      objects: shelf.size,
      stalls: this.#stalls,
      lastError: this.#lastError,
      lastErrorAt: this.#lastErrorAt,
    };
  }

  get #isExpectedToSpeak(): boolean {
    return this.#speaks === 'yes' || (typeof this.#speaks === 'number' && this.#speaks > 0);
  }

  /** What keeps the kind from being followed now. */
  get trouble(): Problem | undefined {
    return this.#trouble;
  }

  /** Runs until the signal. @throws only what is a fault of this program */
  async run(signal: AbortSignal): Promise<void> {
    const { times, random, now } = this.#options;
    while (!signal.aborted) {
      const began = now();
      const version = { now: this.#course.version };
      this.#progress = false;
      let error: unknown;
      try {
        await this.#attempt(version, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (!isExpected(thrown)) throw thrown;
        error = thrown;
      }
      const lasted = now() - began >= times.watch / 2;
      const attempt = { error, version: version.now, progress: this.#progress, lasted };
      const { course, pause, report } = nextCourse(this.#course, attempt);
      if (course.version === undefined && course.way !== 'pages') this.#listing = undefined;
      this.#course = course;
      if (report !== 'nothing') this.#note(error, course, report);
      if (pause === 'none') continue;
      const asked = error instanceof ApiStatusError ? error.retryAfter : 0;
      const wait = Math.max(
        backoff(
          course.failures - 1,
          { shortest: times.shortestPause, longest: times.longestPause },
          random(),
        ),
        Math.min(asked, times.longestPause),
      );
      await sleep(wait, signal);
    }
  }

  /** One request, or one list and the watch from there. `version` is what the course goes on with, however this ends. */
  async #attempt(version: { now: string | undefined }, signal: AbortSignal): Promise<void> {
    if (version.now === undefined && this.#course.way !== 'stream') {
      this.#status.state = 'listing';
      version.now = await this.#list(signal);
    } else if (version.now !== undefined && this.#course.away) {
      // The smallest of lists, for its version: it comes from etcd, whichever API server answers.
      const { version: found } = await this.#page(NOBODY, '', 1, signal);
      if (isBefore(found, version.now)) throw new BackInTimeError(found, version.now);
    }
    await this.#watch(version, signal);
  }

  async #watch(version: { now: string | undefined }, signal: AbortSignal): Promise<void> {
    const { api, connection, shelf, times, objectLimit, random } = this.#options;
    const from = version.now;
    const seconds = Math.max(1, Math.round((times.watch * (1 + random())) / 1_000));
    const lasts = seconds * 1_000;
    const watchdog = new Watchdog(signal);
    let fresh = from === undefined ? shelf.replace() : undefined;
    if (fresh !== undefined) this.#status.state = 'listing';
    try {
      watchdog.expect('an answer to a watch', times.answer);
      watchdog.endsWithin('the end of a watch, as agreed', lasts + Math.min(GRACE_MS, times.answer));
      const path = this.#path({
        watch: 'true',
        allowWatchBookmarks: 'true',
        timeoutSeconds: `${seconds}`,
        ...(from === undefined
          ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
          : { resourceVersion: from }),
      });
      const response = await connection.get(path, watchdog.signal);
      if (fresh === undefined) this.#isFollowing();
      const expectMore = () => {
        if (fresh !== undefined) watchdog.expect('more objects', times.answer);
        else if (this.#isExpectedToSpeak) watchdog.expect(A_BOOKMARK, times.idle);
        else watchdog.expect('an event', 2 * lasts);
      };
      expectMore();
      const lines = new LineSplitter(objectLimit);
      for await (const piece of piecesOf(response, watchdog.signal)) {
        watchdog.heard();
        for (const line of lines.push(piece)) {
          if (line.length === 0) continue;
          const event = readEvent(line);
          if (from !== undefined && isBefore(event.version, from))
            throw new BackInTimeError(event.version, from);
          this.#status.lastEvent = this.#options.now();
          if (event.type !== 'bookmark') {
            (fresh ?? shelf)[event.type](event.object);
          } else if (fresh === undefined) {
            this.#speaks = 'yes';
            expectMore();
          } else if (event.endsInitialEvents) {
            fresh.commit();
            fresh = undefined;
            this.#status.lists++;
            // Such a server has a watch cache, and that speaks once a minute, unless it is told not to.
            if (this.#speaks === 'unknown') this.#speaks = MOST_GUESSES;
            this.#isFollowing();
            expectMore();
          }
          if (fresh !== undefined) continue;
          version.now = event.version;
          this.#hasNews();
        }
      }
      if (lines.isInside) throw new CutError('the connection was cut in the middle of an event');
      if (fresh !== undefined)
        throw new StreamError('the end of a watch', `the end of all ${api.plural} first`);
    } catch (error) {
      const isUnspoken = error instanceof StallError && error.expected === A_BOOKMARK;
      if (isUnspoken && typeof this.#speaks === 'number') this.#speaks--;
      throw error;
    } finally {
      watchdog.close();
    }
  }

  /** @returns the version of the list */
  async #list(signal: AbortSignal): Promise<string> {
    const { shelf, pageSize } = this.#options;
    // A first page is of the moment in which it is asked for: what half of one brought before may be gone by then.
    let listing: Listing = this.#listing ?? { objects: shelf.replace(), next: '' };
    for (;;) {
      const { objects, next } = listing;
      const limit = this.#course.way === 'whole' ? 0 : pageSize;
      const { version, more }: ListPage = await this.#page(objects, next, limit, signal);
      this.#progress = true;
      if (more === '') {
        objects.commit();
        this.#listing = undefined;
        this.#status.lists++;
        this.#hasNews();
        return version;
      }
      if (more === next) throw new StreamError('the same page again', 'the next one');
      listing = { objects, next: more };
      this.#listing = listing;
    }
  }

  /** @param limit most objects; 0 for all */
  async #page(
    objects: Pick<Replacement, 'put'>,
    next: string,
    limit: number,
    signal: AbortSignal,
  ): Promise<ListPage> {
    const { api, connection, times, objectLimit } = this.#options;
    const watchdog = new Watchdog(signal);
    try {
      watchdog.expect('an answer to a list', times.answer);
      const path = this.#path({
        ...(limit > 0 ? { limit: `${limit}` } : {}),
        ...(next === '' ? {} : { continue: next }),
      });
      const response = await connection.get(path, watchdog.signal);
      watchdog.expect('the rest of a list', times.answer);
      const items = new ItemSplitter(objectLimit);
      for await (const piece of piecesOf(response, watchdog.signal)) {
        watchdog.heard();
        for (const text of items.push(piece)) objects.put(readItem(text));
      }
      this.#status.lastEvent = this.#options.now();
      return readListMetadata(items.end(), api.kind);
    } finally {
      watchdog.close();
    }
  }

  #path(query: Readonly<Record<string, string>>): string {
    const { api, fieldSelector } = this.#options;
    const selector = fieldSelector === '' ? {} : { fieldSelector };
    return `${collectionPath(api)}?${new URLSearchParams({ ...selector, ...query })}`;
  }

  /** Changes come from now on. */
  #isFollowing(): void {
    this.#status.state = 'watching';
    if (this.#status.syncedSince === 0) this.#status.syncedSince = this.#options.now();
    if (this.#trouble !== undefined && !this.#troubleIsLasting) this.#isWell();
  }

  #hasNews(): void {
    this.#progress = true;
    if (this.#trouble !== undefined) this.#isWell();
    this.#options.onNews();
  }

  #isWell(): void {
    this.#trouble = undefined;
    this.#options.onNews();
  }

  #note(error: unknown, course: Course, report: 'status' | 'problem'): void {
    const { api, connection, shelf, fieldSelector, now, onNews } = this.#options;
    const { server } = connection;
    const { problem, text, lasting } = describeTrouble(error, {
      api,
      server,
      fieldSelector,
      kept: shelf.complete,
    });
    this.#status.restarts++;
    if (error instanceof StallError) this.#stalls++;
    this.#lastError = text;
    this.#lastErrorAt = now();
    if (course.version === undefined || report === 'problem') this.#status.syncedSince = 0;
    if (report === 'status') return;
    this.#status.state = 'waiting';
    this.#trouble = problem;
    this.#troubleIsLasting = lasting;
    onNews();
  }
}

/** For a list of which only the version is wanted. */
const NOBODY: Pick<Replacement, 'put'> = { put() {} };

interface Listing {
  readonly objects: Replacement;
  /** Where it goes on; empty for the beginning. */
  readonly next: string;
}

interface ListPage {
  readonly version: string;
  /** Where the next page begins; empty if this was the last. */
  readonly more: string;
}

function readItem(text: Buffer) {
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch (error) {
    throw new StreamError(`no JSON (${(error as Error).message})`, 'an object in a list');
  }
  if (!isObject(value)) throw new StreamError('something without a name', 'an object in a list');
  return value;
}

/** What stands around the items. It has to be a list of this kind: one without objects takes all away. */
function readListMetadata(list: unknown, kind: string): ListPage {
  const object = (typeof list === 'object' && list !== null ? list : {}) as Readonly<Record<string, unknown>>;
  if (object.kind !== `${kind}List` || !('items' in object)) {
    throw new StreamError(`an object of kind ${describeValue(object.kind)}`, `a ${kind}List`);
  }
  const metadata = (object.metadata ?? {}) as Readonly<Record<string, unknown>>;
  const version = metadata.resourceVersion;
  if (typeof version !== 'string' || version === '') {
    throw new StreamError('a list without resourceVersion', 'one that has it');
  }
  return { version, more: typeof metadata.continue === 'string' ? metadata.continue : '' };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
    resolve();
  };
  const timer = setTimeout(wake, ms);
  signal.addEventListener('abort', wake);
  if (signal.aborted) wake();
  return promise;
}
