import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileRuleset } from '#cli/policy/ruleset.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyCluster, resourcesOf, withYaml } from '../policy/clusters.ts';
import { nodesOf } from '../policy/compiled.ts';

test('what is printed for any cluster is what nft loads', (ctx) => {
  requires(ctx, 'tool:nft', 'kernel:conntrack');
  using ns = createNetns();
  fc.assert(
    fc.property(withYaml(anyCluster), (manifests) => {
      const resources = resourcesOf(manifests);
      // A table each, in one transaction, since each start of nft costs more than it has to read.
      const tables = nodesOf(resources).map((node, i) => compileRuleset(resources, node, `t${i}`));
      if (tables.length > 0) ns.exec('nft', ['-c', '-f', '-'], { input: tables.join('\n') });
    }),
    { numRuns: runs(60) },
  );
  expect(() => ns.exec('nft', ['-c', '-f', '-'], { input: 'table inet t { chain }' })).toThrow();
});
