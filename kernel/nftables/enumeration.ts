/** Names for the numbers of a kernel enumeration, both ways. */
export class Enumeration<Name extends string> {
  readonly #what: string;
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<number, Name>();

  /** @param names in the order of their numbers from 0, or with their numbers */
  constructor(what: string, names: readonly Name[] | Readonly<Record<Name, number>>) {
    this.#what = what;
    const entries = Array.isArray(names) ? names.map((name, i) => [name, i] as const) : Object.entries(names);
    for (const [name, number] of entries as [Name, number][]) {
      this.#numbers.set(name, number);
      this.#names.set(number, name);
    }
  }

  /** @throws RangeError when there is no such name */
  number(name: Name): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new RangeError(`${this.#what}: found '${name}', expected one of ${this}`);
    return number;
  }

  /** @throws RangeError when no name has this number */
  name(number: number): Name {
    const name = this.#names.get(number);
    if (name === undefined) throw new RangeError(`${this.#what}: found ${number}, which has no name`);
    return name;
  }

  /** The name, or undefined when there is none. */
  find(number: number): Name | undefined {
    return this.#names.get(number);
  }

  toString(): string {
    return [...this.#numbers.keys()].join(', ');
  }
}
