/** Whatever happens to objects and to connections: in the end the follower has what the server has. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { COLLECTIONS } from '#datastore/kubernetes/api.ts';
import { KubernetesSource } from '#datastore/kubernetes/source.ts';
import { type Kind, keyOf, type Resource, readResource } from '#datastore/resource.ts';
import { runs } from '#test/helpers/runs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { FakeApiServer, type Fault } from './server.ts';

const KINDS = ['Namespace', 'Pod'] as const satisfies readonly Kind[];

type Step =
  | {
      readonly do: 'put' | 'delete' | 'again';
      readonly kind: (typeof KINDS)[number];
      readonly name: string;
      readonly v: string;
    }
  | {
      readonly do:
        | 'compact'
        | 'cut'
        | 'end'
        | 'bookmark'
        | 'crash'
        | 'listen'
        | 'breathe'
        | 'save'
        | 'restore';
    };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('put', 'put', 'delete', 'again'),
      kind: fc.constantFrom(...KINDS),
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      v: fc.constantFrom('1', '2', '3'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'compact',
        'cut',
        'end',
        'bookmark',
        'crash',
        'listen',
        'breathe',
        'breathe',
        'save',
        'restore',
      ),
    }),
  },
);

const fault: fc.Arbitrary<Fault | undefined> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ status: fc.constantFrom(410, 422, 429, 500, 503) }) },
  { weight: 2, arbitrary: fc.record({ cutAfter: fc.nat(800) }) },
  { weight: 1, arbitrary: fc.record({ endAfter: fc.nat(800) }) },
  { weight: 1, arbitrary: fc.record({ stallAfter: fc.nat(800) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      insert: fc.record({ after: fc.nat(800), text: fc.constantFrom('x', '\n', '{}\n', '"', '}') }),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Fault>({ silent: true }, { refused: true }) },
  {
    weight: 1,
    arbitrary: fc.constant<Fault>({
      event: { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } },
    }),
  },
);

test('any history of objects and of faults ends in what the server has', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 40 }),
    fc.array(fault, { maxLength: 25 }),
    fc.boolean(),
    fc.constantFrom(1, 2, 500),
    async (steps, faults, streams, pageSize) => {
      await using server = await FakeApiServer.start();
      server.streams = streams;
      let asked = 0;
      server.fault = () => faults[asked++];
      const times = { shortestPause: 1, longestPause: 4, idle: 30, answer: 30, watch: 2_000 };
      const source = new KubernetesSource({ kubeconfig: server.kubeconfig(), kinds: KINDS, times, pageSize });
      const known = new Map<string, Resource>();
      let isSnapshotTaken = false;
      const stop = new AbortController();
      const following = (async () => {
        for await (const update of source.watch(stop.signal)) {
          if (update.type === 'trouble') continue;
          expect(isSnapshotTaken).toBe(update.type === 'changes');
          isSnapshotTaken = true;
          if (update.type === 'snapshot') {
            for (const resource of update.resources) known.set(keyOf(resource), resource);
            continue;
          }
          const keys = update.changes.map((change) =>
            change.type === 'put' ? keyOf(change.resource) : change.key,
          );
          expect(new Set(keys).size).toBe(keys.length);
          for (const change of update.changes) {
            if (change.type === 'delete') expect(known.delete(change.key)).toBe(true);
            else {
              // What is told is something that was not known.
              expect(known.get(keyOf(change.resource))).not.toEqual(change.resource);
              known.set(keyOf(change.resource), change.resource);
            }
          }
        }
      })();
      try {
        let copy = server.save();
        for (const one of steps) {
          if (one.do === 'put') server.put(one.kind, one.name, { labels: { v: one.v } });
          else if (one.do === 'delete') server.delete(one.kind, one.name);
          else if (one.do === 'again') {
            server.delete(one.kind, one.name);
            server.put(one.kind, one.name, { labels: { v: one.v } });
          } else if (one.do === 'compact') server.compact();
          else if (one.do === 'cut') server.cut();
          else if (one.do === 'end') server.endWatches();
          else if (one.do === 'bookmark') server.bookmark();
          else if (one.do === 'crash') await server.crash();
          else if (one.do === 'listen') await server.listen();
          else if (one.do === 'save') copy = server.save();
          else if (one.do === 'restore') server.restore(copy, { bump: true });
          else await new Promise((resolve) => setTimeout(resolve, 3));
        }
        await server.listen();
        // From now on all goes well, and the server speaks by itself.
        faults.length = 0;
        const speaking = setInterval(() => server.bookmark(), 10);
        try {
          const wanted = modelOf(server);
          await waitFor(() => isSnapshotTaken && toText(known) === toText(wanted), {
            what: toText(wanted),
            details: () => `${toText(known)}\n${JSON.stringify(source.status)}`,
          });
        } finally {
          clearInterval(speaking);
        }
      } finally {
        stop.abort();
        await following;
      }
    },
  );
  await fc.assert(property, { numRuns: runs(40) });
}, 120_000);

function modelOf(server: FakeApiServer): Map<string, Resource> {
  const model = new Map<string, Resource>();
  for (const object of server.objects) {
    const reading = readResource(object, [], COLLECTIONS[object.kind]);
    if (reading.outcome === 'resource') model.set(reading.key, reading.resource);
  }
  return model;
}

function toText(objects: ReadonlyMap<string, Resource>): string {
  return JSON.stringify([...objects].sort(([a], [b]) => (a < b ? -1 : 1)));
}
