import type { TableDump } from '#kernel/nftables/dump.ts';
import type { Table } from '#kernel/nftables/model.ts';
import { DesiredTable } from './desired.ts';

/**
 * What an agent found when it came, as what is wanted: until the programs are known, it stays in force, and goes back into force
 * when others damage it. Pure.
 *
 * @param table by the name that it is to have
 * @returns undefined for a table with something in it that can not be made again
 */
export function keptTable(dump: TableDump, table: Table): DesiredTable | undefined {
  if (dump.objects.length > 0 || dump.unknown.length > 0) return undefined;
  const desired = new DesiredTable({ ...dump.table, name: table.name });
  for (const { set, elements } of dump.sets) {
    desired.keepSet(set);
    for (const element of elements) desired.put(set, element);
  }
  for (const { chain, rules } of dump.chains)
    desired.setChain({ chain, rules: rules.map(({ rule }) => rule) });
  return desired;
}
