import { expect, test } from 'vitest';
import { Screen } from '#cli/watch.ts';

function terminal(columns: number | undefined, rows?: number) {
  const shown: string[] = [];
  return {
    shown,
    columns,
    rows,
    colour: false,
    write: (text: string) => void shown.push(text),
    ready: () => Promise.resolve(),
  };
}

test('a page that is held has as many lines as the screen has room for, and says how many more there are', () => {
  const out = terminal(80, 6);
  const screen = new Screen(out);
  screen.hold();
  // However the lines are cut into pieces.
  for (const piece of ['1\n2', '\n3\n', '4\n5\n6\n', '7\n']) screen.write(piece);
  expect(out.shown).toEqual([]);
  screen.show();
  expect(out.shown).toEqual(['\x1b[H\x1b[2J1\n2\n3\n4\n... and 3 more lines: no room on this screen\n']);
  screen.write('next\n');
  screen.show();
  expect(out.shown[1]).toBe('\x1b[H\x1b[2Jnext\n');
});

test('a page of a million lines is not kept', () => {
  const out = terminal(80, 24);
  const screen = new Screen(out);
  screen.hold();
  const line = `${'x'.repeat(999)}\n`;
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 1_000_000; i++) screen.write(line);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(200e6);
  screen.show();
  expect(out.shown[0]).toMatch(/and 999978 more lines/);
});

test('in a file nothing is held', () => {
  const out = terminal(undefined);
  const screen = new Screen(out);
  screen.hold();
  screen.write('a\n');
  expect(out.shown).toEqual(['a\n']);
  screen.show();
  expect(out.shown).toEqual(['a\n']);
});
