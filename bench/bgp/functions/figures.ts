/**
 * What a function costs per prefix at three sizes of table, and how much more at each size than at the one before.
 */

export const SIZES = [10_000, 100_000, 1_000_000] as const;

const RUNS = 5;
/** Prefixes of one run: small tables several times over, so that a figure is of about the same work at each size. */
const WORK = 200_000;
/**
 * How much a tenfold table may cost more per prefix. What fits the caches at one size does not at the next, so even work that is the
 * same has its steps; work that grows with the table would be ten times as much.
 */
const MOST_GROWTH = 3;

export class Figures {
  /** Names of functions whose cost grows with the table. */
  readonly growing: string[] = [];
  readonly #rows = new Map<string, number[]>();

  /**
   * Adds the figure of one size: by the clock, of the best run, so that what else the machine does disturbs little. (CPU time
   * of a thread comes in ticks of milliseconds, longer than the small sizes take.)
   * `prepare` makes what is worked on and is not timed. Sizes come in ascending order.
   */
  measure<T>(name: string, size: number, prepare: () => T, run: (subject: T) => unknown): void {
    const repeats = Math.max(1, Math.floor(WORK / size));
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < RUNS; i++) {
      let milliseconds = 0;
      for (let j = 0; j < repeats; j++) {
        const subject = prepare();
        const before = performance.now();
        run(subject);
        milliseconds += performance.now() - before;
      }
      best = Math.min(best, (milliseconds * 1e6) / repeats / size);
      globalThis.gc?.();
    }
    const row = this.#rows.get(name) ?? [];
    row.push(best);
    this.#rows.set(name, row);
  }

  print(): void {
    const sizes = SIZES.map((size) => size.toLocaleString('en').padStart(11)).join('');
    console.log(`${'ns per prefix, in a table of'.padEnd(52)}${sizes}   times the size before`);
    for (const [name, figures] of this.#rows) {
      const growth = figures.slice(1).map((figure, i) => figure / figures[i]!);
      if (growth.some((times) => times > MOST_GROWTH)) this.growing.push(name);
      console.log(
        name.padEnd(52) +
          figures.map((figure) => figure.toFixed(1).padStart(11)).join('') +
          growth.map((times) => times.toFixed(2).padStart(8)).join(''),
      );
    }
  }
}
