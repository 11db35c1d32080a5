/**
 * A walk over all rows of a table in slices, that any number of reasons share: each that comes up while the walk is under way has it
 * go on until it has been all the way round since then.
 */

export class RowWalk {
  #row = 1;
  #lap = 0;
  /** The mark at which nobody needs the walk any more. */
  #until = 0;

  /** Has the walk go all the way round from here. @returns the mark that it passes when it has. */
  extend(): number {
    if (!this.running) {
      this.#row = 1;
      this.#lap = 0;
    }
    this.#until = (this.#lap + 1) * LAP + this.#row;
    return this.#until;
  }

  get running(): boolean {
    return this.#lap * LAP + this.#row < this.#until;
  }

  passed(mark: number): boolean {
    return this.#lap * LAP + this.#row >= mark;
  }

  /** The next row below `limit`; 0 at the end of the walk. */
  next(limit: number): number {
    if (this.#row >= limit) {
      this.#row = 1;
      this.#lap++;
    }
    if (!this.running || this.#row >= limit) return 0;
    return this.#row++;
  }
}

/** More rows than a table can have. */
const LAP = 2 ** 31;
