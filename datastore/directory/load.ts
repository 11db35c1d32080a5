import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Problem } from '../problem.ts';
import type { Resource } from '../resource.ts';
import { Claims } from './claims.ts';
import { readFileContents } from './documents.ts';
import { isManifestName } from './scanner.ts';

/** What a file or directory holds at this moment. */
export interface Loaded {
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
}

/**
 * Reads one file, or all manifests of a directory, once.
 *
 * @throws what `node:fs` throws for a file that can not be read
 */
export async function loadPath(path: string): Promise<Loaded> {
  const isDirectory = (await stat(path)).isDirectory();
  const names = isDirectory ? (await readdir(path)).filter(isManifestName).sort() : [];
  const claims = new Claims();
  for (const file of isDirectory ? names.map((name) => join(path, name)) : [path]) {
    claims.set(file, readFileContents(file, await readFile(file, 'utf8')));
  }
  const resources = claims
    .takeChanges()
    .flatMap((change) => (change.type === 'put' ? [change.resource] : []));
  return { resources, problems: claims.problems() };
}
