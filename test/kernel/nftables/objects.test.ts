import { beforeEach, describe, expect, test } from 'vitest';
import { Nftables } from '#kernel/nftables/connection.ts';
import { formatTable, formatTransaction } from '#kernel/nftables/format-transaction.ts';
import { parseElement as element } from '#kernel/nftables/key.ts';
import {
  ACCEPT,
  CONTINUE,
  DROP,
  type Element,
  goTo,
  jump,
  PRIORITY,
  RETURN,
  type SetDefinition,
  type TableRef,
} from '#kernel/nftables/model.ts';
import type { Operation, Transaction } from '#kernel/nftables/operation.ts';
import { encodeTransaction } from '#kernel/nftables/transaction.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { otherNft } from './golden.ts';
import { load, show, split } from './nft.ts';

/*
 * Tables, chains, sets, maps and objects against nft: what it sends for a text is what we send for the value, the value
 * reads back, and nft prints ours as its own.
 */

/** What is inside `table inet t { ... }` for nft, and the operations that make the same. */
interface Row {
  readonly nft: string;
  readonly operations: readonly Operation[];
  /** Where nft's dump of set definitions adds something that was not sent. */
  readonly comes?: Partial<SetDefinition>;
}

const t: TableRef = { family: 'inet', name: 't' };

const chain = (
  nft: string,
  operation: Omit<Extract<Operation, { op: 'add chain' }>, 'op' | 'table'>,
): Row => ({
  nft,
  operations: [{ op: 'add chain', table: t, ...operation }],
});

const object = (nft: string, value: Extract<Operation, { op: 'add object' }>['object']): Row => ({
  nft,
  operations: [{ op: 'add object', table: t, object: value }],
});

const set = (
  nft: string,
  definition: SetDefinition,
  elements: (set: SetDefinition) => readonly Element[] = () => [],
  before: readonly Operation[] = [],
): Row => {
  const list = elements(definition);
  return {
    nft,
    operations: [
      ...before,
      { op: 'add set', table: t, set: definition },
      ...(list.length > 0
        ? [{ op: 'add elements', table: t, set: definition, elements: list } as const]
        : []),
    ],
  };
};

const c1: Operation = { op: 'add chain', table: t, chain: { name: 'c1' } };

const rows: readonly Row[] = [
  // chains
  chain('chain c1 {\n}', { chain: { name: 'c1' } }),
  chain('chain c1 {\ncomment "a word"\n}', { chain: { name: 'c1', comment: 'a word' } }),
  chain('chain c1 {\ntype filter hook forward priority filter; policy drop;\n}', {
    chain: {
      name: 'c1',
      base: { type: 'filter', hook: 'forward', priority: PRIORITY.filter, policy: 'drop' },
    },
  }),
  chain('chain c1 {\ntype filter hook prerouting priority raw;\n}', {
    chain: { name: 'c1', base: { type: 'filter', hook: 'prerouting', priority: PRIORITY.raw } },
  }),
  chain('chain c1 {\ntype nat hook postrouting priority srcnat + 5; policy accept;\n}', {
    chain: {
      name: 'c1',
      base: { type: 'nat', hook: 'postrouting', priority: PRIORITY.srcnat + 5, policy: 'accept' },
    },
  }),
  chain('chain c1 {\ntype route hook output priority mangle - 10; policy accept;\n}', {
    chain: {
      name: 'c1',
      base: { type: 'route', hook: 'output', priority: PRIORITY.mangle - 10, policy: 'accept' },
    },
  }),
  chain('chain c1 {\ntype filter hook ingress device "lo" priority 0;\n}', {
    chain: { name: 'c1', base: { type: 'filter', hook: 'ingress', priority: 0, devices: ['lo'] } },
  }),
  // objects
  object('counter hits {\n}', { kind: 'counter', name: 'hits', packets: 0, bytes: 0 }),
  object('counter hits {\ncomment "a word"\npackets 5 bytes 6\n}', {
    kind: 'counter',
    name: 'hits',
    packets: 5,
    bytes: 6,
    comment: 'a word',
  }),
  object('quota month {\nover 10 mbytes\n}', { kind: 'quota', name: 'month', bytes: 10 << 20, over: true }),
  object('limit calm {\nrate 10/second burst 7 packets\n}', {
    kind: 'limit',
    name: 'calm',
    rate: 10,
    per: 'second',
    of: 'packets',
    burst: 7,
  }),
  // sets
  set('set s {\ntype ipv4_addr\n}', { name: 's', key: ['ipv4_addr'] }),
  set(
    'set s {\ntype ipv4_addr\ncomment "a word"\nelements = { 10.0.0.1, 10.0.0.2 comment "b" }\n}',
    { name: 's', key: ['ipv4_addr'], comment: 'a word' },
    (s) => [element(s, '10.0.0.1'), { ...element(s, '10.0.0.2'), comment: 'b' }],
  ),
  set(
    'set s {\ntype ipv6_addr\nflags interval\nelements = { fe80::/10, fd00::1-fd00::5, fd00::9 }\n}',
    { name: 's', key: ['ipv6_addr'], interval: true },
    (s) => ['fd00::1-fd00::5', 'fd00::9', 'fe80::/10'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype ipv4_addr\nflags interval\nauto-merge\nelements = { 0.0.0.0/8, 240.0.0.0/4 }\n}',
    { name: 's', key: ['ipv4_addr'], interval: true, autoMerge: true },
    (s) => ['0.0.0.0/8', '240.0.0.0/4'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype inet_service\nflags interval\nelements = { 53, 80-90, 8000-65535 }\n}',
    { name: 's', key: ['inet_service'], interval: true },
    (s) => ['53', '80-90', '8000-65535'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype ipv4_addr . inet_proto . inet_service\nelements = { 10.0.0.1 . tcp . 80 }\n}',
    { name: 's', key: ['ipv4_addr', 'inet_proto', 'inet_service'] },
    (s) => [element(s, '10.0.0.1 . tcp . 80')],
  ),
  set(
    'set s {\ntype ipv4_addr . inet_proto . inet_service\nflags interval\nelements = { 10.0.0.0/24 . udp . 53, 10.0.0.1 . tcp . 80-90 }\n}',
    { name: 's', key: ['ipv4_addr', 'inet_proto', 'inet_service'], interval: true },
    (s) => ['10.0.0.0/24 . udp . 53', '10.0.0.1 . tcp . 80-90'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype ipv6_addr . mark\nflags interval\nelements = { fe80::/10 . 0x00000005-0x00000010 }\n}',
    { name: 's', key: ['ipv6_addr', 'mark'], interval: true },
    (s) => [element(s, 'fe80::/10 . 5-16')],
  ),
  set(
    'set s {\ntypeof ip daddr . meta l4proto . th dport\nelements = { 10.0.0.1 . tcp . 80 }\n}',
    {
      name: 's',
      key: ['ipv4_addr', 'inet_proto', 'inet_service'],
      typeof: { key: ['ip daddr', 'meta l4proto', 'th dport'] },
    },
    (s) => [element(s, '10.0.0.1 . tcp . 80')],
  ),
  set('set s {\ntypeof ct state\n}', { name: 's', key: ['ct_state'], typeof: { key: ['ct state'] } }),
  set('set s {\ntype mark\nelements = { 0x00000001, 0x00000002 }\n}', { name: 's', key: ['mark'] }, (s) =>
    ['1', '2'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype mark\nflags interval\nelements = { 0x00000001-0x00000005, 0x00000100 }\n}',
    { name: 's', key: ['mark'], interval: true },
    (s) => ['1-5', '256'].map((text) => element(s, text)),
  ),
  set('set s {\ntype ifname\nelements = { "eth0", "eth1" }\n}', { name: 's', key: ['ifname'] }, (s) =>
    ['eth0', 'eth1'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype ifname\nflags interval\nelements = { "eth*", "lo" }\n}',
    { name: 's', key: ['ifname'], interval: true },
    (s) => ['eth*', 'lo'].map((text) => element(s, text)),
  ),
  set(
    'set s {\ntype ct_state\nelements = { established, related }\n}',
    { name: 's', key: ['ct_state'] },
    (s) => ['established', 'related'].map((text) => element(s, text)),
  ),
  set('set s {\ntype ipv4_addr\nsize 65535\nflags dynamic,timeout\ntimeout 30s\ngc-interval 10s\n}', {
    name: 's',
    key: ['ipv4_addr'],
    dynamic: true,
    timeout: 30_000,
    gcInterval: 10_000,
    size: 65_535,
  }),
  set('set s {\ntype ipv4_addr\npolicy memory\n}', { name: 's', key: ['ipv4_addr'], policy: 'memory' }),
  set(
    'set s {\ntype ipv4_addr\ncounter\nelements = { 10.0.0.1 counter packets 5 bytes 6 }\n}',
    { name: 's', key: ['ipv4_addr'], state: [{ kind: 'counter', packets: 0, bytes: 0 }] },
    (s) => [{ ...element(s, '10.0.0.1'), state: [{ kind: 'counter', packets: 5, bytes: 6 }] }],
  ),
  // maps
  set(
    'map m {\ntype ipv4_addr : verdict\nelements = { 10.0.0.1 : accept, 10.0.0.2 : goto c1, 10.0.0.3 : return, 10.0.0.4 : continue, * : drop }\n}\nchain c1 {\n}',
    { name: 'm', key: ['ipv4_addr'], value: 'verdict' },
    (s) => [
      element(s, '10.0.0.1', ACCEPT),
      element(s, '10.0.0.2', goTo('c1')),
      element(s, '10.0.0.3', RETURN),
      element(s, '10.0.0.4', CONTINUE),
      element(s, '*', DROP),
    ],
    [c1],
  ),
  set(
    'map m {\ntype ipv4_addr : verdict\nflags interval\ncomment "a word"\nelements = { 10.0.0.0/24 : jump c1, 10.0.2.0/24 : accept }\n}\nchain c1 {\n}',
    { name: 'm', key: ['ipv4_addr'], value: 'verdict', interval: true, comment: 'a word' },
    (s) => [element(s, '10.0.0.0/24', jump('c1')), element(s, '10.0.2.0/24', ACCEPT)],
    [c1],
  ),
  set(
    'map m {\ntype ipv4_addr . inet_proto . inet_service : verdict\nflags interval\nelements = { 10.0.0.1 . tcp . 80-90 : accept, 10.0.0.1 . udp . 53 : drop }\n}',
    { name: 'm', key: ['ipv4_addr', 'inet_proto', 'inet_service'], value: 'verdict', interval: true },
    (s) => [element(s, '10.0.0.1 . tcp . 80-90', ACCEPT), element(s, '10.0.0.1 . udp . 53', DROP)],
  ),
  set(
    'map m {\ntype inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service\nelements = { tcp . 10.0.0.1 . 80 : 10.1.0.1 . 8080 }\n}',
    {
      name: 'm',
      key: ['inet_proto', 'ipv4_addr', 'inet_service'],
      value: ['ipv4_addr', 'inet_service'],
    },
    (s) => [element(s, 'tcp . 10.0.0.1 . 80', '10.1.0.1 . 8080')],
  ),
  set(
    'map m {\ntypeof ip daddr : meta mark\nelements = { 10.0.0.1 : 0x00000055 }\n}',
    {
      name: 'm',
      key: ['ipv4_addr'],
      value: ['mark'],
      typeof: { key: ['ip daddr'], value: ['meta mark'] },
    },
    (s) => [element(s, '10.0.0.1', 0x55)],
  ),
  set(
    'map m {\ntype ipv4_addr : ipv4_addr\nflags interval\nelements = { 10.0.0.0/24 : 10.1.0.1, 240.0.0.0/4 : 10.1.0.2 }\n}',
    { name: 'm', key: ['ipv4_addr'], value: ['ipv4_addr'], interval: true },
    (s) => [element(s, '10.0.0.0/24', '10.1.0.1'), element(s, '240.0.0.0/4', '10.1.0.2')],
  ),
  set(
    'map m {\ntype ipv4_addr : counter\nelements = { 10.0.0.1 : "hits" }\n}\ncounter hits {\n}',
    { name: 'm', key: ['ipv4_addr'], object: 'counter' },
    (s) => [{ ...element(s, '10.0.0.1'), object: 'hits' }],
    [{ op: 'add object', table: t, object: { kind: 'counter', name: 'hits', packets: 0, bytes: 0 } }],
  ),
];

const reason = otherNft();
beforeEach((ctx) => {
  if (reason !== undefined) ctx.skip(reason);
});

describe.each(rows.map((row) => [row.nft.replaceAll('\n', ' '), row] as const))('%s', (_name, row) => {
  const transaction: Transaction = [{ op: 'add table', table: t }, ...row.operations];

  test('is sent as nft sends it, reads back, and nft prints and loads it', () => {
    using ns = createNetns();
    using inside = NetworkNamespace.open(ns.path);
    using nftables = Nftables.open(inside);

    const { messages } = load(ns, `table inet t {\n${row.nft}\n}\n`);
    expect(split(encodeTransaction(transaction)).map(show)).toEqual(messages.map(show));
    const theirs = ns.exec('nft', ['list', 'ruleset']);
    expect(contents(nftables)).toEqual(wanted(row));

    ns.exec('nft', ['flush', 'ruleset']);
    nftables.commit(transaction);
    expect(contents(nftables)).toEqual(wanted(row));
    const ours = ns.exec('nft', ['list', 'ruleset']);
    expect(ours).toBe(theirs);
    expect(ns.nft('list', 'ruleset').length).toBeGreaterThan(1);
    expect(formatTable(nftables.dump(t)!)).toBe(unbroken(ours));
    ns.exec('nft', ['-f', '-'], { input: `flush ruleset\n${ours}` });
    expect(ns.exec('nft', ['list', 'ruleset'])).toBe(ours);

    // The transaction as text makes the same.
    ns.exec('nft', ['-f', '-'], { input: `flush ruleset\n${formatTransaction(transaction)}` });
    expect(ns.exec('nft', ['list', 'ruleset'])).toBe(ours);
  });
});

test.each([
  ['', { family: 'inet', name: 't' }],
  ['comment "a word"', { family: 'inet', name: 't', comment: 'a word' }],
  ['flags dormant', { family: 'inet', name: 't', dormant: true }],
] as const)('table inet t { %s } is sent as nft sends it and reads back', (text, table) => {
  using ns = createNetns();
  using inside = NetworkNamespace.open(ns.path);
  using nftables = Nftables.open(inside);
  const { messages } = load(ns, `table inet t {\n${text}\n}\n`);
  expect(split(encodeTransaction([{ op: 'add table', table }])).map(show)).toEqual(messages.map(show));
  const theirs = ns.exec('nft', ['list', 'ruleset']);
  ns.exec('nft', ['flush', 'ruleset']);
  nftables.commit([{ op: 'add table', table }]);
  expect(ns.exec('nft', ['list', 'ruleset'])).toBe(theirs);
  expect(nftables.tables()).toEqual([table]);
  expect(nftables.dump(table)?.table).toEqual(table);
});

/** nft breaks long lists of elements into lines. */
function unbroken(text: string): string {
  return text.replaceAll(/,\n\s+/g, ', ');
}

interface Contents {
  readonly chains: readonly unknown[];
  readonly sets: readonly unknown[];
  readonly objects: readonly unknown[];
}

function contents(nftables: Nftables): Contents {
  const dump = nftables.dump(t)!;
  return { chains: dump.chains.map((c) => c.chain), sets: dump.sets, objects: dump.objects };
}

/** What the operations make, as a dump shows it. */
function wanted({ operations }: Row): Contents {
  const chains: unknown[] = [];
  const sets: { set: SetDefinition; elements: readonly Element[] }[] = [];
  const objects: unknown[] = [];
  for (const operation of operations) {
    if (operation.op === 'add object') objects.push(operation.object);
    if (operation.op === 'add set') sets.push({ set: operation.set, elements: [] });
    if (operation.op === 'add elements') sets[0] = { set: sets[0]!.set, elements: operation.elements };
    if (operation.op === 'add chain') {
      const { base, ...rest } = operation.chain;
      // The kernel does not tell a policy that was asked for from its own.
      const { policy, ...hook } = base ?? {};
      chains.push(base ? { ...rest, base: policy === 'drop' ? base : hook } : rest);
    }
  }
  return { chains, sets, objects };
}
