/**
 * The engine: follows a source of objects, compiles them, and has readers told.
 */

import type { Log } from '#daemon/log.ts';
import { describeProblem, type Problem } from '#datastore/problem.ts';
import { type Kind, keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import type { Change, Source, Update } from '#datastore/source.ts';
import { Compiler } from '../compiler/compiler.ts';
import { Cluster } from '../evaluator/cluster.ts';
import { Fanout, type FanoutOptions } from '../stream/fanout.ts';

export interface EngineOptions {
  readonly source: Source;
  readonly log: Log;
  /** ms since 1970. */
  readonly date: () => number;
  /** See {@link Fanout}. */
  readonly stream?: Omit<FanoutOptions, 'date'>;
}

/** Lines of problems that are logged for one update. */
const MOST_LINES = 100;

export class Engine {
  readonly compiler = new Compiler();
  readonly fanout: Fanout;
  readonly #options: EngineOptions;
  readonly #resources = new Map<ResourceKey, Resource>();
  #problems: ReadonlyMap<string, Problem> = new Map();
  #cluster: Cluster | undefined;
  #inSyncSince = 0;
  #changedAt = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.fanout = new Fanout(this.compiler, { date: options.date, ...options.stream });
  }

  /** Since when all objects are known; seconds since 1970, 0 for not yet. */
  get inSyncSince(): number {
    return this.#inSyncSince;
  }

  /** When an object last changed; seconds since 1970, 0 for not yet. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** What is wrong with objects, in words. */
  get problems(): readonly string[] {
    return [...this.#problems.keys()];
  }

  /** How many objects there are of each kind that there is one of. */
  get counts(): ReadonlyMap<Kind, number> {
    const counts = new Map<Kind, number>();
    for (const { kind } of this.#resources.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return counts;
  }

  /** All objects; `undefined` before they are known. */
  get resources(): Iterable<Resource> | undefined {
    return this.#inSyncSince === 0 ? undefined : this.#resources.values();
  }

  /** All objects as the evaluator has them; `undefined` before they are known. Made when it is asked for, and kept. */
  get cluster(): Cluster | undefined {
    if (this.#inSyncSince === 0) return undefined;
    this.#cluster ??= new Cluster(this.#resources.values());
    return this.#cluster;
  }

  /**
   * Follows the source until the signal.
   *
   * @throws what the compiler throws: a fault of ours, after which nothing that it says can be trusted
   */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      await Promise.race([this.#follow(stop.signal), this.fanout.failure]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const update of this.#options.source.watch(signal)) this.#take(update);
  }

  #take(update: Update): void {
    const { log, date } = this.#options;
    this.#report(update.problems);
    if (update.type === 'trouble') return;
    const changes: Iterable<Change> =
      update.type === 'snapshot'
        ? update.resources.map((resource): Change => ({ type: 'put', resource }))
        : update.changes;
    for (const change of changes) {
      if (change.type === 'put') this.#resources.set(keyOf(change.resource), change.resource);
      else this.#resources.delete(change.key);
    }
    this.#cluster = undefined;
    this.#changedAt = date() / 1_000;
    this.compiler.apply(changes);
    this.fanout.flush();
    if (update.type === 'changes') {
      log.debug({ objects: update.changes.length }, 'objects changed');
      return;
    }
    this.#inSyncSince = date() / 1_000;
    log.info({ objects: this.#resources.size }, 'all objects are known; nodes are told');
    this.fanout.start();
  }

  /** Logs what is wrong now and was not before, and what is right again. */
  #report(problems: readonly Problem[]): void {
    const before = this.#problems;
    const now = new Map(problems.map((problem) => [describeProblem(problem), problem]));
    this.#problems = now;
    const { log } = this.#options;
    const added = [...now].filter(([text]) => !before.has(text));
    for (const [text, { severity, object, file }] of added.slice(0, MOST_LINES)) {
      log[severity === 'error' ? 'error' : 'warn']({ object, file }, text);
    }
    if (added.length > MOST_LINES) {
      log.error({ leftOut: added.length - MOST_LINES }, 'and more of the same; the status has them');
    }
    const solved = [...before.keys()].filter((text) => !now.has(text)).length;
    if (solved > 0) log.info({ solved, left: now.size }, 'problems with objects are gone');
  }
}
