/**
 * The datastore of a lab: a directory of manifests, one object a file. Objects come and go as with kubectl.
 */

import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { readFileContents } from '#datastore/directory/documents.ts';
import { isManifestName } from '#datastore/directory/scanner.ts';
import { describeProblem } from '#datastore/problem.ts';
import { describeKey, type ResourceKey, readResource } from '#datastore/resource.ts';

/** An object as it is written, in the form of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What became of one object. */
export interface Outcome {
  readonly object: string;
  readonly done: 'created' | 'configured' | 'unchanged' | 'deleted' | 'not found';
}

/** Thrown when manifests are refused; nothing of them has been taken then. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly code = 'MANIFEST_REFUSED';
}

/** Kinds that an API server sets up by itself: they can not be applied. */
const OWN_KINDS: ReadonlySet<string> = new Set(['Node']);

export class Datastore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Takes over all objects of a text of YAML or JSON, or none.
   *
   * @param file the text's name, for errors
   * @throws ManifestError
   */
  apply(text: string, file: string): Outcome[] {
    const manifests = readManifests(text, file);
    const made = new Set(
      manifests.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name),
    );
    for (const manifest of manifests) {
      const { kind, metadata } = manifest;
      refuseOwn(file, kind, metadata.name);
      if (kind === 'Namespace') continue;
      if (kind === 'Pod') this.#refuseMove(file, manifest);
      const namespace = namespaceOf({ metadata });
      if (!made.has(namespace) && this.get(`Namespace//${namespace}`) === undefined) {
        throw new ManifestError(
          `${file}: ${kind} ${namespace}/${metadata.name}: there is no namespace ${namespace}; apply it first`,
        );
      }
    }
    return manifests.map((manifest) => this.put(manifest));
  }

  /**
   * Removes all objects of a text. Pods go with their namespace, and policies too.
   *
   * @throws ManifestError
   */
  delete(text: string, file: string): Outcome[] {
    const manifests = readManifests(text, file);
    for (const { kind, metadata } of manifests) refuseOwn(file, kind, metadata.name);
    const outcomes = new Map<string, Outcome>();
    for (const manifest of manifests) {
      const within = manifest.kind === 'Namespace' ? this.#removeWithin(manifest.metadata.name) : [];
      // What has gone with its namespace may follow in the text, and is there no more.
      for (const outcome of [this.remove(keyOf(manifest)), ...within]) {
        if (!outcomes.has(outcome.object)) outcomes.set(outcome.object, outcome);
      }
    }
    return [...outcomes.values()];
  }

  /** Puts an object in the place of the one of its name. A pod keeps its identity, its node and its addresses. */
  put(manifest: Manifest): Outcome {
    const key = keyOf(manifest);
    const before = this.get(key);
    const after: Manifest =
      manifest.kind === 'Pod'
        ? {
            ...manifest,
            metadata: {
              ...manifest.metadata,
              uid: manifest.metadata.uid ?? before?.metadata.uid ?? randomUUID(),
            },
            spec: { ...(before?.spec?.nodeName ? { nodeName: before.spec.nodeName } : {}), ...manifest.spec },
            ...((manifest.status ?? before?.status)
              ? { status: manifest.status ?? before?.status ?? {} }
              : {}),
          }
        : manifest;
    const object = describeKey(key);
    const text = stringify(after);
    if (before !== undefined && stringify(before) === text) return { object, done: 'unchanged' };
    const path = this.#path(key);
    // Readers take names that begin with a dot for no manifests.
    const next = join(this.folder, `.${randomUUID()}`);
    try {
      writeFileSync(next, text);
      renameSync(next, path);
    } catch (error) {
      rmSync(next, { force: true });
      throw error;
    }
    return { object, done: before === undefined ? 'created' : 'configured' };
  }

  remove(key: ResourceKey): Outcome {
    const there = this.get(key) !== undefined;
    rmSync(this.#path(key), { force: true });
    return { object: describeKey(key), done: there ? 'deleted' : 'not found' };
  }

  /** The object as it was written; undefined if there is none. */
  get(key: ResourceKey): Manifest | undefined {
    try {
      return parse(readFileSync(this.#path(key), 'utf8')) as Manifest;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** A pod stays on its node. */
  #refuseMove(file: string, manifest: Manifest): void {
    const key = keyOf(manifest);
    const [before, after] = [this.get(key)?.spec?.nodeName, manifest.spec?.nodeName];
    if (before === undefined || after === undefined || before === after) return;
    throw new ManifestError(
      `${file}: ${describeKey(key)}: spec.nodeName: found ${after}, expected ${before}, where it runs; delete it first`,
    );
  }

  #removeWithin(namespace: string): Outcome[] {
    return readdirSync(this.folder)
      .filter(
        (name) => isManifestName(name) && name.split('.')[1] === namespace && name.split('.').length > 3,
      )
      .map((name) => this.remove(keyOf(parse(readFileSync(join(this.folder, name), 'utf8')) as Manifest)));
  }

  #path(key: ResourceKey): string {
    const [kind, namespace, name] = key.split('/');
    return join(this.folder, `${[kind, namespace, name].filter(Boolean).join('.').toLowerCase()}.yaml`);
  }
}

/** Objects that the lab makes by itself are nobody else's to change. */
function refuseOwn(file: string, kind: string, name: string): void {
  if (!OWN_KINDS.has(kind)) return;
  throw new ManifestError(`${file}: ${kind} ${name}: the lab's own nodes are all there are`);
}

function keyOf(manifest: Manifest): ResourceKey {
  const reading = readResource(manifest);
  if (reading.outcome !== 'resource') throw new ManifestError(`${manifest.kind}: not a valid object`);
  return reading.key;
}

function namespaceOf({ metadata }: Pick<Manifest, 'metadata'>): string {
  return metadata.namespace ?? 'default';
}

/** All objects of a text, lists opened. */
function readManifests(text: string, file: string): Manifest[] {
  const { problems, objects } = readFileContents(file, text);
  // Warnings too: they are of kinds that a cluster has and the lab has not.
  if (problems.length > 0) throw new ManifestError(problems.map(describeProblem).join('\n'));
  if (objects.length === 0) throw new ManifestError(`${file}: found no object, expected at least one`);
  return parseAllDocuments(text, { merge: true }).flatMap((document) => open(document.toJS()));
}

function open(value: unknown): Manifest[] {
  if (value === null || value === undefined) return [];
  const object = value as Manifest & { readonly items?: readonly unknown[] };
  return Array.isArray(object.items) ? object.items.flatMap(open) : [object];
}
