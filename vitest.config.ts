import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { OutcomeReporter } from './test/helpers/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for daemons and timers rather than compute.
    maxWorkers: Math.max(3, availableParallelism()),
    testTimeout: 90_000,
    hookTimeout: 120_000,
    reporters: ['default', new OutcomeReporter(process.env.MARGAY_TEST_RESULTS)],
  },
});
