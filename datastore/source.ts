import type { Problem } from './problem.ts';
import type { Resource, ResourceKey } from './resource.ts';

/**
 * Where resources come from: first everything, then what changes.
 *
 * A source is pulled: between two updates that the consumer takes, all changes of an object become one, so that a slow
 * consumer gets fewer and larger updates and nothing piles up.
 */
export interface Source {
  /**
   * Starts following. The iteration ends when the signal is aborted, and does not fail for anything that can get
   * better again: that is told by the updates' problems. Each call follows on its own.
   */
  watch(signal: AbortSignal): AsyncIterable<Update>;
}

export type Update = Snapshot | Changes | Trouble;

/** All resources at one moment. Comes once, before any changes. */
export interface Snapshot {
  readonly type: 'snapshot';
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
}

/** What changed since the update before, each object at most once. */
export interface Changes {
  readonly type: 'changes';
  readonly changes: readonly Change[];
  /** All problems that there are now, not only new ones. */
  readonly problems: readonly Problem[];
}

/** There is something to report and nothing else to say: before the snapshot, that it can not be had yet. */
export interface Trouble {
  readonly type: 'trouble';
  readonly problems: readonly Problem[];
}

export type Change =
  | { readonly type: 'put'; readonly resource: Resource }
  | { readonly type: 'delete'; readonly key: ResourceKey };
