import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Resource } from '#datastore/resource.ts';
import { isolate, pod } from './objects.ts';
import { Sender, type Stream } from './sender.ts';
import { World } from './world.ts';

/*
 * While a transaction is on its way, a look-up among intervals may miss one that is there before and afterwards, where others beside
 * it come or go (nft_set_rbtree.c, until 2026). What is in force is not changed for that, but replaced.
 */

let world: World;
let sender: Sender;
beforeAll(() => {
  world = new World();
  sender = new Sender();
}, 60_000);
afterAll(() => {
  sender[Symbol.dispose]();
  world[Symbol.dispose]();
});

const ADDRESSES = 300;

test('a peer that a block allows passes while blocks beside it come and go', async () => {
  const [, , , server] = world.fabric.slots;
  const { outside } = world.fabric;
  /** One port for the peer, and for others another, of which there are many, and other ones each time. */
  const policy = (round: number): NetworkPolicy => ({
    ...isolate('server'),
    ingress: [
      {
        peers: ['10.0.0.8/29', 'fd00::8/125'].map((cidr) => ({ kind: 'block', cidr, except: [] })),
        ports: [{ protocol: 'UDP', port: 5000, endPort: undefined }],
      },
      {
        peers: Array.from({ length: ADDRESSES }, (_, i) => (i * 7 + round * 3) % (2 * ADDRESSES)).flatMap(
          (n) => {
            const [high, low] = [n >> 7, (n & 127) * 2];
            const four = n % 2 === 0 ? `9.255.${high}.${low}/32` : `10.0.${1 + high}.${low}/32`;
            return [four, `fd00::1:${n.toString(16)}0/128`].map(
              (cidr) => ({ kind: 'block', cidr, except: [] }) as const,
            );
          },
        ),
        ports: [{ protocol: 'UDP', port: 6000, endPort: undefined }],
      },
    ],
  });
  const objects = (round: number): Resource[] => [pod('server', server!, { app: 'server' }), policy(round)];
  await world.become(objects(0), new Map([['shop/server', server!]]));
  const streams = [0, 1].map(
    (family): Stream => ({
      from: outside.netns.path,
      to: server!.netns.path,
      source: outside.addresses[family]!,
      destination: server!.addresses[family]!,
      protocol: 'UDP',
      port: 5000,
      expected: true,
    }),
  );
  for (let round = 1; round <= 40; round++) {
    await sender.begin(streams);
    const t0 = performance.now();
    await world.become(objects(round), world.placed);
    console.log(round, performance.now() - t0);
    const counts = await sender.end();
    world.forgetFlows();
    expect(counts.map(({ sent, arrived }) => ({ round, lost: sent - arrived }))).toEqual(
      counts.map(() => ({ round, lost: 0 })),
    );
  }
}, 120_000);
