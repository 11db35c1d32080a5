import { formatTable } from '#kernel/nftables/format-transaction.ts';
import type { NodeRuleset } from './ruleset.ts';

/**
 * A node's ruleset as `nft -f` reads it: a table that takes the place of the one of its name, in one transaction. It is what
 * the driver puts into the kernel, and what `nft list table inet margay` shows of it.
 */
export function printRuleset(ruleset: NodeRuleset): string {
  ruleset.prepare();
  const { table } = ruleset.desired;
  const { chains, sets } = ruleset.desired.contents();
  const contents = {
    table,
    chains: chains.map(({ chain, rules }) => ({ chain, rules: rules.map((rule) => ({ rule })) })),
    sets,
    objects: [],
  };
  const name = `table ${table.family} ${table.name}`;
  return `${name} {}\ndelete ${name}\n${formatTable(contents, { elementLines: true })}`;
}
