/** How long things are gathered, in ms. Calls that come together are read one after another, with such gaps between. */
const GATHER_MS = 2;

/** Gathers what is asked for at about the same time and does it together, for work that costs as much for one as for many. */
export class Batched<T, R> {
  readonly #work: (items: readonly T[]) => R;
  #items: T[] = [];
  #result: Promise<R> | undefined;

  /** @param work called with all items that were gathered; what it returns or throws is the answer to each */
  constructor(work: (items: readonly T[]) => R) {
    this.#work = work;
  }

  ask(...items: readonly T[]): Promise<R> {
    this.#items.push(...items);
    this.#result ??= new Promise<R>((resolve, reject) => {
      setTimeout(() => {
        const items = this.#items;
        this.#items = [];
        this.#result = undefined;
        try {
          resolve(this.#work(items));
        } catch (error) {
          reject(error);
        }
      }, GATHER_MS);
    });
    return this.#result;
  }
}
