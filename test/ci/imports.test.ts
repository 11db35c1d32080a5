import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { newTempFolder } from '#test/helpers/owner.ts';
import { checkFile, MAY_IMPORT } from '../../.ci/imports.ts';
import { moduleReferences } from '../../.ci/references.ts';

const folders = Object.keys(MAY_IMPORT);

/** The table of the design once more, so that a slip in the checked table shows. */
const ALLOWED: Readonly<Record<string, string>> = {
  kernel: '',
  proto: '',
  datastore: '',
  daemon: '',
  bgp: 'kernel proto datastore daemon',
  policy: 'proto datastore daemon',
  felix: 'kernel proto datastore daemon',
  cli: 'kernel proto datastore daemon bgp policy felix lab',
  lab: 'kernel proto datastore',
  'k8s-manifests': '',
  test: folders.join(' '),
  bench: folders.join(' '),
  docs: folders.join(' '),
};

describe('the import rule', () => {
  for (const from of folders) {
    const allowed = new Set([from, ...ALLOWED[from]!.split(' ')]);
    test(`lets ${from}/ import ${ALLOWED[from]! || 'no other folder'}, and no more`, () => {
      for (const to of folders) {
        for (const specifier of [`#${to}/x.ts`, `../../${to}/x.ts`]) {
          for (const statement of [
            `import { a } from '${specifier}';`,
            `import type { A } from '${specifier}';`,
            `export * from '${specifier}';`,
            `type A = import('${specifier}').A;`,
          ]) {
            const found = checkFile(`${from}/sub/file.ts`, `\n${statement}\n`);
            expect(found.length, statement).toBe(allowed.has(to) ? 0 : 1);
            if (found[0] === undefined) continue;
            expect(found[0]).toMatchObject({ file: `${from}/sub/file.ts`, line: 2 });
            expect(found[0].message).toContain(`${from}/ must not import ${to}/ ('${specifier}'): ${from}/`);
          }
        }
      }
    });
  }

  test('leaves packages, modules of Node and files of the same folder alone', () => {
    const source = "import 'node:fs'; import 'koffi'; import './a.ts'; import '../b.ts'; import '#bgp/c.ts';";
    expect(checkFile('bgp/rib/file.ts', source)).toEqual([]);
  });

  test('takes a folder inside another for part of that one', () => {
    expect(checkFile('lab/bgp/file.ts', "import '../policy/x.ts';")).toEqual([]);
    expect(checkFile('lab/bgp/file.ts', "import '../../policy/x.ts';")).toHaveLength(1);
  });

  test('forbids a shipped folder to import from the top and from a folder it does not know', () => {
    expect(checkFile('bgp/file.ts', "import '../vitest.config.ts';")[0]!.message).toContain('the top folder');
    expect(checkFile('bgp/file.ts', "import '../elsewhere/x.ts';")[0]!.message).toContain('elsewhere/');
  });

  test('asks for names that are written out', () => {
    expect(checkFile('bgp/file.ts', 'await import(name);')[0]!.message).toContain('computed name');
    expect(checkFile('test/file.ts', 'await import(name);')).toEqual([]);
  });
});

describe('module references', () => {
  const specifiers = (source: string) => moduleReferences(source).map(({ specifier }) => specifier);

  test('are found in every form', () => {
    const source = `
      import 'a';
      import b, { type B } from "b";
      import type {
        C,
      } from 'c';
      export { d } from 'd';
      export type * from 'e';
      export * as f from 'f';
      const g: typeof import('g') = await import( 'h' , { with: { type: 'json' } });
      const i = require('i'), j = import.meta.resolve('j'), k = require.resolve(\`k\`);
      import l = require('l');
      new Worker(new URL('./m.ts', import.meta.url));
    `;
    expect(specifiers(source)).toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
      'f',
      'g',
      'h',
      'i',
      'j',
      'k',
      'l',
      './m.ts',
    ]);
  });

  test('tell the line of the specifier', () => {
    expect(moduleReferences("/* \n\n */ import {\n a\n} from 'a';")).toEqual([{ specifier: 'a', line: 5 }]);
  });

  test('are not found in comments, strings, templates and regular expressions', () => {
    const source = `#!/usr/bin/env -S node import 'z'
      // import 'a';
      /* import 'b'; */
      const c = "import 'c'", d = 'it\\'s import "d"';
      const e = \`import 'e' \${f + \`import 'g' \${{ h: "}" }}\`} from 'i'\`;
      const j = k / import_ / 'l', m = [/import 'm["/]/, /[/"]'/g];
      const n = \`\${/"'/.test(o)} import('p')\`;
      q.import('r'); new URL('..', v); s.from; t = { from: 'u' };
    `;
    expect(specifiers(source)).toEqual([]);
  });

  test('after such places are still found', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    const source = "function a() { return `${b}${`c`}`; } const d = 1 / 2; const e = /'/; import 'f';";
    expect(specifiers(source)).toEqual(['f']);
  });

  test('of a source that can not be read are reported, not missed', () => {
    expect(checkFile('bgp/a.ts', "\nconst a = 'b;\nimport '#felix/x.ts';")[0]).toEqual({
      file: 'bgp/a.ts',
      line: 2,
      message: 'a string that starts here does not end',
    });
  });
});

describe('the command', () => {
  const root = newTempFolder();
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  test('judges JavaScript and TypeScript of all folders, prints file and line, and exits with 1', () => {
    for (const [folder, name] of [
      ['bgp/deep/er', 'a.ts'],
      ['proto', 'b.js'],
    ] as const) {
      mkdirSync(join(root, folder), { recursive: true });
      writeFileSync(join(root, folder, name), "\n\nimport '#felix/x.ts';\n");
    }
    const command = join(import.meta.dirname, '../../.ci/imports.ts');
    const done = spawnSync(process.execPath, [command, root], { encoding: 'utf8' });
    expect(done.status).toBe(1);
    expect(done.stderr.split('\n')).toEqual([
      "bgp/deep/er/a.ts:3: bgp/ must not import felix/ ('#felix/x.ts'): bgp/ may only import kernel/, proto/, datastore/, daemon/",
      "proto/b.js:3: proto/ must not import felix/ ('#felix/x.ts'): proto/ imports no other folder of ours",
      '',
    ]);
  });
});
