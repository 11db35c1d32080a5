import { describe, expect, test } from 'vitest';
import type { End } from '#cli/lab/cluster.ts';
import { printMatrix } from '#cli/lab/matrix.ts';
import { drawLab } from '#cli/lab/picture.ts';
import { Script } from '#cli/lab/script.ts';
import type { Terminal } from '#cli/output.ts';
import type { Probe } from '#lab/probe.ts';
import { planLab } from '#lab/topology.ts';

function page(columns?: number): Terminal & { text: string } {
  return {
    text: '',
    columns,
    colour: false,
    ready: () => Promise.resolve(),
    write(more) {
      this.text += more;
    },
  };
}

describe('the picture of a lab', () => {
  test('fits the terminal, whatever its size, and the cables meet the boxes', () => {
    for (const families of [['ipv4'], ['ipv4', 'ipv6']] as const) {
      for (const nodes of [1, 2, 3, 4, 5, 50]) {
        const plan = planLab({ name: 'lab', nodes, families, tor: 'gobgpd' });
        for (const width of [40, 60, 80, 100, 132, 200]) {
          const lines = drawLab(plan, width);
          for (const line of lines) expect([...line].length).toBeLessThanOrEqual(width);
          const at = (mark: string): number[] => {
            const line = lines.find((candidate) => candidate.includes(mark))!;
            return [...line].flatMap((letter, i) => (letter === mark ? [i] : []));
          };
          if (width < 60) continue;
          expect(at('┬')).toEqual(at('┴'));
          expect(lines.join('\n')).toContain(plan.tor.outside.join(', '));
        }
      }
    }
  });

  test('says how many nodes it leaves out', () => {
    const plan = planLab({ name: 'lab', nodes: 9, families: ['ipv4'], tor: 'bird' });
    expect(drawLab(plan, 80).at(-1)).toBe('  and 6 more, to n9');
  });
});

const end = (name: string, port?: number): End => ({
  name,
  group: name.replace(/-\d+$/, ''),
  node: name === 'outside' ? '' : 'n1',
  source: { name, netns: name },
  targets: port === undefined ? [] : [{ name, addresses: ['10.0.0.1'], port }],
});

const probe = (source: string, target: string, ipv4: boolean, ipv6?: boolean): Probe => ({
  source,
  target,
  port: 80,
  reached: ipv6 === undefined ? { ipv4 } : { ipv4, ipv6 },
});

describe('the head of a chapter', () => {
  test('is as wide as the terminal, in as many lines as it takes', () => {
    for (const columns of [30, 60, 80]) {
      const out = page(columns);
      new Script(out, new AbortController().signal).chapter(
        'Who reaches whom: no policy yet, so all pairs are open',
      );
      const lines = out.text.split('\n').filter(Boolean);
      expect(lines).toHaveLength(columns < 60 ? 2 : 1);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns);
      expect([...lines.at(-1)!].length).toBe(columns);
    }
  });
});

describe('the table of who reaches whom', () => {
  const ends = [end('outside'), end('shop/web', 80), end('data/db', 80)];
  const all = (open: boolean): Probe[] => [
    probe('outside', 'shop/web', true),
    probe('outside', 'data/db', open),
    probe('shop/web', 'data/db', open),
    probe('data/db', 'shop/web', true, false),
  ];

  test('marks what is open, closed, open in one family, and what has changed', () => {
    const out = page(80);
    printMatrix(out, ends, all(false), all(true));
    expect(out.text.split('\n')).toEqual([
      '                 shop     data',
      '                  web      db',
      '                  :80      :80',
      '                  n1       n1',
      '  outside          ✓        ✗ *',
      '  shop/web n1               ✗ *',
      '  data/db  n1  IPv4 only',
      '',
    ]);
  });

  test('is one of groups where the columns do not fit', () => {
    const many = [end('outside'), ...Array.from({ length: 20 }, (_, i) => end(`shop/web-${i + 1}`, 80))];
    const out = page(80);
    printMatrix(out, many, [
      probe('outside', 'shop/web-1', true),
      probe('outside', 'shop/web-2', false),
      probe('shop/web-1', 'shop/web-2', true),
    ]);
    expect(out.text).toMatch(/^ {2}outside +1 of 2$/m);
    expect(out.text).toMatch(/^ {2}shop\/web ×20 +✓ all$/m);
    for (const line of out.text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
  });
});
