import { createHash } from 'node:crypto';
import type { ClassId } from '#proto/program.ts';
import type { Facet } from './atoms.ts';

/**
 * Names of address classes. A name is made from what the class means and from nothing else, so that it is the same on
 * every node, in every process, and whatever happened before: after a restart nothing has to be changed that is right.
 */
export class ClassNames {
  readonly #known = new Map<string, { readonly id: ClassId; users: number }>();
  readonly #meanings = new Map<ClassId, readonly Facet[]>();

  get size(): number {
    return this.#known.size;
  }

  /**
   * @param key tells the facets from all others in this process
   */
  acquire(key: string, facets: readonly Facet[]): ClassId {
    let known = this.#known.get(key);
    if (known === undefined) {
      known = { id: nameOf(facets), users: 0 };
      this.#known.set(key, known);
      this.#meanings.set(known.id, facets);
    }
    known.users++;
    return known.id;
  }

  release(key: string): void {
    const known = this.#known.get(key)!;
    if (--known.users > 0) return;
    this.#known.delete(key);
    this.#meanings.delete(known.id);
  }

  /** What addresses of a class that is in use have in common, in words. */
  describe(id: ClassId): string[] {
    return textsOf(this.#meanings.get(id) ?? []);
  }
}

/** 128 bits: nobody who writes policies can make two classes of one name. */
function nameOf(facets: readonly Facet[]): ClassId {
  return createHash('sha256')
    .update(JSON.stringify(textsOf(facets)))
    .digest('hex')
    .slice(0, 32);
}

function textsOf(facets: readonly Facet[]): string[] {
  return facets.map(({ text }) => text).sort();
}
