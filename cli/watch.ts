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

/** A terminal that shows what is written to it as it comes, or, once it is held, a page at a time. */
export class Screen implements Terminal {
  readonly #out: Terminal;
  #held: string | undefined;

  constructor(out: Terminal) {
    this.#out = out;
  }

  get columns(): number | undefined {
    return this.#out.columns;
  }

  get colour(): boolean {
    return this.#out.colour;
  }

  write(text: string): void {
    if (this.#held === undefined) this.#out.write(text);
    else this.#held += text;
  }

  ready(): Promise<void> {
    return this.#held === undefined ? this.#out.ready() : Promise.resolve();
  }

  /** From here on what is written waits for {@link show}. */
  hold(): void {
    this.#held ??= '';
  }

  /** What waits, to be shown elsewhere. */
  take(): string {
    const held = this.#held ?? '';
    if (this.#held !== undefined) this.#held = '';
    return held;
  }

  /** Shows the page in the place of the one before; where lines only follow each other, after it. */
  show(): void {
    const clear = this.#out.columns === undefined ? '' : '\x1b[H\x1b[2J';
    this.#out.write(`${clear}${this.#held ?? ''}`);
    this.#held = '';
  }
}

/** Waits for the time of the next answer. Ends early when the signal is aborted. */
export async function pause(signal: AbortSignal): Promise<void> {
  await sleep(PAUSE, undefined, { signal }).catch(() => {});
}
