import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AddressKey, parseAddress } from '#datastore/address.ts';
import { NodeRuleset } from '#felix/dataplane/ruleset.ts';
import type { BlockRange } from '#felix/policy/program.ts';
import type { SetDefinition } from '#kernel/nftables/model.ts';

/*
 * While a transaction is on its way, a look-up among intervals may miss one that is there before and afterwards, where others beside
 * it come or go (nft_set_rbtree.c of Linux until 2026). A map of blocks that is in force is not changed for that, but replaced.
 */

const FIRST = parseAddress('10.0.0.0')!;
const address = (n: number): AddressKey =>
  (FIRST.slice(0, -1) + String.fromCharCode(FIRST.charCodeAt(FIRST.length - 1) + n)) as AddressKey;
const classes = ['a', 'b'].map((digit) => digit.repeat(32));

/** Ranges that are sorted and apart. */
const anyRanges = fc.uniqueArray(fc.nat(40), { maxLength: 12 }).chain((numbers) =>
  fc.array(fc.constantFrom(...classes), { minLength: 6, maxLength: 6 }).map((of): BlockRange[] => {
    const sorted = numbers.toSorted((a, b) => a - b);
    return sorted.flatMap((first, i) =>
      i % 2 === 0 && sorted[i + 1] !== undefined
        ? [{ first: address(first), last: address(sorted[i + 1]!), class: of[i / 2]! }]
        : [],
    );
  }),
);

test('a map of blocks that is in force is never changed, and is the same for the same blocks', () => {
  let replaced = 0;
  fc.assert(
    fc.property(fc.array(anyRanges, { minLength: 2, maxLength: 6 }), (history) => {
      const ruleset = new NodeRuleset();
      const { desired } = ruleset;
      desired.adopt(undefined);
      /** Sets of the kernel that something leads to. */
      const inForce = new Map<string, SetDefinition>();
      const send = (): void => {
        ruleset.prepare();
        for (;;) {
          const changes = desired.changes();
          const made = new Set(
            changes.transaction.flatMap((one) => (one.op === 'add set' ? [one.set.name] : [])),
          );
          for (const one of changes.transaction) {
            if (one.op !== 'add elements' && one.op !== 'delete elements') continue;
            if (one.set.interval)
              expect({ set: one.set.name, isNew: made.has(one.set.name) }).toEqual({
                set: one.set.name,
                isNew: true,
              });
          }
          for (const one of changes.transaction) {
            if (one.op === 'add set') inForce.set(one.set.name, one.set);
            if (one.op === 'delete set') inForce.delete(one.set);
          }
          changes.done();
          if (changes.transaction.length === 0) return;
        }
      };
      const maps = (): string[] =>
        [...inForce.values()].filter(({ interval }) => interval).map(({ name }) => name);
      for (const ranges of history) {
        const before = maps();
        ruleset.blocks('ingress', 4, ranges);
        send();
        if (before.length > 0 && maps().length > 0 && before[0] !== maps()[0]) replaced++;
        expect(maps().length).toBe(ranges.length > 0 ? 1 : 0);
      }
      const fresh = new NodeRuleset();
      fresh.blocks('ingress', 4, history.at(-1)!);
      fresh.prepare();
      ruleset.prepare();
      expect(fresh.desired.contents()).toEqual(ruleset.desired.contents());
    }),
  );
  expect(replaced).toBeGreaterThan(50);
});
