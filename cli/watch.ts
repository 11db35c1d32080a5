/**
 * `--watch`: the same command again and again, until Ctrl-C.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { Terminal } from './output.ts';

/** Pause between two answers, in ms. */
const PAUSE = 2000;

/** The option of a command whose answer can be looked at again and again. */
export function watchOption(): Option {
  return new WatchOption('-w, --watch', `again every ${PAUSE / 1000} s, until Ctrl-C`);
}

class WatchOption extends Option {}

/** Whether a command that was parsed is to be repeated. */
export function isWatched(command: Command): boolean {
  return command.options.some(
    (option) => option instanceof WatchOption && command.getOptionValue(option.attributeName()) === true,
  );
}

/**
 * A terminal that shows what is written to it as it comes, or, once it is held, a page at a time: as much as the screen has room for.
 * Where lines only follow each other, as in a file, nothing is held.
 */
export class Screen implements Terminal {
  readonly #out: Terminal;
  #held: string | undefined;
  #lines = 0;

  constructor(out: Terminal) {
    this.#out = out;
  }

  get columns(): number | undefined {
    return this.#out.columns;
  }

  get rows(): number | undefined {
    return this.#out.rows;
  }

  get colour(): boolean {
    return this.#out.colour;
  }

  write(text: string): void {
    if (this.#held === undefined) {
      this.#out.write(text);
      return;
    }
    const room = this.#room();
    // A part of the last line may be there already; what goes beyond the screen is only counted.
    const kept = this.#lines < room ? firstLines(text, room - this.#lines) : '';
    this.#held += kept;
    this.#lines += count(text);
  }

  ready(): Promise<void> {
    return this.#held === undefined ? this.#out.ready() : Promise.resolve();
  }

  /** From here on what is written waits for {@link show}. */
  hold(): void {
    if (this.columns !== undefined) this.#held ??= '';
  }

  /** What waits, to be shown elsewhere. */
  take(): string {
    const held = this.#held ?? '';
    this.#empty();
    return held;
  }

  /** Shows the page in the place of the one before. */
  show(): void {
    if (this.#held === undefined) return;
    const over = this.#lines - this.#room();
    const rest = over > 0 ? `... and ${over} more lines: no room on this screen\n` : '';
    this.#out.write(`\x1b[H\x1b[2J${this.#held}${rest}`);
    this.#empty();
  }

  #empty(): void {
    if (this.#held !== undefined) this.#held = '';
    this.#lines = 0;
  }

  /** Lines that a page may have: one is for saying that there are more, one for the cursor. */
  #room(): number {
    return Math.max(1, (this.rows ?? Number.POSITIVE_INFINITY) - 2);
  }
}

function count(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}

function firstLines(text: string, lines: number): string {
  let at = -1;
  for (let i = 0; i < lines; i++) {
    at = text.indexOf('\n', at + 1);
    if (at < 0) return text;
  }
  return text.slice(0, at + 1);
}

/** Waits for the time of the next answer. Ends early when the signal is aborted. */
export async function pause(signal: AbortSignal): Promise<void> {
  await sleep(PAUSE, undefined, { signal }).catch(() => {});
}
