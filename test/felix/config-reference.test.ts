import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SECTIONS } from '#felix/config/load.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8');

/** Paths of all fields in a schema: `pods.cidrs`. */
function fieldPaths(type: unknown): string[] {
  if (typeof type !== 'object' || type === null) return [];
  const { shape, def } = type as { shape?: Record<string, unknown>; def?: Record<string, unknown> };
  if (shape !== undefined) {
    return Object.entries(shape).flatMap(([name, inner]) => {
      const below = fieldPaths(inner);
      return below.length === 0 ? [name] : below.map((path) => `${name}.${path}`);
    });
  }
  const { innerType, element, in: before, out } = def ?? {};
  return [innerType, element, before, out].flatMap(fieldPaths);
}

test('the reference names every setting of the node agent, and none that there is not', () => {
  const fields = Object.entries(SECTIONS).flatMap(([name, type]) => {
    const below = [...new Set(fieldPaths(type))];
    return below.length === 0 ? [name] : below.map((path) => `${name}.${path}`);
  });
  // The fields of a list's entries are named in the line of the list.
  const expected = new Set(fields.map((path) => path.replace(/^dataplane\.pools\..*/, 'dataplane.pools')));
  expect(expected.size).toBeGreaterThan(12);
  const section = PAGE.slice(PAGE.indexOf('## The node agent'));
  const rows = [...section.matchAll(/^\| (`[^|]*) \|/gm)].map(([, cell]) => cell!);
  const named = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
  expect(new Set(named)).toEqual(expected);
});
