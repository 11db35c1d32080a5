import { expect, test } from 'vitest';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { World } from './world.ts';

/** What `tc` shows of an interface. */
const tc = (world: World, ...args: string[]) => JSON.parse(world.netns.exec('tc', ['-j', ...args]));

test('a limit is there as tc shows it, can be replaced, reads back and goes', () => {
  using world = new World();
  world.type('link add w0 up type veth peer name w1');
  const link = world.rt.links.indexOf('w0');
  world.rt.queueing.limit(link, { rate: 1_250_000, burst: 100_000, limit: 200_000 });
  expect(tc(world, 'qdisc', 'show', 'dev', 'w0')).toMatchObject([
    {
      kind: 'tbf',
      handle: '1:',
      root: true,
      options: { rate: 1_250_000, burst: expect.closeTo(100_000, -3) },
    },
  ]);
  world.rt.queueing.limit(link, { rate: 2_500_000, burst: 100_000, limit: 200_000 });
  expect(world.rt.queueing.list(link)).toEqual([
    {
      link,
      kind: 'tbf',
      handle: 1,
      place: 'root',
      tokenBucket: { rate: 2_500_000, burst: expect.closeTo(100_000, -3), limit: 200_000 },
    },
  ]);
  expect(world.rt.queueing.remove(link, 'root')).toBe(true);
  expect(world.rt.queueing.remove(link, 'root')).toBe(false);
  expect(world.rt.queueing.list(link)).toMatchObject([{ kind: 'noqueue' }]);
});

test('a rate of more than 32 bits is kept', () => {
  using world = new World();
  world.type('link add w0 up type veth peer name w1');
  const link = world.rt.links.indexOf('w0');
  world.rt.queueing.limit(link, { rate: 12_500_000_000, burst: 4_000_000, limit: 8_000_000 });
  expect(tc(world, 'qdisc', 'show', 'dev', 'w0')).toMatchObject([{ options: { rate: 12_500_000_000 } }]);
  expect(world.rt.queueing.list(link)).toMatchObject([{ tokenBucket: { rate: 12_500_000_000 } }]);
});

test('what comes in is redirected, and not any more once that is removed', () => {
  using world = new World();
  world.type('link add w0 up type veth peer name w1');
  world.rt.links.create({ kind: 'ifb', name: 'i0', up: true });
  const [link, ifb] = [world.rt.links.indexOf('w0'), world.rt.links.indexOf('i0')];
  expect(world.rt.queueing.redirections(link)).toEqual([]);
  world.rt.queueing.redirectIncoming(link, ifb);
  expect(world.rt.queueing.redirections(link)).toEqual([ifb]);
  expect(world.netns.exec('tc', ['filter', 'show', 'dev', 'w0', 'ingress'])).toMatch(
    /match 00000000\/00000000 at 0[\s\S]*mirred \(Egress Redirect to device i0\)/,
  );
  world.type('address add 192.0.2.1/24 dev w0');
  world.type('link set w1 up');
  expect(world.rt.queueing.list(link)).toMatchObject([
    { kind: 'noqueue', place: 'root' },
    { kind: 'ingress', place: 'ingress' },
  ]);
  expect(world.rt.queueing.remove(link, 'ingress')).toBe(true);
  expect(world.rt.queueing.remove(link, 'ingress')).toBe(false);
  expect(world.rt.queueing.redirections(link)).toEqual([]);
  expect(world.netns.exec('tc', ['filter', 'show', 'dev', 'w0', 'ingress']).trim()).toBe('');
});

test.each([
  [{ rate: 0, burst: 1, limit: 1 }, 'rate'],
  [{ rate: 1, burst: 2 ** 32, limit: 1 }, 'burst'],
  [{ rate: 1, burst: 2, limit: 1 }, 'limit'],
])('a limit that can not be is refused: %o', (bucket, field) => {
  using world = new World();
  expect(() => world.rt.queueing.limit(1, bucket)).toThrow(ValueError);
  expect(() => world.rt.queueing.limit(1, bucket)).toThrow(field);
});
