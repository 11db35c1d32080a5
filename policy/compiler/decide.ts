/**
 * From ordered tiers of rules to what becomes of which traffic. Pure, and about ports only: which rules are about a peer
 * has been settled before.
 */

import type { Protocol } from '#datastore/schema.ts';
import {
  ALL_PORTS,
  includes,
  mergeRanges,
  type PortRange,
  type PortSet,
  PROTOCOLS,
  portSet,
  unionOf,
} from '#proto/ports.ts';

/** What a rule does with the traffic that it is about. `pass` leaves it to the next tier. */
export type Action = 'accept' | 'deny' | 'pass';

/** A tier that applies to a pod. Its rules are asked in order, and the first that is about the traffic counts. */
export interface DecisionTier {
  readonly rules: readonly DecisionRule[];
  /** What becomes of traffic that no rule is about. */
  readonly unmatched: 'deny' | 'pass';
}

export interface DecisionRule {
  readonly action: Action;
  readonly ports: PortSet;
  /** Whether the rule is about some peers only, so that it may or may not apply. */
  readonly conditional: boolean;
}

/** What is accepted if all these rules apply; the rest is dropped. What no tier decides is accepted. */
export function acceptedPorts(tiers: readonly DecisionTier[]): PortSet {
  const [tier, ...below] = tiers;
  if (tier === undefined) return ALL_PORTS;
  if (onlyAccepts(tier)) return unionOf(acceptedOf(tier, tier.rules, () => acceptedPorts(below)));
  return decide(tiers, (steps) => {
    for (const { rules, unmatched } of steps) {
      const action = rules[0]?.action ?? unmatched;
      if (action !== 'pass') return action === 'accept';
    }
    return true;
  });
}

/** What is accepted whichever of the conditional rules apply. It may miss something, but what it has is sure. */
export function surelyAcceptedPorts(tiers: readonly DecisionTier[]): PortSet {
  const [tier, ...below] = tiers;
  if (tier === undefined) return ALL_PORTS;
  if (onlyAccepts(tier)) {
    const sure = tier.rules.filter(({ conditional }) => !conditional);
    return unionOf(acceptedOf(tier, sure, () => surelyAcceptedPorts(below)));
  }
  return decide(tiers, (steps) => {
    for (const { rules, unmatched } of steps) {
      let passed = false;
      for (const { action, conditional } of rules) {
        if (action === 'deny' || (conditional && action === 'pass')) return false;
        if (conditional) continue;
        if (action === 'accept') return true;
        passed = true;
        break;
      }
      if (!passed && unmatched === 'deny') return false;
    }
    return true;
  });
}

/** Whether the order of a tier's rules is of no meaning, as in that of NetworkPolicy, which may have very many. */
function onlyAccepts({ rules }: DecisionTier): boolean {
  return rules.every(({ action }) => action === 'accept');
}

function acceptedOf(tier: DecisionTier, rules: readonly DecisionRule[], below: () => PortSet): PortSet[] {
  const accepted = rules.map(({ ports }) => ports);
  return tier.unmatched === 'pass' ? [...accepted, below()] : accepted;
}

/** Asks for each piece of traffic that all rules treat alike, with the rules that are about it. */
function decide(
  tiers: readonly DecisionTier[],
  accepts: (tiers: readonly DecisionTier[]) => boolean,
): PortSet {
  const about = (test: (ports: PortSet) => boolean) =>
    accepts(
      tiers.map(({ rules, unmatched }) => ({ rules: rules.filter(({ ports }) => test(ports)), unmatched })),
    );
  const lane = (protocol: Protocol): readonly PortRange[] => {
    const pieces = cut(tiers.flatMap(({ rules }) => rules.flatMap(({ ports }) => ports.lanes[protocol])));
    return mergeRanges(pieces.filter(({ first }) => about((ports) => includes(ports, protocol, first))));
  };
  const [TCP, UDP, SCTP] = PROTOCOLS.map(lane) as [
    readonly PortRange[],
    readonly PortRange[],
    readonly PortRange[],
  ];
  return portSet(
    { TCP, UDP, SCTP },
    about(({ other }) => other),
  );
}

/** All ports, cut where a range begins or ends. */
function cut(ranges: readonly PortRange[]): PortRange[] {
  const starts = new Set([0]);
  for (const { first, last } of ranges) {
    starts.add(first);
    if (last < 65535) starts.add(last + 1);
  }
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((first, i) => ({ first, last: (sorted[i + 1] ?? 65536) - 1 }));
}
