import { stripVTControlCharacters, styleText } from 'node:util';
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
  /** Left out when no row has anything in it (or only `-`). */
  readonly optional?: boolean;
}

/** 128 and the number of SIGPIPE (signal(7)). */
const UNREAD = 141;

/**
 * The process's standard output: as wide as the terminal; colour there, unless NO_COLOR is set. When nobody reads it any more, as
 * after `| head`, the process ends, with the status that a shell gives to one that SIGPIPE ended: what it was to do may not be done.
 */
export function standardOutput(stream: NodeJS.WriteStream = process.stdout): Terminal {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(UNREAD);
  });
  return {
    write: (text) => void stream.write(text),
    ready: () =>
      stream.writableNeedDrain
        ? new Promise<void>((resolve) => stream.once('drain', resolve))
        : Promise.resolve(),
    columns: stream.isTTY ? stream.columns : undefined,
    colour: stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
  };
}

/** Prints a value for a program to read. */
export function printData(terminal: Terminal, format: 'json' | 'yaml', value: unknown): void {
  terminal.write(format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value));
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
  }

  #flush(): void {
    const rows = this.#held;
    this.#held = [];
    const cells = rows.map((row) => this.#columns.map((column) => column.text(row)));
    for (const line of cells) {
      for (const [i, text] of line.entries()) this.#wanted[i] = Math.max(this.#wanted[i]!, width(text));
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

/** Prints `name: value` lines with the values in one column; undefined and empty values are left out. */
export function printFields(
  terminal: Terminal,
  fields: readonly (readonly [string, string | undefined])[],
): void {
  const present = fields.filter(([, value]) => value !== undefined && value !== '');
  const wide = Math.max(0, ...present.map(([name]) => name.length));
  for (const [name, value] of present) {
    terminal.write(`${paint(terminal, 'dim', `${name}:`)}${' '.repeat(wide - name.length + 1)}${value}\n`);
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

/** Takes from the columns that may shrink, the widest first, until the line fits or nothing is left to take. */
function shrink<Row>(columns: readonly Column<Row>[], widths: number[], room: number): void {
  const least = 8;
  const total = (): number => widths.reduce((sum, w) => sum + w, 0) + 2 * (widths.length - 1);
  for (let over = total() - room; over > 0; over = total() - room) {
    let widest = -1;
    columns.forEach((column, i) => {
      if (column.shrink && widths[i]! > least && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
    });
    if (widest < 0) return;
    widths[widest] = Math.max(least, widths[widest]! - over);
  }
}
