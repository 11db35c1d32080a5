/**
 * The policies that are in force, by the pods that they are about, and the atoms that their rules share.
 */

import type { Direction } from '#proto/program.ts';
import { Atom } from './atoms.ts';
import type { AtomRule, TierRules } from './group-rules.ts';
import type { PodGroup } from './pods.ts';
import type { GeneralPolicy, GeneralRule, PeerSpec } from './rules.ts';
import type { PodSelection, SelectionIndex } from './selection.ts';

interface InstalledPolicy {
  readonly general: GeneralPolicy;
  readonly subject: PodSelection<PodGroup>;
  readonly ingress: readonly AtomRule[] | undefined;
  readonly egress: readonly AtomRule[] | undefined;
  /** One for each use, so that it can be given back. */
  readonly atoms: readonly Atom[];
}

export class Policies {
  readonly #index: SelectionIndex<PodGroup>;
  readonly #policies = new Map<string, InstalledPolicy>();
  readonly #bySubject = new Map<PodSelection<PodGroup>, Set<InstalledPolicy>>();
  readonly #atoms = new Map<string, { readonly atom: Atom; users: number }>();
  readonly #atomsOf = new Map<PodSelection<PodGroup>, Set<Atom>>();
  /** Atoms that no policy uses any more, but perhaps the rules of a group that have not been renewed yet. */
  readonly #idle = new Set<string>();

  constructor(index: SelectionIndex<PodGroup>) {
    this.#index = index;
  }

  get size(): number {
    return this.#policies.size;
  }

  get atoms(): number {
    return this.#atoms.size;
  }

  /**
   * Puts a policy in the place of the one with its key, or takes that away.
   *
   * @returns groups whose rules may be others now
   */
  replace(key: string, policy: GeneralPolicy | undefined): Set<PodGroup> {
    const before = this.#policies.get(key);
    // The new one first: atoms that both have stay what they are.
    const after = policy && this.#install(policy);
    if (after === undefined) this.#policies.delete(key);
    else this.#policies.set(key, after);
    const groups = new Set([...(before?.subject.groups ?? []), ...(after?.subject.groups ?? [])]);
    if (before !== undefined) this.#uninstall(before);
    return groups;
  }

  /** Whether a selection decides which policies are about a group. */
  isSubject(selection: PodSelection<PodGroup>): boolean {
    return this.#bySubject.has(selection);
  }

  /** Atoms whose pods the selection selects. */
  atomsOf(selection: PodSelection<PodGroup>): Iterable<Atom> {
    return this.#atomsOf.get(selection) ?? [];
  }

  /** The rules of all policies that are about a group, in order. */
  rulesOf(group: PodGroup, direction: Direction): TierRules[] {
    const policies = [...this.#index.selectionsOf(group)].flatMap((selection) => [
      ...(this.#bySubject.get(selection) ?? []),
    ]);
    policies.sort(
      ({ general: a }, { general: b }) => a.tier.order - b.tier.order || a.order - b.order || byKey(a, b),
    );
    const tiers: { tier: GeneralPolicy['tier']; rules: AtomRule[] }[] = [];
    for (const policy of policies) {
      const rules = policy[direction];
      if (rules === undefined) continue;
      const last = tiers.at(-1);
      if (last !== undefined && last.tier === policy.general.tier) last.rules.push(...rules);
      else tiers.push({ tier: policy.general.tier, rules: [...rules] });
    }
    return tiers;
  }

  /** Forgets the atoms that nobody uses. To be called when the rules of all groups are up to date. */
  sweep(): void {
    for (const text of this.#idle) {
      const known = this.#atoms.get(text)!;
      if (known.users > 0) continue;
      this.#atoms.delete(text);
      const { pods } = known.atom;
      if (pods === undefined) continue;
      for (const group of pods.groups) group.atoms.delete(known.atom);
      removeFrom(this.#atomsOf, pods, known.atom);
      this.#index.release(pods);
    }
    this.#idle.clear();
  }

  #install(general: GeneralPolicy): InstalledPolicy {
    const subject = this.#index.acquire(general.subject);
    const atoms: Atom[] = [];
    const bind = ({ peer, ...rule }: GeneralRule): AtomRule => {
      if (peer === undefined) return { ...rule, atom: undefined };
      const atom = this.#acquireAtom(peer);
      atoms.push(atom);
      return { ...rule, atom };
    };
    const installed = {
      general,
      subject,
      ingress: general.ingress?.map(bind),
      egress: general.egress?.map(bind),
      atoms,
    };
    addTo(this.#bySubject, subject, installed);
    return installed;
  }

  #uninstall(policy: InstalledPolicy): void {
    removeFrom(this.#bySubject, policy.subject, policy);
    for (const atom of policy.atoms) this.#releaseAtom(atom);
    this.#index.release(policy.subject);
  }

  #acquireAtom(spec: PeerSpec): Atom {
    let known = this.#atoms.get(spec.text);
    if (known === undefined) {
      const pods = spec.pods && this.#index.acquire(spec.pods);
      known = { atom: new Atom(spec.text, { pods, ranges: spec.ranges, port: spec.port }), users: 0 };
      this.#atoms.set(spec.text, known);
      if (pods !== undefined) addTo(this.#atomsOf, pods, known.atom);
      for (const group of pods?.groups ?? []) group.atoms.add(known.atom);
    }
    known.users++;
    return known.atom;
  }

  #releaseAtom(atom: Atom): void {
    const known = this.#atoms.get(atom.text)!;
    known.users--;
    if (known.users === 0) this.#idle.add(atom.text);
  }
}

function byKey(a: GeneralPolicy, b: GeneralPolicy): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

export function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

export function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) && set.size === 0) map.delete(key);
}
