import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import {
  GenerationMovedError,
  IntervalConflictError,
  InvalidObjectError,
  TransactionError,
} from '#kernel/nftables/error.ts';
import { ip, meta } from '#kernel/nftables/field.ts';
import { hexNumber } from '#kernel/nftables/hex.ts';
import { parseElement } from '#kernel/nftables/key.ts';
import {
  ACCEPT,
  DROP,
  type Element,
  jump,
  type Rule,
  type SetDefinition,
  type TableRef,
} from '#kernel/nftables/model.ts';
import type { Operation, Transaction } from '#kernel/nftables/operation.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';
import { encodeTransaction } from '#kernel/nftables/transaction.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

const t: TableRef = { family: 'inet', name: 't' };
const hosts: SetDefinition = { name: 'hosts', key: ['ipv4_addr'] };
const ranges: SetDefinition = { name: 'ranges', key: ['ipv4_addr'], interval: true };
const classes: SetDefinition = { name: 'classes', key: ['ipv4_addr'], value: 'verdict', interval: true };

const addTable: Operation = { op: 'add table', table: t };
const addChain = (name: string): Operation => ({ op: 'add chain', table: t, chain: { name } });
const addSet = (set: SetDefinition): Operation => ({ op: 'add set', table: t, set });
const add = (set: SetDefinition, elements: readonly Element[]): Operation => ({
  op: 'add elements',
  table: t,
  set,
  elements,
});
const rule = (comment: string, chain = 'c'): Rule =>
  new RuleBuilder('inet', chain).counter().comment(comment).rule();
const addresses = (count: number): Element[] =>
  Array.from({ length: count }, (_, i) => ({ key: hexNumber(0x0a000000 + i, 4) }));

let ns: Netns;
let namespace: NetworkNamespace;
let nftables: Nftables;
beforeEach(() => {
  ns = createNetns();
  namespace = NetworkNamespace.open(ns.path);
  nftables = Nftables.open(namespace);
});
afterEach(() => {
  nftables.close();
  namespace.close();
  ns.remove();
});

const comments = (chain = 'c'): (string | undefined)[] =>
  nftables
    .dump(t)!
    .chains.find((c) => c.chain.name === chain)!
    .rules.map((r) => r.rule.comment);

function refusal(transaction: Transaction, options = {}): TransactionError {
  try {
    nftables.commit(transaction, options);
  } catch (error) {
    if (error instanceof TransactionError) return error;
    throw error;
  }
  throw new Error('the transaction was not refused');
}

describe('a refused transaction', () => {
  test('names the operation, the errno and the words of the kernel, and leaves nothing behind', () => {
    const before = nftables.generation();
    const error = refusal([
      addTable,
      addChain('c'),
      { op: 'add rule', table: t, rule: rule('first') },
      { op: 'delete chain', table: t, chain: 'missing' },
      { op: 'add rule', table: t, rule: rule('last') },
    ]);
    expect(error.code).toBe('ENOENT');
    expect(error.message).toMatch(/^nftables transaction refused: delete chain inet t missing: ENOENT: /);
    expect(error.failures.map((f) => [f.index, f.operation.op])).toEqual([[3, 'delete chain']]);
    expect(error.cause).toBe(error.failures[0]!.error);
    expect(nftables.dump(t)).toBeUndefined();
    expect(nftables.generation()).toBe(before);
    expect(ns.exec('nft', ['list', 'ruleset'])).toBe('');
  });

  test('names every operation that is at fault', () => {
    const error = refusal([
      addTable,
      { op: 'delete set', table: t, set: 'a' },
      addChain('c'),
      { op: 'delete rule', table: t, chain: 'c', handle: 99 },
    ]);
    expect(error.failures.map((f) => f.index)).toEqual([1, 3]);
    expect(error.message).toMatch(/\(and 1 more\)$/);
  });

  test('names each of 30,000 operations, and all of 30,000 rules are told their handles', () => {
    nftables.commit([addTable, addChain('c')]);
    const count = 30_000;
    const error = refusal(
      Array.from({ length: count }, (_, i) => ({
        op: 'delete rule',
        table: t,
        chain: 'c',
        handle: 1_000_000 + i,
      })),
    );
    expect(error.failures).toHaveLength(count);
    expect(error.failures.at(-1)!.index).toBe(count - 1);
    const add = Array.from(
      { length: count },
      (_, i) => ({ op: 'add rule', table: t, rule: rule(`${i}`) }) as const,
    );
    expect(nftables.commit(add, { handles: true }).handles.size).toBe(count);
  });

  test('names the element at fault', () => {
    nftables.commit([addTable, addSet(hosts), add(hosts, addresses(5000))]);
    const error = refusal([
      { op: 'delete elements', table: t, set: hosts, elements: [...addresses(4000), { key: '0b000001' }] },
    ]);
    expect(error.message).toMatch(/delete elements inet t hosts element 0b000001: ENOENT: /);
  });

  test('names the expression at fault', () => {
    const error = refusal([
      addTable,
      addChain('c'),
      {
        op: 'add rule',
        table: t,
        rule: new RuleBuilder('inet', 'c').match(meta.mark, '==', 1).in(ip.saddr, 'missing').rule(),
      },
    ]);
    expect(error.message).toMatch(/add rule inet t c expression 6 \(lookup\): ENOENT: /);
  });

  test('says so when the kernel finds the fault only at the end: chains that jump in a circle', () => {
    const base = { type: 'filter', hook: 'input', priority: 0 } as const;
    const jumpTo = (from: string, to: string): Operation => ({
      op: 'add rule',
      table: t,
      rule: new RuleBuilder('inet', from).jump(to).rule(),
    });
    const error = refusal([
      addTable,
      { op: 'add chain', table: t, chain: { name: 'in', base } },
      addChain('a'),
      addChain('b'),
      jumpTo('in', 'a'),
      jumpTo('a', 'b'),
      jumpTo('b', 'a'),
    ]);
    expect(['ELOOP', 'EMLINK']).toContain(error.code);
    expect(nftables.dump(t)).toBeUndefined();
  });

  test.each([
    ['a table that is there', 'add table', { ...addTable, exclusive: true }],
    ['a chain that is there', 'add chain', { ...addChain('c'), exclusive: true }],
    ['a set that is there', 'add set', { ...addSet(hosts), exclusive: true }],
    ['an element that is there', 'add elements', { ...add(hosts, addresses(1)), exclusive: true }],
  ] as [string, string, Operation][])('exclusively adds %s', (_what, op, operation) => {
    const setup = [addTable, addChain('c'), addSet(hosts), add(hosts, addresses(1))];
    nftables.commit(setup);
    expect(refusal([operation])).toMatchObject({ code: 'EEXIST', message: expect.stringContaining(op) });
    // Without the word it is content.
    nftables.commit(setup);
  });
});

describe('what has no place in a message', () => {
  test.each([
    ['a comment of more than 127 bytes', { ...addTable, table: { ...t, comment: 'x'.repeat(128) } }],
    ['a key that is no hexadecimal text', add(hosts, [{ key: '10.0.0.1' }])],
    ['a name with a zero in it, at which the kernel would stop', addChain('c\0d')],
    [
      'a priority that is no 32-bit number',
      {
        op: 'add chain',
        table: t,
        chain: { name: 'c', base: { type: 'filter', hook: 'input', priority: 2 ** 33 } },
      },
    ],
    ['a data type that does not exist', addSet({ name: 's', key: ['ipv5_addr' as 'ipv4_addr'] })],
    [
      'a register that does not exist',
      {
        op: 'add rule',
        table: t,
        rule: { chain: 'c', expressions: [{ kind: 'meta', key: 'mark', to: 16 }] },
      },
    ],
  ] as [string, Operation][])('%s is refused before anything is sent', (_what, operation) => {
    const before = nftables.generation();
    expect(() => nftables.commit([addTable, operation])).toThrow(InvalidObjectError);
    expect(nftables.generation()).toBe(before);
  });

  test('elements of a map that overlap and disagree are refused before anything is sent', () => {
    const elements = [
      parseElement(classes, '10.0.0.0/24', ACCEPT),
      parseElement(classes, '10.0.0.128/25', DROP),
    ];
    expect(() => nftables.commit([addTable, addSet(classes), add(classes, elements)])).toThrow(
      IntervalConflictError,
    );
  });
});

describe('the generation', () => {
  test('moves by one with each transaction, and not with an empty one', () => {
    const before = nftables.generation();
    expect(nftables.commit([]).generation).toBe(before);
    expect(nftables.commit([addTable]).generation).toBe(before + 1);
    expect(nftables.generation()).toBe(before + 1);
  });

  test("that is told is the transaction's own, although somebody else commits before anything else can be asked", () => {
    const { generation } = nftables.commit([addTable]);
    // What is asked for after a transaction may be another's.
    using asked = vi.spyOn(NetlinkSocket.prototype, 'request');
    expect(nftables.commit([addChain('a')]).generation).toBe(generation + 1);
    expect(nftables.commit([addSet(hosts), add(hosts, addresses(5000))]).generation).toBe(generation + 2);
    expect(nftables.commit([{ op: 'flush set', table: t, set: 'hosts' }]).generation).toBe(generation + 3);
    expect(asked).not.toHaveBeenCalled();
  });

  test('that a transaction is based on is checked: it is refused once somebody else has committed', () => {
    const { generation } = nftables.commit([addTable]);
    expect(nftables.commit([addChain('a')], { generation }).generation).toBe(generation + 1);
    ns.exec('nft', ['add', 'table', 'ip', 'other']);
    const error = refusal([addChain('b')], { generation: generation + 1 });
    expect(error).toBeInstanceOf(GenerationMovedError);
    expect(error).toMatchObject({ code: 'ERESTART', expected: generation + 1, failures: [] });
    expect(nftables.dump(t)!.chains.map((c) => c.chain.name)).toEqual(['a']);
    // The next one is not disturbed by what was left of the answer.
    nftables.commit([addChain('b')], { generation: nftables.generation() });
  });
});

describe('rules', () => {
  const add = (comment: string, after?: number): Operation => ({
    op: 'add rule',
    table: t,
    rule: rule(comment),
    ...(after === undefined ? {} : { after }),
  });

  test('go to the end, to the beginning, after and before others, and are replaced and deleted by handle', () => {
    const { handles } = nftables.commit([addTable, addChain('c'), add('b'), add('d')], { handles: true });
    const [b, d] = [handles.get(2)!, handles.get(3)!];
    nftables.commit([
      { op: 'insert rule', table: t, rule: rule('a') },
      add('c', b),
      { op: 'insert rule', table: t, rule: rule('c2'), before: d },
      add('e'),
    ]);
    expect(comments()).toEqual(['a', 'b', 'c', 'c2', 'd', 'e']);
    nftables.commit([
      { op: 'replace rule', table: t, rule: rule('B'), handle: b },
      { op: 'delete rule', table: t, chain: 'c', handle: d },
    ]);
    expect(comments()).toEqual(['a', 'B', 'c', 'c2', 'e']);
    nftables.commit([{ op: 'flush chain', table: t, chain: 'c' }]);
    expect(comments()).toEqual([]);
  });

  test('their handles are told for many at once', () => {
    const many = Array.from({ length: 3000 }, (_, i) => add(String(i)));
    const { handles } = nftables.commit([addTable, addChain('c'), ...many], { handles: true });
    expect(handles.size).toBe(3000);
    const dump = nftables.dump(t)!.chains[0]!.rules;
    expect(dump.map((r) => r.handle)).toEqual([...handles.values()]);
    expect(nftables.commit([add('x')]).handles.size).toBe(0);
  });

  test('take their own sets with them', () => {
    const uses = new RuleBuilder('inet', 'c')
      .in(ip.saddr, ['10.0.0.1'])
      .vmap(meta.l4proto, [['tcp', jump('d')]])
      .rule();
    const { handles } = nftables.commit(
      [addTable, addChain('c'), addChain('d'), { op: 'add rule', table: t, rule: uses }],
      {
        handles: true,
      },
    );
    expect(nftables.dump(t)!.chains[0]!.rules[0]!.rule).toEqual(uses);
    nftables.commit([{ op: 'delete rule', table: t, chain: 'c', handle: handles.get(3)! }]);
    expect(nftables.dump(t)!.sets).toEqual([]);
    nftables.commit([{ op: 'delete chain', table: t, chain: 'd' }]);
  });
});

describe('elements', () => {
  test('of one transaction go in as many messages as they need, all in one batch', () => {
    const elements = addresses(50_000);
    const encoded = encodeTransaction([addTable, addSet(hosts), add(hosts, elements)]);
    expect(encoded.messages).toBeGreaterThan(10);
    const before = nftables.generation();
    nftables.commit([addTable, addSet(hosts), add(hosts, elements)]);
    expect(nftables.generation()).toBe(before + 1);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual(elements);
    nftables.commit([{ op: 'delete elements', table: t, set: hosts, elements: elements.slice(10) }]);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual(elements.slice(0, 10));
    nftables.commit([{ op: 'flush set', table: t, set: 'hosts' }]);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual([]);
  });

  test('of a refused transaction of 50,000 leave nothing behind', () => {
    nftables.commit([addTable, addSet(hosts)]);
    const error = refusal([add(hosts, addresses(50_000)), { op: 'delete set', table: t, set: 'missing' }]);
    expect(error.failures.map((f) => f.index)).toEqual([1]);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual([]);
  });

  test('that overlap or touch are merged before they are sent', () => {
    const texts = ['10.0.0.128/25', '10.0.0.0/25', '10.0.0.64/26', '10.0.1.0/24', '10.0.4.0/24'];
    nftables.commit([
      addTable,
      addSet(ranges),
      add(
        ranges,
        texts.map((text) => parseElement(ranges, text)),
      ),
    ]);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual(
      ['10.0.0.0/23', '10.0.4.0/24'].map((text) => parseElement(ranges, text)),
    );
    expect(ns.exec('nft', ['list', 'set', 'inet', 't', 'ranges'])).toContain('{ 10.0.0.0/23, 10.0.4.0/24 }');
  });

  test('of a new set may come in several exclusive operations', () => {
    const exclusive = (text: string): Operation => ({
      op: 'add elements',
      table: t,
      set: ranges,
      elements: [parseElement(ranges, text)],
      exclusive: true,
    });
    nftables.commit([addTable, addSet(ranges), exclusive('10.0.0.0/24'), exclusive('10.0.2.0/24')]);
    expect(nftables.elements(t, ranges)).toHaveLength(2);
  });

  test('of a set made and emptied in one transaction come in one', () => {
    nftables.commit([
      addTable,
      addSet(ranges),
      add(ranges, [parseElement(ranges, '0.0.0.0/24'), parseElement(ranges, '10.0.0.0/24')]),
      { op: 'delete elements', table: t, set: ranges, elements: [parseElement(ranges, '10.0.0.0/24')] },
      { op: 'delete elements', table: t, set: ranges, elements: [parseElement(ranges, '0.0.0.0/24')] },
      add(ranges, [parseElement(ranges, '10.0.1.0/24')]),
    ]);
    expect(nftables.dump(t)!.sets[0]!.elements).toEqual([parseElement(ranges, '10.0.1.0/24')]);
  });
});

test('an expression that nft 1.0.6 does not print reads back', () => {
  const last: Rule = {
    chain: 'c',
    expressions: [{ kind: 'last' }, { kind: 'counter', packets: 0, bytes: 0 }],
  };
  nftables.commit([addTable, addChain('c'), { op: 'add rule', table: t, rule: last }]);
  expect(nftables.dump(t)!.chains[0]!.rules[0]!.rule).toEqual(last);
});

describe('what this layer does not know', () => {
  test('is kept in a rule, and goes back as it came', () => {
    const text = 'meta l4proto tcp synproxy mss 1460 wscale 7 timestamp sack-perm';
    ns.exec('nft', ['-f', '-'], {
      input: `table inet t {\nchain c {\ntype filter hook input priority 0;\n${text}\n}\n}\n`,
    });
    const found = nftables.dump(t)!.chains[0]!.rules[0]!.rule;
    expect(found.expressions.at(-1)).toMatchObject({ kind: 'unknown', name: 'synproxy' });
    nftables.commit([
      { op: 'flush chain', table: t, chain: 'c' },
      { op: 'add rule', table: t, rule: found },
    ]);
    expect(ns.exec('nft', ['list', 'chain', 'inet', 't', 'c'])).toContain(text);
  });

  test('is named in a dump, so that it can be removed', () => {
    ns.exec('nft', ['-f', '-'], {
      input:
        'table inet t {\nset s {\ntypeof ip length\n}\nct timeout o {\nprotocol tcp;\npolicy = { established : 5 }\n}\n}\n',
    });
    expect(nftables.dump(t)).toMatchObject({
      sets: [],
      objects: [],
      unknown: [
        { kind: 'set', name: 's' },
        { kind: 'object', name: 'o' },
      ],
    });
  });
});

test('the elements of one set are read by themselves', () => {
  const elements = [parseElement(ranges, '10.0.0.0/24'), parseElement(ranges, '10.0.2.0/24')];
  nftables.commit([addTable, addSet(ranges), add(ranges, elements)]);
  expect(nftables.elements(t, ranges)).toEqual(elements);
  expect(() => nftables.elements(t, hosts)).toThrow(/set inet t hosts: ENOENT/);
});

test('chains change their policy, and objects and sets are deleted', () => {
  const base = { type: 'filter', hook: 'input', priority: 0 } as const;
  const object = { kind: 'counter', name: 'o', packets: 0, bytes: 0 } as const;
  nftables.commit([
    addTable,
    { op: 'add chain', table: t, chain: { name: 'in', base } },
    { op: 'add object', table: t, object },
    addSet(hosts),
  ]);
  nftables.commit([
    { op: 'add chain', table: t, chain: { name: 'in', base: { ...base, policy: 'drop' } } },
    { op: 'delete object', table: t, kind: 'counter', name: 'o' },
    { op: 'delete set', table: t, set: 'hosts' },
  ]);
  const dump = nftables.dump(t)!;
  expect(dump.chains[0]!.chain.base?.policy).toBe('drop');
  expect([dump.objects, dump.sets]).toEqual([[], []]);
  nftables.commit([
    { op: 'flush table', table: t },
    { op: 'delete table', table: t },
  ]);
  expect(nftables.tables()).toEqual([]);
});
