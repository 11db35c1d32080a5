/**
 * All policies that are about a group of pods, resolved: what any peer may do, and what peers of a class may do beyond
 * that.
 */

import {
  ALL_PORTS,
  isSubset,
  NO_PORTS,
  type PortSet,
  type PortVerdicts,
  portsOf,
  portVerdicts,
  unionOf,
  without,
} from '#proto/ports.ts';
import type { EndpointRules } from '#proto/program.ts';
import type { Atom, Facet } from './atoms.ts';
import { type Action, acceptedPorts, type DecisionTier, surelyAcceptedPorts } from './decide.ts';
import type { PodGroup } from './pods.ts';
import type { GeneralRule, Tier } from './rules.ts';

/** A rule whose peer has become an atom. */
export interface AtomRule extends Omit<GeneralRule, 'peer'> {
  readonly atom: Atom | undefined;
}

/** Rules of one direction of all policies of a tier that select a group, in order. */
export interface TierRules {
  readonly tier: Tier;
  readonly rules: readonly AtomRule[];
}

/** One direction of a group. */
export class GroupRules implements EndpointRules {
  readonly isolated: boolean;
  readonly anyPeer: PortSet;
  readonly otherwise: PortSet;
  /** Atoms that make a difference. */
  readonly atoms: ReadonlySet<Atom>;
  /** The same for rules that are the same. */
  readonly text: string;
  readonly #tiers: readonly ResolvedTier[];
  /** Rules of each tier by their atoms, so that a class costs what it fulfils and not what there is. */
  readonly #byAtom: readonly ReadonlyMap<Atom | undefined, readonly PlacedRule[]>[];
  /** What is accepted from a peer that fulfils no atom. */
  readonly #base: PortSet;
  readonly #entries = new Map<string, PortVerdicts>();

  constructor(group: PodGroup, tiers: readonly TierRules[]) {
    const resolved = tiers.map(({ tier, rules }) => resolve(group, tier, rules));
    this.anyPeer = surelyAcceptedPorts(resolved);
    this.isolated = this.anyPeer.text !== ALL_PORTS.text;
    // What can not change what is accepted anyway tells no peers apart.
    this.#tiers = resolved.map(({ rules, unmatched }) => ({
      unmatched,
      rules: rules.filter(({ atom, ports }) => atom === undefined || !isSubset(ports, this.anyPeer)),
    }));
    this.#byAtom = this.#tiers.map(({ rules }) =>
      Map.groupBy(
        rules.map((rule, place): PlacedRule => ({ rule, place })),
        ({ rule }) => rule.atom,
      ),
    );
    const rules = this.#tiers.flatMap(({ rules }) => rules);
    this.atoms = new Set(rules.flatMap(({ atom }) => (atom === undefined ? [] : [atom])));
    this.#base = acceptedPorts(this.#applying([]));
    this.otherwise = without(this.#base, this.anyPeer);
    this.text = this.isolated ? describe(this.#tiers) : '';
  }

  /** What a peer with these facets may and may not do, where that is not what any peer may. */
  entry(facets: readonly Facet[]): PortVerdicts {
    const relevant = facets.filter(({ atom }) => this.atoms.has(atom));
    const key = relevant.map(({ number }) => number).join();
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const accepted = acceptedPorts(this.#applying(relevant));
      entry = portVerdicts(without(accepted, this.#base), without(this.#base, accepted));
      this.#entries.set(key, entry);
    }
    return entry;
  }

  /** The rules that apply to a peer with these facets. */
  #applying(facets: readonly Facet[]): DecisionTier[] {
    const byAtom = Map.groupBy(facets, ({ atom }) => atom);
    return this.#tiers.map(({ unmatched }, i) => {
      const placed = [...(this.#byAtom[i]!.get(undefined) ?? [])];
      for (const [atom, fulfilled] of byAtom) {
        const rules = this.#byAtom[i]!.get(atom) ?? [];
        const { port } = atom;
        if (port === undefined) {
          placed.push(...rules);
          continue;
        }
        const ranges = fulfilled.map(({ port }) => ({ first: port, last: port }));
        const ports = portsOf(port.protocol, ranges);
        for (const { rule, place } of rules) placed.push({ rule: { ...rule, ports }, place });
      }
      placed.sort((a, b) => a.place - b.place);
      return { unmatched, rules: placed.map(({ rule }) => rule) };
    });
  }
}

/** A rule and its place in the order of its tier. */
interface PlacedRule {
  readonly rule: ResolvedRule;
  readonly place: number;
}

interface ResolvedRule {
  readonly action: Action;
  readonly atom: Atom | undefined;
  /** For an atom with a port name, all ports that this may turn out to be. */
  readonly ports: PortSet;
  readonly conditional: boolean;
}

interface ResolvedTier extends DecisionTier {
  readonly rules: readonly ResolvedRule[];
}

/** Resolves names of ports: those of ingress by the group's own ports. Rules that are about nothing are left out. */
function resolve(group: PodGroup, tier: Tier, rules: readonly AtomRule[]): ResolvedTier {
  const numbers = Map.groupBy(group.ports, ({ name, protocol }) => `${protocol}/${name}`);
  const resolved = rules.map(({ action, atom, ports, names }): ResolvedRule => {
    const named = names.flatMap(({ name, protocol }) =>
      (numbers.get(`${protocol}/${name}`) ?? []).map(({ port }) =>
        portsOf(protocol, [{ first: port, last: port }]),
      ),
    );
    const all = atom?.port === undefined ? unionOf([ports, ...named]) : portsOf(atom.port.protocol);
    return { action, atom, ports: all, conditional: atom !== undefined };
  });
  return { unmatched: tier.unmatched, rules: resolved.filter(({ ports }) => ports.text !== NO_PORTS.text) };
}

function describe(tiers: readonly ResolvedTier[]): string {
  return tiers
    .map(({ rules, unmatched }) =>
      [
        ...rules.map(({ action, atom, ports }) => `${action} ${atom?.text ?? 'any'} ${ports.text}`),
        unmatched,
      ].join('\n'),
    )
    .join('\n\n');
}
