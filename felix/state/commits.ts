import { dirname } from 'node:path';
import type { Files } from './files.ts';

/** Thrown when the state can not be written: what was to be kept is not. */
export class StateError extends Error {
  override readonly name = 'StateError';
  readonly code = 'STATE_NOT_WRITTEN';
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`${path} can not be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.path = path;
  }
}

/**
 * A file that is replaced as a whole: written beside it, synced, renamed, the folder synced. At any instant there is the old
 * one or the new one. Those who ask while it is being written share the next writing, so that thirty at once cost two.
 */
export class Commits {
  readonly #files: Files;
  readonly #path: string;
  readonly #render: () => string;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param render the content as it should be at the time of the call */
  constructor(files: Files, path: string, render: () => string) {
    this.#files = files;
    this.#path = path;
    this.#render = render;
  }

  /**
   * Resolves when all that `render` has to say by now is on the disk.
   *
   * @throws StateError
   */
  commit(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    const next = this.#running.then(
      () => this.#write(),
      () => this.#write(),
    );
    this.#next = next;
    return next;
  }

  async #write(): Promise<void> {
    this.#running = this.#next!;
    this.#next = undefined;
    try {
      await replaceFile(this.#files, this.#path, this.#render());
    } catch (error) {
      throw new StateError(this.#path, error);
    }
  }
}

/** What a file is called until it is whole. */
export function unfinished(path: string): string {
  return `${path}.new`;
}

async function replaceFile(files: Files, path: string, text: string): Promise<void> {
  files.write(unfinished(path), text);
  await files.sync(unfinished(path));
  files.rename(unfinished(path), path);
  await files.sync(dirname(path));
}
