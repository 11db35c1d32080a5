/**
 * What is said to somebody whose command line is not right: one line, with what to do.
 */

import { expect, test } from 'vitest';
import { EXIT, run } from '#cli/program.ts';

async function said(...argv: string[]): Promise<string> {
  let text = '';
  const terminal = {
    columns: undefined,
    colour: false,
    write: (more: string) => {
      text += more;
    },
    ready: () => Promise.resolve(),
  };
  const signal = new AbortController().signal;
  expect(await run(argv, { out: terminal, error: terminal, now: () => 0, signal })).toBe(EXIT.usage);
  return text;
}

test.each([
  ['statsu', 'margay: unknown command statsu, expected one of status, bgp, .* \\(did you mean status\\?\\)'],
  [
    'bgp neighbours',
    'margay bgp: unknown command neighbours, expected one of .* \\(did you mean neighbors\\?\\)',
  ],
  ['felix pods', 'margay felix: unknown command pods, expected one of status, endpoints'],
  ['policy nothing', 'margay policy: unknown command nothing, expected one of status, explain, .*'],
  ['ipam x', 'margay ipam: unknown command x, expected one of show, check, release'],
  [
    'lab reach --wach',
    "unknown option '--wach' \\(Did you mean --watch\\?\\) \\(margay lab reach --help says more\\)",
  ],
  ['policy explain a b', "missing required argument 'port' \\(margay policy explain --help says more\\)"],
  [
    'lab apply',
    "required option '-f, --filename <file>' not specified \\(margay lab apply --help says more\\)",
  ],
  ['lab up --nodes 0', '.* Expected a whole number from 1 to 50 \\(margay lab up --help says more\\)'],
  ['version x', "too many arguments for 'version'\\. .* \\(margay version --help says more\\)"],
  ['bgp rib --longer', 'margay bgp rib: --longer goes with a prefix'],
  ['policy objects --kind Pot', '--kind: found Pot, expected some of .*Pod.*'],
  ['bgp', 'margay bgp: give --config FILE to run the speaker, or a command \\(see --help\\)'],
])('margay %s', async (line, expected) => {
  expect(await said(...line.split(' '))).toMatch(new RegExp(`^error: ${expected}\n$`));
});
