/**
 * Nets whose best path or set of paths in use has changed, for somebody outside: the kernel's routes, a stream of events. A
 * net that changes ten times before it is taken is there once; what it changed to is for the taker to look up.
 */

import { NetSet } from './net-set.ts';
import type { PrefixTable } from './prefix-table.ts';

export class ChangeFeed {
  /** Called when the feed was empty and is not any more. */
  onReady: () => void = () => {};
  readonly #table: PrefixTable;
  readonly #undecided: NetSet;
  readonly #released: (net: number) => void;
  readonly #nets = new NetSet();
  #cursor = 0;

  /** @internal Made by `FamilyRib.subscribe`. */
  constructor(table: PrefixTable, undecided: NetSet, released: (net: number) => void) {
    this.#table = table;
    this.#undecided = undecided;
    this.#released = released;
  }

  /** Nets that wait to be taken. */
  get size(): number {
    return this.#nets.size;
  }

  /** @internal */
  mark(net: number): void {
    if (!this.#nets.add(net)) return;
    this.#table.hold(net, 1);
    if (this.#nets.size === 1) this.onReady();
  }

  /**
   * Takes up to `limit` nets out and shows each to `visit`. Nets that are being decided stay for later.
   *
   * @returns how many were taken.
   */
  take(limit: number, visit: (net: number) => void): number {
    let taken = 0;
    let wrapped = false;
    while (taken < limit && this.#nets.size > 0) {
      const net = this.#nets.next(this.#cursor);
      if (net === -1) {
        if (wrapped) break;
        wrapped = true;
        this.#cursor = 0;
        continue;
      }
      this.#cursor = net + 1;
      if (this.#undecided.has(net)) continue;
      this.#nets.delete(net);
      taken++;
      visit(net);
      this.#table.hold(net, -1);
      if (this.#table.releasable(net)) this.#released(net);
    }
    return taken;
  }

  /** Lets go of everything. Not to be used after that. */
  close(): void {
    for (const net of this.#nets) {
      this.#table.hold(net, -1);
      if (this.#table.releasable(net)) this.#released(net);
    }
    this.#nets.clear();
  }
}
