import type { Nftables } from '#kernel/nftables/connection.ts';
import type { Table, TableRef } from '#kernel/nftables/model.ts';
import type { Operation, Transaction } from '#kernel/nftables/operation.ts';

/*
 * A table that can not be changed into what should be there (another version made it) is replaced as a whole. When the kernel
 * takes a table out, a packet that is under way in its chains does not find its elements any more, and is dropped. So no packet is
 * let into a table that goes: a bridge, which is the new table by another name, is in force before the old one's hooks are taken
 * out, and until the new one has its own. At no moment is there less than one table in force.
 *
 * A process that dies meanwhile leaves a bridge. It says what was to be, so it stays until its successor's table is in force.
 */

/** Two, so that there is one to be had beside one that was left. */
const BRIDGES = ['-bridge-1', '-bridge-2'];
/** Until no packet is in a chain that has no hook any more, in ms; a packet takes microseconds. */
const UNDER_WAY = 20;

type Kernel = Pick<Nftables, 'commit' | 'dump' | 'tables'>;

/**
 * Replaces a table.
 *
 * @param transaction deletes it and makes it anew
 * @param hooks the chains of the old one by which packets come in
 * @throws TransactionError, NetlinkError; then the old table is in force, or a bridge, or both
 */
export function replaceTable(
  kernel: Kernel,
  table: Table,
  transaction: Transaction,
  hooks: readonly string[],
): void {
  const taken = namesOf(kernel, table);
  const bridge = BRIDGES.map((end) => table.name + end).find((name) => !taken.has(name));
  if (bridge !== undefined && hooks.length > 0) {
    kernel.commit(renamed(transaction, bridge));
    kernel.commit(withoutHooks(table, hooks));
    letPass();
  }
  kernel.commit(transaction);
}

/** The bridge that is left of a replacement that was not finished, the newest if there are more. */
export function newestBridge(kernel: Pick<Kernel, 'tables'>, table: Table): TableRef | undefined {
  const there = namesOf(kernel, table);
  const name = BRIDGES.map((end) => table.name + end).findLast((each) => there.has(each));
  return name === undefined ? undefined : { family: table.family, name };
}

/** Takes away the bridges that there are. To be called when the table itself is in force. */
export function removeBridges(kernel: Kernel, table: Table): void {
  const there = namesOf(kernel, table);
  for (const end of BRIDGES) {
    const bridge: TableRef = { family: table.family, name: table.name + end };
    if (!there.has(bridge.name)) continue;
    const hooks = kernel.dump(bridge)?.chains.flatMap(({ chain }) => (chain.base ? [chain.name] : [])) ?? [];
    if (hooks.length > 0) {
      kernel.commit(withoutHooks(bridge, hooks));
      letPass();
    }
    kernel.commit([{ op: 'delete table', table: bridge }]);
  }
}

function namesOf(kernel: Pick<Kernel, 'tables'>, { family }: TableRef): Set<string> {
  return new Set(kernel.tables().flatMap((table) => (table.family === family ? [table.name] : [])));
}

function renamed(transaction: Transaction, name: string): Transaction {
  return transaction
    .filter(({ op }) => op !== 'delete table')
    .map((operation) => ({ ...operation, table: { ...operation.table, name } }) as Operation);
}

function withoutHooks(table: TableRef, hooks: readonly string[]): Transaction {
  return [
    ...hooks.map((chain): Operation => ({ op: 'flush chain', table, chain })),
    ...hooks.map((chain): Operation => ({ op: 'delete chain', table, chain })),
  ];
}

function letPass(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, UNDER_WAY);
}
