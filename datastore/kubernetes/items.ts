/**
 * Takes a list of the API apart while it arrives, so that never more than one of its objects is held as text.
 *
 * It only knows where values begin and end; whether they are valid JSON is seen when each of them is parsed.
 */

import { StreamError } from './errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export class ItemSplitter {
  readonly #limit: number;
  /** Of what is collected now: an item, or all that is around the items. */
  #parts: Buffer[] = [];
  #length = 0;
  /** What is around the items, while an item is collected. */
  #rest: Buffer[] = [];
  #restLength = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;
  #hadItems = false;
  /** Whether anything of an item has been seen. */
  #inItem = false;

  /** @param limit most bytes of one object, and of all that is around them */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * The texts of the objects that end in this piece.
   *
   * @throws StreamError for what is too long
   */
  *push(piece: Buffer): Generator<Buffer, void, void> {
    let start = 0;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      switch (byte) {
        case QUOTE:
          inString = true;
          break;
        case OPEN_BRACE:
          depth++;
          break;
        case OPEN_BRACKET:
          depth++;
          if (depth === 2 && !this.#hadItems) {
            this.#keep(piece.subarray(start, i + 1));
            start = i + 1;
            if (this.#endsWithItems()) this.#beginItems();
          }
          break;
        case CLOSE_BRACE:
          depth--;
          break;
        case CLOSE_BRACKET:
          depth--;
          if (depth === 1 && this.#inItems) {
            if (this.#inItem || !isBlank(piece, start, i)) yield this.#item(piece.subarray(start, i));
            this.#endItems();
            start = i;
          }
          break;
        case COMMA:
          if (depth === 2 && this.#inItems) {
            yield this.#item(piece.subarray(start, i));
            start = i + 1;
          }
          break;
        default:
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    this.#keep(piece.subarray(start));
  }

  /**
   * What is around the items, with none in between. To be called when all is pushed.
   *
   * @throws StreamError if that is no JSON, as when it is not whole
   */
  end(): unknown {
    if (this.#inItems || this.#depth !== 0) throw new StreamError('the beginning of a list', 'all of it');
    const text = Buffer.concat(this.#parts).toString();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new StreamError(`no JSON (${(error as Error).message})`, 'a list');
    }
  }

  #item(last: Buffer): Buffer {
    this.#keep(last);
    const item = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    this.#inItem = false;
    return item;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#inItem ||= this.#inItems && !isBlank(part, 0, part.length);
    this.#length += part.length;
    if (this.#length > this.#limit)
      throw new StreamError(`an object of more than ${this.#limit} bytes`, 'smaller ones');
    this.#parts.push(part);
  }

  #endsWithItems(): boolean {
    const end = Buffer.concat(this.#parts.slice(-TAIL)).subarray(-TAIL).toString('latin1');
    return /(^|[^\\])"items"\s*:\s*\[$/.test(end);
  }

  #beginItems(): void {
    this.#inItems = true;
    this.#hadItems = true;
    this.#rest = this.#parts;
    this.#restLength = this.#length;
    this.#parts = [];
    this.#length = 0;
  }

  #endItems(): void {
    this.#inItems = false;
    this.#parts = this.#rest;
    this.#length = this.#restLength;
    this.#rest = [];
  }
}

/** Bytes in which the name of the items stands before they begin, with room for spaces. */
const TAIL = 64;

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! > 0x20) return false;
  return true;
}
