/**
 * The table of who reaches whom: a line for each source and a column for each target; with many, for each group of them.
 */

import { isCutOff, isReached, type Probe } from '#lab/probe.ts';
import { paint, type Style, type Terminal } from '../output.ts';
import type { End } from './cluster.ts';

/** Pods that a table with a column each may have; and what it may be wide where nobody says how wide. */
const MOST_COLUMNS = 12;
const DEFAULT_WIDTH = 100;

interface Cell {
  readonly text: string;
  readonly style: Style | undefined;
}

/**
 * Prints the table.
 *
 * @param before what was found the last time: what has changed since is marked
 * @returns whether each pair has a cell of its own
 */
export function printMatrix(
  out: Terminal,
  ends: readonly End[],
  probes: readonly Probe[],
  before: readonly Probe[] = [],
): boolean {
  const targets = ends.flatMap(({ name, node, targets }) =>
    targets.map(({ port }) => ({ name, node, port, key: `${name}:${port}` })),
  );
  const width = out.columns ?? DEFAULT_WIDTH;
  const titles = targets.map(({ name, port }) => [name.split('/')[0]!, name.split('/')[1] ?? '', `:${port}`]);
  const first = Math.max(...ends.map(({ name }) => name.length), 0) + 4;
  const needed = titles.reduce((sum, lines) => sum + widest(lines) + 2, first + 2);
  if (targets.length > MOST_COLUMNS || needed > width) {
    printGroups(out, ends, probes);
    return false;
  }

  const found = new Map(probes.map((probe) => [keyOf(probe), probe]));
  const earlier = new Map(before.map((probe) => [keyOf(probe), probe]));
  const columns = targets.map((target, i) => ({
    title: [...titles[i]!, ...(target.node === '' ? [] : [target.node])],
    cells: ends.map((source): Cell => {
      if (source.name === target.name) return { text: '', style: undefined };
      const key = `${source.name}>${target.key}`;
      return cellOf(found.get(key), earlier.get(key));
    }),
  }));
  printGrid(
    out,
    ends.map(({ name, node }) => [name, node]),
    columns,
  );
  return true;
}

function printGroups(out: Terminal, ends: readonly End[], probes: readonly Probe[]): void {
  const groupOf = new Map(ends.map(({ name, group }) => [name, group]));
  const count = (group: string): number => ends.filter((end) => end.group === group).length;
  const sources = [...new Set(ends.map(({ group }) => group))];
  const columns = [...new Set(ends.filter(({ targets }) => targets.length > 0).map(({ group }) => group))];
  const tally = new Map<string, { reached: number; of: number }>();
  for (const probe of probes) {
    const key = `${groupOf.get(probe.source)}>${groupOf.get(probe.target)}`;
    const entry = tally.get(key) ?? { reached: 0, of: 0 };
    tally.set(key, { reached: entry.reached + (isReached(probe) ? 1 : 0), of: entry.of + 1 });
  }
  printGrid(
    out,
    sources.map((group) => [group, count(group) > 1 ? `×${count(group)}` : '']),
    columns.map((group) => ({
      title: [group.split('/')[0]!, group.split('/')[1] ?? '', `×${count(group)}`],
      cells: sources.map((source): Cell => {
        const entry = tally.get(`${source}>${group}`);
        if (entry === undefined) return { text: '', style: undefined };
        const { reached, of } = entry;
        const text = reached === of ? `${YES} all` : reached === 0 ? `${NO} none` : `${reached} of ${of}`;
        return { text, style: reached === of ? 'green' : reached === 0 ? 'red' : 'yellow' };
      }),
    })),
  );
}

const YES = '✓';
const NO = '✗';

function cellOf(probe: Probe | undefined, before: Probe | undefined): Cell {
  if (probe === undefined) return { text: '?', style: 'dim' };
  const text = textOf(probe);
  const changed = before !== undefined && textOf(before) !== text;
  const style = isReached(probe) ? 'green' : isCutOff(probe) ? 'red' : 'yellow';
  // The mark is for those who do not see the colour; as many blanks in front keep the sign in its column.
  return { text: changed ? `  ${text} *` : text, style };
}

/** In words of the families where they differ. */
function textOf(probe: Probe): string {
  if (isReached(probe)) return YES;
  if (isCutOff(probe)) return NO;
  return probe.reached.ipv4 ? 'IPv4 only' : 'IPv6 only';
}

function keyOf({ source, target, port }: Probe): string {
  return `${source}>${target}:${port}`;
}

function printGrid(
  out: Terminal,
  rows: readonly (readonly [string, string])[],
  columns: readonly { readonly title: readonly string[]; readonly cells: readonly Cell[] }[],
): void {
  const names = widest(rows.map(([name]) => name));
  const notes = widest(rows.map(([, note]) => note));
  const widths = columns.map(({ title, cells }) => widest([...title, ...cells.map(({ text }) => text)]));
  const lead = ' '.repeat(2 + names + 1 + notes);
  const titles = Math.max(0, ...columns.map(({ title }) => title.length));
  for (let line = 0; line < titles; line++) {
    const texts = columns.map(({ title }, i) => centre(title[line] ?? '', widths[i]!));
    // A namespace is named once, over the first of its columns.
    if (line === 0) {
      columns.forEach(({ title }, i) => {
        if (i > 0 && columns[i - 1]!.title[0] === title[0]) texts[i] = ' '.repeat(widths[i]!);
      });
    }
    const style = line === 1 ? 'bold' : 'dim';
    out.write(`${lead}  ${paint(out, style, texts.join('  ').trimEnd())}\n`);
  }
  rows.forEach(([name, note], r) => {
    const cells = columns.map(({ cells }, i) => {
      const { text, style } = cells[r]!;
      return paint(out, style, centre(text, widths[i]!));
    });
    const head = `  ${paint(out, 'bold', name.padEnd(names))} ${paint(out, 'dim', note.padEnd(notes))}`;
    out.write(`${head}  ${cells.join('  ')}`.trimEnd());
    out.write('\n');
  });
}

function centre(text: string, width: number): string {
  const gap = Math.max(0, width - [...text].length);
  const left = Math.floor(gap / 2);
  return `${' '.repeat(left)}${text}${' '.repeat(gap - left)}`;
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => [...text].length));
}
