/**
 * What is wrong with a configuration, said so that the line can be found and put right.
 */

export type Problem = {
  /** Where in the document, such as `peers[2].remoteAs`; empty for the document itself. */
  readonly path: string;
  /** What stands there, as a line for people. Secrets are not shown. */
  readonly found: string;
  readonly expected: string;
  /** Known field nearest to an unknown one. */
  readonly suggestion?: string;
  /** Both from 1; 0 when there is no place to point at. */
  readonly line: number;
  readonly column: number;
};

/** Thrown for a configuration that can not be used; `problems` has all that is wrong with it, in the order of the file. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly file: string;
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super(problems.map((problem) => describeProblem(file, problem)).join('\n'));
    this.name = 'ConfigError';
    this.file = file;
    this.problems = problems;
  }
}

/** `node.yaml:12:15: peers[2].remoteAs: found "abc", expected an AS number from 1 to 4294967295`. */
export function describeProblem(file: string, problem: Problem): string {
  const place = problem.line === 0 ? file : `${file}:${problem.line}:${problem.column}`;
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const hint = problem.suggestion === undefined ? '' : ` (did you mean ${problem.suggestion}?)`;
  return `${place}: ${path}found ${problem.found}, expected ${problem.expected}${hint}`;
}

export type PathPart = string | number;

/** `['peers', 2, 'remoteAs']` as `peers[2].remoteAs`; names that are not plain words are quoted. */
export function formatPath(path: readonly PathPart[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

/** A value in a few words. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') {
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 57))}...` : JSON.stringify(value);
  }
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  return String(value);
}

/** The known name that an unknown one was most likely meant to be, if any is near enough. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const longer = known.filter((candidate) => name.length >= 3 && candidate.startsWith(name));
  if (longer.length === 1) return longer[0];
  const shorter = known.filter((candidate) => candidate.length >= 4 && name.startsWith(candidate));
  if (shorter.length === 1) return shorter[0];
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, beforePrevious[j - 2]! + 1);
      }
      row.push(least);
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length]!;
}
