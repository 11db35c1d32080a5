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
      const text = readFileSync(join(TOP, page), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
      const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target]) => target!)
        .filter((target) => !/^(https?:|mailto:|#)/.test(target))
        .filter((target) => {
          const path = join(TOP, dirname(page), target.split('#')[0]!);
          return statSync(path, { throwIfNoEntry: false }) === undefined;
        });
      expect(dead).toEqual([]);
    });
  }
});
