/**
 * Completion in the shells themselves.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bashCompletion } from '#cli/completion/bash.ts';
import { describeTree } from '#cli/completion/tree.ts';
import { zshCompletion } from '#cli/completion/zsh.ts';
import { buildProgram } from '#cli/program.ts';
import { runCommandSync } from '#lab/command.ts';
import { requires } from '#test/helpers/requires.ts';

const silent = { columns: 100, colour: false, write: () => {}, ready: () => Promise.resolve() };
const places = describeTree(
  buildProgram({ out: silent, error: silent, now: () => 0, signal: new AbortController().signal }),
);

/** A line up to the cursor, and some of what is offered there, or all of it. */
const CASES: readonly { line: string; some?: readonly string[]; all?: readonly string[]; none?: string }[] = [
  { line: 'margay ', some: ['bgp', 'policy', 'felix', 'lab', 'status', 'completion'], none: '--version' },
  { line: 'margay b', all: ['bgp'] },
  { line: 'margay bgp nei', all: ['neighbor', 'neighbors'] },
  { line: 'margay bgp --', some: ['--config', '--socket', '--help', '--version'] },
  { line: 'margay bgp --socket /x rib --ou', all: ['--out', '--output'] },
  { line: 'margay bgp rib -o ', all: ['json', 'table', 'yaml'] },
  { line: 'margay lab up --tor ', all: ['bird', 'frr', 'gobgpd', 'margay'] },
  { line: 'margay lab up --nodes ', all: [] },
  { line: 'margay completion ', all: ['bash', 'zsh'] },
  { line: 'margay lab exec ', all: ['n1', 'n2', 'shop/a.b', 'shop/api-1', 'tor'] },
  { line: 'margay lab exec shop/ap', all: ['shop/api-1'] },
  { line: 'margay lab link down ', some: ['n1', 'n2'], none: 'shop/api-1' },
  { line: 'margay lab kill n1 f', all: ['felix'] },
  { line: 'margay lab add-pod x --node ', all: ['n1', 'n2', 'tor'] },
  { line: 'margay policy compile --node ', all: [] },
  { line: 'margay lab apply -f ', some: ['a-file.yaml', 'it is here'] },
];

describe('completion', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'margay-completion-'));
    writeFileSync(join(folder, 'a-file.yaml'), '');
    writeFileSync(join(folder, 'it is here'), '');
    mkdirSync(join(folder, 'netns'));
    for (const name of [
      'lab.tor',
      'lab.n1',
      'lab.n2',
      'lab.pod.shop.api-1',
      'lab.pod.shop.a.b',
      'test-7-7-1',
    ])
      writeFileSync(join(folder, 'netns', `margay-${name}`), '');
    writeFileSync(join(folder, 'margay.bash'), bashCompletion(places, join(folder, 'netns')));
    writeFileSync(join(folder, '_margay'), zshCompletion(places, join(folder, 'netns')));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const { line, some = [], all, none } of CASES) {
    const judge = (offered: readonly string[]): void => {
      const sorted = [...new Set(offered)].sort();
      if (all !== undefined) expect(sorted).toEqual(all);
      for (const word of some) expect(sorted).toContain(word);
      if (none !== undefined) expect(sorted).not.toContain(none);
    };

    test(`in bash, of "${line}"`, () => {
      const script = `
        source ./margay.bash
        COMP_LINE=$1 COMP_POINT=\${#1}
        read -ra COMP_WORDS <<< "$1"
        [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
        _margay
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const said = runCommandSync('bash', ['--norc', '-c', script, 'bash', line], { cwd: folder });
      judge(said.split('\n').filter(Boolean));
    });

    test(`in zsh, of "${line}"`, (ctx) => {
      requires(ctx, 'tool:zsh');
      const script = `
        # What zsh's own functions would show, a word a line.
        _describe() { local each; for each in \${(P)@[-1]}; do [[ $each == \${words[CURRENT]}* ]] && print -r -- \${each%%:*}; done }
        compadd() { shift; local each; for each; do [[ $each == \${words[CURRENT]}* ]] && print -r -- $each; done }
        _files() { print -rl -- * }
        _normal() { }
        words=(\${=1}); [[ $1 == *' ' ]] && words+=('')
        CURRENT=$#words
        source ./_margay 2> /dev/null
        _margay
        true`;
      const said = runCommandSync('zsh', ['-f', '-c', script, 'zsh', line], { cwd: folder });
      judge(said.split('\n').filter(Boolean));
    });
  }

  test('is found by zsh in a folder of $fpath', (ctx) => {
    requires(ctx, 'tool:zsh');
    const script = 'fpath=($1 $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[margay]';
    expect(runCommandSync('zsh', ['-f', '-c', script, 'zsh', folder])).toBe('_margay\n');
  });

  test('is registered with bash', () => {
    const script = 'source ./margay.bash; complete -p margay';
    expect(runCommandSync('bash', ['--norc', '-c', script], { cwd: folder })).toBe(
      'complete -F _margay margay\n',
    );
  });
});
