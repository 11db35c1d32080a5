import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

/** What came of one test, or of a suite or file that failed outside its tests. */
export interface Outcome {
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped, as given to `ctx.skip(reason)`. */
  readonly reason?: string | undefined;
}

/** Totals of a run, and what a person has to be told about its skipped tests. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The reasons, each with the names of the tests it kept from running. */
  readonly reasons: ReadonlyMap<string, readonly string[]>;
  /** Tests that were skipped without a reason. They count as failed. */
  readonly silent: readonly string[];
}

/** Counts outcomes; a skip without a reason counts as a failure. */
export function summarize(outcomes: readonly Outcome[]): Summary {
  const reasons = new Map<string, string[]>();
  const silent: string[] = [];
  for (const { name, state, reason } of outcomes) {
    if (state !== 'skipped') continue;
    if (reason === undefined || reason.trim() === '') silent.push(name);
    else reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  }
  const count = (state: Outcome['state']) => outcomes.filter((outcome) => outcome.state === state).length;
  return {
    passed: count('passed'),
    failed: count('failed') + silent.length,
    skipped: count('skipped') - silent.length,
    reasons,
    silent,
  };
}

/** The line that ends a run of `.ci/run`. */
export function totals(summary: Summary): string {
  return `${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`;
}

/**
 * Vitest reporter beside the default one: lists the reasons of skipped tests, and fails the run when a test is
 * skipped without one. Writes the totals to the file named by `resultsFile`, for `.ci/run`.
 */
export class OutcomeReporter implements Reporter {
  readonly #resultsFile: string | undefined;
  #vitest: Vitest | undefined;

  constructor(resultsFile: string | undefined) {
    this.#resultsFile = resultsFile;
  }

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    // A run of selected tests skips all others, which needs no reason.
    const selected =
      this.#vitest?.config.testNamePattern !== undefined ||
      modules.some((module) => [...module.children.allTests()].some((test) => test.options.mode === 'only'));
    const summary = summarize([
      ...modules.flatMap((module) => outcomesOf(module, selected)),
      ...unhandledErrors.map((): Outcome => ({ name: 'an error outside all tests', state: 'failed' })),
    ]);
    for (const [reason, names] of summary.reasons) {
      if (selected && reason === NOT_SELECTED) continue;
      console.log(`\n skipped: ${reason}${names.map((name) => `\n   ${name}`).join('')}`);
    }
    if (summary.silent.length > 0) {
      process.exitCode = 1;
      console.log('\n FAILED: skipped without a reason (use requires() or ctx.skip(reason)):');
      console.log(summary.silent.map((name) => `   ${name}`).join('\n'));
    }
    if (this.#resultsFile !== undefined) writeFileSync(this.#resultsFile, `${totals(summary)}\n`);
  }
}

const NOT_SELECTED = 'not selected for this run';

function outcomesOf(module: TestModule, selected: boolean): Outcome[] {
  const outcomes: Outcome[] = [];
  for (const suite of [module, ...module.children.allSuites()]) {
    if (suite.errors().length > 0) outcomes.push({ name: nameOf(suite), state: 'failed' });
  }
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed' || result.state === 'failed') {
      outcomes.push({ name: nameOf(test), state: result.state });
    } else if (result.state === 'pending') {
      outcomes.push({ name: `${nameOf(test)} (did not finish)`, state: 'failed' });
    } else {
      const fallback = hasFailedSuite(test) ? 'its suite failed' : selected ? NOT_SELECTED : undefined;
      outcomes.push({ name: nameOf(test), state: 'skipped', reason: result.note ?? fallback });
    }
  }
  return outcomes;
}

/** A suite whose beforeAll fails leaves its tests skipped; the failure is counted at the suite. */
function hasFailedSuite(test: TestCase): boolean {
  for (let at: TestSuite | TestModule = test.parent; ; at = at.parent) {
    if (at.errors().length > 0) return true;
    if (at.type === 'module') return false;
  }
}

function nameOf(task: TestCase | TestSuite | TestModule): string {
  return task.type === 'module'
    ? task.relativeModuleId
    : `${task.module.relativeModuleId} > ${task.fullName}`;
}
