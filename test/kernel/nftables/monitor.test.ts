import { describe, expect, test } from 'vitest';
import type { Message } from '#kernel/netlink/socket.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { hexNumber } from '#kernel/nftables/hex.ts';
import type { SetDefinition, TableRef } from '#kernel/nftables/model.ts';
import {
  Gatherer,
  NftablesMonitor,
  type NftablesMonitorOptions,
  type RulesetChange,
} from '#kernel/nftables/monitor.ts';
import type { Transaction } from '#kernel/nftables/operation.ts';
import { encodeTransaction } from '#kernel/nftables/transaction.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { split } from './nft.ts';

const table: TableRef = { family: 'inet', name: 't' };
const hosts: SetDefinition = { name: 'hosts', key: ['ipv4_addr'] };
const keys = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: hexNumber(0x0a000000 + i, 4) }));

/** A monitor and a connection in a namespace of their own, and what the monitor told. */
async function watching(
  work: (w: {
    ns: Netns;
    nftables: Nftables;
    changes: RulesetChange[];
    overflows: () => number;
  }) => Promise<void>,
  options: (nftables: Nftables) => NftablesMonitorOptions = (nftables) => ({ own: nftables.port }),
): Promise<void> {
  using ns = createNetns();
  using namespace = NetworkNamespace.open(ns.path);
  using nftables = Nftables.open(namespace);
  const changes: RulesetChange[] = [];
  let overflows = 0;
  const errors: Error[] = [];
  const monitor = NftablesMonitor.open(
    { change: (c) => changes.push(c), overflow: () => overflows++, error: (e) => errors.push(e) },
    { namespace, ...options(nftables) },
  );
  try {
    await work({ ns, nftables, changes, overflows: () => overflows });
    expect(errors).toEqual([]);
  } finally {
    await monitor.closed();
  }
}

describe('a monitor', () => {
  test('tells each transaction once, with its generation, who made it and what it did', () =>
    watching(async ({ ns, nftables, changes }) => {
      const { generation, handles } = nftables.commit(
        [
          { op: 'add table', table },
          { op: 'add chain', table, chain: { name: 'c' } },
          { op: 'add set', table, set: hosts },
          { op: 'add elements', table, set: hosts, elements: keys(3) },
          {
            op: 'add rule',
            table,
            rule: { chain: 'c', expressions: [{ kind: 'counter', packets: 0, bytes: 0 }] },
          },
          { op: 'add object', table, object: { kind: 'counter', name: 'o', packets: 0, bytes: 0 } },
        ],
        { handles: true },
      );
      ns.exec('nft', ['delete', 'element', 'inet', 't', 'hosts', '{', '10.0.0.1', '}']);
      await waitFor(() => changes.length >= 2, { what: 'two changes' });
      expect(changes[0]).toEqual({
        generation,
        own: true,
        process: { id: expect.any(Number), name: expect.any(String) },
        events: [
          { kind: 'set', object: 'table', table },
          { kind: 'set', object: 'chain', table, name: 'c' },
          { kind: 'set', object: 'set', table, name: 'hosts' },
          { kind: 'set', object: 'elements', table, set: 'hosts', count: 3 },
          { kind: 'set', object: 'rule', table, chain: 'c', handle: handles.get(4) },
          { kind: 'set', object: 'object', table, name: 'o' },
        ],
      });
      expect(changes[1]).toEqual({
        generation: generation + 1,
        own: false,
        process: { id: expect.any(Number), name: 'nft' },
        events: [{ kind: 'removed', object: 'elements', table, set: 'hosts', count: 1 }],
      });
    }));

  test('tells own from foreign although two connections are in one process', () =>
    watching(async ({ ns, nftables, changes }) => {
      using namespace = NetworkNamespace.open(ns.path);
      using other = Nftables.open(namespace);
      nftables.commit([{ op: 'add table', table }]);
      other.commit([{ op: 'add chain', table, chain: { name: 'theirs' } }]);
      nftables.commit([{ op: 'add chain', table, chain: { name: 'ours' } }]);
      await waitFor(() => changes.length >= 3, { what: 'three changes' });
      expect(changes.map((c) => c.own)).toEqual([true, false, true]);
      expect(changes.map((c) => c.generation)).toEqual([2, 3, 4].map((n) => n - 2 + changes[0]!.generation));
    }));

  test('tells nothing of tables that are not watched, and nothing of a connection that it was told to pass over', () =>
    watching(
      async ({ ns, nftables, changes }) => {
        nftables.commit([{ op: 'add table', table }]);
        ns.exec('nft', ['add', 'table', 'ip', 't']);
        ns.exec('nft', ['add', 'chain', 'inet', 't', 'last']);
        await waitFor(() => changes.length >= 1, { what: 'a change' });
        expect(changes.map((c) => c.events)).toEqual([
          [{ kind: 'set', object: 'chain', table, name: 'last' }],
        ]);
      },
      (nftables) => ({ exceptFrom: nftables.port, tables: [table] }),
    ));

  test('says that changes were lost when there are more than the buffer holds, and tells the next ones', () =>
    watching(
      async ({ ns, nftables, changes, overflows }) => {
        nftables.commit([
          { op: 'add table', table },
          { op: 'add set', table, set: hosts },
        ]);
        nftables.commit([{ op: 'add elements', table, set: hosts, elements: keys(50_000) }]);
        await waitFor(() => overflows() > 0, { what: 'overflow' });
        await waitFor(
          () => {
            ns.exec('nft', ['add', 'chain', 'inet', 't', 'last']);
            ns.exec('nft', ['delete', 'chain', 'inet', 't', 'last']);
            return changes.some((c) => c.events.some((e) => e.object === 'chain'));
          },
          { what: 'a change after the overflow' },
        );
        // What is left of the transaction that was cut is not taken for a part of the next one.
        const chain = changes.find((c) => c.events.some((e) => e.object === 'chain'))!;
        expect(chain.events).toHaveLength(1);
      },
      // The least that the kernel gives: one datagram waits, the next one is lost.
      () => ({ bufferBytes: 1 }),
    ));
});

test('what came of a transaction before an overflow is not taken for a part of the next one', () => {
  const told: RulesetChange[] = [];
  const gatherer = new Gatherer(
    { change: (c) => told.push(c), overflow: () => {}, error: (e) => expect.unreachable(e.message) },
    {},
  );
  const encoded = (transaction: Transaction) => split(encodeTransaction(transaction)).map(messageOf);
  const [before] = encoded([{ op: 'add chain', table, chain: { name: 'before' } }]);
  const [after] = encoded([{ op: 'add chain', table, chain: { name: 'after' } }]);
  const generation = Uint8Array.of(
    28,
    0,
    0,
    0,
    15,
    10,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    8,
    0,
    1,
    0,
    0,
    0,
    0,
    7,
  );
  gatherer.take(before!);
  gatherer.overflow();
  gatherer.take(after!);
  gatherer.take(messageOf(generation));
  expect(told).toEqual([
    {
      generation: 7,
      own: false,
      process: { id: 0, name: '' },
      events: [{ kind: 'set', object: 'chain', table, name: 'after' }],
    },
  ]);
});

function messageOf(bytes: Uint8Array): Message {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { bytes, view, type: view.getUint16(4, true), flags: 0, start: 16, end: bytes.length };
}
