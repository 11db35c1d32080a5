import { describeValue } from '#daemon/problem.ts';
import { CNI, CniError } from './error.ts';

/** A JSON object whose fields are taken out one by one, with errors that name the path. */
export class Fields {
  readonly path: string;
  readonly #value: Readonly<Record<string, unknown>>;

  private constructor(path: string, value: Readonly<Record<string, unknown>>) {
    this.path = path;
    this.#value = value;
  }

  /** @throws CniError with code 7 unless `value` is an object */
  static of(path: string, value: unknown): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw wrong(path, value, 'an object');
    return new Fields(path, value as Record<string, unknown>);
  }

  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  get names(): string[] {
    return Object.keys(this.#value);
  }

  /**
   * The value, undefined also for null. Within the configuration a name may be written with other letters small and large: runtimes
   * and plugins in Go do not look at that, and containerd 1.6 sends `HostPort` for `hostPort`.
   */
  raw(name: string): unknown {
    if (Object.hasOwn(this.#value, name)) return this.#value[name] ?? undefined;
    if (this.path === '') return undefined;
    const wanted = name.toLowerCase();
    const like = this.names.find((each) => each.toLowerCase() === wanted);
    return like === undefined ? undefined : (this.#value[like] ?? undefined);
  }

  object(name: string): Fields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : Fields.of(this.at(name), value);
  }

  list(name: string): readonly unknown[] {
    const value = this.raw(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw wrong(this.at(name), value, 'a list');
    return value;
  }

  objects(name: string): Fields[] {
    return this.list(name).map((value, i) => Fields.of(`${this.at(name)}[${i}]`, value));
  }

  text(name: string): string | undefined {
    const value = this.raw(name);
    if (value !== undefined && typeof value !== 'string') throw wrong(this.at(name), value, 'a text');
    return value;
  }

  neededText(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw wrong(this.at(name), value, 'a text');
    return value;
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
      throw wrong(this.at(name), value, `a whole number from ${least} to ${most}`);
    return value;
  }

  neededInteger(name: string, least: number, most: number): number {
    const value = this.integer(name, least, most);
    if (value === undefined) throw wrong(this.at(name), value, `a whole number from ${least} to ${most}`);
    return value;
  }

  texts(name: string): string[] {
    return this.list(name).map((value, i) => {
      if (typeof value !== 'string') throw wrong(`${this.at(name)}[${i}]`, value, 'a text');
      return value;
    });
  }
}

/** An error for a field whose value can not be. */
export function wrong(path: string, found: unknown, expected: string): CniError {
  return new CniError(
    CNI.invalidConfiguration,
    path === '' ? 'invalid network configuration' : `invalid network configuration: ${path}`,
    `found ${describeValue(found)}, expected ${expected}`,
  );
}

/** An error for a field that we have no use for (CNI specification, code 2: message has key and value). */
export function unsupported(path: string, found: unknown, why: string): CniError {
  return new CniError(CNI.unsupportedField, `unsupported field ${path}: ${describeValue(found)}`, why);
}
