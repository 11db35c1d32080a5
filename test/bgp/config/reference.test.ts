import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import * as schema from '#bgp/config/schema.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/bgp-configuration.md'), 'utf8');

/** Names of all fields in a schema, those of nested mappings too. */
function fieldNames(type: unknown, seen = new Set<unknown>()): string[] {
  if (typeof type !== 'object' || type === null || seen.has(type)) return [];
  seen.add(type);
  const { shape, def } = type as { shape?: Record<string, unknown>; def?: Record<string, unknown> };
  if (shape !== undefined)
    return Object.entries(shape).flatMap(([name, inner]) => [name, ...fieldNames(inner, seen)]);
  const { innerType, element, in: before, out } = def ?? {};
  return [innerType, element, before, out].flatMap((inner) => fieldNames(inner, seen));
}

it('the reference names every field that the file may have', () => {
  const names = [
    ...Object.entries(schema.general).flatMap(([name, type]) => [name, ...fieldNames(type)]),
    ...[schema.peer, schema.listen, schema.originate, schema.filter].flatMap((type) => fieldNames(type)),
    'peers',
    'peerGroups',
    'filters',
    'listen',
    'originate',
  ];
  expect(names).toContain('keepalive');
  expect(names).toContain('patterns');
  expect(names).toContain('ipv6-unicast');
  const words = new Set([...PAGE.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code!.split(/[.\s:,[\]]+/)));
  expect(names.filter((name) => !words.has(name))).toEqual([]);
});
