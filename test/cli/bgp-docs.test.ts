import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bgpCommand } from '#cli/bgp.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/bgp-operate.md'), 'utf8');

const nowhere = { write: () => {}, ready: () => Promise.resolve(), columns: undefined, colour: false };
const bgp = bgpCommand({
  out: nowhere,
  error: nowhere,
  now: () => 0,
  signal: new AbortController().signal,
});

test('the page on operating the speaker names every command, and none that is not there', () => {
  const named = new Set([...PAGE.matchAll(/margay bgp (\w+)/g)].map(([, name]) => name));
  expect([...named].sort()).toEqual(bgp.commands.map((each) => each.name()).sort());
});

test('every option on that page is one of its command', () => {
  const uses = [...PAGE.matchAll(/margay bgp (\w+)([^`\n]*)/g)].flatMap(([, name, rest]) =>
    [...rest!.matchAll(/(?:^|[ [|\\])(--?[a-z0-9][a-z-]*)/g)].map(([, option]) => [name!, option!] as const),
  );
  expect(uses.length).toBeGreaterThan(10);
  for (const [name, option] of uses) {
    const command = bgp.commands.find((each) => each.name() === name)!;
    const known = command.options.flatMap(({ short, long }) => [short, long]);
    expect(known, `margay bgp ${name} ${option}`).toContain(option);
  }
});
