import { median } from '../kernel/frame.ts';

/** What was measured, in rounds each of which has all contenders. */
export class Turns {
  readonly #taken: readonly (readonly number[])[];

  /** @param taken by round and contender */
  constructor(taken: readonly (readonly number[])[]) {
    this.#taken = taken;
  }

  /** The median of all rounds. */
  median(contender: number): number {
    return median(this.#taken.map((round) => round[contender]!));
  }

  /** How many times as much one has as another: the median of what each round says. */
  ratio(contender: number, to: number): number {
    return median(this.#taken.map((round) => round[contender]! / round[to]!));
  }
}

/** Measures each contender once in each round, in random order. */
export async function inTurns<Contender>(
  contenders: readonly Contender[],
  rounds: number,
  measure: (contender: Contender) => Promise<number>,
): Promise<Turns> {
  const taken: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const figures: number[] = [];
    for (const i of shuffled(contenders.length)) figures[i] = await measure(contenders[i]!);
    taken.push(figures);
  }
  return new Turns(taken);
}

/** 0 to count - 1. */
function shuffled(count: number): number[] {
  return Array.from({ length: count }, (_, i) => ({ i, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ i }) => i);
}
