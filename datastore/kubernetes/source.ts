/**
 * The Kubernetes API as a source of resources.
 */

import { Bell } from '../bell.ts';
import type { Problem } from '../problem.ts';
import type { Kind } from '../resource.ts';
import type { Source, Update } from '../source.ts';
import { ALL_KINDS, COLLECTIONS } from './api.ts';
import { Connection } from './connection.ts';
import { KindLoop, type LoopTimes } from './loop.ts';
import { Shelf } from './shelf.ts';
import type { KindStatus } from './status.ts';

export interface KubernetesOptions {
  /** Path of a kubeconfig; absent in a pod, which is told by its cluster where the API server is. */
  readonly kubeconfig?: string | undefined;
  /** A context in the kubeconfig; absent for its current one. */
  readonly context?: string | undefined;
  /** What is followed; all of it by default. Each kind takes the permission to list and watch it. */
  readonly kinds?: readonly Kind[];
  /** Which objects of a kind, as a field selector of the API; absent for all of them. See {@link ofNode}. */
  readonly fieldSelectors?: Readonly<Partial<Record<Kind, string>>>;
  /** Defaults: see {@link DEFAULT_TIMES}. */
  readonly times?: Partial<LoopTimes>;
  /** Most bytes of one object as the API sends it. Default 16 MiB; etcd takes 1.5 MiB. */
  readonly objectLimit?: number;
  /** Most objects of a page, where the server can not stream them. Default 500. */
  readonly pageSize?: number;
  /** From 0 to 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Wall clock, ms since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

export const DEFAULT_TIMES: LoopTimes = {
  watch: 300_000,
  answer: 60_000,
  // The watch cache of the API server sends a bookmark each minute.
  idle: 90_000,
  shortestPause: 500,
  longestPause: 30_000,
};

/** Field selectors for what concerns one node: its own object and its pods. */
export function ofNode(name: string): { readonly Node: string; readonly Pod: string } {
  return { Node: `metadata.name=${name}`, Pod: `spec.nodeName=${name}` };
}

/**
 * Follows the API server with a watch for each kind. The snapshot comes when all kinds are known; from then on what is
 * known stays in force, whatever becomes of the server, until it tells otherwise.
 */
export class KubernetesSource implements Source {
  readonly #options: KubernetesOptions;
  #loops: readonly KindLoop[] = [];

  constructor(options: KubernetesOptions = {}) {
    this.#options = options;
  }

  /** How the kinds are followed by the latest call of `watch`. */
  get status(): readonly KindStatus[] {
    return this.#loops.map(({ status }) => status);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Update, void, void> {
    const { kinds = ALL_KINDS, kubeconfig, context } = this.#options;
    const connection = new Connection({ kubeconfig, context });
    const bell = new Bell(signal);
    const stop = new AbortController();
    const follow = (kind: Kind) => this.#follow(kind, connection, () => bell.ring());
    const parts = [...new Set(kinds)].map(follow);
    const loops = parts.map(({ loop }) => loop);
    this.#loops = loops;
    let fault: { readonly error: unknown } | undefined;
    const running = loops.map((loop) =>
      loop.run(stop.signal).catch((error: unknown) => {
        fault ??= { error };
        bell.ring();
      }),
    );
    const news = new News(parts);
    try {
      while (!signal.aborted) {
        bell.clear();
        if (fault !== undefined) throw fault.error;
        const update = news.take();
        if (update !== undefined) yield update;
        else await bell.wait(LONG_MS);
      }
    } finally {
      stop.abort();
      await Promise.all(running);
      connection.close();
      bell.close();
    }
  }

  #follow(kind: Kind, connection: Connection, onNews: () => void): Part {
    const {
      fieldSelectors = {},
      times,
      objectLimit = 16 * 1024 * 1024,
      pageSize = 500,
      random = Math.random,
      now = Date.now,
    } = this.#options;
    const shelf = new Shelf(COLLECTIONS[kind], () => connection.server);
    const loop = new KindLoop({
      api: COLLECTIONS[kind],
      connection,
      shelf,
      fieldSelector: fieldSelectors[kind] ?? '',
      times: { ...DEFAULT_TIMES, ...times },
      objectLimit,
      pageSize,
      random,
      now,
      onNews,
    });
    return { shelf, loop };
  }
}

/** The bell rings when there is something new; this is only so that it has a limit. */
const LONG_MS = 3_600_000;

interface Part {
  readonly shelf: Shelf;
  readonly loop: KindLoop;
}

/** Turns what the loops bring into updates. */
class News {
  readonly #parts: readonly Part[];
  #reported = '[]';
  #snapshotTaken = false;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** What the consumer does not know yet, if there is anything. */
  take(): Update | undefined {
    const problems = this.#parts.flatMap(({ shelf, loop }): Problem[] => {
      return [...(loop.trouble === undefined ? [] : [loop.trouble]), ...shelf.problems()];
    });
    const report = JSON.stringify(problems);
    const differs = report !== this.#reported;
    this.#reported = report;
    if (!this.#snapshotTaken && this.#parts.every(({ shelf }) => shelf.complete)) {
      this.#snapshotTaken = true;
      return { type: 'snapshot', resources: this.#parts.flatMap(({ shelf }) => shelf.takeAll()), problems };
    }
    const changes = this.#snapshotTaken ? this.#parts.flatMap(({ shelf }) => shelf.takeChanges()) : [];
    if (changes.length > 0) return { type: 'changes', changes, problems };
    return differs ? { type: 'trouble', problems } : undefined;
  }
}
