/**
 * Which rule decided, in the words of the reference evaluator, short enough for a tour.
 */

import type { Resource } from '#datastore/resource.ts';
import type { Probe } from '#lab/probe.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { explain } from '#policy/evaluator/explain.ts';
import type { Direction, DirectionVerdict, PolicyName, RuleMatch } from '#policy/evaluator/traffic.ts';
import type { End } from './cluster.ts';

export interface Pair {
  readonly from: string;
  readonly to: string;
  readonly port: number;
}

/** One answer: what was asked and decided, and a line for each direction that had a say. */
export interface Why extends Pair {
  readonly allowed: boolean;
  readonly because: readonly string[];
}

export function explainPair(resources: readonly Resource[], pair: Pair): Why {
  const cluster = new Cluster(resources);
  // Of several families each has the same answer here: the policies of the example treat them alike.
  const { verdict } = explain(cluster, pair.from, pair.to, `TCP/${pair.port}`)[0]!;
  const directions: readonly (readonly [Direction, DirectionVerdict])[] = [
    ['egress', verdict.egress],
    ['ingress', verdict.ingress],
  ];
  const lines = directions.flatMap(([direction, { by }]): string[] => {
    switch (by.kind) {
      case 'rule':
        return [`${direction}: ${ruleText(by, direction)}`];
      case 'isolated':
        return [`${direction}: closed by ${by.policies.map(nameText).join(' and ')}, and no rule opens it`];
      default:
        return [];
    }
  });
  return {
    ...pair,
    allowed: verdict.allowed,
    because: lines.length > 0 ? lines : ['no policy says anything'],
  };
}

/** For each probe whether policies allow it, in all families of the target; what the kernel made of it does not matter. */
export function verdictsOf(
  resources: readonly Resource[],
  ends: readonly End[],
  probes: readonly Probe[],
): boolean[] {
  const cluster = new Cluster(resources);
  const byName = new Map(ends.map((end) => [end.name, end]));
  return probes.map(({ source, target, port }) => {
    const outside = byName.get(source)?.source.addresses;
    // The world is asked for by its addresses, a pod by its name.
    const answers = (outside ?? [source]).flatMap((from) => {
      const isSameFamily = byName
        .get(target)
        ?.targets.some(({ addresses }) => addresses.some((to) => to.includes(':') === from.includes(':')));
      if (outside !== undefined && !isSameFamily) return [];
      return explain(cluster, from, target, `TCP/${port}`);
    });
    return answers.length > 0 && answers.every(({ verdict }) => verdict.allowed);
  });
}

function ruleText({ policy, rule, peer, port }: RuleMatch, direction: Direction): string {
  const peers = direction === 'ingress' ? 'from' : 'to';
  const parts = [peer === undefined ? '' : `${peers}[${peer}]`, port === undefined ? '' : `ports[${port}]`];
  return `allowed by ${nameText(policy)}, ${[`${direction}[${rule}]`, ...parts].filter(Boolean).join(' ')}`;
}

function nameText({ namespace, name }: PolicyName): string {
  return `${namespace}/${name}`;
}
