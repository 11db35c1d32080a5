/**
 * Where the lines of the log go: a descriptor that may be full, slow or gone, none of which may hold up the daemon. A pipe whose
 * reader has stalled blocks whoever writes to it.
 */

import { writeSync } from 'node:fs';

/** A descriptor as the log needs it. */
export interface LogTarget {
  /** Whether so much as `WRITE_SIZE` can be written without waiting. */
  writable(): boolean;
  /** Writes some of the bytes and returns how many. @throws Error with a `code`, as fs.writeSync does */
  write(bytes: Uint8Array): number;
}

/** PIPE_BUF of linux/limits.h: a pipe that has room at all has room for so many bytes. */
const WRITE_SIZE = 4096;
/** Bytes that wait for a reader that has stalled; lines beyond that are lost. */
const MOST_WAITING = 1 << 20;
/** How long until it is tried again, in ms. */
const RETRY_MS = 20;
const NEW_LINE = 0x0a;

/**
 * Writes each line before `write` returns if that needs no waiting. Else lines wait, a bounded number of them; for those that are lost
 * (no room left, a disk that is full) there is one line in their place that says how many.
 */
export class LogOutput {
  readonly #target: LogTarget;
  readonly #lostLine: (lines: number) => string;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #lost = 0;
  /** What was written last is not the end of a line. */
  #inLine = false;
  /** That end is lost. */
  #torn = false;
  #gone = false;
  #retry: NodeJS.Timeout | undefined;

  /** @param lostLine what stands in the place of so many lost lines, with its line end */
  constructor(target: LogTarget, lostLine: (lines: number) => string) {
    this.#target = target;
    this.#lostLine = lostLine;
  }

  /** Lines that are lost and have not been told of yet. */
  get lost(): number {
    return this.#lost;
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#gone) return;
    if (this.#bytes > 0) this.flush();
    if (this.#lost > 0 && this.#bytes === 0) {
      const told = this.#lost;
      this.#lost = 0;
      if (!this.#add(this.#lostLine(told))) this.#lost += told;
    }
    if (!this.#add(line)) this.#lost++;
  }

  /** Writes what waits, as far as it goes. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#target.writable()) {
      const written = this.#writeSome(this.#next());
      if (written < 0) break;
      this.#written(written);
    }
    if (this.#waiting.length > 0) this.#tryLater();
  }

  /** As many lines as go into one write: each has its price in the kernel, whatever its length. */
  #next(): Uint8Array {
    let lines = 0;
    for (let bytes = 0; lines < this.#waiting.length && bytes < WRITE_SIZE; lines++) {
      bytes += this.#waiting[lines]!.length;
    }
    const next = lines === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting.slice(0, lines));
    return next.subarray(0, WRITE_SIZE);
  }

  #written(bytes: number): void {
    this.#bytes -= bytes;
    let left = bytes;
    while (left > 0 && left >= this.#waiting[0]!.length) left -= this.#waiting.shift()!.length;
    if (left > 0) this.#waiting[0] = this.#waiting[0]!.subarray(left);
  }

  /** Returns false for a line that is lost. */
  #add(line: string): boolean {
    const bytes = Buffer.from(this.#torn ? `\n${line}` : line);
    if (this.#bytes + bytes.length > MOST_WAITING) return false;
    const lostBefore = this.#lost;
    this.#torn = false;
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    this.flush();
    if (this.#lost === lostBefore) return true;
    this.#lost--; // the caller counts this one
    return false;
  }

  /** Returns how many bytes were written, -1 if none can be now. */
  #writeSome(bytes: Uint8Array): number {
    try {
      const written = this.#target.write(bytes);
      if (written > 0) this.#inLine = bytes[written - 1] !== NEW_LINE;
      return written === 0 ? -1 : written;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' || code === 'EINTR') return -1;
      // Nobody reads it any more, and never will.
      this.#gone = code === 'EPIPE' || code === 'EBADF';
      this.#torn = this.#inLine;
      this.#lost += this.#waiting.length;
      this.#waiting = [];
      this.#bytes = 0;
      return -1;
    }
  }

  #tryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.flush();
    }, RETRY_MS).unref();
  }
}

const STANDARD_ERROR = 2;

/** Standard error of this process. @param writable whether it takes bytes without waiting; without it, it may be waited for */
export function standardError(writable: () => boolean = () => true): LogTarget {
  return { writable, write: (bytes) => writeSync(STANDARD_ERROR, bytes) };
}
