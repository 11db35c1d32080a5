import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NETLINK_NETFILTER } from '#kernel/netlink/constants.ts';
import { type DumpSink, NetlinkSocket } from '#kernel/netlink/socket.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { dumpElements, dumpTable } from '#kernel/nftables/dump.ts';
import { UnstableDumpError } from '#kernel/nftables/error.ts';
import { hexNumber } from '#kernel/nftables/hex.ts';
import {
  chainIdentity,
  objectIdentity,
  ruleIdentity,
  setIdentity,
  tableIdentity,
} from '#kernel/nftables/identity.ts';
import type { Rule, SetDefinition, TableRef } from '#kernel/nftables/model.ts';
import { RulesetWatch } from '#kernel/nftables/watch.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

/** Makes and removes chains and elements of a table of its own, without end. */
const NOISE = `
  const { parentPort, workerData } = require('node:worker_threads');
  Promise.all(['connection', '../sys/namespace'].map((name) =>
    import(${JSON.stringify(new URL('../../../kernel/nftables/', import.meta.url).href)} + name + '.ts'))).then(
    ([{ Nftables }, { NetworkNamespace }]) => {
      const nftables = Nftables.open(NetworkNamespace.open(workerData));
      const table = { family: 'ip', name: 'noise' };
      nftables.commit([{ op: 'add table', table }]);
      parentPort.postMessage('begins');
      for (let i = 0; ; i++) {
        const chain = 'c' + (i % 7);
        nftables.commit([{ op: 'add chain', table, chain: { name: chain } }]);
        if (i % 3 === 0) nftables.commit([{ op: 'delete chain', table, chain }]);
      }
    },
  );
`;

const t: TableRef = { family: 'inet', name: 't' };
const hosts: SetDefinition = { name: 'hosts', key: ['ipv4_addr'] };
const elements = Array.from({ length: 5000 }, (_, i) => ({ key: hexNumber(0x0a000000 + i, 4) }));

describe('a dump', () => {
  let ns: Netns;
  let namespace: NetworkNamespace;
  let nftables: Nftables;
  let socket: NetlinkSocket;
  beforeAll(() => {
    ns = createNetns();
    namespace = NetworkNamespace.open(ns.path);
    nftables = Nftables.open(namespace);
    socket = NetlinkSocket.open(NETLINK_NETFILTER, namespace);
    nftables.commit([
      { op: 'add table', table: t },
      { op: 'add set', table: t, set: hosts },
      { op: 'add elements', table: t, set: hosts, elements },
    ]);
  });
  afterAll(() => {
    socket.close();
    nftables.close();
    namespace.close();
    ns.remove();
  });

  const watch = () => RulesetWatch.open(t, namespace);

  test('is whole while others commit to their own tables all the time', async () => {
    nftables.commit([{ op: 'add chain', table: t, chain: { name: 'last' } }]);
    const others = new Worker(NOISE, { eval: true, workerData: ns.path });
    try {
      await new Promise((resolve) => others.once('message', resolve));
      const begun = nftables.generation();
      for (let i = 0; i < 20; i++) {
        const dump = nftables.dump(t)!;
        expect(dump.sets[0]!.elements).toEqual(elements);
        expect(dump.chains.map((c) => c.chain.name)).toContain('last');
      }
      expect(nftables.generation() - begun).toBeGreaterThan(100);
    } finally {
      await others.terminate();
      nftables.commit([{ op: 'delete chain', table: t, chain: 'last' }]);
    }
  });

  test('is begun again when the generation moves meanwhile, and then shows what was done', () => {
    let asked = 0;
    const generation = (): number => {
      // Between the first dump and the look at the generation after it.
      if (++asked === 2) nftables.commit([{ op: 'add chain', table: t, chain: { name: 'late' } }]);
      return nftables.generation();
    };
    const dump = dumpTable(socket, generation, t, watch)!;
    expect(asked).toBe(4);
    expect(dump.chains.map((c) => c.chain.name)).toEqual(['late']);
    expect(dump.generation).toBe(nftables.generation());
  });

  test('gives up when the table changes each time', () => {
    let generation = 0;
    const restless = {
      changes: () => ({ ofTable: true, ofLists: false }),
      [Symbol.dispose]: () => {},
    } as unknown as RulesetWatch;
    expect(() =>
      dumpTable(
        socket,
        () => generation++,
        t,
        () => restless,
      ),
    ).toThrow(UnstableDumpError);
  });

  test('is begun again when the table itself changes while others commit', () => {
    let asked = 0;
    const generation = (): number => {
      asked++;
      // Two attempts that hope for quiet are disturbed; in the third the table changes.
      if (asked === 2 || asked === 4)
        nftables.commit([{ op: 'add table', table: { family: 'ip', name: `n${asked}` } }]);
      if (asked === 8) nftables.commit([{ op: 'add chain', table: t, chain: { name: 'later' } }]);
      return nftables.generation();
    };
    const dump = dumpTable(socket, generation, t, watch)!;
    expect(dump.chains.map((c) => c.chain.name)).toContain('later');
    expect(dump.generation).toBe(nftables.generation());
  });

  test('of a set is begun again when an element comes twice, which a growing hash table makes it do', () => {
    let attempts = 0;
    const disturbed = {
      dump: (object: string, type: number, fill: () => void, sink: DumpSink) => {
        attempts++;
        let first = attempts === 1;
        socket.dump(object, type, fill, {
          restart: () => sink.restart(),
          message: (message) => {
            if (first) sink.message(message);
            first = false;
            sink.message(message);
          },
        });
      },
    } as unknown as NetlinkSocket;
    expect(dumpElements(disturbed, t, hosts)).toEqual(elements);
    expect(attempts).toBe(2);
  });

  test('of a table that is not there is undefined, whatever else there is', () => {
    expect(nftables.dump({ family: 'ip', name: 't' })).toBeUndefined();
    expect(nftables.dump({ family: 'inet', name: 'other' })).toBeUndefined();
  });
});

describe('an identity', () => {
  const rule = (packets: number, key: 'mark' | 'iif' = 'mark'): Rule => ({
    chain: 'c',
    expressions: [
      { kind: 'meta', key, to: 0 },
      { kind: 'counter', packets, bytes: packets },
    ],
  });

  test('is the same for what differs only in what packets change', () => {
    expect(ruleIdentity(rule(0))).toBe(ruleIdentity(rule(5)));
    expect(ruleIdentity(rule(0))).not.toBe(ruleIdentity(rule(0, 'iif')));
    const quota = { kind: 'quota', name: 'q', bytes: 5 } as const;
    expect(objectIdentity(quota)).toBe(objectIdentity({ ...quota, consumed: 3 }));
    expect(objectIdentity(quota)).not.toBe(objectIdentity({ ...quota, bytes: 6 }));
  });

  test('is the same whether a default is spelled out or not', () => {
    const base = { type: 'filter', hook: 'input', priority: 0 } as const;
    const accepts = { ...base, policy: 'accept' } as const;
    expect(chainIdentity({ name: 'c', base })).toBe(chainIdentity({ name: 'c', base: accepts }));
    expect(chainIdentity({ name: 'c', base })).not.toBe(
      chainIdentity({ name: 'c', base: { ...base, policy: 'drop' } }),
    );
    expect(setIdentity(hosts)).toBe(setIdentity({ interval: false, key: ['ipv4_addr'], name: 'hosts' }));
    expect(tableIdentity(t)).not.toBe(tableIdentity({ ...t, comment: 'x' }));
  });
});
