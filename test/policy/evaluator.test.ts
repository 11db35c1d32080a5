import { describe, expect, test } from 'vitest';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import { loadCases } from './cases.ts';

const FILES = ['documentation.yaml', 'conformance.yaml', 'systematic.yaml', 'corners.yaml'];

describe.each(FILES)('the evaluator knows %s', (file) => {
  test.each(loadCases(file).map((one) => [one.name, one] as const))('%s', (_, { steps }) => {
    for (const [i, { resources, questions }] of steps.entries()) {
      const cluster = new Cluster(resources);
      const wrong: string[] = [];
      for (const { label, source, destination, protocol, port, allowed } of questions) {
        const traffic = {
          source: cluster.partyAt(source),
          destination: cluster.partyAt(destination),
          protocol,
          port,
        };
        const verdict = evaluate(cluster, traffic);
        if (verdict.allowed !== allowed) wrong.push(`${label}: ${JSON.stringify(verdict)}`);
      }
      expect({ step: i, wrong }).toEqual({ step: i, wrong: [] });
    }
  });
});
