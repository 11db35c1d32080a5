import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import type { Change, Source, Update } from '#datastore/source.ts';
import { Engine, type EngineOptions } from '#policy/daemon/engine.ts';
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
import { pod, policy } from './objects.ts';

/** Objects that change when the test says so; each engine that starts finds what there is then. */
class Objects implements Source {
  readonly state = new Map<ResourceKey, { readonly manifest: Manifest; readonly resource: Resource }>();
  readonly #followers = new Set<(update: Update) => void>();

  put(...manifests: readonly Manifest[]): void {
    const changes = manifests.map((manifest): Change => {
      const [resource] = resourcesOf([manifest]) as [Resource];
      this.state.set(keyOf(resource), { manifest, resource });
      return { type: 'put', resource };
    });
    this.#tell({ type: 'changes', changes, problems: [] });
  }

  remove(...keys: readonly ResourceKey[]): void {
    for (const key of keys) this.state.delete(key);
    this.#tell({ type: 'changes', changes: keys.map((key) => ({ type: 'delete', key })), problems: [] });
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
async function serve(
  objects: Objects,
  socket: string,
  stream: EngineOptions['stream'] = { partBytes: 200, leastLimit: 16 },
) {
  const engine = new Engine({ source: objects, log: silent, date: Date.now, stream: stream! });
  const faults: unknown[] = [];
  const server = new RpcServer({ onFault: (_, error) => faults.push(error) });
  const options = {
    engine,
    version: '',
    source: '',
    startedAt: 0,
    memory: () => 0,
    kinds: () => [],
    listener: () => undefined,
  };
  await server.add(policyService, localHandlers(options)).listenUnix(socket);
  const stop = new AbortController();
  const running = engine.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
    await server.stop();
    expect(faults).toEqual([]);
  };
  return { engine, end };
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
      let served = await serve(objects, socket);
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
          await served.end();
          served = await serve(objects, socket);
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
      await served.end();
    }),
    { numRuns: runs(25) },
  );
});

test('a reader that does not take what comes is held at what the connection holds, and is told the newest later', async () => {
  const folder = newTempFolder();
  const socket = join(folder, 'policy.sock');
  const objects = new Objects();
  objects.put(policy('web'));
  objects.put(pod('near', 'node-0', '10.0.0.1'));
  const { engine, end } = await serve(objects, socket, {});
  await using wire = await FaultyWire.open(join(folder, 'wire.sock'), socket);
  const stop = new AbortController();
  const connectTo = (path: string) => () => connect(policyService, `unix:${path}`);
  const slow = new NodeReader('node-0', connectTo(wire.path), stop.signal);
  const quick = new NodeReader('node-0', connectTo(socket), stop.signal);
  await waitFor(() => slow.receiver.commits + quick.receiver.commits === 2, { what: 'both are in sync' });
  wire.hold();
  // Pods that come and go, 3 kB of addresses in a change, so that a few dozen fill what lies between.
  let changes = 0;
  for (let round = 0; round < 40; round++) {
    for (const what of ['come', 'go'] as const) {
      const before = quick.receiver.commits;
      const crowd = Array.from({ length: 200 }, (_, i) => pod(`p${i}`, 'node-1', `fd00::${round}:${i}`));
      if (what === 'come') objects.put(...crowd);
      else objects.remove(...resourcesOf(crowd).map(keyOf));
      changes++;
      await waitFor(() => quick.receiver.commits > before, { what: 'the other one is told', interval: 1 });
    }
  }
  const slowest = [...engine.fanout.subscribers].reduce((a, b) => (a.commits < b.commits ? a : b));
  expect(slowest.commits).toBeLessThan(changes);
  expect(slowest.waiting).toBeLessThan(3_000);
  objects.put(pod('last', 'node-1', '10.2.0.1'));
  wire.goOn();
  const expected = JSON.stringify(expectedPrograms(objects.manifests, 'node-0'));
  for (const reader of [slow, quick]) {
    await waitFor(() => JSON.stringify(reader.program) === expected, { what: 'the programs of the end' });
    expect(reader.ends).toEqual([]);
  }
  stop.abort();
  for (const { finished } of [slow, quick]) await finished;
  await end();
});
