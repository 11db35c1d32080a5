import { type FSWatcher, watch } from 'node:fs';

/** Asks the kernel for word when something happens in a directory. What happened is not told: look at all of it. */
export class DirectoryWatcher {
  readonly #path: string;
  readonly #onWord: () => void;
  #watcher: FSWatcher | undefined;
  #identity: string | undefined;
  #failure: string | undefined;

  constructor(path: string, onWord: () => void) {
    this.#path = path;
    this.#onWord = onWord;
  }

  /** Why the kernel does not give word, so that changes are only seen by looking; `undefined` if it does. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /**
   * Watches the directory that has the path now, if it is another one than before.
   *
   * @param identity tells one directory from another; `undefined` if there is none at the path
   * @returns whether watching began just now, so that something may have happened unnoticed before
   */
  follow(identity: string | undefined): boolean {
    if (identity === this.#identity) return false;
    this.close();
    this.#identity = identity;
    if (identity === undefined) return false;
    try {
      const watcher = watch(this.#path, this.#onWord);
      watcher.on('error', (error) => this.#fail(error));
      this.#watcher = watcher;
      this.#failure = undefined;
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#identity = undefined;
  }

  #fail(error: unknown): void {
    // Usually fs.inotify.max_user_watches; the next look tries again.
    const { code, message } = error as NodeJS.ErrnoException;
    this.#failure = code ?? message;
    this.close();
  }
}
