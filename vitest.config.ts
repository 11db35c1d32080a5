import { defineConfig } from 'vitest/config';
import { OutcomeReporter } from './test/helpers/reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default', new OutcomeReporter(process.env.MARGAY_TEST_RESULTS)],
  },
});
