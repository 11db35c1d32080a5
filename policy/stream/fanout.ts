/**
 * From one compiler to many readers. A node that somebody wants is open in the compiler once, however many ask for it.
 */

import type { margay } from '#proto/generated/policy.js';
import type { Compiler } from '../compiler/compiler.ts';
import type { ProgramSink } from '../program/program.ts';
import { Gate } from './gate.ts';
import { PART_BYTES, pack } from './pack.ts';
import { Subscriber } from './subscriber.ts';

/** Readers of one node. More than one is somebody who looks, or one whose end has not been noticed yet. */
const MOST_OF_A_NODE = 8;
/** Keys that may wait for a reader in any case. */
const LEAST_LIMIT = 1_024;
const SNAPSHOTS = { most: 16, patience: 1_000 };

/** Thrown into a reader when too many others came for its node. */
export class ReplacedError extends Error {
  override readonly name = 'ReplacedError';
  readonly code = 'READER_REPLACED';

  constructor(node: string) {
    super(`node ${node}: found more than ${MOST_OF_A_NODE} readers, expected one; the oldest is ended`);
  }
}

export interface ReadOptions {
  readonly node: string;
  /** The other end of the connection, '' if there is nothing to say of it. */
  readonly peer: string;
  readonly signal: AbortSignal;
  /** Resolves when all that was given before has gone out, or the signal is aborted. */
  readonly written: (signal: AbortSignal) => Promise<void>;
}

export interface FanoutOptions {
  /** ms since 1970. */
  readonly date: () => number;
  /** See {@link pack}. */
  readonly partBytes?: number;
  /** See {@link Subscriber}. */
  readonly leastLimit?: number;
  /**
   * Snapshots that are made and not yet written, at most: what waits is large. Ms after which one does not count any more,
   * because its reader does not read.
   */
  readonly snapshots?: { readonly most: number; readonly patience: number };
}

export class Fanout {
  readonly #compiler: Compiler;
  readonly #options: Required<Omit<FanoutOptions, 'snapshots'>>;
  readonly #feeds = new Map<string, Feed>();
  readonly #subscribers = new Set<Subscriber>();
  /** Those that have to be told everything once they are ready for it. */
  readonly #behind = new Set<Subscriber>();
  readonly #inSync = Promise.withResolvers<void>();
  #isInSync = false;
  readonly #failure = Promise.withResolvers<never>();
  readonly #gate: Gate;
  /** When the last change was taken over; seconds since 1970. */
  #changedAt = 0;

  constructor(
    compiler: Compiler,
    { date, partBytes = PART_BYTES, leastLimit = LEAST_LIMIT, snapshots = SNAPSHOTS }: FanoutOptions,
  ) {
    this.#compiler = compiler;
    this.#options = { date, partBytes, leastLimit };
    // Whoever does not ask for it has it from his reader.
    this.#failure.promise.catch(() => {});
    this.#gate = new Gate(snapshots.most, snapshots.patience);
  }

  /** Rejects when the compiler failed while a node was opened: what it knows can not be trusted any more. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  /** In the order in which they came. */
  get subscribers(): Iterable<Subscriber> {
    return this.#subscribers;
  }

  /** The compiler has all objects: from now on readers are told. */
  start(): void {
    this.#isInSync = true;
    this.#inSync.resolve();
  }

  /** Tells all readers what has been given to the compiler. */
  flush(): void {
    this.#changedAt = this.#options.date() / 1_000;
    this.#compiler.flush();
    // Those that are too far behind are left alone until they are ready, and so is a node that nobody else wants.
    for (const subscriber of this.#behind) this.#leave(subscriber);
    this.#behind.clear();
  }

  /**
   * All updates for one reader, for as long as it reads.
   *
   * @throws ReplacedError
   */
  async *read({ node, peer, signal, written }: ReadOptions): AsyncGenerator<margay.policy.v1.IUpdate> {
    const subscriber = new Subscriber({
      node,
      peer,
      since: this.#options.date() / 1_000,
      describeClass: (id) => this.#compiler.describeClass(id),
      leastLimit: this.#options.leastLimit,
      onBehind: () => this.#behind.add(subscriber),
    });
    const { ended } = subscriber;
    const end = () => ended.abort(signal.reason);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    this.#admit(subscriber);
    try {
      yield* this.#updates(subscriber, written);
      const { reason } = ended.signal;
      if (reason instanceof ReplacedError) throw reason;
    } finally {
      signal.removeEventListener('abort', end);
      this.#subscribers.delete(subscriber);
      this.#behind.delete(subscriber);
      this.#leave(subscriber);
    }
  }

  async *#updates(
    subscriber: Subscriber,
    written: ReadOptions['written'],
  ): AsyncGenerator<margay.policy.v1.IUpdate> {
    const { signal } = subscriber.ended;
    while (!signal.aborted) {
      await subscriber.ready();
      const leave = subscriber.isBehind ? await this.#begin(subscriber) : undefined;
      try {
        if (signal.aborted) return;
        for (const part of pack(subscriber.take(this.#changedAt), this.#options.partBytes)) {
          yield part;
          await written(signal);
          if (signal.aborted) return;
        }
        subscriber.written();
      } finally {
        leave?.();
      }
    }
  }

  #admit(subscriber: Subscriber): void {
    const others = [...this.#subscribers].filter(({ node }) => node === subscriber.node);
    if (others.length >= MOST_OF_A_NODE) others[0]!.ended.abort(new ReplacedError(subscriber.node));
    this.#subscribers.add(subscriber);
  }

  /** Has everything told to a reader, when it is its turn. @returns to be called when it is written */
  async #begin(subscriber: Subscriber): Promise<() => void> {
    const { signal } = subscriber.ended;
    // Only then, as each wait leaves a listener with the signal, and a reader may fall behind again and again.
    if (!this.#isInSync) await Promise.race([this.#inSync.promise, aborted(signal)]);
    const leave = await this.#gate.enter(signal);
    if (signal.aborted) return leave;
    let feed = this.#feeds.get(subscriber.node);
    if (feed === undefined) {
      feed = new Feed(this.#compiler, subscriber.node, () => this.#changedAt);
      this.#feeds.set(subscriber.node, feed);
    }
    try {
      feed.join(subscriber);
    } catch (error) {
      this.#failure.reject(error);
      leave();
      throw error;
    }
    this.#behind.delete(subscriber);
    return leave;
  }

  #leave(subscriber: Subscriber): void {
    const feed = this.#feeds.get(subscriber.node);
    if (feed?.leave(subscriber)) this.#feeds.delete(subscriber.node);
  }
}

/** An open node and its readers. */
class Feed implements ProgramSink {
  readonly #compiler: Compiler;
  readonly #node: string;
  readonly #changedAt: () => number;
  readonly #subscribers = new Set<Subscriber>();
  /** Who is told now. */
  #audience: Iterable<Subscriber> = this.#subscribers;
  #close: (() => void) | undefined;

  constructor(compiler: Compiler, node: string, changedAt: () => number) {
    this.#compiler = compiler;
    this.#node = node;
    this.#changedAt = changedAt;
  }

  /** Has the node opened anew, and everything told to one reader. The others know all of it. */
  join(subscriber: Subscriber): void {
    this.#compiler.flush();
    this.#close?.();
    subscriber.begin();
    this.#audience = [subscriber];
    this.#close = this.#compiler.open(this.#node, this);
    this.#audience = this.#subscribers;
    this.#subscribers.add(subscriber);
  }

  /** @returns whether it was the last reader, so that the node is closed */
  leave(subscriber: Subscriber): boolean {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size > 0) return false;
    this.#close?.();
    this.#close = undefined;
    return true;
  }

  endpoint(...change: Parameters<ProgramSink['endpoint']>): void {
    for (const { sink } of this.#audience) sink.endpoint(...change);
  }

  entry(...change: Parameters<ProgramSink['entry']>): void {
    for (const { sink } of this.#audience) sink.entry(...change);
  }

  address(...change: Parameters<ProgramSink['address']>): void {
    for (const { sink } of this.#audience) sink.address(...change);
  }

  blocks(...change: Parameters<ProgramSink['blocks']>): void {
    for (const { sink } of this.#audience) sink.blocks(...change);
  }

  classGone(...change: Parameters<ProgramSink['classGone']>): void {
    for (const { sink } of this.#audience) sink.classGone(...change);
  }

  commit(): void {
    for (const subscriber of this.#audience) subscriber.commit(this.#changedAt());
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
