/**
 * Which files of a directory have changed and are at rest, so that they can be read.
 */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Problem } from '../problem.ts';
import { GONE, MOST_BYTES_FOLLOWED, readText, type Signature, signatureOf, unreadable } from './text.ts';

export interface ScannerOptions {
  /**
   * How long a file has to stay as it is before it is read, in ms: one that is being written, or deleted and written
   * anew, is left alone so long.
   */
  readonly settle: number;
  /** Wall clock, in ms since the epoch, as file times are. */
  readonly now: () => number;
}

/** What one look at the directory brought. */
export interface Scan {
  /** Texts of files that are new or changed, by path and in order; `undefined` for one that is gone. */
  readonly files: ReadonlyMap<string, string | undefined>;
  /** Whether some file is not at rest yet. */
  readonly unsettled: boolean;
  /** Tells this directory from another one that takes its name later; `undefined` if it can not be read now. */
  readonly identity: string | undefined;
  /** What could not be read. */
  readonly problems: readonly Problem[];
}

/** Files that are read: `.yaml`, `.yml`, `.json`, but none that begins with a dot, as editors and mounts use them. */
export function isManifestName(name: string): boolean {
  return /^[^.].*\.(yaml|yml|json)$/.test(name);
}

/** Looks at a directory again and again, and tells each time what is new. */
export class Scanner {
  readonly #root: string;
  readonly #options: ScannerOptions;
  readonly #files = new Map<string, FileState>();
  /** Of the directory that the files are from. */
  #identity: string | undefined;

  constructor(root: string, options: ScannerOptions) {
    this.#root = root;
    this.#options = options;
  }

  /**
   * Looks once. While the directory itself is missing or can not be read, no file counts as changed: a mount that went
   * away is no reason to forget policies. Nor is another directory in its place that has none at all.
   */
  async scan(): Promise<Scan> {
    let identity: string;
    let names: string[];
    try {
      // In this order a directory that is replaced in between is noticed by the next look.
      const { dev, ino } = await stat(this.#root, { bigint: true });
      identity = `${dev}:${ino}`;
      names = (await readdir(this.#root)).filter(isManifestName).sort();
    } catch (error) {
      return {
        files: new Map(),
        unsettled: false,
        identity: undefined,
        problems: [unreadableNow(this.#root, error)],
      };
    }
    // What is left of a mount that went away is the empty directory below it.
    if (names.length === 0 && this.#files.size > 0 && identity !== this.#identity) {
      return {
        files: new Map(),
        unsettled: false,
        identity: undefined,
        problems: [replacedByNone(this.#root)],
      };
    }
    this.#identity = identity;
    const files = new Map<string, string | undefined>();
    const problems: Problem[] = [];
    let unsettled = false;
    for (const name of new Set([...names, ...this.#files.keys()])) {
      const outcome = await this.#look(name);
      if (outcome.state === 'unsettled') unsettled = true;
      if (outcome.state === 'changed') files.set(join(this.#root, name), outcome.text);
      if (outcome.state === 'failed') problems.push(outcome.problem);
    }
    return { files, unsettled, identity, problems };
  }

  async #look(name: string): Promise<Outcome> {
    const path = join(this.#root, name);
    const time = this.#options.now();
    const state = this.#files.get(name) ?? { signature: GONE, since: time, stale: time, taken: GONE };
    let seen: Signature;
    try {
      seen = await signatureOf(path);
    } catch (error) {
      return { state: 'failed', problem: unreadableNow(path, error) };
    }
    if (seen.text !== state.signature) {
      if (state.signature === state.taken) state.stale = time;
      state.signature = seen.text;
      state.since = time;
    }
    if (seen.text === GONE && state.taken === GONE) {
      this.#files.delete(name);
      return { state: 'unchanged' };
    }
    this.#files.set(name, state);
    if (seen.text === state.taken) return { state: 'unchanged' };
    const { settle } = this.#options;
    // Nobody touched it for a while, by what was seen of it or by its own time.
    const atRest = time - state.since >= settle || (seen.written <= time && time - seen.written >= settle);
    // A file that is written to all the time has to be read at some moment.
    const overdue = time - state.stale >= PATIENCE * settle;
    if (!atRest && !overdue) return { state: 'unsettled' };
    if (seen.text === GONE) {
      this.#files.delete(name);
      return { state: 'changed', text: undefined };
    }
    return this.#take(path, state, overdue);
  }

  async #take(path: string, state: FileState, overdue: boolean): Promise<Outcome> {
    try {
      const text = await readText(path, overdue ? undefined : state.signature, MOST_BYTES_FOLLOWED);
      if (text === undefined) return { state: 'unsettled' };
      state.taken = state.signature;
      return { state: 'changed', text };
    } catch (error) {
      return { state: 'failed', problem: unreadableNow(path, error) };
    }
  }
}

interface FileState {
  /** As last seen. */
  signature: string;
  /** When it was first seen so. */
  since: number;
  /** When it was first seen other than it was taken. */
  stale: number;
  /** As it was when its text was taken. */
  taken: string;
}

type Outcome =
  | { readonly state: 'unchanged' | 'unsettled' }
  | { readonly state: 'changed'; readonly text: string | undefined }
  | { readonly state: 'failed'; readonly problem: Problem };

/** How many times `settle` a file may go on changing before it is read as it is. */
export const PATIENCE = 20;

function replacedByNone(file: string): Problem {
  const place = { file, document: 0, line: 0, column: 0, object: '', path: '' };
  const found = 'another directory in the place of the one before, and no manifest in it';
  const expected = 'a manifest, if only an empty one; what was read before stays in force';
  return { severity: 'error', ...place, found, expected };
}

function unreadableNow(file: string, error: unknown): Problem {
  const problem = unreadable(file, error);
  return { ...problem, expected: `${problem.expected}; what was read before stays in force` };
}
