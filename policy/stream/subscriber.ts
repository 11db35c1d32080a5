/**
 * One reader of a node's programs: what it has not been told yet, and how far it is.
 */

import type { ClassId } from '#proto/program.ts';
import type { ProgramSink } from '../program/program.ts';
import type { Batch } from './pack.ts';
import { Pending } from './pending.ts';

export interface SubscriberOptions {
  readonly node: string;
  /** The other end of the connection, '' if there is nothing to say of it. */
  readonly peer: string;
  /** When it came; seconds since 1970. */
  readonly since: number;
  /** What addresses of a class have in common. */
  readonly describeClass: (id: ClassId) => readonly string[];
  /** Called when it has to be told everything. */
  readonly onBehind: () => void;
  /** Keys that may wait whatever the size of a snapshot: so few are cheaper than to begin again. */
  readonly leastLimit: number;
}

/**
 * Takes all changes at the pace of the compiler, and gives them at the pace of the reader. In between they are kept by
 * key. When more has come together over several commits than a snapshot would hold, it is all dropped, and the reader is
 * told everything once it is ready for it: until then it costs nothing.
 */
export class Subscriber {
  readonly node: string;
  readonly peer: string;
  readonly since: number;
  /** Ends what is waited for: somebody else took its place, or the engine stops. */
  readonly ended = new AbortController();
  readonly #options: SubscriberOptions;
  /** `undefined` while it has to be told everything. */
  #pending: Pending | undefined;
  #pendingCommits = 0;
  /** Seconds since 1970, 0 if nothing waits. */
  #pendingSince: number;
  /** Keys that were taken and are not written yet, and since when they wait. */
  #inFlight = { keys: 0, since: 0 };
  #limit: number;
  /** Classes whose meaning the reader has, as far as they are in use. */
  readonly #told = new Set<ClassId>();
  #commits = 0;
  #snapshots = 0;
  #wake: (() => void) | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.node = options.node;
    this.peer = options.peer;
    this.since = options.since;
    this.#pendingSince = options.since;
    this.#limit = options.leastLimit;
  }

  /** Batches that were written. */
  get commits(): number {
    return this.#commits;
  }

  /** How often everything was told. */
  get snapshots(): number {
    return this.#snapshots;
  }

  /** Keys that the reader has not been told. */
  get waiting(): number {
    return (this.#pending?.size ?? 0) + this.#inFlight.keys;
  }

  /** When the oldest change that waits was made, in seconds since 1970; 0 if the reader has everything. */
  get behindSince(): number {
    return this.#inFlight.since || this.#pendingSince;
  }

  /** Whether everything has to be told. */
  get isBehind(): boolean {
    return this.#pending === undefined;
  }

  /** Whether there is something to take. */
  get isReady(): boolean {
    return this.#pending !== undefined && this.#pendingCommits > 0;
  }

  /** From now on all that the node's programs are made of is told to `sink`, and then what changes. */
  begin(): void {
    this.#pending = new Pending(true);
    this.#pendingCommits = 0;
    this.#told.clear();
  }

  readonly sink: Omit<ProgramSink, 'commit'> = {
    endpoint: (...change) => this.#pending?.endpoint(...change),
    entry: (...change) => this.#pending?.entry(...change),
    address: (...change) => this.#pending?.address(...change),
    blocks: (...change) => this.#pending?.blocks(...change),
    classGone: (id) => void this.#told.delete(id),
  };

  /** What was told to `sink` until now holds together. `at`: seconds since 1970. */
  commit(at: number): void {
    const pending = this.#pending;
    // A snapshot is told even if there is nothing in it.
    if (pending === undefined || (pending.size === 0 && !pending.snapshot)) return;
    if (this.#pendingCommits++ === 0 && this.#pendingSince === 0) this.#pendingSince = at;
    if (!pending.snapshot && this.#pendingCommits > 1 && pending.size > this.#limit) {
      this.#pending = undefined;
      this.#told.clear();
      this.#options.onBehind();
    }
    this.#wake?.();
  }

  /** Takes what waits. To be called when it is ready, and when what was taken before is written. */
  take(at: number): Batch {
    const changes = this.#pending!;
    if (changes.snapshot) {
      this.#snapshots++;
      this.#limit = Math.max(this.#options.leastLimit, changes.size);
    }
    const number = this.#commits + 1;
    this.#inFlight = { keys: changes.size, since: this.#pendingSince };
    this.#pending = new Pending(false);
    this.#pendingCommits = 0;
    this.#pendingSince = 0;
    return { changes, meanings: this.#meanings(changes), number, at };
  }

  /** What was taken is written. */
  written(): void {
    this.#commits++;
    this.#inFlight = { keys: 0, since: 0 };
  }

  /** Waits until there is something to take, or everything to be told, or it has ended. */
  async ready(): Promise<void> {
    const { signal } = this.ended;
    while (!signal.aborted && !this.isReady && !this.isBehind) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = () => resolve();
      this.#wake = wake;
      signal.addEventListener('abort', wake);
      await promise;
      signal.removeEventListener('abort', wake);
    }
    this.#wake = undefined;
  }

  /** Of classes that are named for the first time: also of those whose peers may do nothing that others may not. */
  #meanings({ ingress, egress }: Pending): Map<ClassId, readonly string[]> {
    const meanings = new Map<ClassId, readonly string[]>();
    const tell = (id: ClassId | undefined): void => {
      if (id === undefined || this.#told.has(id)) return;
      this.#told.add(id);
      meanings.set(id, this.#options.describeClass(id));
    };
    for (const { entries, addresses, blocks } of [ingress, egress]) {
      for (const [id, pods] of entries) {
        if (this.#told.has(id)) continue;
        for (const verdicts of pods.values()) {
          if (verdicts === undefined) continue;
          tell(id);
          break;
        }
      }
      for (const id of addresses.values()) tell(id);
      for (const ranges of blocks.values()) for (const { class: id } of ranges ?? []) tell(id);
    }
    return meanings;
  }
}
