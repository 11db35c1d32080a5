/**
 * A directory of YAML and JSON files as a source of resources.
 */

import { Bell } from '../bell.ts';
import type { Problem } from '../problem.ts';
import type { Resource } from '../resource.ts';
import type { Change, Source, Update } from '../source.ts';
import { Claims } from './claims.ts';
import { readFileInSlices } from './documents.ts';
import { PATIENCE, type Scan, Scanner } from './scanner.ts';
import { DirectoryWatcher } from './watcher.ts';

export interface DirectoryOptions {
  /** How long a file has to be at rest before it is read, in ms. Default 100. */
  readonly settle?: number;
  /** Longest time between two looks, in ms, for changes of which the kernel gives no word. Default 2,000. */
  readonly rescan?: number;
  /** Wall clock, in ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Follows the manifests of one directory (not of those inside it). Every word of the kernel leads to a look at all of
 * it, so that a word too many or too few does no harm.
 */
export class DirectorySource implements Source {
  readonly #root: string;
  readonly #options: Required<DirectoryOptions>;

  constructor(root: string, { settle = 100, rescan = 2_000, now = Date.now }: DirectoryOptions = {}) {
    this.#root = root;
    this.#options = { settle, rescan, now };
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Update, void, void> {
    const { settle, rescan } = this.#options;
    const scanner = new Scanner(this.#root, this.#options);
    const bell = new Bell(signal);
    const watcher = new DirectoryWatcher(this.#root, () => bell.ring());
    const news = new News(PATIENCE * settle);
    try {
      while (!signal.aborted) {
        bell.clear();
        const scan = await scanner.scan();
        await news.add(scan, watcher.failure === undefined ? [] : [notWatched(this.#root, watcher.failure)]);
        // What happened before the watch began was not told, so there is one more look before anything is said.
        if (watcher.follow(scan.identity)) continue;
        const update = news.take(this.#options.now());
        if (update !== undefined) yield update;
        const soon = scan.unsettled || scan.identity === undefined;
        await bell.wait(soon ? Math.min(settle, rescan) : rescan);
        // Words come in swarms: let one look answer all of them.
        if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, Math.min(settle / 4, 20)));
      }
    } finally {
      watcher.close();
      bell.close();
    }
  }
}

/** Turns what scans bring into updates. */
class News {
  readonly #claims = new Claims();
  #problems: readonly Problem[] = [];
  #reported = '[]';
  #complete = false;
  #unsettled = false;
  /** Since when objects are kept that are in no file that has been read; ms. */
  #keptSince: number | undefined;
  /** How long, at most; ms. */
  readonly #patience: number;
  #snapshotTaken = false;

  constructor(patience: number) {
    this.#patience = patience;
  }

  async add(scan: Scan, problems: readonly Problem[]): Promise<void> {
    for (const [file, text] of scan.files) {
      if (text === undefined) this.#claims.delete(file);
      else this.#claims.set(file, await readFileInSlices(file, text));
    }
    this.#problems = [...problems, ...scan.problems, ...this.#claims.problems()];
    this.#unsettled = scan.unsettled;
    // All that was there at the beginning belongs into the snapshot, so that it has no holes.
    this.#complete ||= scan.identity !== undefined && !scan.unsettled;
  }

  /** What the consumer does not know yet, if there is anything. `time`: ms. */
  take(time: number): Update | undefined {
    const problems = this.#problems;
    const report = JSON.stringify(problems);
    const differs = report !== this.#reported;
    this.#reported = report;
    const changes = this.#complete ? this.#takeChanges(time) : [];
    if (this.#complete && !this.#snapshotTaken) {
      this.#snapshotTaken = true;
      return { type: 'snapshot', resources: resourcesOf(changes), problems };
    }
    if (changes.length > 0) return { type: 'changes', changes, problems };
    return differs ? { type: 'trouble', problems } : undefined;
  }

  /** An object may be on its way to a file that is still being written: it is not gone before that one is read. */
  #takeChanges(time: number): Change[] {
    const since = this.#keptSince ?? time;
    const changes = this.#claims.takeChanges({ keep: this.#unsettled && time - since < this.#patience });
    this.#keptSince = this.#claims.holdsBack ? since : undefined;
    return changes;
  }
}

function resourcesOf(changes: readonly Change[]): Resource[] {
  return changes.flatMap((change) => (change.type === 'put' ? [change.resource] : []));
}

function notWatched(file: string, reason: string): Problem {
  const place = { file, document: 0, line: 0, column: 0, object: '', path: '' };
  const found = `no word from the kernel on changes (${reason}); they are only found by looking`;
  return { severity: 'warning', ...place, found, expected: 'a directory that can be watched' };
}
