import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newTempFolder } from './owner.ts';
import { summarize, totals } from './reporter.ts';

const root = join(import.meta.dirname, '../..');

test('counts, and takes a silent skip for a failure', () => {
  const summary = summarize([
    { name: 'a', state: 'passed' },
    { name: 'b', state: 'failed' },
    { name: 'c', state: 'skipped', reason: 'no gobgpd' },
    { name: 'd', state: 'skipped', reason: 'no gobgpd' },
    { name: 'e', state: 'skipped' },
    { name: 'f', state: 'skipped', reason: ' ' },
  ]);
  expect(totals(summary)).toBe('1 passed, 3 failed, 2 skipped');
  expect([...summary.reasons]).toEqual([['no gobgpd', ['c', 'd']]]);
  expect(summary.silent).toEqual(['e', 'f']);
});

describe('a run', () => {
  let folder: string;
  beforeAll(() => {
    folder = newTempFolder();
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(
      join(folder, 'vitest.config.ts'),
      `import { OutcomeReporter } from '${import.meta.dirname}/reporter.ts';
       export default { test: { include: ['tests/*.ts'], reporters: ['default', new OutcomeReporter('results')] } };`,
    );
  });
  beforeEach(() => rmSync(join(folder, 'tests'), { recursive: true, force: true }));

  /** Runs vitest over one file of tests, and returns how it ended and what the reporter wrote. */
  function run(source: string, ...args: string[]): { status: number | null; output: string; totals: string } {
    mkdirSync(join(folder, 'tests'));
    rmSync(join(folder, 'results'), { force: true });
    writeFileSync(
      join(folder, 'tests', 'a.ts'),
      `import { beforeAll, describe, expect, test } from 'vitest';\n${source}`,
    );
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const done = spawnSync(process.execPath, [vitest, 'run', ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', CI: 'true' },
    });
    return {
      status: done.status,
      output: done.stdout + done.stderr,
      totals: readFileSync(join(folder, 'results'), 'utf8'),
    };
  }

  test('with passing tests and a skip that gives its reason passes and shows the reason', () => {
    const done = run(`test('a', () => {}); test('b', (ctx) => ctx.skip('no gobgpd here'));`);
    expect(done).toMatchObject({ status: 0, totals: '1 passed, 0 failed, 1 skipped\n' });
    expect(done.output).toMatch(/skipped: no gobgpd here\n {3}tests\/a\.ts > b/);
  });

  for (const silent of [`test.skip('b', () => {});`, `test.todo('b');`, `test('b', (ctx) => ctx.skip());`]) {
    test(`with a silent skip fails: ${silent}`, () => {
      const done = run(`test('a', () => {}); ${silent}`);
      expect(done).toMatchObject({ status: 1, totals: '1 passed, 1 failed, 0 skipped\n' });
      expect(done.output).toMatch(/FAILED: skipped without a reason.*\n {3}tests\/a\.ts > b/);
    });
  }

  test('of tests selected by name needs no reason for the others', () => {
    const done = run(`test('a', () => {}); test('b', () => {});`, '-t', 'a');
    expect(done).toMatchObject({ status: 0, totals: '1 passed, 0 failed, 1 skipped\n' });
    expect(done.output).not.toContain('not selected');
  });

  test('counts a failed beforeAll once, and not its tests as silent', () => {
    const done = run(
      `describe('s', () => { beforeAll(() => { throw new Error('x'); }); test('a', () => {}); });`,
    );
    expect(done).toMatchObject({ status: 1, totals: '0 passed, 1 failed, 1 skipped\n' });
    expect(done.output).not.toContain('without a reason');
  });

  test('counts a file that can not be loaded, and an error outside all tests', () => {
    expect(run(`throw new Error('x');`)).toMatchObject({
      status: 1,
      totals: '0 passed, 1 failed, 0 skipped\n',
    });
    rmSync(join(folder, 'tests'), { recursive: true });
    const done = run(`test('a', () => { void Promise.reject(new Error('x')); });`);
    expect(done).toMatchObject({ status: 1, totals: '1 passed, 1 failed, 0 skipped\n' });
  });
});
