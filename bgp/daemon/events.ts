/**
 * Session events for those who watch. Each watcher has a queue of its own with a bound: who does not keep up is told how
 * many events are missing.
 */

import type { State } from '#bgp/session/events.ts';

export type SessionChange = {
  /** ms since 1970. */
  readonly at: number;
  readonly neighbor: string;
  readonly from: State;
  readonly to: State;
  readonly reason: string;
};

const MAX_WAITING = 1024;

export class SessionEvents {
  readonly #watchers = new Set<SessionWatcher>();

  watch(): SessionWatcher {
    const watcher = new SessionWatcher(() => this.#watchers.delete(watcher));
    this.#watchers.add(watcher);
    return watcher;
  }

  emit(change: SessionChange): void {
    for (const watcher of this.#watchers) watcher.push(change);
  }
}

export class SessionWatcher {
  /** Called when there is something to take. */
  onReady: () => void = () => {};
  readonly #leave: () => void;
  #waiting: SessionChange[] = [];
  #lost = 0;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  /** @internal */
  push(change: SessionChange): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(change);
    else this.#lost++;
    this.onReady();
  }

  /** All that waits, and how many after them were lost. */
  take(): { readonly changes: readonly SessionChange[]; readonly lost: number } {
    const taken = { changes: this.#waiting, lost: this.#lost };
    this.#waiting = [];
    this.#lost = 0;
    return taken;
  }

  close(): void {
    this.#leave();
  }
}
