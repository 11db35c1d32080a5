/**
 * Tables of the settings of the daemons, made from the schemas that their configuration files are read by.
 */

import { stringify } from 'yaml';
import { matchFields, setFields } from '#bgp/config/filter-schema.ts';
import { familyFields, sessionFields, whoFields } from '#bgp/config/peer-schema.ts';
import * as bgp from '#bgp/config/schema.ts';
import type { Shape } from '#daemon/field-text.ts';
import { SECTIONS as felix } from '#felix/config/schema.ts';
import { SECTIONS as policy } from '#policy/daemon/schema.ts';
import { type Field, fieldsOf } from './fields.ts';

/** The tables, by the name that pages call them by. */
export const TABLES: Readonly<Record<string, readonly Field[]>> = {
  bgp: [
    ...fieldsOf(bgp.general),
    ...fieldsOf(bgp.lists.listen.shape, 'listen[].'),
    ...fieldsOf(bgp.lists.originate.shape, 'originate[].'),
  ],
  'bgp peers': [...fieldsOf({ ...whoFields, ...sessionFields })],
  'bgp families': [...fieldsOf(familyFields)],
  'bgp filters': [...fieldsOf(bgp.named.filters.shape)],
  'bgp filter conditions': [...fieldsOf(matchFields)],
  'bgp filter actions': [...fieldsOf(setFields)],
  felix: [...fieldsOf(felix)],
  policy: [...fieldsOf(policy as Shape)],
};

/** A Markdown table of fields. Columns that none of them has anything for are left out. */
export function renderTable(fields: readonly Field[]): string {
  const columns = COLUMNS.map(({ title, cell }) => ({ title, cells: fields.map(cell) })).filter(({ cells }) =>
    cells.some((cell) => cell !== ''),
  );
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [
    row(columns.map(({ title }) => title)),
    `|${'---|'.repeat(columns.length)}\n`,
    ...fields.map((_, i) => row(columns.map(({ cells }) => cells[i]!))),
  ].join('');
}

const COLUMNS: readonly { readonly title: string; readonly cell: (field: Field) => string }[] = [
  { title: 'field', cell: ({ path }) => `\`${path}\`` },
  { title: 'option', cell: ({ text }) => (text.option === undefined ? '' : `\`${text.option}\``) },
  { title: 'meaning', cell: ({ text }) => cellText(text.description ?? '') },
  { title: 'value', cell: ({ text }) => cellText(text.expected ?? '') },
  { title: 'without it', cell: (field) => cellText(withoutIt(field)) },
  { title: 'example', cell: ({ text }) => code(text.example) },
  { title: 'a change', cell: ({ text }) => text.change ?? '' },
];

function withoutIt({ text, required }: Field): string {
  if (text.default !== undefined) return code(text.default);
  return text.otherwise ?? (required ? 'required' : '');
}

/** As it would stand in the file, on one line. */
function code(value: unknown): string {
  if (value === undefined) return '';
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false });
  return `\`${text.trim()}\``;
}

/** A bar would end the cell, and what is between two stars would be set in italics; not so in code. */
function cellText(text: string): string {
  const parts = text.replaceAll('|', '\\|').split('`');
  return parts.map((part, i) => (i % 2 === 0 ? part.replaceAll('*', '\\*') : part)).join('`');
}
