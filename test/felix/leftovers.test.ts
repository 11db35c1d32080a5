import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { parseAddress } from '#datastore/address.ts';
import { keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import type { WorkloadEndpoint } from '#felix/endpoint.ts';
import { PolicyReceiver } from '#felix/policy/receiver.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { Fanout } from '#policy/stream/fanout.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { runs } from '#test/helpers/runs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { anyManifest, resourcesOf } from '#test/policy/clusters.ts';
import { puts } from '#test/policy/compiled.ts';
import { sectionsOf } from './damages.ts';
import { SILENT } from './world.ts';

/*
 * A node on which pods, policies and labels have come and gone is the same as one that has only what is there in the end: by way of
 * compiler, stream, receiver and dataplane, as the kernel has it.
 */

const NODE = 'node-0';

type Step =
  | { readonly what: 'object'; readonly resource: Resource }
  | { readonly what: 'no object'; readonly index: number }
  | { readonly what: 'endpoint'; readonly endpoint: WorkloadEndpoint }
  | { readonly what: 'no endpoint'; readonly index: number }
  /** Felix, the connection, or nothing: what came before it is one change. */
  | { readonly what: 'agent' | 'stream' | 'flush' };

const podName = fc
  .record({
    namespace: fc.constantFrom('n0', 'n0', 'n1'),
    name: fc.constantFrom('p0', 'p1', 'p2', 'p3', 'p4', 'm0', 'm1', 'm2'),
  })
  .map(({ namespace, name }) => `${namespace}/${name}`);
const endpoint = fc
  .record({
    pod: podName,
    uid: fc.constantFrom('u0', 'u1', undefined, undefined, undefined),
    place: fc.nat(7),
    addresses: fc.uniqueArray(fc.constantFrom('4', '6'), { maxLength: 2 }),
    ports: fc.boolean(),
  })
  .map(
    ({ pod, uid, place, addresses, ports }): WorkloadEndpoint => ({
      pod,
      uid,
      interface: `mgy${place}`,
      addresses: addresses.map(
        (family) => parseAddress(family === '4' ? `10.0.0.${place}` : `fd00::${place}`)!,
      ),
      // A port of the node is one pod's.
      hostPorts: ports
        ? [{ protocol: 'TCP', hostPort: 8000 + place, containerPort: 80, hostIp: undefined }]
        : [],
    }),
  );
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: anyManifest.map((m): Step => ({ what: 'object', resource: resourcesOf([m])[0]! })),
  },
  { weight: 4, arbitrary: fc.nat().map((index): Step => ({ what: 'no object', index })) },
  { weight: 6, arbitrary: endpoint.map((of): Step => ({ what: 'endpoint', endpoint: of })) },
  { weight: 3, arbitrary: fc.nat().map((index): Step => ({ what: 'no endpoint', index })) },
  { weight: 6, arbitrary: fc.constant<Step>({ what: 'flush' }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ what: 'agent' }, { what: 'stream' }) },
);

/** A node with an agent of its own, and what it is told. */
class Agent {
  readonly #namespace: NetworkNamespace;
  readonly #fanout: Fanout;
  #dataplane: NftablesDataplane | undefined;
  #stream = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(netns: Netns, fanout: Fanout) {
    this.#namespace = NetworkNamespace.open(netns.path);
    this.#fanout = fanout;
  }

  get dataplane(): NftablesDataplane {
    return this.#dataplane!;
  }

  async restart(endpoints: Iterable<WorkloadEndpoint>): Promise<void> {
    await this.stop();
    this.#dataplane = new NftablesDataplane({
      settings: DEFAULT_SETTINGS,
      log: SILENT,
      namespace: this.#namespace,
    });
    this.#dataplane.start();
    for (const of of endpoints) this.#dataplane.setEndpoint(of);
    this.#connect();
  }

  async reconnect(): Promise<void> {
    await this.#disconnect();
    this.#connect();
  }

  async stop(): Promise<void> {
    await this.#disconnect();
    this.#dataplane?.close();
  }

  close(): void {
    this.#namespace.close();
  }

  #connect(): void {
    const stream = new AbortController();
    this.#stream = stream;
    const source = {
      watch: ({ node }: { node: string }, { signal }: { signal: AbortSignal }) =>
        this.#fanout.read({ node, peer: '', signal, written: async () => {} }),
    };
    const receiver = new PolicyReceiver({
      source,
      node: NODE,
      programs: this.#dataplane!.programs,
      log: SILENT,
    });
    this.#running = receiver.run(stream.signal);
  }

  async #disconnect(): Promise<void> {
    this.#stream.abort();
    await this.#running;
  }
}

const netns: Netns[] = [];
const listed = (of: Netns): string[] => sectionsOf(of.exec('nft', ['-s', 'list', 'table', 'inet', 'margay']));

let compiler: Compiler;
let fanout: Fanout;
let agent: Agent;
const objects = new Map<ResourceKey, Resource>();
const endpoints = new Map<string, WorkloadEndpoint>();
let steps = 0;
/** Elements that fresh ones had. */
let elements = 0;
beforeAll(async () => {
  netns.push(createNetns(), createNetns());
  compiler = new Compiler();
  fanout = new Fanout(compiler, { date: () => Date.now(), partBytes: 400 });
  fanout.start();
  agent = new Agent(netns[0]!, fanout);
  await agent.restart([]);
});
afterAll(async () => {
  await agent.stop();
  agent.close();
  for (const each of netns) each.remove();
});

async function settled(): Promise<void> {
  fanout.flush();
  await waitFor(
    () => {
      const [reader] = fanout.subscribers;
      return reader !== undefined && !reader.isBehind && reader.waiting === 0 && reader.commits > 0;
    },
    { what: 'the agent to be told everything', interval: 1 },
  );
  await agent.dataplane.applied([], AbortSignal.timeout(10_000));
}

async function take(one: Step): Promise<void> {
  steps++;
  switch (one.what) {
    case 'object': {
      const { resource } = one;
      objects.set(keyOf(resource), resource);
      compiler.apply([{ type: 'put', resource }]);
      return;
    }
    case 'no object': {
      const key = [...objects.keys()][one.index % Math.max(1, objects.size)];
      if (key === undefined) return;
      objects.delete(key);
      compiler.apply([{ type: 'delete', key }]);
      return;
    }
    case 'endpoint': {
      // The kernel has one interface of the name.
      for (const [pod, of] of endpoints) if (of.interface === one.endpoint.interface) endpoints.delete(pod);
      endpoints.set(one.endpoint.pod, one.endpoint);
      agent.dataplane.setEndpoint(one.endpoint);
      return;
    }
    case 'no endpoint': {
      const pod = [...endpoints.keys()][one.index % Math.max(1, endpoints.size)];
      if (pod === undefined) return;
      endpoints.delete(pod);
      agent.dataplane.removeEndpoint(pod);
      return;
    }
    case 'flush':
      return settled();
    case 'stream':
      return agent.reconnect();
    case 'agent':
      return agent.restart(endpoints.values());
  }
}

/** What a node has that knows nothing but this. */
function fresh(): string[] {
  const [, other] = netns as [Netns, Netns];
  using namespace = NetworkNamespace.open(other.path);
  other.exec('nft', ['flush', 'ruleset']);
  using dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace });
  for (const of of endpoints.values()) dataplane.setEndpoint(of);
  const another = new Compiler();
  another.apply(puts([...objects.values()]));
  another.flush();
  another.open(NODE, agentSink(dataplane.programs, another));
  dataplane.driver.apply();
  elements += dataplane.ruleset.desired.count().elements;
  return listed(other);
}

test('nothing is left of what has come and gone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), async (history) => {
      for (const one of history) await take(one);
      await settled();
      expect(listed(netns[0]!)).toEqual(fresh());
      const { driver } = agent.dataplane;
      expect({ problems: driver.problems, refused: driver.counters.refused }).toEqual({
        problems: [],
        refused: 0,
      });
    }),
    // Each history follows on the one before it: there is nothing to shrink.
    { numRuns: runs(25), endOnFailure: true },
  );
  expect(steps).toBeGreaterThan(500);
  expect(elements).toBeGreaterThan(50);
}, 300_000);

test('nor when all is gone', async () => {
  for (const key of objects.keys()) compiler.apply([{ type: 'delete', key }]);
  objects.clear();
  for (const pod of endpoints.keys()) agent.dataplane.removeEndpoint(pod);
  endpoints.clear();
  await settled();
  expect(listed(netns[0]!)).toEqual(fresh());
  expect(agent.dataplane.ruleset.desired.count().elements).toBe(0);
});
