/**
 * Which groups and which classes of a view have to do with which atoms: a class can only matter to groups whose rules know
 * one of its atoms. For views with so many of both that not every pair can be looked at.
 */

import type { Atom, Facet } from './atoms.ts';

export class AtomIndex<Group, Class> {
  readonly #groups = new Map<Atom, Set<Group>>();
  readonly #classes = new Map<Atom, Set<Class>>();

  addGroup(group: Group, atoms: Iterable<Atom>): void {
    for (const atom of atoms) add(this.#groups, atom, group);
  }

  deleteGroup(group: Group, atoms: Iterable<Atom>): void {
    for (const atom of atoms) remove(this.#groups, atom, group);
  }

  addClass(of: Class, facets: readonly Facet[]): void {
    for (const { atom } of facets) add(this.#classes, atom, of);
  }

  deleteClass(of: Class, facets: readonly Facet[]): void {
    for (const { atom } of facets) remove(this.#classes, atom, of);
  }

  /** Groups that know an atom of these facets. */
  groupsOf(facets: readonly Facet[]): ReadonlySet<Group> {
    return union(
      this.#groups,
      facets.map(({ atom }) => atom),
    );
  }

  /** Classes with a facet of one of these atoms. */
  classesOf(atoms: Iterable<Atom>): ReadonlySet<Class> {
    return union(this.#classes, atoms);
  }
}

function add<T>(index: Map<Atom, Set<T>>, atom: Atom, member: T): void {
  const members = index.get(atom);
  if (members === undefined) index.set(atom, new Set([member]));
  else members.add(member);
}

function remove<T>(index: Map<Atom, Set<T>>, atom: Atom, member: T): void {
  const members = index.get(atom);
  if (members === undefined) return;
  members.delete(member);
  if (members.size === 0) index.delete(atom);
}

function union<T>(index: ReadonlyMap<Atom, ReadonlySet<T>>, atoms: Iterable<Atom>): ReadonlySet<T> {
  const all = new Set<T>();
  for (const atom of atoms) for (const member of index.get(atom) ?? []) all.add(member);
  return all;
}
