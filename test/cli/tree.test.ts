/**
 * What holds for every command, whoever adds it.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { buildProgram } from '#cli/program.ts';
import { renderReference } from '#cli/reference/commands.ts';

const REFERENCE = fileURLToPath(new URL('../../docs/cli.md', import.meta.url));

let written = '';
const page = {
  columns: 100,
  colour: false,
  write: (text: string) => {
    written += text;
  },
  ready: () => Promise.resolve(),
};
const program = buildProgram({ out: page, error: page, now: () => 0, signal: new AbortController().signal });

function all(command: Command, above: readonly string[] = []): { path: string; command: Command }[] {
  const path = [...above, command.name()];
  return [
    { path: path.join(' '), command },
    ...command.commands.flatMap((below) => all(below as Command, path)),
  ];
}

describe('every command', () => {
  for (const { path, command } of all(program)) {
    test(`${path} says what it does, and has an example`, () => {
      written = '';
      command.outputHelp();
      expect(command.description()).toMatch(/^[A-Z].*\.$/s);
      expect(written).toMatch(/^Examples?:\n {2}/m);
      expect(written).toContain(`\n  ${path.split(' ').slice(0, 2).join(' ')}`);
    });
  }

  test('stands in docs/cli.md with all its options and arguments; `npm run docs` writes that page', () => {
    expect(outline(readFileSync(REFERENCE, 'utf8'))).toEqual(outline(renderReference()));
  });
});

/** For each command of the page its usage and options, whatever words explain them. */
function outline(text: string): Record<string, string[]> {
  const sections = text.split(/^## (?=margay)/m).slice(1);
  return Object.fromEntries(
    sections.map((section) => {
      const lines = section.split('\n');
      const terms = lines.flatMap((line) => /^Usage: .*|^ {2}(-\S+(?:, --\S+)?)/.exec(line)?.[0] ?? []);
      return [lines[0]!, terms];
    }),
  );
}
