import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { formatRule } from '#kernel/nftables/format-rule.ts';
import { ruleIdentity } from '#kernel/nftables/identity.ts';
import type { Rule } from '#kernel/nftables/model.ts';
import { otherNft, run, type Seen, supported, words } from './golden.ts';
import { groups, type Row, ruleOf } from './rows.ts';

/*
 * Every expression against nft itself. One row is one rule in nft's language and the same from our builder (rows.ts).
 * What nft sends is what we send; what nft put into the kernel we read and print as libnftnl does; what we put into
 * the kernel nft prints as it prints its own.
 */

const reason = otherNft();

for (const whole of groups) {
  describe(whole.name, () => {
    let seen: Seen;
    let rules: readonly Rule[];
    let refused: ReadonlyMap<string, string>;
    let indexOf: (row: Row) => number;
    beforeAll(() => {
      const { group, ...rest } = supported(whole);
      rules = group.rows.map((row) => ruleOf(group, row));
      seen = run(group, rules);
      refused = rest.refused;
      indexOf = (row) => group.rows.indexOf(row);
    });
    beforeEach((ctx) => {
      if (reason !== undefined) ctx.skip(reason);
    });

    describe.each(whole.rows.map((row) => [row.nft, row] as const))('%s', (_nft, row) => {
      let i: number;
      beforeEach((ctx) => {
        const refusal = refused.get(row.nft);
        if (refusal !== undefined) ctx.skip(`this kernel refuses it: ${refusal}`);
        i = indexOf(row);
      });
      test('is sent as nft sends it', () => {
        if (row.differs === undefined) expect(seen.own[i]).toEqual(seen.theirs[i]);
        else expect(seen.own[i], 'the row says that it differs').not.toEqual(seen.theirs[i]);
      });
      test('is read as libnftnl reads it', () => {
        expect(words(seen.read[i]!)).toEqual(seen.printed[i]);
      });
      test('reads back as it was sent', () => {
        expect(seen.ours[i]).toEqual(rules[i]);
        expect(words(seen.ours[i]!)).toEqual(seen.oursPrinted[i]);
        expect(ruleIdentity(seen.read[i]!)).toBe(ruleIdentity(rules[i]!));
      });
      test('is printed by nft as a person would have written it', () => {
        expect(seen.listed[i]).toBe(row.prints ?? row.nft);
        expect(seen.oursListed[i]).toBe(seen.listed[i]);
      });
      test('is printed by us alike', () => {
        const expected = row.ours ?? row.prints ?? row.nft;
        expect(formatRule(whole.family, rules[i]!)).toBe(expected);
        expect(formatRule(whole.family, seen.read[i]!)).toBe(expected);
      });
    });

    test('no two rules are taken for the same', () => {
      expect(new Set(rules.map(ruleIdentity)).size).toBe(rules.length);
    });

    test('nft prints the ruleset as JSON, and loads again what it prints', () => {
      expect(seen.json.filter((item) => Object.hasOwn(item as object, 'rule'))).toHaveLength(rules.length);
      expect(seen.reloaded).toBe(seen.ruleset);
    });
  });
}
