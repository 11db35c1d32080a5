import fs from 'node:fs';
import { SyscallError } from '#kernel/sys/errno.ts';
import { flock } from '#kernel/sys/libc.ts';

/** Thrown when another process has the state. */
export class StateLockedError extends Error {
  override readonly name = 'StateLockedError';
  readonly code = 'STATE_LOCKED';
  readonly folder: string;

  constructor(folder: string) {
    super(`${folder}: another agent is running with this folder; expected one on a node`);
    this.folder = folder;
  }
}

/** The right to a folder of state, as long as this process lives: flock(2) on the folder itself, so that a kill ends it. */
export class StateLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Makes the folder, should it not be there, and takes it; does not wait.
   *
   * @throws StateLockedError; Node's errors, when the folder can not be made or opened
   */
  static take(folder: string): StateLock {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      flock(fd, LOCK_EX | LOCK_NB);
      return new StateLock(fd);
    } catch (error) {
      fs.closeSync(fd);
      throw error instanceof SyscallError && error.code === 'EAGAIN' ? new StateLockedError(folder) : error;
    }
  }

  release(): void {
    fs.closeSync(this.#fd);
  }
}

/** sys/file.h */
const LOCK_EX = 2;
const LOCK_NB = 4;
