/**
 * The parts of the documentation that are made of the code: `npm run docs` writes them, and a test holds the pages to them.
 *
 * docs/cli.md is made as a whole. The tables of settings stand in pages that are written by hand, between
 * `<!-- settings: NAME, written by npm run docs -->` and `<!-- end of settings -->`.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderReference } from './commands.ts';
import { renderTable, TABLES } from './settings.ts';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
/** Pages with tables of settings. */
const PAGES = ['configuration.md', 'bgp-configuration.md'];
const TABLE = /(<!-- settings: ([\w ]+), written by npm run docs -->\n)[\s\S]*?(<!-- end of settings -->\n)/g;

export interface Page {
  readonly file: string;
  /** Its text as it is, `undefined` where it is not there. */
  readonly is: string | undefined;
  readonly shouldBe: string;
}

/** Thrown where the marks in a page do not fit the tables that there are. */
export class PageError extends Error {
  override readonly name = 'PageError';
  readonly code = 'DOCS_PAGE';
}

/** @throws PageError */
export function renderPages(docs = DOCS): Page[] {
  const shown: string[] = [];
  const pages = PAGES.map((name) => {
    const file = join(docs, name);
    const is = readFileSync(file, 'utf8');
    const shouldBe = is.replaceAll(TABLE, (_, begin: string, table: string, end: string) => {
      const fields = TABLES[table];
      if (fields === undefined) {
        throw new PageError(
          `${file}: found settings: ${table}, expected one of ${Object.keys(TABLES).join(', ')}`,
        );
      }
      shown.push(table);
      return `${begin}${renderTable(fields)}${end}`;
    });
    return { file, is, shouldBe };
  });
  const missing = Object.keys(TABLES).filter((table) => !shown.includes(table));
  if (missing.length > 0) throw new PageError(`no page has the settings of ${missing.join(', ')}`);
  const file = join(docs, 'cli.md');
  return [...pages, { file, is: readFileSync(file, 'utf8'), shouldBe: renderReference() }];
}

if (import.meta.main) {
  for (const { file, is, shouldBe } of renderPages()) {
    if (is !== shouldBe) writeFileSync(file, shouldBe);
  }
}
