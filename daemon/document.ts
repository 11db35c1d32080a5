/**
 * A YAML document whose values are taken out piece by piece, with everything that is wrong gathered and placed.
 */

import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { describeValue, formatPath, nearest, type PathPart, type Problem } from './problem.ts';

export class ConfigDocument {
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed | undefined;
  readonly #root: unknown;
  readonly #problems: (Problem & { readonly offset: number })[] = [];

  constructor(source: string) {
    const documents = parseAllDocuments(source, { lineCounter: this.#lines, prettyErrors: false });
    if (!Array.isArray(documents) || documents.length === 0) return;
    for (const document of documents) {
      for (const error of [...document.errors, ...document.warnings]) {
        this.#addAt(error.pos[0], '', `a mistake in the YAML (${error.message})`, 'valid YAML');
      }
    }
    if (documents.length > 1) {
      this.#addAt(documents[1]!.range[0], '', `${documents.length} documents`, 'one document');
    }
    this.#document = documents[0];
    // An alias that stands for itself many times over is refused here, before it fills the memory.
    if (this.#problems.length === 0) this.#root = this.#toValue();
  }

  /** Problems so far, in the order of the document. */
  get problems(): readonly Problem[] {
    return [...this.#problems]
      .sort((a, b) => a.offset - b.offset)
      .map(({ offset: _, ...problem }) => problem);
  }

  /** The plain value at a path, `undefined` if there is none. */
  valueAt(path: readonly PathPart[]): unknown {
    let value = this.#root;
    for (const part of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
      value = (value as Record<PathPart, unknown>)[part];
    }
    return value;
  }

  /** What the schema makes of the value at a path; `undefined`, with its problems noted, if that is not possible. */
  read<T>(path: readonly PathPart[], schema: z.ZodType<T>): T | undefined {
    const result = schema.safeParse(this.valueAt(path), { reportInput: true });
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#addIssue(path, issue);
    return undefined;
  }

  /** Entries of the mapping at a path; none, with a problem noted, if something else is there. */
  keys(path: readonly PathPart[]): string[] {
    const value = this.valueAt(path);
    if (value === undefined || value === null) return [];
    if (typeof value === 'object' && !Array.isArray(value)) return Object.keys(value);
    this.add(path, 'a mapping');
    return [];
  }

  /** Indexes of the list at a path; none, with a problem noted, if something else is there. */
  indexes(path: readonly PathPart[]): number[] {
    const value = this.valueAt(path);
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return [...value.keys()];
    this.add(path, 'a list');
    return [];
  }

  /** Notes a problem with the value at a path. */
  add(path: readonly PathPart[], expected: string, found = this.#describe(path), suggestion?: string): void {
    this.#addAt(this.#offsetOf(path), formatPath(path), found, expected, suggestion);
  }

  /** Notes fields of the mapping at a path that are not known ones. */
  addUnknown(path: readonly PathPart[], keys: readonly string[], known: readonly string[]): void {
    const expected = known.length <= 8 ? `one of ${known.join(', ')}` : 'a known field';
    for (const key of keys) {
      const at = this.#offsetOf([...path, key], true);
      this.#addAt(at, formatPath([...path, key]), 'an unknown field', expected, nearest(key, known));
    }
  }

  #addIssue(base: readonly PathPart[], issue: z.core.$ZodIssue): void {
    const path = [...base, ...(issue.path as PathPart[])];
    if (issue.code === 'unrecognized_keys') this.addUnknown(path, issue.keys, issue.message.split(','));
    else if (issue.code === 'invalid_type') this.add(path, TYPE_NAMES[issue.expected] ?? issue.expected);
    else if (issue.code === 'custom') this.add(path, String(issue.params?.expected));
    else this.add(path, issue.message);
  }

  #addAt(offset: number, path: string, found: string, expected: string, suggestion?: string): void {
    const { line, col } = offset < 0 ? { line: 0, col: 0 } : this.#lines.linePos(offset);
    // A value may be looked at from two sides.
    const same = (known: Problem) => known.path === path && known.expected === expected && path !== '';
    if (this.#problems.some(same)) return;
    this.#problems.push({
      path,
      found,
      expected,
      ...(suggestion !== undefined && { suggestion }),
      line,
      column: col,
      offset,
    });
  }

  #describe(path: readonly PathPart[]): string {
    const value = this.valueAt(path);
    if (path.at(-1) !== 'password' || typeof value === 'object') return describeValue(value);
    // Never the secret itself.
    return typeof value === 'string'
      ? `text of ${new TextEncoder().encode(value).length} bytes`
      : `a ${typeof value}`;
  }

  /** Where the value (or the key before it) at the path begins; for what is not there, the nearest thing around it. */
  #offsetOf(path: readonly PathPart[], ofKey = false): number {
    let node: unknown = this.#document?.contents;
    let offset = startOf(node) ?? -1;
    for (const [depth, part] of path.entries()) {
      let key: unknown;
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find((item) => (isScalar(item.key) ? item.key.value : item.key) === part);
        key = pair?.key;
        next = pair?.value;
      } else if (isSeq(node) && typeof part === 'number') {
        next = node.items[part];
      }
      if (key === undefined && next === undefined) break;
      const last = depth === path.length - 1 && !ofKey;
      offset = (last ? startOf(next) : undefined) ?? startOf(key) ?? startOf(next) ?? offset;
      node = next;
    }
    return offset;
  }

  #toValue(): unknown {
    try {
      return this.#document?.toJS({ maxAliasCount: 100 });
    } catch (error) {
      if (!(error instanceof ReferenceError)) throw error;
      this.#addAt(-1, '', error.message, 'fewer aliases');
      return undefined;
    }
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  record: 'a mapping',
};

function startOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
