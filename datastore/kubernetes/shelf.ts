/**
 * The objects of one kind as the API server last told them, and what the consumer has to be told of that.
 *
 * An object that becomes invalid stays in force as it last was. One of the same name and another UID is another object:
 * of the one before nothing stays.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../problem.ts';
import { describeKey, keyOf, type Resource, type ResourceKey, readResource } from '../resource.ts';
import type { Change } from '../source.ts';
import { type ApiCollection, objectPath } from './api.ts';

/** An object as it comes, of which only this much is sure. */
export type RawObject = Readonly<Record<string, unknown>>;

interface Entry {
  readonly uid: string;
  /** Opaque; two that are equal stand for the same content. */
  readonly version: string;
  /** As it was when it was last valid; `undefined` if it never was. */
  readonly resource: Resource | undefined;
  /** What is wrong with it now; `undefined` if nothing is. */
  readonly problems: readonly Problem[] | undefined;
}

/** Problems of one kind that are told; the number of the others is. */
const MOST_PROBLEMS = 100;

export class Shelf {
  readonly #api: ApiCollection;
  readonly #server: () => string;
  #entries = new Map<ResourceKey, Entry>();
  /** What the consumer has of objects that changed since it was last told. */
  #changed = new Map<ResourceKey, Resource | undefined>();
  #faulty = new Set<ResourceKey>();
  #complete = false;
  #told = false;

  /** @param server its address, for problems */
  constructor(api: ApiCollection, server: () => string) {
    this.#api = api;
    this.#server = server;
  }

  /** Whether everything has been listed, at any time. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Number of objects that are in force. */
  get size(): number {
    let never = 0;
    for (const key of this.#faulty) if (this.#entries.get(key)?.resource === undefined) never++;
    return this.#entries.size - never;
  }

  /** Takes over an object that was added or has changed. */
  put(object: RawObject): void {
    const identity = this.#identify(object);
    const { key } = identity;
    const before = this.#entries.get(key);
    this.#set(key, this.#read(object, identity, before), before);
  }

  /** Takes an object away, unless another one has taken its name since. */
  delete(object: RawObject): void {
    const { key, uid } = this.#identify(object);
    const before = this.#entries.get(key);
    if (before?.uid === uid) this.#set(key, undefined, before);
  }

  /** Everything anew: what is in force changes only when it is whole. */
  replace(): Replacement {
    const fresh = new Map<ResourceKey, Entry>();
    const current = (key: ResourceKey) => fresh.get(key) ?? this.#entries.get(key);
    return {
      put: (object) => {
        const identity = this.#identify(object);
        fresh.set(identity.key, this.#read(object, identity, current(identity.key)));
      },
      delete: (object) => {
        const { key, uid } = this.#identify(object);
        if (fresh.get(key)?.uid === uid) fresh.delete(key);
      },
      commit: () => this.#commit(fresh),
    };
  }

  /** All objects in force. They count as told. */
  takeAll(): Resource[] {
    this.#told = true;
    this.#changed.clear();
    const resources: Resource[] = [];
    for (const { resource } of this.#entries.values()) if (resource !== undefined) resources.push(resource);
    return resources;
  }

  /** What has to be told so that the consumer knows what is in force. Counts as told. */
  takeChanges(): Change[] {
    const changes: Change[] = [];
    for (const [key, told] of this.#changed) {
      const now = this.#entries.get(key)?.resource;
      if (now === undefined) {
        if (told !== undefined) changes.push({ type: 'delete', key });
      } else if (now !== told && !isDeepStrictEqual(now, told)) {
        changes.push({ type: 'put', resource: now });
      }
    }
    this.#changed.clear();
    return changes;
  }

  /** What is wrong with objects, as many of them as one wants to read. */
  problems(): Problem[] {
    const problems: Problem[] = [];
    let left = 0;
    for (const key of this.#faulty) {
      const faults = this.#entries.get(key)?.problems ?? [];
      if (problems.length < MOST_PROBLEMS) problems.push(...faults);
      else left++;
    }
    if (left > 0) {
      const found = `${left} more objects of kind ${this.#api.kind} that are not valid`;
      problems.push({ ...this.#place(''), object: '', path: '', found, expected: 'valid ones' });
    }
    return problems;
  }

  #commit(fresh: Map<ResourceKey, Entry>): void {
    const before = this.#entries;
    for (const [key, entry] of before) if (!fresh.has(key)) this.#note(key, entry, undefined);
    for (const [key, entry] of fresh) this.#note(key, before.get(key), entry);
    this.#entries = fresh;
    this.#faulty = new Set();
    for (const [key, { problems }] of fresh) if (problems !== undefined) this.#faulty.add(key);
    this.#complete = true;
  }

  #set(key: ResourceKey, entry: Entry | undefined, before: Entry | undefined): void {
    this.#note(key, before, entry);
    if (entry === undefined) this.#entries.delete(key);
    else this.#entries.set(key, entry);
    if (entry?.problems === undefined) this.#faulty.delete(key);
    else this.#faulty.add(key);
  }

  /** Keeps what the consumer has, for the first change of an object since it was told. */
  #note(key: ResourceKey, before: Entry | undefined, now: Entry | undefined): void {
    if (before?.resource === now?.resource || !this.#told) return;
    if (!this.#changed.has(key)) this.#changed.set(key, before?.resource);
    // Objects that come and go while nobody asks leave nothing behind.
    else if (this.#changed.get(key) === now?.resource) this.#changed.delete(key);
  }

  #read(object: RawObject, { key, uid, version }: Identity, before: Entry | undefined): Entry {
    const last = before?.uid === uid ? before : undefined;
    // What it is made of is gone through only if it can be something else.
    if (last !== undefined && version !== '' && last.version === version) return last;
    const reading = readResource(object, [], this.#api);
    if (reading.outcome === 'resource') {
      const same = last?.resource !== undefined && isDeepStrictEqual(reading.resource, last.resource);
      return { uid, version, resource: same ? last.resource : reading.resource, problems: undefined };
    }
    const place = this.#place(key);
    const problems = reading.faults.map(({ path, found, expected }): Problem => {
      return { ...place, object: describeKey(key), path, found, expected };
    });
    return { uid, version, resource: last?.resource, problems };
  }

  #identify(object: RawObject): Identity {
    const { name, namespace, uid, resourceVersion } = object.metadata as Record<string, unknown>;
    const inside = !this.#api.namespaced ? '' : typeof namespace === 'string' ? namespace : 'default';
    return {
      key: keyOf({ kind: this.#api.kind, namespace: inside, name: String(name) }),
      uid: typeof uid === 'string' ? uid : '',
      version: typeof resourceVersion === 'string' ? resourceVersion : '',
    };
  }

  #place(key: ResourceKey) {
    const [, namespace = '', name = ''] = key.split('/');
    const file = `${this.#server()}${objectPath(this.#api, namespace, name)}`;
    return { severity: 'error', file, document: 0, line: 0, column: 0 } as const;
  }
}

/** A listing that is under way. */
export interface Replacement {
  put(object: RawObject): void;
  delete(object: RawObject): void;
  /** Takes the place of what was known: what is not in it is gone. */
  commit(): void;
}

interface Identity {
  readonly key: ResourceKey;
  readonly uid: string;
  readonly version: string;
}

/** Whether it is an object with a name, as all are that the API sends; a bookmark has none. */
export function isObject(value: unknown, { named = true } = {}): value is RawObject {
  if (typeof value !== 'object' || value === null) return false;
  const { metadata } = value as RawObject;
  if (typeof metadata !== 'object' || metadata === null) return false;
  const { name } = metadata as RawObject;
  return !named || (typeof name === 'string' && name !== '');
}

/** Its version; empty if it has none. */
export function versionOf(object: RawObject): string {
  const { resourceVersion } = object.metadata as RawObject;
  return typeof resourceVersion === 'string' ? resourceVersion : '';
}
