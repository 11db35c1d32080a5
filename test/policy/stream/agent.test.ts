import fc from 'fast-check';
import { test } from 'vitest';
import { keyOf } from '#datastore/resource.ts';
import { Programs } from '#felix/policy/programs.ts';
import { PolicyReceiver, type PolicySource } from '#felix/policy/receiver.ts';
import { RpcError } from '#proto/error.ts';
import { runs } from '#test/helpers/runs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { anyCluster, anyManifest, resourcesOf, withYaml } from '../clusters.ts';
import { CompiledCluster, describeProgram, puts } from '../compiled.ts';
import { overTheWire } from './receiver.ts';
import { World } from './world.ts';

const silent = { error() {}, warn() {}, info() {}, debug() {} } as never;
const NODE = 'node-0';

const step = fc.oneof(
  { weight: 6, arbitrary: fc.array(anyManifest, { minLength: 1, maxLength: 4 }).map((put) => ({ put })) },
  { weight: 2, arbitrary: fc.nat().map((remove) => ({ remove })) },
  { weight: 2, arbitrary: fc.nat(8).map((cutAfter) => ({ cutAfter })) },
  { weight: 3, arbitrary: fc.constant('wait' as const) },
);

test('what the node agent makes of the stream is what was compiled, however often it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      withYaml(anyCluster),
      fc.array(step, { maxLength: 16 }),
      fc.constantFrom(60, 1 << 20),
      async (first, steps, partBytes) => {
        const world = new World({ partBytes });
        world.put(...resourcesOf(first));
        world.start();
        let left = Number.POSITIVE_INFINITY;
        const source: PolicySource = {
          async *watch({ node }, { signal }) {
            const written = () => new Promise<void>((resolve) => setImmediate(resolve));
            for await (const update of world.fanout.read({ node, peer: '', signal, written })) {
              if (left-- <= 0) {
                left = Number.POSITIVE_INFINITY;
                throw new RpcError('UNAVAILABLE', 'cut');
              }
              yield overTheWire(update);
            }
          },
        };
        const programs = new Programs({ endpoint() {}, entry() {}, address() {}, blocks() {}, commit() {} });
        const receiver = new PolicyReceiver({ source, node: NODE, programs, log: silent, random: () => 0 });
        const stop = new AbortController();
        const running = receiver.run(stop.signal);
        for (const one of steps) {
          if (one === 'wait') await new Promise(setImmediate);
          else if ('put' in one) world.put(...resourcesOf(one.put));
          else if ('cutAfter' in one) left = one.cutAfter;
          else {
            const all = [...world.state.values()];
            if (all.length > 0) world.apply([{ type: 'delete', key: keyOf(all[one.remove % all.length]!) }]);
          }
        }
        const compiled = new CompiledCluster([NODE]);
        compiled.apply(puts([...world.state.values()]));
        const expected = JSON.stringify(describeProgram(compiled.programs.get(NODE)!));
        await waitFor(
          () => receiver.status.connected && JSON.stringify(describeProgram(programs as never)) === expected,
          { what: 'the programs of the objects at the end', interval: 2 },
        );
        stop.abort();
        await running;
      },
    ),
    { numRuns: runs(60) },
  );
});
