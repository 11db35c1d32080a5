import { writeSync } from 'node:fs';
import { getSystemErrorMessage, stripVTControlCharacters, styleText } from 'node:util';
import { stringify } from 'yaml';

/** How a command prints its answer. */
export type Format = 'table' | 'json' | 'yaml';

/** Where output goes, and what it may look like there. */
export interface Terminal {
  write(text: string): void;
  /** Resolves when whoever reads it has taken enough of what was written: to be waited for between the parts of a long answer. */
  ready(): Promise<void>;
  /** Characters a line, or undefined where lines may be as long as they like (a file, a pipe). */
  readonly columns: number | undefined;
  /** Lines of the screen, where there is one. */
  readonly rows?: number | undefined;
  readonly colour: boolean;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** How the cell looks on a terminal; nothing depends on it. */
  readonly style?: (row: Row) => Style | undefined;
  /** May be cut short, with an ellipsis, where the terminal is too narrow. */
  readonly shrink?: boolean;
  /** May be left out where that is not enough; the last of these goes first. */
  readonly spare?: boolean;
  /** Left out when no row has anything in it (or only `-`). */
  readonly optional?: boolean;
}

/** 128 and the number of SIGPIPE (signal(7)). */
const UNREAD = 141;

/** What cannot be told to anybody has not been done. */
const UNWRITTEN = 1;

/**
 * The process's standard output: as wide as the terminal; colour there, unless NO_COLOR is set. When nobody reads it any more, as
 * after `| head`, the process ends, with the status that a shell gives to one that SIGPIPE ended: what it was to do may not be done.
 * When it can not be written, as to a disk that is full, it ends with 1.
 */
export function standardOutput(stream: NodeJS.WriteStream = process.stdout): Terminal {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(UNREAD);
    tellUnwritten(error);
    process.exit(UNWRITTEN);
  });
  return {
    write: (text) => void stream.write(text),
    ready: () =>
      stream.writableNeedDrain
        ? new Promise<void>((resolve) => stream.once('drain', resolve))
        : Promise.resolve(),
    // A terminal may change its size.
    get columns() {
      return stream.isTTY ? stream.columns : undefined;
    },
    get rows() {
      return stream.isTTY ? stream.rows : undefined;
    },
    colour: stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
  };
}

/** On standard error, if that at least can be written. */
function tellUnwritten(error: NodeJS.ErrnoException): void {
  const why = error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
  try {
    writeSync(2, `error: the output can not be written: ${why}\n`);
  } catch {
    // There is nobody left to tell; the status does.
  }
}

/** Prints a value for a program to read. */
export function printData(terminal: Terminal, format: 'json' | 'yaml', value: unknown): void {
  terminal.write(format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value));
}

/** Prints what was done: a line for people, or the value. */
export function printAnswer(terminal: Terminal, format: Format, value: unknown, line: string): void {
  if (format === 'table') terminal.write(`${line}\n`);
  else printData(terminal, format, value);
}

/** Prints a list of values, one after the other as they come, for a program to read. */
export class ListPrinter {
  readonly #terminal: Terminal;
  readonly #format: 'json' | 'yaml';
  #any = false;

  constructor(terminal: Terminal, format: 'json' | 'yaml') {
    this.#terminal = terminal;
    this.#format = format;
  }

  print(value: unknown): void {
    if (this.#format === 'yaml') {
      this.#terminal.write(stringify([value]));
    } else {
      const text = JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
      this.#terminal.write(`${this.#any ? ',' : '['}\n  ${text}`);
    }
    this.#any = true;
  }

  end(): void {
    if (!this.#any) this.#terminal.write('[]\n');
    else if (this.#format === 'json') this.#terminal.write('\n]\n');
  }
}

/** Prints rows under a line of titles; columns are two spaces apart, and nothing stands behind the last one. */
export function printTable<Row>(
  terminal: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  const table = new TablePrinter(terminal, columns);
  table.print(rows);
  table.end();
}

/** Rows that a table waits for before it settles on its columns. */
const FEW_ROWS = 10_000;

/**
 * A table whose rows come little by little. A short one is printed at its end, in order and without columns that are empty; of a long
 * one, columns are as wide as the rows so far ask for.
 */
export class TablePrinter<Row> {
  readonly #terminal: Terminal;
  readonly #order: ((a: Row, b: Row) => number) | undefined;
  #columns: readonly Column<Row>[];
  /** What the texts so far ask for. */
  #wanted: number[];
  #held: Row[] = [];
  #titled = false;
  #leftOut: readonly string[] = [];

  /** @param order of the rows of a short table; as they come if absent */
  constructor(terminal: Terminal, columns: readonly Column<Row>[], order?: (a: Row, b: Row) => number) {
    this.#terminal = terminal;
    this.#columns = columns;
    this.#order = order;
    this.#wanted = columns.map(({ title }) => title.length);
  }

  print(rows: readonly Row[]): void {
    for (const row of rows) this.#held.push(row);
    if (this.#titled || this.#held.length > FEW_ROWS) this.#flush();
  }

  /** To be called after the last rows: a table without any has its titles all the same. */
  end(): void {
    if (!this.#titled) {
      if (this.#order !== undefined) this.#held.sort(this.#order);
      const isEmpty = (text: string) => text === '' || text === '-';
      this.#columns = this.#columns.filter(
        ({ optional, text }) => optional !== true || this.#held.some((row) => !isEmpty(text(row))),
      );
      this.#wanted = this.#columns.map(({ title }) => title.length);
    }
    this.#flush();
    if (this.#leftOut.length > 0) {
      const what = `no room for ${this.#leftOut.join(', ')}; -o json has all`;
      for (const line of wrap(what, this.#terminal.columns, 0)) {
        this.#terminal.write(`${paint(this.#terminal, 'dim', line)}\n`);
      }
    }
  }

  #flush(): void {
    const rows = this.#held;
    this.#held = [];
    let cells = rows.map((row) => this.#columns.map((column) => column.text(row)));
    for (const line of cells) {
      for (const [i, text] of line.entries()) this.#wanted[i] = Math.max(this.#wanted[i]!, width(text));
    }
    // Once its titles are there, a table keeps its columns.
    if (!this.#titled && this.#leaveOut()) {
      cells = rows.map((row) => this.#columns.map((column) => column.text(row)));
    }
    const widths = this.#widths();
    this.#title(widths);
    rows.forEach((row, r) => {
      this.#line(widths, cells[r]!, (i) => this.#columns[i]!.style?.(row));
    });
  }

  #widths(): number[] {
    const widths = [...this.#wanted];
    if (this.#terminal.columns !== undefined) shrink(this.#columns, widths, this.#terminal.columns);
    return widths;
  }

  /** Leaves out what can be spared until the rest fits. Returns whether anything is. */
  #leaveOut(): boolean {
    const room = this.#terminal.columns ?? Number.POSITIVE_INFINITY;
    const leftOut: string[] = [];
    for (;;) {
      const last = this.#columns.findLastIndex(({ spare }) => spare === true);
      if (last < 0 || lineWidth(this.#widths()) <= room) break;
      leftOut.unshift(this.#columns[last]!.title);
      this.#columns = this.#columns.filter((_, i) => i !== last);
      this.#wanted = this.#wanted.filter((_, i) => i !== last);
    }
    this.#leftOut = leftOut;
    return leftOut.length > 0;
  }

  #title(widths: readonly number[]): void {
    if (this.#titled) return;
    this.#titled = true;
    this.#line(
      widths,
      this.#columns.map(({ title }) => title),
      () => 'bold',
    );
  }

  #line(widths: readonly number[], texts: readonly string[], style: (i: number) => Style | undefined): void {
    const line = texts
      .map((text, i) => {
        const cut =
          width(text) > widths[i]! ? `${[...text].slice(0, Math.max(0, widths[i]! - 1)).join('')}…` : text;
        const gap = ' '.repeat(Math.max(0, widths[i]! - width(cut)));
        const shown = paint(this.#terminal, style(i), cut);
        if (this.#columns[i]!.align === 'right') return gap + shown;
        return i === texts.length - 1 ? shown : shown + gap;
      })
      .join('  ')
      .trimEnd();
    this.#terminal.write(`${line}\n`);
  }
}

/** Characters that a value has beside its name, however narrow the terminal is. */
const LEAST_ROOM = 20;

/** Prints `name: value` lines with the values in one column; undefined and empty values are left out. */
export function printFields(
  terminal: Terminal,
  fields: readonly (readonly [string, string | undefined])[],
): void {
  const present = fields.filter(([, value]) => value !== undefined && value !== '');
  const wide = Math.max(0, ...present.map(([name]) => name.length)) + 2;
  const room = terminal.columns === undefined ? undefined : Math.max(LEAST_ROOM, terminal.columns - wide);
  for (const [name, value] of present) {
    const [first, ...more] = wrap(value!, room, 0);
    terminal.write(`${paint(terminal, 'dim', `${name}:`)}${' '.repeat(wide - name.length - 1)}${first}\n`);
    for (const line of more) terminal.write(`${' '.repeat(wide)}${line}\n`);
  }
}

/** `text` in `style` where the terminal shows colour. */
export function paint(terminal: Terminal, style: Style | undefined, text: string): string {
  return style && terminal.colour ? styleText(style, text, { validateStream: false }) : text;
}

/** A length of time as people say it: `5s`, `3m12s`, `4h05m`, `12d03h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86_400)}d${two(Math.floor(s / 3600) % 24)}h`;
}

/** Bytes with a binary unit: `512 B`, `3.4 KiB`, `120 MiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/**
 * Breaks a line of text between words so that each part fits; a word that is too long by itself has a line of its own.
 *
 * @param columns characters a line, undefined for as many as there are
 * @param hang blanks in front of the second line and all others
 */
export function wrap(text: string, columns: number | undefined, hang: number): string[] {
  if (columns === undefined || width(text) <= columns) return [text];
  const lines: string[] = [];
  // The blanks in front of the first word are its indent.
  let line = /^ */.exec(text)![0];
  let isEmpty = true;
  for (const word of text.trimStart().split(' ')) {
    if (!isEmpty && width(line) + 1 + width(word) > columns) {
      lines.push(line.trimEnd());
      line = ' '.repeat(hang);
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

function width(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

function lineWidth(widths: readonly number[]): number {
  return widths.reduce((sum, w) => sum + w, 0) + 2 * (widths.length - 1);
}

/**
 * Takes from the columns that may shrink, the widest first, until the line fits or nothing is left to take; then from all others whose
 * text can be cut: numbers, which stand at the right, would be other numbers.
 */
function shrink<Row>(columns: readonly Column<Row>[], widths: number[], room: number): void {
  const pass = (may: (column: Column<Row>) => boolean): void => {
    const least = 8;
    for (let over = lineWidth(widths) - room; over > 0; over = lineWidth(widths) - room) {
      let widest = -1;
      columns.forEach((column, i) => {
        if (may(column) && widths[i]! > least && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
      });
      if (widest < 0) return;
      widths[widest] = Math.max(least, widths[widest]! - over);
    }
  };
  pass((column) => column.shrink === true);
  if (columns.some(({ spare }) => spare)) return;
  pass((column) => column.align !== 'right');
}
