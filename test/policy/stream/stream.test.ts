import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyOf, type Resource } from '#datastore/resource.ts';
import { NodeProgram } from '#policy/program/node-program.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyCluster, anyManifest, nameOf, resourcesOf, withYaml } from '../clusters.ts';
import { CompiledCluster, describeProgram, puts } from '../compiled.ts';
import { Reader, World } from './world.ts';

const NODES = ['node-0', 'node-1'];
/** So small that most changes have several parts, and most readers fall behind. */
const TINY = { partBytes: 60, leastLimit: 4 };

/** What a node that was there from the start would have, on a fresh compile. */
function expected(resources: Iterable<Resource>, node: string): unknown {
  const compiled = new CompiledCluster([node]);
  compiled.apply(puts([...resources]));
  return describeProgram(compiled.programs.get(node)!);
}

const step = fc.oneof(
  { weight: 6, arbitrary: anyManifest.map((put) => ({ put })) },
  { weight: 2, arbitrary: fc.nat().map((remove) => ({ remove })) },
  { weight: 8, arbitrary: fc.record({ read: fc.nat(2), updates: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.nat(2).map((cut) => ({ cut })) },
  { weight: 1, arbitrary: fc.nat(2).map((hangUp) => ({ hangUp })) },
);

describe('whatever happens to its connection, a node ends with the programs that a fresh compile gives', () => {
  test('and at every commit it has those of one moment', async () => {
    const history = fc.tuple(
      withYaml(anyCluster),
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom(4, 1_000),
    );
    await fc.assert(
      fc.asyncProperty(history, async ([first, steps, leastLimit]) => {
        const world = new World({ ...TINY, leastLimit });
        // Two of them for the same node.
        const readers = [...NODES, NODES[0]!].map((node) => new Reader(world, node));
        const moments = new Map(
          NODES.map((node) => [node, new Set([JSON.stringify(describeProgram(new NodeProgram()))])]),
        );
        const note = () => {
          for (const node of NODES)
            moments.get(node)!.add(JSON.stringify(expected(world.state.values(), node)));
        };
        const look = ({ program, node }: Reader) =>
          expect([...moments.get(node)!]).toContain(JSON.stringify(program));
        for (const reader of readers) reader.connect();
        world.put(...resourcesOf(first));
        note();
        world.start();
        const connected = new Set(readers);
        for (const one of steps) {
          if ('put' in one) world.put(...resourcesOf([one.put]));
          else if ('remove' in one) {
            const all = [...world.state.values()];
            if (all.length > 0) world.apply([{ type: 'delete', key: keyOf(all[one.remove % all.length]!) }]);
          } else if ('read' in one) {
            const reader = readers[one.read]!;
            for (let i = 0; i < one.updates && (await reader.step()); i++) look(reader);
          } else if ('cut' in one) {
            const reader = readers[one.cut]!;
            await reader.cut();
            reader.connect();
            connected.add(reader);
          } else {
            await readers[one.hangUp]!.cut();
            connected.delete(readers[one.hangUp]!);
          }
          note();
        }
        for (const reader of readers) {
          if (!connected.has(reader)) reader.connect();
          await reader.drain();
          expect(reader.program).toEqual(expected(world.state.values(), reader.node));
          await reader.cut();
        }
        // Nothing is left behind of those that are gone.
        expect([...world.fanout.subscribers]).toEqual([]);
        expect(world.compiler.counts.classes).toBe(0);
      }),
      { numRuns: runs(150) },
    );
  });

  test('when it is cut after any update, and everything is told again', { timeout: 300_000 }, async () => {
    const cluster = sample(7);
    const more = sample(8);
    const play = async (cutAfter: number): Promise<{ updates: number; program: unknown; end: unknown }> => {
      const world = new World({ ...TINY, partBytes: 1 });
      const reader = new Reader(world, 'node-0');
      reader.connect();
      world.put(...cluster);
      world.start();
      const read = async () => {
        for (;;) {
          if (reader.updates === cutAfter) {
            reader.updates++;
            await reader.cut();
            reader.connect();
          }
          if (!(await reader.step())) return;
        }
      };
      await read();
      world.put(...more);
      await read();
      const end = expected(world.state.values(), 'node-0');
      const { updates, program } = reader;
      await reader.cut();
      return { updates, program, end };
    };
    const undisturbed = await play(-1);
    expect(undisturbed.updates).toBeGreaterThan(15);
    expect(undisturbed.program).toEqual(undisturbed.end);
    for (let cutAfter = 0; cutAfter <= undisturbed.updates; cutAfter++) {
      const { program, end } = await play(cutAfter);
      expect(program, `cut after ${cutAfter}`).toEqual(end);
    }
  });

  test('a change that is half told is not mixed with the one that comes meanwhile', async () => {
    const world = new World({ partBytes: 1 });
    const reader = new Reader(world, 'node-0');
    reader.connect();
    world.start();
    await reader.drain();
    let halves = 0;
    for (const seed of [1, 2, 3, 4, 5]) {
      world.put(...sample(seed));
      const first = expected(world.state.values(), 'node-0');
      const { commits } = reader.receiver;
      await reader.step();
      if (reader.receiver.commits > commits) continue;
      halves++;
      world.put(...sample(seed + 10));
      while (reader.receiver.commits === commits) await reader.step();
      expect(reader.program).toEqual(first);
      await reader.drain();
      expect(reader.program).toEqual(expected(world.state.values(), 'node-0'));
    }
    expect(halves).toBeGreaterThan(2);
    await reader.cut();
  });
});

/** Some objects of each kind, the same for the same seed. */
function sample(seed: number): Resource[] {
  const manifests = new Map(fc.sample(anyManifest, { numRuns: 60, seed }).map((one) => [nameOf(one), one]));
  return resourcesOf([...manifests.values()]);
}
