import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DesiredTable } from '#felix/dataplane/desired.ts';
import type { ChainContents } from '#felix/dataplane/same.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { meta } from '#kernel/nftables/field.ts';
import { type Element, goTo, RETURN, type SetDefinition } from '#kernel/nftables/model.ts';
import type { Transaction } from '#kernel/nftables/operation.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

/*
 * Any history of wishes, sent as differences, against the real kernel: after each, what is there is what is wanted, whatever
 * others did in between.
 */

const TABLE = { family: 'inet', name: 'desired', comment: 'a test' } as const;
const PORTS: SetDefinition = { name: 'ports', key: ['inet_service'] };
const RANGES: SetDefinition = { name: 'ranges', key: ['inet_service'], interval: true };
const PEERS: SetDefinition = { name: 'peers', key: ['ipv4_addr'], value: 'verdict' };

interface Wish {
  readonly ports: readonly number[];
  /** Ranges begin at these, and are this long. */
  readonly ranges: readonly { at: number; length: number }[];
  /** Where addresses lead to: the number of a chain. */
  readonly peers: readonly { address: number; chain: number }[];
  readonly hook: 'forward' | 'input' | undefined;
  readonly comment: string;
}

const wish: fc.Arbitrary<Wish> = fc.record({
  ports: fc.uniqueArray(fc.nat(6), { maxLength: 5 }),
  ranges: fc.uniqueArray(fc.record({ at: fc.nat(4), length: fc.integer({ min: 1, max: 9 }) }), {
    selector: ({ at }) => at,
    maxLength: 4,
  }),
  peers: fc.uniqueArray(fc.record({ address: fc.nat(5), chain: fc.nat(2) }), {
    selector: ({ address }) => address,
    maxLength: 5,
  }),
  hook: fc.constantFrom('forward', 'input', undefined),
  comment: fc.constantFrom('one', 'two'),
});

const damage = fc.constantFrom(
  undefined,
  undefined,
  undefined,
  'delete table inet desired',
  'flush table inet desired',
  'add set inet desired foreign { type ipv4_addr; }',
  'add chain inet desired foreign',
  'add chain inet desired foreign { type filter hook input priority 3; }',
  'add element inet desired ports { 7 }',
  'flush set inet desired ports',
  'add rule inet desired main counter',
  'add counter inet desired foreign',
);

/** Everything that a wish says, in the place of everything before. */
class Wishes {
  readonly desired = new DesiredTable(TABLE);
  #elements: [string, Element][] = [];
  #chains = new Set<string>();

  become({ ports, ranges, peers, hook, comment }: Wish): void {
    const { desired } = this;
    const hex = (n: number) => n.toString(16).padStart(4, '0');
    const elements: [SetDefinition, Element][] = [
      ...ports.map((port): [SetDefinition, Element] => [PORTS, { key: hex(port), comment }]),
      ...ranges.map(({ at, length }): [SetDefinition, Element] => [
        RANGES,
        { key: hex(at * 16), end: hex(at * 16 + length) },
      ]),
      ...peers.map(({ address, chain }): [SetDefinition, Element] => [
        PEERS,
        { key: `0a0000${hex(address).slice(2)}`, value: chain === 2 ? RETURN : goTo(`class${chain}`) },
      ]),
    ];
    for (const [name, element] of this.#elements) desired.remove(name, element);
    for (const [set, element] of elements) desired.put(set, element);
    this.#elements = elements.map(([{ name }, element]) => [name, element]);
    const has = (name: string) => desired.has(name);
    const chains: ChainContents[] = [
      {
        chain: {
          name: 'main',
          ...(hook ? { base: { type: 'filter', hook, priority: 0 } as const } : {}),
        },
        rules: [
          ...(has('ports') ? [rule('main').in(meta.mark, ['1']).return().rule()] : []),
          ...(has('peers') ? [rule('main').vmap(SOURCE, PEERS).rule()] : []),
          rule('main').counter().comment(comment).rule(),
        ],
      },
      ...[0, 1]
        .filter((number) => peers.some(({ chain }) => chain === number))
        .map((number) => ({
          chain: { name: `class${number}` },
          rules: [rule(`class${number}`).return().rule()],
        })),
    ];
    const names = new Set(chains.map(({ chain }) => chain.name));
    for (const name of this.#chains) if (!names.has(name)) desired.removeChain(name);
    for (const contents of chains) desired.setChain(contents);
    this.#chains = names;
  }
}

/** What packets meet, what is not in their way yet, and what is not any more: each in a transaction of its own. */
function expectOneStep(transaction: Transaction): void {
  if (transaction.some(({ op }) => op === 'add table')) return;
  const steps = new Set(
    transaction.map((operation) => {
      if (operation.op === 'add set') return 'build';
      if (operation.op === 'add chain' && !operation.chain.base) return 'build';
      if (operation.op === 'delete set' || operation.op === 'delete chain') return 'clear';
      return operation.op === 'delete elements' ? 'switch' : 'any';
    }),
  );
  steps.delete('any');
  expect([...steps].length).toBeLessThanOrEqual(1);
  if (steps.has('clear')) expect(transaction.some(({ op }) => /^add/.test(op))).toBe(false);
  // Nothing that is there already may lead to what is made.
  if (steps.has('build')) expect(transaction.some(({ op }) => /^(flush|delete)/.test(op))).toBe(false);
}

const rule = (chain: string) => new RuleBuilder('inet', chain);
const SOURCE = {
  name: 'ip saddr',
  type: 'ipv4_addr',
  load: { kind: 'payload', base: 'network', offset: 12, length: 4 },
  nfproto: 'ipv4',
} as const;

describe('a desired table', () => {
  let netns: Netns;
  let namespace: NetworkNamespace;
  let nftables: Nftables;
  beforeAll(() => {
    netns = createNetns();
    namespace = NetworkNamespace.open(netns.path);
    nftables = Nftables.open(namespace);
  });
  afterAll(() => {
    nftables.close();
    namespace.close();
    netns.remove();
  });

  const send = ({ desired }: Pick<Wishes, 'desired'>): number => {
    let count = 0;
    for (;;) {
      const changes = desired.changes();
      expectOneStep(changes.transaction);
      if (changes.transaction.length > 0) nftables.commit(changes.transaction);
      changes.done();
      if (changes.transaction.length === 0) return count;
      count += changes.transaction.length;
    }
  };

  test('comes into the kernel by differences alone, from whatever is there', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(wish, damage), { minLength: 1, maxLength: 8 }), (history) => {
        const wishes = new Wishes();
        wishes.desired.adopt(nftables.dump(TABLE));
        for (const [next, script] of history) {
          wishes.become(next);
          send(wishes);
          // A second look finds nothing to do, from memory and from the kernel.
          expect(send(wishes)).toBe(0);
          wishes.desired.adopt(nftables.dump(TABLE));
          expect(send(wishes)).toBe(0);
          if (script === undefined) continue;
          try {
            netns.exec('nft', [script]);
          } catch {
            // It is about something that is not there.
          }
          wishes.desired.adopt(nftables.dump(TABLE));
          send(wishes);
          wishes.desired.adopt(nftables.dump(TABLE));
          expect(send(wishes)).toBe(0);
        }
        // One that is made anew wants the same of a kernel that has nothing.
        const fresh = new Wishes();
        fresh.become(history.at(-1)![0]);
        expect(fresh.desired.contents()).toEqual(wishes.desired.contents());
      }),
      { numRuns: 60 },
    );
  }, 240_000);

  test('sends of a large set what changed, and nothing else', () => {
    const desired = new DesiredTable(TABLE);
    desired.adopt(nftables.dump(TABLE));
    const elements = Array.from(
      { length: 5000 },
      (_, i): Element => ({ key: (0x0b000000 + i).toString(16).padStart(8, '0'), value: RETURN }),
    );
    for (const element of elements) desired.put(PEERS, element);
    send({ desired });
    const added: Element = { key: '0c000000', value: RETURN };
    desired.put(PEERS, added);
    desired.remove(PEERS.name, elements[7]!);
    const second = desired.changes();
    expect(second.transaction).toEqual([
      { op: 'delete elements', table: TABLE, set: PEERS, elements: [elements[7]] },
      { op: 'add elements', table: TABLE, set: PEERS, elements: [added] },
    ]);
    nftables.commit(second.transaction);
    second.done();
    expect(desired.changes().transaction).toEqual([]);
  });

  test('what the kernel refused is still to be sent', () => {
    const wishes = new Wishes();
    wishes.desired.adopt(nftables.dump(TABLE));
    wishes.become({ ports: [1], ranges: [], peers: [], hook: 'forward', comment: 'one' });
    send(wishes);
    wishes.become({ ports: [2], ranges: [], peers: [], hook: 'forward', comment: 'one' });
    const lost = wishes.desired.changes();
    expect(wishes.desired.changes().transaction).toEqual(lost.transaction);
  });
});
