/**
 * The course of a tour: chapters, what happened after how long, and expectations that are met or not.
 */

import { paint, type Terminal, wrap } from '../output.ts';

/** One thing that was expected. */
export interface Expectation {
  readonly what: string;
  /** Undefined when it came true. */
  readonly failure: string | undefined;
}

/** Thrown when the tour is broken off. */
export class BrokenOffError extends Error {
  override readonly name = 'BrokenOffError';
  readonly code = 'BROKEN_OFF';
}

/** Longest time for an expectation to come true, and pause between two looks, in ms. */
const DEADLINE = 25_000;
const PAUSE = 50;
const DEFAULT_WIDTH = 80;

export class Script {
  readonly expectations: Expectation[] = [];
  /** Writes with the indent of what belongs to a chapter. */
  readonly indented: Terminal;
  readonly #out: Terminal;
  readonly #signal: AbortSignal;
  #chapters = 0;
  #start = performance.now();
  #progress = 0;

  constructor(out: Terminal, signal: AbortSignal) {
    this.#out = out;
    this.#signal = signal;
    this.indented = {
      write: (text) => out.write(text.replace(/^(?=.)/gm, INDENT)),
      ready: () => out.ready(),
      columns: out.columns === undefined ? undefined : out.columns - INDENT.length,
      colour: out.colour,
    };
  }

  get failures(): Expectation[] {
    return this.expectations.filter(({ failure }) => failure !== undefined);
  }

  /** Starts a chapter, and its clock. */
  chapter(title: string): void {
    this.#endProgress();
    const width = Math.min(this.#out.columns ?? DEFAULT_WIDTH, 100);
    const lines = wrap(`${++this.#chapters}  ${title}`, this.#out.columns, 3);
    const rule = '─'.repeat(Math.max(0, width - [...lines.at(-1)!].length - 1));
    const head = lines.map((line) => paint(this.#out, 'bold', line)).join('\n');
    this.#out.write(`\n${head} ${paint(this.#out, 'dim', rule)}\n`);
    this.restart();
  }

  /** Sets the clock of what follows to zero. */
  restart(): void {
    this.#start = performance.now();
  }

  /** Something that has just happened, with the time since the clock's start. */
  happened(text: string): void {
    this.#endProgress();
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(2).padStart(6);
    const head = `${seconds} s  `;
    for (const line of wrap(`${head}${text}`, this.#out.columns, head.length)) {
      const shown = line.startsWith(head) ? paint(this.#out, 'dim', head) + line.slice(head.length) : line;
      this.#out.write(`${shown}\n`);
    }
  }

  note(text: string): void {
    this.#endProgress();
    for (const line of wrap(text, this.indented.columns, 0)) {
      this.indented.write(`${paint(this.#out, 'dim', line)}\n`);
    }
  }

  line(text: string): void {
    this.#endProgress();
    // What does not fit goes on a little further in than it began.
    const hang = /^ */.exec(text)![0].length + INDENT.length;
    for (const line of wrap(text, this.indented.columns, hang)) this.indented.write(`${line}\n`);
  }

  /** How far something has come; on a terminal the line is written over. */
  progress(done: number, of: number, what: string): void {
    if (this.#out.columns === undefined) {
      // In a file a line each would be too much: one for every tenth.
      if (Math.floor((done * 10) / of) === Math.floor((this.#progress * 10) / of)) return;
      this.#progress = done;
      this.#out.write(`  ${done} of ${of} ${what}\n`);
      return;
    }
    this.#progress = done;
    this.#out.write(`\r  ${done} of ${of} ${what} `);
  }

  /**
   * Looks until `look` returns true, or it has been too long: then what it said last is the failure.
   *
   * @throws BrokenOffError
   */
  async expect(what: string, look: () => true | string | Promise<true | string>): Promise<void> {
    const end = performance.now() + DEADLINE;
    for (;;) {
      if (this.#signal.aborted) throw new BrokenOffError('broken off');
      const seen = await attempt(look);
      if (seen === true) {
        this.expectations.push({ what, failure: undefined });
        return;
      }
      if (performance.now() >= end) {
        this.#endProgress();
        this.expectations.push({ what, failure: seen });
        this.#out.write(
          `  ${paint(this.#out, 'red', `✗ expected: ${what}; after ${DEADLINE / 1000} s: ${seen}`)}\n`,
        );
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  #endProgress(): void {
    if (this.#progress > 0 && this.#out.columns !== undefined) this.#out.write('\n');
    this.#progress = 0;
  }
}

const INDENT = '  ';

/** What can not be asked yet is not yet so. */
async function attempt(look: () => true | string | Promise<true | string>): Promise<true | string> {
  try {
    return await look();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
