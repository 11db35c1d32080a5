import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  type Column,
  ListPrinter,
  printFields,
  printTable,
  TablePrinter,
  type Terminal,
  wrap,
} from '#cli/output.ts';

class Screen implements Terminal {
  text = '';
  readonly columns: number | undefined;
  readonly colour = false;

  constructor(columns?: number) {
    this.columns = columns;
  }

  write(text: string): void {
    this.text += text;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

type Row = readonly [string, string, string];
const COLUMNS: readonly Column<Row>[] = [
  { title: 'A', text: ([a]) => a },
  { title: 'B', text: ([, b]) => b, align: 'right', optional: true },
  { title: 'C', text: ([, , c]) => c, shrink: true },
];

describe('a table', () => {
  test('has columns as wide as what is in them, and none behind the last', () => {
    const screen = new Screen();
    printTable(screen, COLUMNS, [
      ['one', '1', 'x'],
      ['three', '333', ''],
    ]);
    expect(screen.lines).toEqual(['A        B  C', 'one      1  x', 'three  333']);
  });

  test('leaves out columns that may be empty and are', () => {
    const screen = new Screen();
    printTable(screen, COLUMNS, [
      ['one', '', 'x'],
      ['two', '-', 'y'],
    ]);
    expect(screen.lines).toEqual(['A    C', 'one  x', 'two  y']);
  });

  test('without rows has its titles', () => {
    const screen = new Screen();
    printTable(screen, COLUMNS, []);
    expect(screen.lines).toEqual(['A  C']);
  });

  test('fits the terminal by what may be cut', () => {
    const screen = new Screen(20);
    printTable(screen, COLUMNS, [['one', '1', 'a very long text indeed']]);
    expect(screen.lines).toEqual(['A    B  C', 'one  1  a very long…']);
  });

  test('leaves out what can be spared where that is not enough, the last first, and says so', () => {
    const columns: readonly Column<Row>[] = [
      { title: 'NAME', text: ([a]) => a },
      { title: 'FIRST', text: ([, b]) => b, align: 'right', spare: true },
      { title: 'SECOND', text: ([, , c]) => c, align: 'right', spare: true },
    ];
    const rows: Row[] = [['eleven char', '1', '2']];
    const shown = (width: number) => {
      const screen = new Screen(width);
      printTable(screen, columns, rows);
      for (const line of screen.lines) expect([...line].length).toBeLessThanOrEqual(width);
      return screen.lines;
    };
    expect(shown(26)).toHaveLength(2);
    expect(shown(25)).toEqual([
      'NAME         FIRST',
      'eleven char      1',
      'no room for SECOND; -o',
      '    json has all'.trimStart(),
    ]);
    expect(shown(17).slice(0, 2)).toEqual(['NAME', 'eleven char']);
  });

  test('cuts any text before it is too wide, and never a number', () => {
    const columns: readonly Column<Row>[] = [
      { title: 'A', text: ([a]) => a },
      { title: 'B', text: ([, b]) => b, align: 'right' },
    ];
    const screen = new Screen(20);
    printTable(screen, columns, [['a name that is long', '123456789', '']]);
    expect(screen.lines).toEqual(['A                  B', 'a name t…  123456789']);
  });

  test('of few rows is put in order, one of many is printed as they come', () => {
    const order = ([a]: Row, [b]: Row) => Number(a) - Number(b);
    const few = new Screen();
    const short = new TablePrinter(few, COLUMNS, order);
    for (const i of [3, 1, 2]) short.print([[`${i}`, '', '']]);
    expect(few.text).toBe('');
    short.end();
    expect(few.lines).toEqual(['A  C', '1', '2', '3']);

    const many = new Screen();
    const long = new TablePrinter(many, COLUMNS, order);
    const rows = 200_000;
    for (let i = rows; i > 0; i--) long.print([[`${i}`, '', '']]);
    expect(many.lines.length).toBeGreaterThan(rows / 2);
    long.end();
    expect(many.lines).toHaveLength(rows + 1);
    expect(many.lines[1]).toBe(`${rows}`);
  });
});

describe('fields', () => {
  test('have their values in one column, in which a long one goes on', () => {
    const screen = new Screen(30);
    printFields(screen, [
      ['a', 'short'],
      ['longer', 'a value that has more words than fit'],
      ['none', ''],
    ]);
    expect(screen.lines).toEqual([
      'a:      short',
      'longer: a value that has more',
      '        words than fit',
    ]);
  });
});

describe('a list', () => {
  const values = [{ a: 1, b: ['x\ny'] }, 'text', []];

  for (const format of ['json', 'yaml'] as const) {
    test(`in ${format} is one document, however its parts come`, () => {
      const screen = new Screen();
      const list = new ListPrinter(screen, format);
      for (const value of values) list.print(value);
      list.end();
      expect(format === 'json' ? JSON.parse(screen.text) : parse(screen.text)).toEqual(values);
      if (format === 'json') expect(screen.text).toBe(`${JSON.stringify(values, null, 2)}\n`);
    });

    test(`in ${format} without values is an empty one`, () => {
      const screen = new Screen();
      new ListPrinter(screen, format).end();
      expect(parse(screen.text)).toEqual([]);
    });
  }
});

describe('a line of text', () => {
  test('that does not fit is broken between words, and goes on a little further in', () => {
    expect(wrap('  ingress: closed by a policy', 16, 4)).toEqual([
      '  ingress:',
      '    closed by a',
      '    policy',
    ]);
    expect(wrap('  ingress: closed by a policy', undefined, 4)).toEqual(['  ingress: closed by a policy']);
  });

  test('is as wide as it looks: colours take no room', () => {
    const text = '\x1b[31m✗\x1b[39m from → to';
    expect(wrap(text, 11, 2)).toEqual([text]);
    expect(wrap(text, 10, 2)).toEqual(['\x1b[31m✗\x1b[39m from →', '  to']);
  });

  test('has all its words in their order, in lines that fit or have a single word', () => {
    const words = fc.array(fc.stringMatching(/^[a-z✓]{1,12}$/), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 40 }), fc.nat(6), (list, columns, hang) => {
        const lines = wrap(list.join(' '), columns, hang);
        expect(lines.flatMap((line) => line.trimStart().split(' '))).toEqual(list);
        for (const line of lines)
          expect([...line].length <= columns || !line.trimStart().includes(' ')).toBe(true);
      }),
    );
  });
});

describe('standard output', () => {
  test('that nobody reads any more ends the process, and not as if all were done', async () => {
    const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, 'version'], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.destroy();
    expect(await once(child, 'exit')).toEqual([141, null]);
  });

  test('to a disk that is full is an error in one line, of every command', async () => {
    const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
    const full = openSync('/dev/full', 'w');
    for (const words of [['version'], ['bgp', '--help']]) {
      const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', full, 'pipe'] });
      let said = '';
      child.stderr!.setEncoding('utf8').on('data', (text) => {
        said += text;
      });
      expect(await once(child, 'close')).toEqual([1, null]);
      expect(said).toBe('error: the output can not be written: no space left on device\n');
    }
    closeSync(full);
  });
});
