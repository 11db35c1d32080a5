import { Option } from 'commander';
import { loadPath } from '#datastore/directory/load.ts';
import { describeProblem, type Problem } from '#datastore/problem.ts';
import { keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import { CliError, type Context, EXIT } from '../program.ts';

/** Lines of problems that are printed. */
const MOST_LINES = 20;

/** An option that names files or directories of objects and may be given more than once. */
export function filesOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((path: string, before: string[] | undefined) => [
    ...(before ?? []),
    path,
  ]);
}

/**
 * Reads all objects of the files and directories; `-` is standard input. Of an object that several paths have, the last
 * counts, as with `kubectl apply`. One that is not valid ends the command: without it, the answer would be wrong.
 */
export async function loadObjects(paths: readonly string[], { error }: Context): Promise<Resource[]> {
  const resources = new Map<ResourceKey, Resource>();
  const problems: Problem[] = [];
  for (const path of paths) {
    const loaded = await loadPath(path === '-' ? '/dev/stdin' : path);
    for (const resource of loaded.resources) resources.set(keyOf(resource), resource);
    problems.push(...loaded.problems);
  }
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new CliError(listOf(errors), EXIT.usage);
  const ignored = [...new Set(problems.map(({ found }) => found))];
  if (ignored.length > 0) {
    const names = ignored.length > 5 ? [...ignored.slice(0, 5), '...'] : ignored;
    error.write(`note: ${problems.length} objects that policies do not depend on: ${names.join(', ')}\n`);
  }
  return [...resources.values()];
}

function listOf(errors: readonly Problem[]): string {
  const lines = errors.slice(0, MOST_LINES).map(describeProblem);
  const more = errors.length - lines.length;
  return [...lines, ...(more > 0 ? [`and ${more} more of the kind`] : [])].join('\n');
}
