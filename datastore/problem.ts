/**
 * What is wrong with something that was read, said so that the place can be found and put right.
 */

/** Where something stands in a set of files; 0 for a line or document that is not known. */
export interface Place {
  readonly file: string;
  /** From 1. A document that holds a list counts once. */
  readonly document: number;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** A fault of one value. */
export interface Fault {
  /** Such as `spec.ingress[0].ports[1].port`; empty for the whole document. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
}

/** An error is something that was not taken over; a warning, something that was, or that is of no concern here. */
export interface Problem extends Fault, Place {
  readonly severity: 'error' | 'warning';
  /** `NetworkPolicy default/deny-all`, or empty if that could not be told. */
  readonly object: string;
}

export type PathPart = string | number;

/** What is found where a field stands that its kind does not have. */
export const UNKNOWN_FIELD = 'an unknown field';

/** `a.yaml:12:5 (document 2, Pod default/web): metadata.name: found 7, expected text`. */
export function describeProblem(problem: Problem): string {
  const about = [problem.document === 0 ? '' : `document ${problem.document}`, problem.object].filter(
    Boolean,
  );
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const place = describePlace(problem);
  const head = about.length === 0 ? place : `${place} (${about.join(', ')})`;
  return `${head}: ${path}found ${problem.found}, expected ${problem.expected}`;
}

/** `a.yaml:12:5`. */
export function describePlace({ file, line, column }: Place): string {
  return line === 0 ? file : `${file}:${line}:${column}`;
}

/** `['spec', 'ingress', 0]` as `spec.ingress[0]`; names that are not plain words are quoted. */
export function formatPath(path: readonly PathPart[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_$][\w-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
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

/** What stands at the path inside a value, `undefined` if nothing does. */
export function valueAt(value: unknown, path: readonly PathPart[]): unknown {
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PathPart, unknown>)[part];
  }
  return value;
}
