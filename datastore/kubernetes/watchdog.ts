/** Ends what has been silent for too long. */

import { StallError } from './errors.ts';

export class Watchdog {
  /** Aborted when the outer signal is, or by a stall, with a {@link StallError} as its reason. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onAbort = () => this.#controller.abort(this.#outer.reason);
  #timer: NodeJS.Timeout | undefined;
  #expected = '';
  #limit = 0;
  #heard = 0;
  #checking: NodeJS.Immediate | undefined;
  #end: NodeJS.Timeout | undefined;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    this.signal = this.#controller.signal;
    if (outer.aborted) this.#onAbort();
    else outer.addEventListener('abort', this.#onAbort);
  }

  /** From now on, something has to come every so many ms. */
  expect(expected: string, limit: number): void {
    if (this.#limit === limit && this.#timer !== undefined) {
      this.#expected = expected;
      this.heard();
      return;
    }
    clearTimeout(this.#timer);
    clearImmediate(this.#checking);
    this.#expected = expected;
    this.#limit = limit;
    if (!this.signal.aborted) this.#timer = setTimeout(() => this.#check(this.#heard), limit);
  }

  /** In so many ms it has to be over, whatever comes. */
  endsWithin(expected: string, limit: number): void {
    clearTimeout(this.#end);
    const found = `no end after ${inSeconds(limit)}`;
    this.#end = setTimeout(() => this.#controller.abort(new StallError(found, expected)), limit);
  }

  /** Something has come. */
  heard(): void {
    this.#heard++;
    this.#timer?.refresh();
  }

  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    clearImmediate(this.#checking);
    this.#outer.removeEventListener('abort', this.#onAbort);
  }

  /** What has come while this process was stopped or busy is read first: the silence may have been our own. */
  #check(heard: number): void {
    this.#checking = setImmediate(() => {
      if (this.#heard !== heard) this.#timer?.refresh();
      else this.#controller.abort(new StallError(`nothing for ${inSeconds(this.#limit)}`, this.#expected));
    });
  }
}

function inSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
