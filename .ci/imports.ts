/**
 * The rule on import direction between the top-level folders: `node .ci/imports.ts`. Arrows only point down, so
 * that each part can be read, tested and used without those above it. Type imports count too.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { moduleReferences, UnreadableSourceError } from './references.ts';

/** What each folder may import besides itself; `all` for the folders that nothing else depends on. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[] | 'all'>> = {
  kernel: [],
  proto: [],
  datastore: [],
  daemon: [],
  bgp: ['kernel', 'proto', 'datastore', 'daemon'],
  policy: ['proto', 'datastore', 'daemon'],
  felix: ['kernel', 'proto', 'datastore', 'daemon'],
  cli: ['kernel', 'proto', 'datastore', 'daemon', 'bgp', 'policy', 'felix', 'lab'],
  // It runs the daemons as processes, so their folders are not among these.
  lab: ['kernel', 'proto', 'datastore'],
  'k8s-manifests': [],
  test: 'all',
  bench: 'all',
  docs: 'all',
};

/** One import that the rule forbids, or one that it can not judge. */
export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/**
 * Judges one file.
 *
 * @param file path from the top of the repository, with `/`
 * @param source its text: TypeScript or JavaScript
 */
export function checkFile(file: string, source: string): Violation[] {
  const folder = file.split('/')[0]!;
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined || allowed === 'all') return [];
  try {
    return moduleReferences(source).flatMap(({ specifier, line }) => {
      const message =
        specifier === undefined
          ? `${folder}/ imports a computed name here; the import rule can only judge one that is written out`
          : judge(file, folder, allowed, specifier);
      return message === undefined ? [] : [{ file, line, message }];
    });
  } catch (error) {
    if (!(error instanceof UnreadableSourceError)) throw error;
    return [{ file, line: error.line, message: error.message }];
  }
}

function judge(
  file: string,
  folder: string,
  allowed: readonly string[],
  specifier: string,
): string | undefined {
  const target = targetFolder(file, specifier);
  if (target === undefined || target === folder || allowed.includes(target)) return undefined;
  const list = allowed.map((name) => `${name}/`).join(', ');
  const may =
    list === '' ? `${folder}/ imports no other folder of ours` : `${folder}/ may only import ${list}`;
  return `${folder}/ must not import ${target === '' ? 'the top folder' : `${target}/`} ('${specifier}'): ${may}`;
}

/** The top-level folder a specifier leads to; `''` for the top itself, undefined for packages and Node's modules. */
function targetFolder(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1).split('/')[0];
  if (!specifier.startsWith('.')) return undefined;
  const path = posix.join(posix.dirname(file), specifier);
  return path.includes('/') ? path.split('/')[0] : '';
}

/** Judges every source file under a folder, and prints what it finds. */
function main(root: string): number {
  const pattern = `{${Object.keys(MAY_IMPORT).join(',')}}/**/*.{ts,mts,cts,js,mjs,cjs}`;
  const files = globSync(pattern, { cwd: root, exclude: ['**/node_modules/**'] }).sort();
  const violations = files.flatMap((file) => checkFile(file, readFileSync(join(root, file), 'utf8')));
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  console.log(
    violations.length === 0
      ? `Import direction: ${files.length} files, all right.`
      : `Import direction: ${violations.length} forbidden. The table of folders stands in docs/development.md.`,
  );
  return violations.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main(process.argv[2] ?? join(import.meta.dirname, '..'));
