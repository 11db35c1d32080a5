import type { Files } from '#felix/state/files.ts';

/** Thrown by the system call in which the process "is killed". */
export class Killed extends Error {
  override readonly name = 'Killed';
}

interface Inode {
  text: string;
  synced: string | undefined;
}

/**
 * Files in memory that end the process between any two system calls, or within a write. Folders are not looked at but for
 * the one that all files are in.
 */
export class FakeFiles implements Files {
  #names = new Map<string, Inode>();
  #synced = new Map<string, Inode>();
  #left = Infinity;
  /** Of the text of a write that is cut off, what is left: 0 to 1. */
  #torn = 0;
  calls = 0;
  /** Thrown by each write while it is set. */
  refusal: Error | undefined;

  /** Ends the process in the system call after `calls` others. */
  killAfter(calls: number, torn = 0): void {
    this.#left = calls;
    this.#torn = torn;
  }

  /** What the next process sees after a kill: all that was done. */
  revive(): void {
    this.#left = Infinity;
  }

  /**
   * What there is after a loss of power: of files and names that were not synced, what `chance` (0 to 1, called for each)
   * has left.
   */
  losePower(chance: () => number): void {
    this.#left = Infinity;
    const after = new Map<string, Inode>();
    for (const name of new Set([...this.#names.keys(), ...this.#synced.keys()])) {
      const inode = chance() < 0.5 ? this.#names.get(name) : this.#synced.get(name);
      if (inode === undefined) continue;
      if (inode.text !== inode.synced) {
        const base = chance() < 0.3 ? (inode.synced ?? '') : inode.text;
        inode.text = base.slice(0, Math.floor(base.length * chance()));
        inode.synced = inode.text;
      }
      after.set(name, inode);
    }
    this.#names = after;
    this.#synced = new Map(after);
  }

  read(path: string): string | undefined {
    return this.#names.get(path)?.text;
  }

  list(folder: string): string[] {
    const prefix = `${folder}/`;
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }

  makeFolder(): void {}

  write(path: string, text: string): void {
    const inode: Inode = { text: '', synced: undefined };
    const known = this.#names.get(path) ?? inode;
    this.#call(() => {
      this.#names.set(path, known);
      known.text = text.slice(0, Math.floor(text.length * this.#torn));
    });
    if (this.refusal !== undefined) throw this.refusal;
    this.#names.set(path, known);
    known.text = text;
  }

  async sync(path: string): Promise<void> {
    await Promise.resolve();
    this.#call();
    const inode = this.#names.get(path);
    if (inode === undefined) this.#synced = new Map(this.#names);
    else inode.synced = inode.text;
  }

  rename(from: string, to: string): void {
    this.#call();
    const inode = this.#names.get(from);
    if (inode === undefined) throw new Error(`no file ${from}`);
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  remove(path: string): void {
    this.#call();
    this.#names.delete(path);
  }

  #call(cutOff = (): void => {}): void {
    this.calls++;
    if (this.#left-- > 0) return;
    if (this.#left === -1) cutOff();
    throw new Killed();
  }
}
