import { expect, test } from 'vitest';
import { LogLimit } from '#daemon/log.ts';

test('of a flood of lines ten go through at once, and the first one after it says how many did not', () => {
  let now = 0;
  const limit = new LogLimit(() => now);
  const written: number[] = [];
  const line = (kind = 'flood'): void => limit.run(kind, (leftOut) => void written.push(leftOut));
  for (let i = 0; i < 1000; i++) line();
  expect(written).toEqual(Array(10).fill(0));
  line('another kind');
  expect(written).toHaveLength(11);
  now += 10_001;
  line();
  expect(written.at(-1)).toBe(990);
  line();
  expect(written.at(-1)).toBe(0);
});

test('memory stays bounded however many kinds there are', () => {
  const limit = new LogLimit(() => 0);
  let written = 0;
  for (let i = 0; i < 5000; i++) limit.run(`kind ${i}`, () => written++);
  expect(written).toBe(5000);
});
