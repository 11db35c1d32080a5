/**
 * Which rule decided, in the words of the reference evaluator.
 */

import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { describeAnswer, explain } from '#policy/evaluator/explain.ts';

export interface Pair {
  readonly from: string;
  readonly to: string;
  readonly port: number;
}

/** A few lines for each pair. */
export function explainPairs(resources: readonly Resource[], pairs: readonly Pair[]): string[] {
  const cluster = new Cluster(resources);
  return pairs.flatMap(({ from, to, port }) =>
    explain(cluster, from, to, `TCP/${port}`).flatMap((answer) =>
      describeAnswer(cluster, answer).split('\n'),
    ),
  );
}
