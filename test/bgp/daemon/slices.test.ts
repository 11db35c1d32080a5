import { expect, test } from 'vitest';
import { Slices } from '#bgp/daemon/slices.ts';

/** A clock that a test moves on, and what was put off until the event loop has been round. */
function clock() {
  const deferred: (() => void)[] = [];
  const time = { ms: 0 };
  return { time, deferred, now: () => time.ms, defer: (run: () => void) => void deferred.push(run) };
}

test('a long burst gives way after a few milliseconds, and goes on after the event loop has been round', () => {
  const { time, deferred, ...of } = clock();
  let left = 100;
  const slices = new Slices(of, () => {
    time.ms += 0.5;
    return --left > 0;
  });
  slices.wake();
  slices.wake();
  expect(deferred).toHaveLength(1);
  let rounds = 0;
  for (let run = deferred.shift(); run !== undefined; run = deferred.shift()) {
    const start = time.ms;
    run();
    expect(time.ms - start).toBeLessThanOrEqual(5);
    rounds++;
  }
  expect(left).toBe(0);
  expect(rounds).toBeGreaterThan(9);
});

test('after the end nothing is done any more, not even what was put off', () => {
  const { deferred, time: _, ...of } = clock();
  let done = 0;
  const slices = new Slices(of, () => {
    done++;
    return false;
  });
  slices.wake();
  slices.stop();
  deferred[0]!();
  slices.wake();
  expect(done).toBe(0);
  expect(deferred).toHaveLength(1);
});
