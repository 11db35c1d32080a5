/**
 * Follows the Node objects of the datastore, and keeps what was last known of them, in memory and on disk.
 */

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ClusterConfig } from '#bgp/config/model.ts';
import { readKept, writeKept } from '#daemon/kept-file.ts';
import type { Log } from '#daemon/log.ts';
import type { Node } from '#datastore/kinds/node.ts';
import { describeProblem, type Problem } from '#datastore/problem.ts';
import { keyOf, type ResourceKey } from '#datastore/resource.ts';
import type { Source, Update } from '#datastore/source.ts';
import { type ClusterFacts, factsOf } from './facts.ts';
import { formatFacts, parseFacts } from './facts-file.ts';

export type FollowerOptions = {
  readonly cluster: Pick<ClusterConfig, 'node' | 'stateFolder'>;
  readonly source: Source;
  readonly log: Log;
  /** ms since 1970. */
  readonly date: () => number;
};

/** How long until a file that could not be written is tried again, in ms. */
const RETRY_MS = 10_000;
/** Problems of objects that are told at most. */
const MOST_PROBLEMS = 100;

export class NodeFollower {
  /** What was last known; `undefined` if nothing ever was. */
  facts: ClusterFacts | undefined;
  /** Since when the nodes are those of the datastore; ms since 1970, 0 as long as they are what was last known. */
  inSyncSince = 0;
  readonly #options: FollowerOptions;
  readonly #file: string;
  readonly #nodes = new Map<ResourceKey, Node>();
  #problems: readonly string[] = [];
  #missing = false;
  #fileProblem = '';
  #written: ClusterFacts | undefined;
  #writing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#file = join(options.cluster.stateFolder, 'nodes.json');
  }

  /** What is wrong, in words. */
  get problems(): readonly string[] {
    const { node } = this.#options.cluster;
    const missing = `Node ${node}: found no such object, expected this node's own; ${this.#consequence.now}`;
    return [
      ...(this.#missing ? [missing] : []),
      ...this.#problems,
      ...(this.#fileProblem === '' ? [] : [this.#fileProblem]),
    ];
  }

  /** Takes what an earlier run has kept. */
  load(): void {
    const { log, cluster } = this.#options;
    let damage: string;
    try {
      const text = readKept(this.#file);
      if (text === undefined) return;
      const facts = parseFacts(text, cluster.node);
      if (!('damage' in facts)) {
        this.facts = facts;
        this.#written = facts;
        log.info(
          { nodes: facts.others.length + 1, file: this.#file },
          'the nodes are those last known, until the datastore tells',
        );
        return;
      }
      damage = facts.damage;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      damage = error.message;
    }
    log.warn({ file: this.#file, damage }, 'the nodes last known can not be read; they are waited for');
  }

  /**
   * Follows until the signal.
   *
   * @param onFacts the facts are others than before
   */
  async run(signal: AbortSignal, onFacts: (facts: ClusterFacts) => void): Promise<void> {
    try {
      for await (const update of this.#options.source.watch(signal)) {
        const facts = this.#take(update);
        if (facts === undefined || isDeepStrictEqual(facts, this.facts)) continue;
        this.facts = facts;
        onFacts(facts);
        this.#save();
      }
    } finally {
      clearTimeout(this.#retry);
      await this.#writing;
    }
  }

  get #consequence(): { readonly now: string } {
    return {
      now: this.facts === undefined ? 'the speaker waits for it' : 'what was last known stays in force',
    };
  }

  #take(update: Update): ClusterFacts | undefined {
    this.#report(update.problems);
    if (update.type === 'trouble') return undefined;
    if (update.type === 'snapshot') {
      this.#nodes.clear();
      for (const resource of update.resources)
        if (resource.kind === 'Node') this.#nodes.set(keyOf(resource), resource);
    } else {
      for (const change of update.changes) {
        if (change.type === 'delete') this.#nodes.delete(change.key);
        else if (change.resource.kind === 'Node') this.#nodes.set(keyOf(change.resource), change.resource);
      }
    }
    const { log, date, cluster } = this.#options;
    const facts = factsOf(this.#nodes.values(), cluster.node);
    if (facts === undefined && !this.#missing)
      log.error({ node: cluster.node, ...this.#consequence }, 'there is no Node object of this node');
    this.#missing = facts === undefined;
    if (this.#missing) this.inSyncSince = 0;
    else if (this.inSyncSince === 0) {
      this.inSyncSince = date();
      log.info({ nodes: this.#nodes.size }, 'the nodes of the cluster are known');
    }
    return facts;
  }

  /** Problems with other objects are for others to tell. */
  #report(problems: readonly Problem[]): void {
    const ours = problems.filter(({ object }) => object === '' || object.startsWith('Node '));
    const texts = ours.slice(0, MOST_PROBLEMS).map(describeProblem);
    const before = new Set(this.#problems);
    for (const text of texts)
      if (!before.has(text))
        this.#options.log.warn({ problem: text }, 'the nodes can not be read as they are');
    this.#problems = texts;
  }

  /** One writing at a time; the next one has the newest facts. */
  #save(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    clearTimeout(this.#retry);
    try {
      while (this.facts !== undefined && this.facts !== this.#written) {
        const { facts } = this;
        await writeKept(this.#file, formatFacts(facts));
        this.#written = facts;
      }
      this.#fileProblem = '';
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (this.#fileProblem === '')
        this.#options.log.error(
          { file: this.#file, error: error.message },
          'the nodes can not be kept for the next start; it is tried again',
        );
      this.#fileProblem = `${this.#file} can not be written: ${error.message}`;
      this.#retry = setTimeout(() => this.#save(), RETRY_MS).unref();
    }
  }
}
