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

  const has = (command: Command, flag: string): boolean => command.options.some(({ long }) => long === flag);
  const ends = all(program)
    .filter(({ command }) => command.commands.length === 0)
    .map(({ path, command }) => ({ path: path.replace('margay ', ''), command }));

  test('answers in JSON and YAML too, but for what is no answer of its own', () => {
    expect(ends.filter(({ command }) => !has(command, '--output')).map(({ path }) => path)).toEqual([
      'policy compile', // a ruleset, in the language of nft
      'lab up', // a tour, to be looked at
      'lab exec', // what the other command says
      'lab logs', // the lines of the log as they are
      'completion', // a script
    ]);
  });

  test('that shows how things are can go on showing it', () => {
    const shows = ends.filter(({ command }) => has(command, '--watch')).map(({ path }) => path);
    expect(shows).toEqual([
      'status',
      ...['status', 'neighbors', 'neighbor', 'rib', 'route'].map((name) => `bgp ${name}`),
      ...['status', 'explain'].map((name) => `policy ${name}`),
      ...['status', 'endpoints'].map((name) => `felix ${name}`),
      ...['show', 'check'].map((name) => `ipam ${name}`),
      'ready',
      ...['status', 'reach'].map((name) => `lab ${name}`),
    ]);
    // The rest does something, says something that does not change, or follows by itself.
    const others = ends.filter(({ path }) => !shows.includes(path)).map(({ path }) => path);
    expect(others).toEqual([
      ...['advertise', 'withdraw', 'reset', 'enable', 'disable', 'reload', 'events'].map(
        (name) => `bgp ${name}`,
      ),
      ...['diff', 'compile', 'objects'].map((name) => `policy ${name}`),
      'ipam release',
      ...['install', 'uninstall'].map((name) => `cni ${name}`),
      ...['up', 'down', 'apply', 'delete', 'add-pod', 'exec', 'link', 'kill', 'logs'].map(
        (name) => `lab ${name}`,
      ),
      'version',
      'completion',
    ]);
  });

  test('fits a narrow terminal with its help', () => {
    const narrow = { ...page, columns: 60 };
    const tree = buildProgram({
      out: narrow,
      error: narrow,
      now: () => 0,
      signal: new AbortController().signal,
    });
    for (const { path, command } of all(tree)) {
      written = '';
      command.outputHelp();
      for (const line of written.split('\n')) {
        // A command line stays whole, to be copied.
        if (!/^ {2,}margay /.test(line)) expect([...line].length, `${path}: ${line}`).toBeLessThanOrEqual(60);
      }
    }
  });

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
