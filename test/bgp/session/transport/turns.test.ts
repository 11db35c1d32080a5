import { expect, it } from 'vitest';
import { type Task, Turns } from '#bgp/session/transport/turns.ts';

/** A clock that only moves when a task works, and an event loop that goes round when it is told to. */
function loop() {
  const state = { time: 0, deferred: [] as (() => void)[], log: [] as string[] };
  const turns = new Turns({ now: () => state.time, defer: (run) => state.deferred.push(run) });
  /** A task of so many steps, each of which takes so long. */
  const task = (name: string, steps: number, ms: number): Task => ({
    run: (until) => {
      while (steps > 0) {
        state.time += ms;
        state.log.push(name);
        steps--;
        if (state.time >= until) break;
      }
      return steps > 0;
    },
  });
  const goRound = () => {
    const [run] = state.deferred.splice(0, 1);
    run?.();
    return run !== undefined;
  };
  return { state, turns, task, goRound };
}

it('a task with a long burst leaves the others their turn after a piece', () => {
  const { state, turns, task, goRound } = loop();
  turns.add(task('long', 100, 0.5));
  turns.add(task('short', 1, 0.1));
  goRound();
  expect(state.log.indexOf('short')).toBe(2); // a piece is 1 ms
});

it('all tasks together leave the event loop its turn after a few milliseconds', () => {
  const { state, turns, task, goRound } = loop();
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) turns.add(task(name, 4, 1));
  const rounds: number[] = [];
  for (let before = 0; goRound(); before = state.time) rounds.push(state.time - before);
  expect(Math.max(...rounds)).toBeLessThanOrEqual(6);
  expect(state.log).toHaveLength(32);
  // Nobody has a second turn before everybody had a first.
  expect(new Set(state.log.slice(0, 8)).size).toBe(8);
});

it('a task is not queued twice, and may be added again while it works', () => {
  const { state, turns, goRound } = loop();
  let runs = 0;
  const self: Task = {
    run: () => {
      runs++;
      if (runs === 1) turns.add(self);
      return false;
    },
  };
  turns.add(self);
  turns.add(self);
  while (goRound());
  expect(runs).toBe(2);
  expect(state.deferred).toEqual([]);
});

it('a task that throws does not cost the others their turn', () => {
  const { state, turns, task, goRound } = loop();
  turns.add({
    run: () => {
      throw new Error('broken');
    },
  });
  turns.add(task('other', 1, 1));
  expect(() => goRound()).toThrow('broken');
  while (goRound());
  expect(state.log).toEqual(['other']);
});
