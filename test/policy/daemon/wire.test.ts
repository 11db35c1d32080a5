import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import type { Source, Update } from '#datastore/source.ts';
import { Engine } from '#policy/daemon/engine.ts';
import { localHandlers } from '#policy/daemon/handlers.ts';
import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { runs } from '#test/helpers/runs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { anyCluster, anyManifest, type Manifest, resourcesOf, withYaml } from '../clusters.ts';
import { expectedPrograms, NodeReader } from './engine-process.ts';
import { FaultyWire } from './faulty-wire.ts';

/** Objects that change when the test says so; each engine that starts finds what there is then. */
class Objects implements Source {
  readonly state = new Map<ResourceKey, { readonly manifest: Manifest; readonly resource: Resource }>();
  readonly #followers = new Set<(update: Update) => void>();

  put(manifest: Manifest): void {
    const [resource] = resourcesOf([manifest]) as [Resource];
    this.state.set(keyOf(resource), { manifest, resource });
    this.#tell({ type: 'changes', changes: [{ type: 'put', resource }], problems: [] });
  }

  remove(key: ResourceKey): void {
    this.state.delete(key);
    this.#tell({ type: 'changes', changes: [{ type: 'delete', key }], problems: [] });
  }

  get manifests(): Manifest[] {
    return [...this.state.values()].map(({ manifest }) => manifest);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Update> {
    const queue: Update[] = [
      { type: 'snapshot', resources: [...this.state.values()].map(({ resource }) => resource), problems: [] },
    ];
    let wake: () => void = () => {};
    const follow = (update: Update) => {
      queue.push(update);
      wake();
    };
    this.#followers.add(follow);
    signal.addEventListener('abort', () => wake());
    while (!signal.aborted) {
      const update = queue.shift();
      if (update !== undefined) yield update;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    this.#followers.delete(follow);
  }

  #tell(update: Update): void {
    for (const follow of this.#followers) follow(update);
  }
}

const silent = { error() {}, warn() {}, info() {}, debug() {} } as never;

/** The engine behind its socket. Parts are small, so that there are many to cut between. */
async function serve(objects: Objects, socket: string): Promise<() => Promise<void>> {
  const engine = new Engine({
    source: objects,
    log: silent,
    date: Date.now,
    stream: { partBytes: 200, leastLimit: 16 },
  });
  const faults: unknown[] = [];
  const server = new RpcServer({ onFault: (_, error) => faults.push(error) });
  const options = {
    engine,
    version: '',
    source: '',
    startedAt: 0,
    memory: () => 0,
    listener: () => undefined,
  };
  await server.add(policyService, localHandlers(options)).listenUnix(socket);
  const stop = new AbortController();
  const running = engine.run(stop.signal);
  return async () => {
    stop.abort();
    await running;
    await server.stop();
    expect(faults).toEqual([]);
  };
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.array(anyManifest, { minLength: 1, maxLength: 4 }).map((put) => ({ put })) },
  { weight: 2, arbitrary: fc.nat().map((remove) => ({ remove })) },
  { weight: 3, arbitrary: fc.nat(2_000).map((cut) => ({ cut })) },
  { weight: 2, arbitrary: fc.constantFrom('hold' as const, 'goOn' as const) },
  { weight: 1, arbitrary: fc.constantFrom('restart' as const, 'comeTwice' as const) },
);

test('over connections that are cut at any byte, held up, doubled, and through restarts, a node ends with the right programs', async () => {
  await fc.assert(
    fc.asyncProperty(withYaml(anyCluster), fc.array(step, { maxLength: 14 }), async (first, steps) => {
      const folder = newTempFolder();
      const socket = join(folder, 'policy.sock');
      const objects = new Objects();
      for (const manifest of first) objects.put(manifest);
      let stopEngine = await serve(objects, socket);
      await using wire = await FaultyWire.open(join(folder, 'wire.sock'), socket);
      const end = new AbortController();
      const read = () =>
        new NodeReader('node-0', () => connect(policyService, `unix:${wire.path}`), end.signal);
      const readers = [read()];
      for (const one of steps) {
        if (one === 'hold') wire.hold();
        else if (one === 'goOn') wire.goOn();
        else if (one === 'comeTwice') readers.push(read());
        else if (one === 'restart') {
          await stopEngine();
          stopEngine = await serve(objects, socket);
        } else if ('put' in one) for (const manifest of one.put) objects.put(manifest);
        else if ('cut' in one) wire.cut(one.cut);
        else {
          const keys = [...objects.state.keys()];
          if (keys.length > 0) objects.remove(keys[one.remove % keys.length]!);
        }
        // Some bytes on their way, or none.
        await new Promise(setImmediate);
      }
      wire.goOn();
      const expected = JSON.stringify(expectedPrograms(objects.manifests, 'node-0'));
      for (const reader of readers) {
        await waitFor(() => reader.receiver.commits > 0 && JSON.stringify(reader.program) === expected, {
          what: 'the programs of the objects at the end',
          interval: 5,
        });
      }
      end.abort();
      for (const { finished } of readers) await finished;
      await stopEngine();
    }),
    { numRuns: runs(25) },
  );
});
