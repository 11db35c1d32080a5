/** Lets work take at most a share of the time, but for bursts. Pure: times are ms, given in. */
export class TimeBudget {
  readonly #share: number;
  readonly #burst: number;
  #spent = 0;
  #at = 0;

  /**
   * @param share of the time, 0 to 1
   * @param burst ms that may be taken at once
   */
  constructor(share: number, burst: number) {
    this.#share = share;
    this.#burst = burst;
  }

  /** How long to wait until the next piece of work, 0 for not at all. */
  wait(now: number): number {
    const excess = this.#left(now) - this.#burst;
    return Math.max(0, excess / this.#share);
  }

  /** @param work ms */
  spend(work: number, now: number): void {
    this.#spent = this.#left(now) + work;
    this.#at = now;
  }

  #left(now: number): number {
    return Math.max(0, this.#spent - (now - this.#at) * this.#share);
  }
}
