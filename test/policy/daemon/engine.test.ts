import { expect, test } from 'vitest';
import type { Problem } from '#datastore/problem.ts';
import type { Source, Update } from '#datastore/source.ts';
import { Engine } from '#policy/daemon/engine.ts';
import { resourcesOf } from '../clusters.ts';
import { pod, policy } from './objects.ts';

/** An engine on updates that the test gives, and what it logs. */
function engineOn(...updates: Update[]) {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (...[fields, text]: [unknown, string?]) =>
      void lines.push(`${level} ${text ?? fields}`);
  const log = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
  } as never;
  const source: Source = {
    async *watch(signal) {
      yield* updates;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  return { engine: new Engine({ source, log, date: () => 5_000 }), lines };
}

function problem(text: string, severity: Problem['severity'] = 'error'): Problem {
  return {
    severity,
    object: '',
    file: text,
    document: 0,
    line: 0,
    column: 0,
    path: '',
    found: 'a',
    expected: 'b',
  };
}

const snapshot: Update = {
  type: 'snapshot',
  resources: resourcesOf([pod('near', 'n1', '10.0.0.1'), policy('web')]),
  problems: [],
};

async function run(engine: Engine): Promise<void> {
  const stop = new AbortController();
  const running = engine.run(stop.signal);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  stop.abort();
  await running;
}

test('each problem is logged when it comes, and once; that they are gone is said', async () => {
  const { engine, lines } = engineOn(
    { type: 'trouble', problems: [problem('one')] },
    { ...snapshot, problems: [problem('one'), problem('two', 'warning')] },
    { type: 'changes', changes: [], problems: [problem('two', 'warning')] },
    { type: 'trouble', problems: [problem('two', 'warning')] },
  );
  await run(engine);
  expect(lines).toEqual([
    'error one: found a, expected b',
    'warn two: found a, expected b',
    'info all objects are known; nodes are told',
    'info problems with objects are gone',
    'debug objects changed',
  ]);
  expect(engine.problems).toEqual(['two: found a, expected b']);
  expect(engine.inSyncSince).toBe(5);
});

test('a flood of problems is no flood of lines', async () => {
  const problems = Array.from({ length: 5_000 }, (_, i) => problem(`file-${i}`));
  const { engine, lines } = engineOn({ ...snapshot, problems });
  await run(engine);
  expect(lines).toHaveLength(102);
  expect(lines[100]).toBe('error and more of the same; the status has them');
  expect(engine.problems).toHaveLength(5_000);
});

test('an engine whose compiler fails ends, rather than tell nodes what may be wrong', async () => {
  const { engine } = engineOn(snapshot);
  engine.compiler.open = () => {
    throw new TypeError('broken');
  };
  const stop = new AbortController();
  const running = engine.run(stop.signal);
  const read = engine.fanout.read({ node: 'n1', peer: '', signal: stop.signal, written: async () => {} });
  await expect(read.next()).rejects.toThrow('broken');
  await expect(running).rejects.toThrow('broken');

  const other = engineOn(snapshot, { type: 'changes', changes: [], problems: [] }).engine;
  other.compiler.flush = () => {
    throw new TypeError('broken too');
  };
  await expect(other.run(stop.signal)).rejects.toThrow('broken too');
});
