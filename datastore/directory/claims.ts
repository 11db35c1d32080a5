/**
 * What several files together say: which object comes from which file, what is in force, and what changed.
 */

import { isDeepStrictEqual } from 'node:util';
import { describePlace, type Problem } from '../problem.ts';
import { describeKey, type Resource, type ResourceKey } from '../resource.ts';
import type { Change } from '../source.ts';
import type { FileContents } from './documents.ts';

/** A file's say on an object. */
interface Claim {
  /** As the file has it, or had it when it was last valid; `undefined` if it never was. */
  readonly resource: Resource | undefined;
  readonly document: number;
  readonly line: number;
  readonly column: number;
}

/**
 * The files of a directory. An object that becomes invalid stays as it last was. An object that is in several files, or
 * several times in one, is taken from the first place in the order of file names.
 */
export class Claims {
  readonly #files = new Map<string, { claims: Map<ResourceKey, Claim>; problems: readonly Problem[] }>();
  /** Files that claim an object, in order. */
  readonly #claimants = new Map<ResourceKey, string[]>();
  /** What the consumer has been told. */
  readonly #told = new Map<ResourceKey, Resource>();
  readonly #touched = new Set<ResourceKey>();

  /** Takes over what now stands in a file. */
  set(file: string, contents: FileContents): void {
    const before = this.#files.get(file)?.claims ?? new Map<ResourceKey, Claim>();
    const claims = new Map<ResourceKey, Claim>();
    const problems = [...contents.problems];
    for (const { key, resource, ...place } of contents.objects) {
      const first = claims.get(key);
      if (first === undefined) {
        claims.set(key, { resource: resource ?? before.get(key)?.resource, ...place });
      } else {
        problems.push(duplicate(key, { file, ...place }, { file, ...first }));
      }
    }
    if (!contents.complete) {
      for (const [key, claim] of before) if (!claims.has(key)) claims.set(key, claim);
    }
    this.#replace(file, before, claims);
    this.#files.set(file, { claims, problems });
  }

  /** The file is gone, and with it its objects. */
  delete(file: string): void {
    const before = this.#files.get(file)?.claims;
    if (before === undefined) return;
    this.#replace(file, before, new Map());
    this.#files.delete(file);
  }

  /** Whether the last `takeChanges` held something back. */
  get holdsBack(): boolean {
    return this.#touched.size > 0;
  }

  /**
   * What has to be told so that the consumer knows what is in force now. Counts as told.
   *
   * @param keep whether objects that are gone stay until the next time, as they may turn up elsewhere
   */
  takeChanges({ keep = false } = {}): Change[] {
    const changes: Change[] = [];
    const kept: ResourceKey[] = [];
    for (const key of this.#touched) {
      const told = this.#told.get(key);
      const now = this.#winner(key);
      if (now === undefined) {
        if (told === undefined) continue;
        if (keep) {
          kept.push(key);
          continue;
        }
        changes.push({ type: 'delete', key });
        this.#told.delete(key);
      } else if (!isDeepStrictEqual(now, told)) {
        changes.push({ type: 'put', resource: now });
        this.#told.set(key, now);
      }
    }
    this.#touched.clear();
    for (const key of kept) this.#touched.add(key);
    return changes;
  }

  /** All problems, in the order of files and documents. */
  problems(): Problem[] {
    const files = [...this.#files].sort(([a], [b]) => order(a, b));
    return files.flatMap(([file, { claims, problems }]) => {
      const all = [...problems];
      for (const [key, claim] of claims) {
        const first = this.#claimants.get(key)![0]!;
        if (first === file) continue;
        all.push(
          duplicate(key, { file, ...claim }, { file: first, ...this.#files.get(first)!.claims.get(key)! }),
        );
      }
      return all.sort((a, b) => a.document - b.document || a.line - b.line);
    });
  }

  #replace(
    file: string,
    before: ReadonlyMap<ResourceKey, Claim>,
    after: ReadonlyMap<ResourceKey, Claim>,
  ): void {
    for (const key of before.keys()) {
      this.#touched.add(key);
      if (!after.has(key)) this.#withdraw(key, file);
    }
    for (const key of after.keys()) {
      this.#touched.add(key);
      if (!before.has(key)) this.#enter(key, file);
    }
  }

  #enter(key: ResourceKey, file: string): void {
    const claimants = this.#claimants.get(key);
    if (claimants === undefined) this.#claimants.set(key, [file]);
    else claimants.splice(claimants.filter((other) => order(other, file) < 0).length, 0, file);
  }

  #withdraw(key: ResourceKey, file: string): void {
    const others = this.#claimants.get(key)!.filter((other) => other !== file);
    if (others.length === 0) this.#claimants.delete(key);
    else this.#claimants.set(key, others);
  }

  #winner(key: ResourceKey): Resource | undefined {
    for (const file of this.#claimants.get(key) ?? []) {
      const resource = this.#files.get(file)?.claims.get(key)?.resource;
      if (resource !== undefined) return resource;
    }
    return undefined;
  }
}

type FilePlace = { file: string; document: number; line: number; column: number };

function duplicate(key: ResourceKey, here: FilePlace, first: FilePlace): Problem {
  return {
    severity: 'error',
    file: here.file,
    document: here.document,
    line: here.line,
    column: here.column,
    object: describeKey(key),
    path: '',
    found: 'the same object again',
    expected: `each object once; ${describePlace(first)} counts`,
  };
}

/** Code unit order: the same everywhere. */
function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
