import { styleText } from 'node:util';
import { stringify } from 'yaml';

/** How a command prints its answer. */
export type Format = 'table' | 'json' | 'yaml';

/** Where output goes, and what it may look like there. */
export interface Terminal {
  write(text: string): void;
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
}

/** The process's standard output: as wide as the terminal; colour there, unless NO_COLOR is set. */
export function standardOutput(stream: NodeJS.WriteStream = process.stdout): Terminal {
  return {
    write: (text) => void stream.write(text),
    columns: stream.isTTY ? stream.columns : undefined,
    colour: stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
  };
}

/** Prints a value for a program to read. */
export function printData(terminal: Terminal, format: 'json' | 'yaml', value: unknown): void {
  terminal.write(format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value));
}

/** Prints rows under a line of titles; columns are two spaces apart, and nothing stands behind the last one. */
export function printTable<Row>(
  terminal: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  const cells = rows.map((row) => columns.map((column) => column.text(row)));
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map((line) => width(line[i]!))),
  );
  if (terminal.columns !== undefined) shrink(columns, widths, terminal.columns);
  const line = (texts: readonly string[], style: (i: number) => Style | undefined): string =>
    texts
      .map((text, i) => {
        const cut =
          width(text) > widths[i]! ? `${[...text].slice(0, Math.max(0, widths[i]! - 1)).join('')}…` : text;
        const gap = ' '.repeat(Math.max(0, widths[i]! - width(cut)));
        const shown = paint(terminal, style(i), cut);
        if (columns[i]!.align === 'right') return gap + shown;
        return i === texts.length - 1 ? shown : shown + gap;
      })
      .join('  ')
      .trimEnd();
  terminal.write(
    `${line(
      columns.map((c) => c.title),
      () => 'bold',
    )}\n`,
  );
  rows.forEach((row, r) => {
    terminal.write(`${line(cells[r]!, (i) => columns[i]!.style?.(row))}\n`);
  });
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

function width(text: string): number {
  return [...text].length;
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
