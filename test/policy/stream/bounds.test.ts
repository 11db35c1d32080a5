import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import { keyOf } from '#datastore/resource.ts';
import { PART_BYTES } from '#policy/stream/pack.ts';
import { margay } from '#proto/generated/policy.js';
import { waitFor } from '#test/helpers/wait.ts';
import { CompiledCluster, describeProgram, puts } from '../compiled.ts';
import { Reader, World } from './world.ts';

const v1 = margay.policy.v1;

function pod(i: number, node: string, addresses = [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`]): Pod {
  return {
    kind: 'Pod',
    namespace: 'default',
    name: `pod-${i}`,
    uid: `uid-${i}`,
    labels: { app: 'web' },
    nodeName: node,
    hostNetwork: false,
    finished: false,
    addresses,
    ports: [],
  };
}

/** Lets pods with the label into all pods of the namespace. */
function policy(name: string, app = 'web'): NetworkPolicy {
  const podSelector = { matchLabels: { app }, matchExpressions: [] };
  return {
    kind: 'NetworkPolicy',
    namespace: 'default',
    name,
    uid: '',
    labels: {},
    podSelector: { matchLabels: {}, matchExpressions: [] },
    policyTypes: ['Ingress'],
    ingress: [{ peers: [{ kind: 'pods', podSelector, namespaceSelector: undefined }], ports: [] }],
    egress: [],
  };
}

function expected(world: World, node: string): unknown {
  const compiled = new CompiledCluster([node]);
  compiled.apply(puts([...world.state.values()]));
  return describeProgram(compiled.programs.get(node)!);
}

describe('a reader that does not read', () => {
  test('costs no more than its own state while 100,000 changes pass, and holds nobody up', async () => {
    const world = new World();
    const [slow, quick] = [new Reader(world, 'near'), new Reader(world, 'near')];
    const other = new Reader(world, 'far');
    const readers = [slow, quick, other];
    world.put(policy('p'), pod(0, 'near'), pod(1, 'far'));
    world.start();
    for (const reader of readers) {
      reader.connect();
      await reader.drain();
    }
    const ofSlow = () => [...world.fanout.subscribers][0]!;
    let most = 0;
    for (let i = 0; i < 50_000; i++) {
      // An address that is new to the node, and one that it knew until now.
      const next = pod(2 + i, 'elsewhere');
      world.put(next);
      most = Math.max(most, ofSlow().waiting);
      if (i % 10 === 0) for (const reader of [quick, other]) await reader.step();
      world.apply([{ type: 'delete', key: keyOf(next) }]);
      most = Math.max(most, ofSlow().waiting);
    }
    expect(most).toBeGreaterThan(500);
    // 1,024 keys that may wait in any case, and what was on its way.
    expect(most).toBeLessThan(2_000);
    expect(ofSlow()).toMatchObject({ isBehind: true, snapshots: 1 });
    expect(quick.receiver).toMatchObject({ snapshots: 1 });
    expect(quick.receiver.commits).toBeGreaterThan(5_000);
    world.put(pod(2, 'elsewhere'), pod(3, 'near'));
    for (const reader of readers) {
      await reader.drain();
      expect(reader.program).toEqual(expected(world, reader.node));
    }
    expect(slow.receiver.snapshots).toBe(2);
    expect(slow.receiver.commits).toBeLessThan(5);
    expect(ofSlow()).toMatchObject({ waiting: 0, behindSince: 0 });
    for (const reader of readers) await reader.cut();
  }, 120_000);

  test('is not worked for while it is too far behind', async () => {
    const world = new World({ leastLimit: 4 });
    const slow = new Reader(world, 'near');
    world.put(policy('p'), pod(0, 'near'), pod(1, 'far'));
    world.start();
    slow.connect();
    await slow.drain();
    expect(world.compiler.counts.classes).toBeGreaterThan(0);
    for (let i = 0; i < 20; i++) world.put(pod(2 + i, 'elsewhere'));
    expect(world.compiler.counts.classes).toBe(0);
    await slow.drain();
    expect(slow.program).toEqual(expected(world, 'near'));
    await slow.cut();
  });

  test('leaves nothing behind however often it falls behind', async () => {
    const world = new World({ leastLimit: 4 });
    const slow = new Reader(world, 'near');
    world.put(policy('p'), pod(0, 'near'), pod(1, 'far'));
    world.start();
    slow.connect();
    await slow.drain();
    const [subscriber] = world.fanout.subscribers;
    const listeners = () => getEventListeners(subscriber!.ended.signal, 'abort').length;
    const before = listeners();
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 20; i++) world.put(pod(2 + i, 'elsewhere', [`10.${round + 1}.0.${i}`]));
      await slow.drain();
    }
    expect(subscriber!.snapshots).toBe(21);
    expect(listeners()).toBeLessThanOrEqual(before);
    await slow.cut();
  });

  test('is told only the newest of what changed many times', async () => {
    const world = new World();
    const slow = new Reader(world, 'near');
    world.put(policy('p'), pod(0, 'near'));
    world.start();
    slow.connect();
    await slow.drain();
    for (let i = 0; i < 1_000; i++) {
      world.seconds++;
      world.put({ ...pod(1, 'elsewhere'), addresses: i % 2 === 0 ? ['10.9.9.9'] : ['10.8.8.8'] });
    }
    const [subscriber] = world.fanout.subscribers;
    // The first of them is on its way.
    expect(subscriber!.waiting).toBeLessThan(5);
    expect(subscriber!.behindSince).toBe(1_001);
    await slow.drain();
    expect(slow.receiver.commits).toBeLessThan(5);
    expect(slow.program).toEqual(expected(world, 'near'));
    await slow.cut();
  });
});

describe('readers', () => {
  test('are told nothing before all objects are known, not even that there is nothing', async () => {
    const world = new World();
    const reader = new Reader(world, 'near');
    reader.connect();
    world.put(pod(0, 'near'));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(await reader.step()).toBe(false);
    world.start();
    await reader.drain();
    expect(reader.receiver.program.endpoints.size).toBe(1);
    await reader.cut();
  });

  test('of a node that has nothing are told so', async () => {
    const world = new World();
    world.start();
    const reader = new Reader(world, 'nobody');
    reader.connect();
    await reader.drain();
    expect(reader.receiver).toMatchObject({ commits: 1, snapshots: 1 });
    await reader.cut();
  });

  test('that come do not disturb those of the same node that are there', async () => {
    const world = new World();
    const [first, second] = [new Reader(world, 'near'), new Reader(world, 'near')];
    world.put(policy('p'), pod(0, 'near'), pod(1, 'far'));
    world.start();
    first.connect();
    await first.drain();
    second.connect();
    await second.drain();
    expect(await first.step()).toBe(false);
    world.put(pod(2, 'far'));
    for (const reader of [first, second]) {
      await reader.drain();
      expect(reader.receiver).toMatchObject({ commits: 2, snapshots: 1 });
      expect(reader.program).toEqual(expected(world, 'near'));
    }
    await first.cut();
    world.put(pod(3, 'far'));
    await second.drain();
    expect(second.program).toEqual(expected(world, 'near'));
    await second.cut();
  });

  test('of one node are eight at most: the oldest makes room', async () => {
    const world = new World();
    world.start();
    const readers = Array.from({ length: 9 }, () => new Reader(world, 'near'));
    // The first of them does not take what comes.
    readers[0]!.connect();
    await waitFor(() => [...world.fanout.subscribers][0]?.snapshots === 1, { what: 'it is told' });
    for (const reader of readers.slice(1)) {
      reader.connect();
      await reader.drain();
    }
    await waitFor(() => readers[0]!.error !== undefined, { what: 'the first is ended' });
    expect(readers[0]!.error).toMatchObject({ code: 'READER_REPLACED' });
    expect([...world.fanout.subscribers]).toHaveLength(8);
    expect(readers[1]!.error).toBeUndefined();
    for (const reader of readers) await reader.cut();
  });
});

describe('snapshots', () => {
  /** Readers that do not read, each of a node of its own. */
  function crowd(world: World): Reader[] {
    world.put(policy('p'), ...Array.from({ length: 12 }, (_, i) => pod(i, `node-${i}`)));
    const readers = Array.from({ length: 12 }, (_, i) => new Reader(world, `node-${i}`));
    for (const reader of readers) reader.connect();
    world.start();
    return readers;
  }
  const made = (world: World) =>
    [...world.fanout.subscribers].filter(({ snapshots }) => snapshots > 0).length;
  const turns = async () => {
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  };

  test('are made for few readers at a time, so that a crowd costs no more', async () => {
    const world = new World({ snapshots: { most: 3, patience: 1_000_000 } });
    const readers = crowd(world);
    await turns();
    expect(made(world)).toBe(3);
    await readers[0]!.step();
    await turns();
    expect(made(world)).toBe(4);
    // One that leaves makes room too, and one that leaves while it waits takes none.
    await readers[1]!.cut();
    await readers[11]!.cut();
    await turns();
    expect(made(world)).toBe(4);
    for (const reader of readers.slice(2, 11)) await reader.drain();
    expect(made(world)).toBe(10);
    for (const reader of readers) await reader.cut();
  });

  test('do not wait for readers that do not read', async () => {
    const world = new World({ snapshots: { most: 3, patience: 5 } });
    const readers = crowd(world);
    await waitFor(() => made(world) === 12, { what: 'all have one' });
    for (const reader of readers) await reader.cut();
  });
});

describe('parts', () => {
  test('are below what gRPC takes, with addresses and ranges of more than one part', async () => {
    const world = new World();
    const blocks = Array.from({ length: 6_000 }, (_, i) => ({
      kind: 'block' as const,
      cidr: `fd00:${i.toString(16)}::/32`,
      except: [],
    }));
    const fromBlocks = {
      ...policy('blocks'),
      ingress: [{ peers: blocks, ports: [] }],
    };
    const many = Array.from({ length: 20_000 }, (_, i) =>
      pod(10 + i, 'elsewhere', [`fd99::${(i >> 8).toString(16)}:${(i & 255).toString(16)}`]),
    );
    world.put(policy('p'), pod(0, 'near'), fromBlocks, ...many);
    world.start();
    const reader = new Reader(world, 'near');
    const sizes: number[] = [];
    const { receive } = reader.receiver;
    reader.receiver.receive = (update) => {
      sizes.push(v1.Update.encode(update).finish().length);
      return receive.call(reader.receiver, update);
    };
    reader.connect();
    await reader.drain();
    expect(sizes.length).toBeGreaterThan(4);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(PART_BYTES + 1_024);
    expect(reader.receiver.program.ingress.blocks[6].length).toBeGreaterThan(5_000);
    expect(reader.program).toEqual(expected(world, 'near'));
    await reader.cut();
  });

  test('tell the meaning of a class once, and again after nothing was of it', async () => {
    const world = new World();
    const reader = new Reader(world, 'near');
    const told: string[] = [];
    const { receive } = reader.receiver;
    reader.receiver.receive = (update) => {
      told.push(...update.meanings.flatMap(({ text }) => text!));
      return receive.call(reader.receiver, update);
    };
    world.put(policy('p'), pod(0, 'near'), pod(1, 'far'));
    world.start();
    reader.connect();
    await reader.drain();
    expect(told).toEqual(['namespace default pods app=web']);
    world.put(pod(2, 'far'), pod(3, 'near'));
    await reader.drain();
    expect(told).toHaveLength(1);
    world.apply([{ type: 'delete', key: keyOf(policy('p')) }]);
    await reader.drain();
    expect([...reader.receiver.meanings]).toEqual([]);
    world.put(policy('p'));
    await reader.drain();
    expect(told).toEqual(['namespace default pods app=web', 'namespace default pods app=web']);
    await reader.cut();
  });
});
