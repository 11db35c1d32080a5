import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { allow, isolate, pod } from './objects.ts';
import { type Probe, probe } from './prober.ts';
import { tcpPair } from './talk.ts';
import { World } from './world.ts';

/*
 * A pod that is deleted and comes again by the same name, as those of a StatefulSet do, is another pod: the engine and the runtime
 * tell of it one after the other, and until both have, no program is in force for it.
 */

let world: World;
let slots: readonly Slot[];
beforeAll(() => {
  world = new World();
  ({ slots } = world.fabric);
}, 60_000);
afterAll(() => world[Symbol.dispose]());

const server = (uid: string, slot: Slot, labels: Record<string, string>): Pod => ({
  ...pod('server', slot, labels),
  uid,
});
/** The first one is open to the client, later ones are what their labels say. */
const objects = (uid: string, slot: Slot, app: string): Resource[] => [
  pod('client', slots[0]!, { app: 'client' }),
  server(uid, slot, { app }),
  allow('open', 'client', 5000),
  isolate('closed'),
];
const place = (slot: Slot, uid: string | undefined): void =>
  world.dataplanes[1]!.setEndpoint({ ...endpointOf(slot, 'shop/server'), uid });
const said = (resources: Resource[]): Promise<void> => world.become(resources, world.placed);

/** Which of the packets between the client and a slot arrive: by family, from the client and from the pod. */
async function arrivals(slot: Slot, expected: boolean): Promise<boolean[]> {
  const probes = [0, 1].flatMap((family) =>
    [
      [slots[0]!, slot],
      [slot, slots[0]!],
    ].map(
      ([from, to]): Probe => ({
        from: from!.prober,
        to: to!.prober,
        source: from!.addresses[family]!,
        destination: to!.addresses[family]!,
        protocol: 'TCP',
        port: 5000,
      }),
    ),
  );
  const results = await probe(
    probes,
    probes.map(() => expected),
  );
  for (const conntrack of world.conntracks) conntrack.deleteMatching({});
  return results.map(({ arrived }) => arrived);
}
const all = (value: boolean): boolean[] => [value, value, value, value];

beforeEach(async () => {
  const placed = new Map([
    ['shop/client', slots[0]!],
    ['shop/server', slots[3]!],
  ]);
  await world.become(objects('first', slots[3]!, 'open'), placed);
  place(slots[3]!, 'first');
  await world.applied();
  expect(await arrivals(slots[3]!, true)).toEqual(all(true));
});

test('the runtime tells first: the new pod is closed until its own program comes', async () => {
  place(slots[4]!, 'second');
  await world.applied();
  expect(world.dataplanes[1]!.ruleset.knows('shop/server')).toBe(false);
  // Neither by the program of the one before, nor is the one before still served.
  expect(await arrivals(slots[4]!, false)).toEqual(all(false));
  expect(await arrivals(slots[3]!, false)).toEqual(all(false));
  await said(objects('second', slots[4]!, 'open'));
  expect(await arrivals(slots[4]!, true)).toEqual(all(true));
});

test('the engine tells first: the old pod is closed, and its connections end', async () => {
  using pair = await tcpPair(slots[0]!, slots[3]!, 0, 5000);
  await pair.exchange('before');
  await said(objects('second', slots[3]!, 'open'));
  expect(world.dataplanes[1]!.ruleset.knows('shop/server')).toBe(false);
  // (The pod's own fence would not pass either.)
  await pair.expectSilence('client');
  expect(await arrivals(slots[3]!, false)).toEqual(all(false));
  place(slots[4]!, 'second');
  await world.applied();
  await said(objects('second', slots[4]!, 'open'));
  expect(await arrivals(slots[4]!, true)).toEqual(all(true));
});

test('with labels of its own it has a policy of its own, from the first packet on', async () => {
  place(slots[4]!, 'second');
  await world.applied();
  await said(objects('second', slots[4]!, 'closed'));
  // It may begin something, and nobody anything with it.
  expect(await arrivals(slots[4]!, false)).toEqual([false, true, false, true]);
});

test('who waits for the policy of a pod has it as soon as that pod is back in the place of another', async () => {
  place(slots[4]!, 'second');
  const known = world.dataplanes[1]!.known('shop/server', AbortSignal.timeout(5_000));
  place(slots[3]!, 'first');
  await known;
});

test('where either does not say which pod it is, the name counts', async () => {
  place(slots[4]!, undefined);
  await world.applied();
  expect(await arrivals(slots[4]!, true)).toEqual(all(true));
  place(slots[4]!, 'second');
  await world.applied();
  await said(objects('', slots[4]!, 'open'));
  expect(await arrivals(slots[4]!, true)).toEqual(all(true));
});

test('the kernel has the same as one that never knew the pod before', async () => {
  const listed = (): string =>
    world.fabric.nodes[1]!.netns.exec('nft', ['-s', 'list', 'table', 'inet', 'margay']);
  place(slots[4]!, 'second');
  await said(objects('second', slots[4]!, 'open'));
  const there = listed();
  world.dataplanes[1]!.removeEndpoint('shop/server');
  await world.applied();
  place(slots[4]!, 'second');
  await world.applied();
  expect(listed()).toBe(there);
});
