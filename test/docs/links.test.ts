import { globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const TOP = fileURLToPath(new URL('../../', import.meta.url));

describe('pages', () => {
  const pages = globSync('**/*.md', {
    cwd: TOP,
    exclude: (name) => name.includes('node_modules') || name.startsWith('build'),
  });

  for (const page of pages) {
    test(`${page} links only to what there is`, () => {
      const dead = linksOf(readFileSync(join(TOP, page), 'utf8')).filter((target) => {
        const [path, anchor] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path!);
        if (statSync(join(TOP, file), { throwIfNoEntry: false }) === undefined) return true;
        return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor);
      });
      expect(dead).toEqual([]);
    });
  }
});

/** Where the links of a page lead, but for those to the web. */
function linksOf(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^(https?:|mailto:)/.test(target));
}

/** The names that its headings have as places to link to: small letters, digits and `-` for each blank. */
function anchorsOf(page: string): Set<string> {
  const text = readFileSync(join(TOP, page), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
  const names = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
  // The second of two headings that are alike is called -1.
  return new Set(
    names.map((name, i) => {
      const before = names.slice(0, i).filter((other) => other === name).length;
      return before === 0 ? name : `${name}-${before}`;
    }),
  );
}
