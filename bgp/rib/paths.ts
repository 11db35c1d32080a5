/**
 * Paths: one row of eight numbers each. Adj-RIB-In before and after import policy and Loc-RIB are columns of the same rows.
 */

import { Rows } from './rows.ts';

/** The net, 0 in a free row. */
export const PATH_NET = 0;
/** Peer index in the lower 16 bits, `PATH_...` flags, epoch of the peer in the upper 8. */
export const PATH_PEER = 1;
/** Attribute id as received. */
export const PATH_RAW = 2;
/** Attribute id after import policy; 0: rejected. */
export const PATH_POST = 3;
/** Next path of the net, 0 at the end; in a free row the next free row. */
export const PATH_NEXT = 4;
/** Path identifier (RFC 7911), 0 without. */
export const PATH_ID = 5;
/** When it came, in seconds since the RIB was made. */
export const PATH_TIME = 6;
/** Counts up with each path that is new: which of two came first. */
export const PATH_ORDER = 7;

export const PEER_MASK = 0xffff;
/** Something about the path changed since its net was last decided. */
export const PATH_CHANGED = 1 << 16;
/** In use beside the best path, or the best path with others beside it. */
export const PATH_MULTI = 1 << 17;
export const EPOCH_SHIFT = 24;

/** In the best-path field of a net: there was a best path, and it is gone. */
export const BEST_GONE = -1;

export class PathStore {
  readonly rows = new Rows(3);
  /** Paths in the store. */
  size = 0;
  /** All rows in use are below this one; 0 is never used. */
  limit = 1;
  #free = 0;
  #order = 0;

  constructor() {
    this.rows.reserve(0);
  }

  /** A row whose fields the caller sets, `PATH_ORDER` apart. */
  allocate(): number {
    let row = this.#free;
    if (row !== 0) {
      this.#free = this.rows.chunk(row)[this.rows.at(row) + PATH_NEXT]!;
    } else {
      row = this.limit++;
      this.rows.reserve(row);
    }
    this.#order = (this.#order + 1) | 0;
    this.rows.chunk(row)[this.rows.at(row) + PATH_ORDER] = this.#order;
    this.size++;
    return row;
  }

  free(row: number): void {
    const rows = this.rows.chunk(row);
    const at = this.rows.at(row);
    rows[at + PATH_NET] = 0;
    rows[at + PATH_NEXT] = this.#free;
    this.#free = row;
    this.size--;
  }

  get(row: number, field: number): number {
    return this.rows.chunk(row)[this.rows.at(row) + field]!;
  }

  peer(row: number): number {
    return this.rows.chunk(row)[this.rows.at(row) + PATH_PEER]! & PEER_MASK;
  }
}
