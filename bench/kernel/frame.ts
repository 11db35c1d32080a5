/** What the sections of the kernel benchmark share: contenders side by side, medians, bars, and a table to read. */

/** One subject of the benchmark. `npm run bench:kernel -- NAME...` runs those of these names. */
export interface Section {
  readonly name: string;
  run(report: Report): void | Promise<void>;
}

/** What a contender's round took, in ms by what was measured. */
export type Timings = Readonly<Record<string, number>>;

/** Does a round of all that is measured, from the same start as each other contender. */
export type Contender = () => Timings | Promise<Timings>;

/**
 * Lets the contenders take turns, `rounds` times, each round beginning with another one, so that what else the machine does
 * and what it has warmed up is shared by all. Returns the median of each timing by contender.
 */
export async function sideBySide<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  rounds = 5,
): Promise<Record<Name, Timings>> {
  const names = Object.keys(contenders) as Name[];
  const taken = new Map<Name, Timings[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]!;
      taken.get(name)!.push(await contenders[name]());
    }
  }
  const medians = {} as Record<Name, Timings>;
  for (const [name, all] of taken) {
    medians[name] = Object.fromEntries(
      Object.keys(all[0]!).map((what) => [what, median(all.map((one) => one[what]!))]),
    );
  }
  return medians;
}

/** The middle one; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How long `work` takes, in ms. */
export function time(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Collects what was found, and prints it. */
export class Report {
  readonly #missed: string[] = [];
  #bars = 0;

  heading(text: string): void {
    console.log(`\n${text}\n`);
  }

  note(text: string): void {
    console.log(text);
  }

  /** Prints rows under a header; all but the first column to the right. */
  table(header: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = header.map((text, i) =>
      Math.max(text.length, ...rows.map((row) => (row[i] ?? '').length)),
    );
    for (const row of [header, ...rows]) {
      const cells = widths.map((width, i) => {
        const text = row[i] ?? '';
        return i === 0 ? text.padEnd(width) : text.padStart(width);
      });
      console.log(`  ${cells.join('  ')}`.trimEnd());
    }
  }

  /** Holds a figure against its bar. Returns it as a cell that says so when it is missed. */
  bar(what: string, figure: number, limit: { readonly atLeast?: number; readonly atMost?: number }): string {
    const { atLeast = -Infinity, atMost = Infinity } = limit;
    this.#bars++;
    const met = figure >= atLeast && figure <= atMost;
    const text = figure.toFixed(2);
    if (met) return text;
    const wanted = figure < atLeast ? `at least ${atLeast}` : `at most ${atMost}`;
    this.#missed.push(`${what}: ${text}, ${wanted} wanted`);
    return `${text}!`;
  }

  /** Prints the bars that were missed. Returns whether there are none. */
  finish(): boolean {
    console.log(`\n${this.#bars - this.#missed.length} of ${this.#bars} bars met`);
    for (const missed of this.#missed) console.log(`  missed: ${missed}`);
    return this.#missed.length === 0;
  }
}

/** Milliseconds for a table. */
export function ms(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}
