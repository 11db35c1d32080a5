import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Problem } from '../problem.ts';
import type { Resource } from '../resource.ts';
import { Claims } from './claims.ts';
import { readFileContents } from './documents.ts';
import { isManifestName } from './scanner.ts';
import { MOST_BYTES, readText, unreadable } from './text.ts';

/** What a file or directory holds at this moment. */
export interface Loaded {
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
}

/** Reads one file, or all manifests of a directory, once. What can not be read is among the problems. */
export async function loadPath(path: string): Promise<Loaded> {
  const claims = new Claims();
  const problems: Problem[] = [];
  const read = async (file: string): Promise<void> => {
    claims.set(file, readFileContents(file, (await readText(file, undefined, MOST_BYTES))!));
  };
  try {
    if (!(await stat(path)).isDirectory()) await read(path);
    else {
      const names = (await readdir(path)).filter(isManifestName).sort();
      for (const name of names) {
        const file = join(path, name);
        await read(file).catch((error: unknown) => problems.push(unreadable(file, error)));
      }
    }
  } catch (error) {
    problems.push(unreadable(path, error));
  }
  const resources = claims
    .takeChanges()
    .flatMap((change) => (change.type === 'put' ? [change.resource] : []));
  return { resources, problems: [...problems, ...claims.problems()] };
}
