import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress } from '#datastore/address.ts';
import { keyOf, type Resource } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';
import { Compiler, type CompilerOptions } from '#policy/compiler/compiler.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import { runs } from '#test/helpers/runs.ts';
import { loadCases } from './cases.ts';
import {
  addressesOf,
  anyCluster,
  anyManifest,
  type Manifest,
  nameOf,
  oneOfMany,
  pairsOf,
  policyOnMany,
  resourcesOf,
  TRAFFIC,
  withYaml,
} from './clusters.ts';
import { CompiledCluster, changesBetween, describePrograms, nodesOf, puts, trafficAt } from './compiled.ts';

const NODES = ['node-0', 'node-1', 'node-2'];

/** With a look at everything, and with indexes however little there is. */
const anyOptions = fc.constantFrom({}, { few: 0 }, { few: 1 });

function compile(
  resources: readonly Resource[],
  nodes: readonly string[] = NODES,
  options: CompilerOptions = {},
): CompiledCluster {
  const compiled = new CompiledCluster(nodes, options);
  compiled.apply(puts(resources));
  return compiled;
}

/** Connections on which what is compiled and what is meant differ. */
function differences(compiled: CompiledCluster, resources: readonly Resource[]): string[] {
  const cluster = new Cluster(resources);
  const wrong: string[] = [];
  for (const [from, to] of pairsOf(addressesOf(resources))) {
    for (const what of TRAFFIC) {
      const traffic = trafficAt(cluster, from, to, what);
      const verdict = evaluate(cluster, traffic);
      if (compiled.allows(traffic) !== verdict.allowed) {
        const label = `${formatAddress(from)} > ${formatAddress(to)} ${what.protocol}/${what.port}`;
        wrong.push(`${label} should be ${verdict.allowed}: ${JSON.stringify(verdict)}`);
      }
    }
  }
  return wrong;
}

describe('what is compiled is what is meant', () => {
  test('for generated clusters, on all connections', () => {
    fc.assert(
      fc.property(withYaml(anyCluster), anyOptions, (manifests, options) => {
        const resources = resourcesOf(manifests);
        expect(differences(compile(resources, NODES, options), resources)).toEqual([]);
      }),
      { numRuns: runs(2_000) },
    );
  }, 600_000);

  test.each(
    ['documentation.yaml', 'conformance.yaml', 'systematic.yaml', 'corners.yaml'].flatMap((file) =>
      loadCases(file).map((one) => [one.name, one] as const),
    ),
  )('%s', (_, { steps }) => {
    const nodes = new Set(steps.flatMap(({ resources }) => nodesOf(resources)));
    const compiled = new CompiledCluster(nodes);
    for (const [i, { changed, resources, questions }] of steps.entries()) {
      compiled.apply(
        [...changed].map(
          ([key, resource]): Change => (resource ? { type: 'put', resource } : { type: 'delete', key }),
        ),
      );
      const cluster = new Cluster(resources);
      const wrong = questions
        .filter(
          (one) => compiled.allows(trafficAt(cluster, one.source, one.destination, one)) !== one.allowed,
        )
        .map(({ label }) => label);
      expect({ step: i, wrong }).toEqual({ step: i, wrong: [] });
    }
  });
});

/** A history: what is there at first, and then changes in batches. */
const step = fc.oneof(
  { weight: 5, arbitrary: anyManifest.map((put) => ({ put })) },
  { weight: 2, arbitrary: fc.nat().map((remove) => ({ remove })) },
  { weight: 2, arbitrary: fc.constant('flush' as const) },
  { weight: 1, arbitrary: fc.constantFrom(...NODES).map((reopen) => ({ reopen })) },
);
const history = fc.tuple(withYaml(anyCluster), fc.array(step, { maxLength: 24 }));

/** The history of a crowd of pods that blocks part, and of the blocks. */
const crowdStep = fc.oneof(
  { weight: 6, arbitrary: oneOfMany.map((put) => ({ put })) },
  { weight: 1, arbitrary: policyOnMany.map((put) => ({ put })) },
  { weight: 2, arbitrary: fc.nat().map((remove) => ({ remove })) },
  { weight: 4, arbitrary: fc.constant('flush' as const) },
);
const crowdHistory = fc.tuple(
  withYaml(
    fc.uniqueArray(fc.oneof(oneOfMany, policyOnMany), { selector: nameOf, minLength: 2, maxLength: 8 }),
  ),
  fc.array(crowdStep, { maxLength: 24 }),
);

/** Plays a history, and looks at each stop. */
function play(
  [first, steps]: readonly [
    readonly Manifest[],
    readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  ],
  look: (compiled: CompiledCluster, resources: readonly Resource[]) => void,
  options: CompilerOptions,
): CompiledCluster {
  const state = new Map(first.map((manifest) => [nameOf(manifest), resourcesOf([manifest])[0]!]));
  const compiled = new CompiledCluster([], options);
  const close = new Map(NODES.map((node) => [node, compiled.open(node)]));
  compiled.apply(puts([...state.values()]));
  look(compiled, [...state.values()]);
  for (const one of [...steps, 'flush' as const]) {
    if (one === 'flush') {
      compiled.compiler.flush();
      look(compiled, [...state.values()]);
    } else if ('put' in one) {
      const [resource] = resourcesOf([one.put]) as [Resource];
      state.set(nameOf(one.put), resource);
      compiled.compiler.apply([{ type: 'put', resource }]);
    } else if ('remove' in one) {
      const names = [...state.keys()];
      if (names.length === 0) continue;
      const name = names[one.remove % names.length]!;
      compiled.compiler.apply([{ type: 'delete', key: keyOf(state.get(name)!) }]);
      state.delete(name);
    } else {
      // A node that loses its connection, or starts anew, is told everything.
      close.get(one.reopen)!();
      close.set(one.reopen, compiled.open(one.reopen));
    }
  }
  return compiled;
}

describe('only the state counts, not how it came about', () => {
  test('any history leads to the programs that its end would have had from the start', () => {
    fc.assert(
      fc.property(history, anyOptions, (history, options) => {
        const look = (compiled: CompiledCluster, resources: readonly Resource[]) =>
          expect(describePrograms(compiled.programs)).toEqual(describePrograms(compile(resources).programs));
        play(history, look, options);
      }),
      { numRuns: runs(1_000) },
    );
  });

  test('nothing is left of any history when everything is gone', () => {
    fc.assert(
      fc.property(fc.oneof(history, crowdHistory), anyOptions, (history, options) => {
        let last: readonly Resource[] = [];
        const look = (_: CompiledCluster, resources: readonly Resource[]) => {
          last = resources;
        };
        const compiled = play(history, look, options);
        compiled.apply(last.map((resource): Change => ({ type: 'delete', key: keyOf(resource) })));
        expect(describePrograms(compiled.programs)).toEqual(describePrograms(compile([]).programs));
        expect(compiled.compiler.counts).toEqual(new Compiler().counts);
      }),
      { numRuns: runs(300) },
    );
  });

  test('that of a crowd that blocks part, too', () => {
    fc.assert(
      fc.property(crowdHistory, anyOptions, (history, options) => {
        const look = (compiled: CompiledCluster, resources: readonly Resource[]) => {
          expect(describePrograms(compiled.programs)).toEqual(describePrograms(compile(resources).programs));
          expect(differences(compiled, resources)).toEqual([]);
        };
        play(history, look, options);
      }),
      { numRuns: runs(200) },
    );
  });

  test('the order of changes does not matter, nor do repetitions, empty batches, and objects that come and go', () => {
    const orders = withYaml(anyCluster).chain((manifests) =>
      fc.tuple(
        fc.constant(manifests),
        fc.shuffledSubarray(manifests, { minLength: manifests.length }),
        fc.array(fc.nat(), { maxLength: 10 }),
      ),
    );
    fc.assert(
      fc.property(orders, ([manifests, shuffled, extras]) => {
        const resources = resourcesOf(shuffled);
        const compiled = new CompiledCluster(NODES);
        for (const [i, resource] of resources.entries()) {
          const put: Change = { type: 'put', resource };
          const remove: Change = { type: 'delete', key: keyOf(resource) };
          const extra = extras[i];
          if (extra !== undefined && extra % 4 === 0) compiled.apply([]);
          if (extra !== undefined && extra % 4 === 1) compiled.apply([put, put]);
          if (extra !== undefined && extra % 4 === 2) compiled.apply([put, remove]);
          if (extra !== undefined && extra % 4 === 3) compiled.apply([remove]);
          compiled.apply([put]);
        }
        expect(describePrograms(compiled.programs)).toEqual(
          describePrograms(compile(resourcesOf(manifests)).programs),
        );
      }),
      { numRuns: runs(500) },
    );
  });

  test('one batch with all differences leads there too', () => {
    fc.assert(
      fc.property(withYaml(anyCluster), withYaml(anyCluster), (one, two) => {
        const [before, after] = [resourcesOf(one), resourcesOf(two)];
        const compiled = compile(before);
        compiled.apply(changesBetween(before, after));
        expect(describePrograms(compiled.programs)).toEqual(describePrograms(compile(after).programs));
      }),
      { numRuns: runs(500) },
    );
  });
});
