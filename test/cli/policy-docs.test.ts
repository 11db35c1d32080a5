import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CommandError, runCommand } from '#test/helpers/command.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

const ROOT = join(import.meta.dirname, '../..');

interface Example {
  readonly command: string;
  /** What is printed; of one that ends with `...`, the beginning. */
  readonly output: string;
}

/** The examples of a page: blocks of `console`, in which a command stands behind `$ ` and its output below. */
function examplesOf(page: string): Example[] {
  const blocks = [...page.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) => block!);
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const end = text.indexOf('\n');
        return { command: text.slice(0, end), output: text.slice(end + 1) };
      }),
  );
}

const examples = examplesOf(readFileSync(join(ROOT, 'docs/policy.md'), 'utf8'));

test('the page has examples', () => {
  expect(examples.length).toBeGreaterThan(7);
});

test.concurrent.each(examples)(
  'docs/policy.md: $command',
  async ({ command, output }) => {
    const bin = newTempFolder();
    writeFileSync(
      join(bin, 'margay'),
      `#!/bin/sh\nexec ${process.execPath} ${join(ROOT, 'cli/main.ts')} "$@" 2>&1\n`,
    );
    chmodSync(join(bin, 'margay'), 0o755);
    const script = `cd ${join(ROOT, 'docs/examples/policy')} && PATH=${bin}:$PATH && ${command}`;
    const printed = await runCommand('sh', ['-c', script]).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      return error.stdout;
    });
    if (output.endsWith('...\n')) expect(printed.slice(0, output.length - 4)).toBe(output.slice(0, -4));
    else expect(printed).toBe(output);
  },
  120_000,
);
