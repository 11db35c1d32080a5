/**
 * Which lab owns a name on this machine, and what becomes of a lab whose process is gone.
 *
 * A lab holds a lock on a file of its name as long as it lives. Its reaper holds it too, until it has removed what the lab
 * left: whoever has the lock can be sure that nobody else makes or removes anything of that name. What a killed reaper
 * leaves is removed by the next lab that starts, of whatever name.
 */

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { SyscallError } from '#kernel/sys/errno.ts';
import { flock } from '#kernel/sys/libc.ts';
import { LabError } from './error.ts';
import { entriesOf, removeNamespaces, startReaper, startTime } from './leftovers.ts';
import { namespacePrefix } from './topology.ts';

/** Where labs keep their files. */
export const LABS_FOLDER = '/run/margay-lab';

/** Thrown when a lab of this name runs already. */
export class LabRunsError extends Error {
  override readonly name = 'LabRunsError';
  readonly code = 'LAB_RUNS';
  readonly lab: string;
  readonly pid: number;

  constructor(lab: string, pid: number) {
    super(`lab ${lab} runs already, as process ${pid}`);
    this.lab = lab;
    this.pid = pid;
  }
}

/** The right to a name. */
export class Claim {
  readonly lab: string;
  /** Exists and is empty at first. */
  readonly folder: string;
  /** What labs left here that ended in disorder: names of namespaces that had to be removed. */
  readonly swept: readonly string[];
  readonly #lock: number;
  readonly #dismissReaper: () => void;

  private constructor(lab: string, lock: number, swept: readonly string[], dismissReaper: () => void) {
    this.lab = lab;
    this.folder = folderOf(lab);
    this.swept = swept;
    this.#lock = lock;
    this.#dismissReaper = dismissReaper;
  }

  /**
   * Takes the name, once the reaper of a lab of this name that has just ended is done.
   *
   * @throws LabRunsError, SyscallError
   */
  static async take(lab: string): Promise<Claim> {
    const end = performance.now() + 20_000;
    for (;;) {
      const lock = tryLock(lab, true);
      if (lock !== undefined) return Claim.#begin(lab, lock);
      const owner = ownerOf(lab);
      if (owner !== undefined) throw new LabRunsError(lab, owner);
      if (performance.now() > end) throw new Error(`${lockOf(lab)} is locked, and not by a lab that runs`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  static #begin(lab: string, lock: number): Claim {
    ftruncateSync(lock);
    writeSync(lock, `${process.pid} ${startTime(process.pid)}\n`, 0);
    const swept = [...removeRemains(lab), ...sweepOthers(lab)];
    const dismissReaper = startReaper('margay-lab-reaper', {
      namespaces: namespacePrefix(lab),
      files: `${folderOf(lab)}/`,
      last: [folderOf(lab), lockOf(lab), LABS_FOLDER],
      hold: lock,
    });
    mkdirSync(folderOf(lab), { mode: 0o700 });
    return new Claim(lab, lock, swept, dismissReaper);
  }

  /** Removes all that bears the name and gives it up. */
  release(): void {
    removeRemains(this.lab);
    this.#dismissReaper();
    giveUp(this.lab, this.#lock);
  }
}

/** The process of the lab of this name; undefined if none runs. */
export function ownerOf(lab: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(lockOf(lab), 'utf8');
  } catch (error) {
    // A folder of such a name is somebody else's.
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
  const [pid, start] = text.trim().split(' ');
  return start !== undefined && startTime(Number(pid)) === start ? Number(pid) : undefined;
}

/** Names of the labs that run, sorted. */
export function runningLabs(): string[] {
  return lockedNames().filter((lab) => ownerOf(lab) !== undefined);
}

export function folderOf(lab: string): string {
  return join(LABS_FOLDER, lab);
}

const LOCK_EX = 2;
const LOCK_NB = 4;

function lockOf(lab: string): string {
  return `${folderOf(lab)}.lock`;
}

function lockedNames(): string[] {
  return entriesOf(LABS_FOLDER)
    .filter((name) => name.endsWith('.lock'))
    .map((name) => name.slice(0, -'.lock'.length))
    .sort();
}

/** The lock's descriptor; undefined when another has it, or there is no file and none is to be made. */
function tryLock(lab: string, make: boolean): number | undefined {
  for (;;) {
    let fd: number;
    try {
      if (make) mkdirSync(LABS_FOLDER, { recursive: true, mode: 0o755 });
      fd = openSync(lockOf(lab), constants.O_RDWR | (make ? constants.O_CREAT : 0), 0o644);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EISDIR' && !make) return undefined;
      if (code === 'EISDIR') throw new LabError(`${lockOf(lab)}: found a folder, expected the lock of a lab`);
      // The folder goes with the last lab in it, perhaps in this moment.
      if (code !== 'ENOENT') throw error;
      if (make) continue;
      return undefined;
    }
    try {
      flock(fd, LOCK_EX | LOCK_NB);
    } catch (error) {
      closeSync(fd);
      if (error instanceof SyscallError && error.code === 'EAGAIN') return undefined;
      throw error;
    }
    // The file may have been removed, or be another, since it was opened: then this lock is worth nothing.
    if (statSync(lockOf(lab), { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return fd;
    closeSync(fd);
  }
}

function sweepOthers(lab: string): string[] {
  return lockedNames().flatMap((other) => {
    const lock = other === lab ? undefined : tryLock(other, false);
    if (lock === undefined) return [];
    const swept = removeRemains(other);
    giveUp(other, lock);
    return swept;
  });
}

function removeRemains(lab: string): string[] {
  const removed = removeNamespaces(namespacePrefix(lab));
  rmSync(folderOf(lab), { recursive: true, force: true });
  return removed;
}

function giveUp(lab: string, lock: number): void {
  rmSync(lockOf(lab), { force: true });
  closeSync(lock);
  try {
    rmdirSync(LABS_FOLDER);
  } catch (error) {
    // Also one that something is mounted on stays.
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}
