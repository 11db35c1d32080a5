/** Cuts a stream of bytes into lines, wherever its pieces begin and end. */

import { StreamError } from './errors.ts';

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;

  /** @param limit most bytes of one line */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether there is the beginning of a line. */
  get isInside(): boolean {
    return this.#length > 0;
  }

  /**
   * The lines that end in this piece, without their ends.
   *
   * @throws StreamError for a line that is longer than the limit
   */
  *push(piece: Buffer): Generator<Buffer, void, void> {
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, start)) {
      yield this.#line(piece.subarray(start, end));
      start = end + 1;
    }
    if (start < piece.length) this.#keep(piece.subarray(start));
  }

  #line(last: Buffer): Buffer {
    this.#check(last);
    if (this.#length === 0) return last;
    const line = Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#length = 0;
    return line;
  }

  #keep(part: Buffer): void {
    this.#check(part);
    this.#parts.push(part);
    this.#length += part.length;
  }

  #check(part: Buffer): void {
    if (this.#length + part.length <= this.#limit) return;
    throw new StreamError(`a line of more than ${this.#limit} bytes`, 'one event a line');
  }
}
