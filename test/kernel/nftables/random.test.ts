import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Nftables } from '#kernel/nftables/connection.ts';
import { byKey, elementDelta, normaliseElements } from '#kernel/nftables/elements.ts';
import { hexNumber } from '#kernel/nftables/hex.ts';
import { interval, prefixInterval } from '#kernel/nftables/interval.ts';
import { formatData, formatKey } from '#kernel/nftables/key.ts';
import {
  ACCEPT,
  DROP,
  type Element,
  jump,
  type Rule,
  type SetDefinition,
  type TableRef,
  type Verdict,
} from '#kernel/nftables/model.ts';
import type { Operation } from '#kernel/nftables/operation.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

/*
 * Random sequences of changes on the real kernel. After each, kernel, model and nft agree.
 */

const t: TableRef = { family: 'inet', name: 't' };

let ns: Netns;
let namespace: NetworkNamespace;
let nftables: Nftables;
beforeAll(() => {
  ns = createNetns();
  namespace = NetworkNamespace.open(ns.path);
  nftables = Nftables.open(namespace);
});
afterAll(() => {
  nftables.close();
  namespace.close();
  ns.remove();
});

/** Few enough addresses that elements meet: 10.0.0.0/26. */
const address = fc.nat(63).map((n) => hexNumber(0x0a000000 + n, 4));
const port = fc.nat(40).map((n) => hexNumber(n, 2));
const comment = fc.option(fc.constantFrom('a', 'b'), { nil: undefined, freq: 4 });
const verdict: fc.Arbitrary<Verdict> = fc.constantFrom(ACCEPT, DROP, jump('c'));

const addresses = fc.oneof(
  address.map((key) => ({ key })),
  fc.tuple(address, fc.integer({ min: 26, max: 32 })).map(([key, bits]) => prefixInterval(key, bits)),
  fc.tuple(address, address).map(([a, b]) => (a < b ? interval(a, b) : interval(b, a))),
);
const ports = fc.oneof(
  port.map((key) => ({ key })),
  fc.tuple(port, port).map(([a, b]) => (a < b ? interval(a, b) : interval(b, a))),
);
const protocol = fc.constantFrom('06', '11').map((key) => ({ key }));

/** A key of several fields from one of each. */
const concatenated = (...fields: fc.Arbitrary<{ key: string; end?: string }>[]) =>
  fc.tuple(...fields).map((list) => {
    const pad = (hex: string): string => hex.padEnd(Math.ceil(hex.length / 8) * 8, '0');
    return interval(list.map((f) => pad(f.key)).join(''), list.map((f) => pad(f.end ?? f.key)).join(''));
  });
const single = <T extends { key: string }>(arbitrary: fc.Arbitrary<T>) =>
  arbitrary.map(({ key }) => ({ key }));

interface Case {
  readonly set: SetDefinition;
  readonly key: fc.Arbitrary<{ key: string; end?: string }>;
}

const cases: readonly Case[] = [
  { set: { name: 's', key: ['ipv4_addr'] }, key: single(addresses) },
  { set: { name: 's', key: ['ipv4_addr'], interval: true }, key: addresses },
  { set: { name: 's', key: ['inet_service'], interval: true }, key: ports },
  { set: { name: 's', key: ['ipv4_addr'], value: 'verdict' }, key: single(addresses) },
  { set: { name: 's', key: ['ipv4_addr'], value: 'verdict', interval: true }, key: addresses },
  { set: { name: 's', key: ['ipv4_addr', 'inet_service'] }, key: single(concatenated(addresses, ports)) },
  {
    set: { name: 's', key: ['ipv4_addr', 'inet_proto', 'inet_service'], interval: true },
    key: concatenated(addresses, protocol, ports),
  },
  {
    set: { name: 's', key: ['ipv4_addr', 'inet_proto', 'inet_service'], value: 'verdict', interval: true },
    key: concatenated(addresses, protocol, ports),
  },
];

describe('a set goes from any contents to any other by the difference', () => {
  test.each(cases.map((c) => [describeSet(c.set), c] as const))('%s', (_name, { set, key }) => {
    const element = fc.record({ at: key, comment, value: set.value ? verdict : fc.constant(undefined) }).map(
      ({ at, comment, value }): Element => ({
        ...at,
        ...(value === undefined ? {} : { value }),
        ...(comment === undefined ? {} : { comment }),
      }),
    );
    const contents = fc.array(element, { maxLength: 12 }).filter(isConsistent);
    function isConsistent(list: readonly Element[]): boolean {
      try {
        normaliseElements(set, list);
        return set.interval === true || new Set(list.map((e) => e.key)).size === list.length;
      } catch {
        return false;
      }
    }
    fc.assert(
      fc.property(fc.array(contents, { minLength: 1, maxLength: 8 }), (steps) => {
        nftables.commit([
          { op: 'add table', table: t },
          { op: 'delete table', table: t },
          { op: 'add table', table: t },
          { op: 'add chain', table: t, chain: { name: 'c' } },
          { op: 'add set', table: t, set },
        ]);
        for (const want of steps) {
          const have = nftables.dump(t)!.sets[0]!.elements;
          const { remove, add } = elementDelta(set, have, want);
          nftables.commit([
            { op: 'delete elements', table: t, set, elements: remove },
            { op: 'add elements', table: t, set, elements: add },
          ]);
          expect(nftables.dump(t)!.sets).toEqual([
            { set, elements: [...normaliseElements(set, want)].sort(byKey) },
          ]);
        }
        // nft reads the last of them alike.
        expect(listed(set)).toEqual(
          [...normaliseElements(set, steps.at(-1)!)].map((e) => textOf(set, e)).sort(),
        );
      }),
      { numRuns: 25 },
    );
  });
});

test('chains and rules come and go in any order', () => {
  const names = ['a', 'b', 'c', 'd'];
  const step = fc.oneof(
    fc.record({ what: fc.constant('append' as const), chain: fc.constantFrom(...names) }),
    fc.record({ what: fc.constant('insert' as const), chain: fc.constantFrom(...names) }),
    fc.record({
      what: fc.constant('after' as const),
      chain: fc.constantFrom(...names),
      at: fc.nat(20),
    }),
    fc.record({
      what: fc.constant('before' as const),
      chain: fc.constantFrom(...names),
      at: fc.nat(20),
    }),
    fc.record({
      what: fc.constant('replace' as const),
      chain: fc.constantFrom(...names),
      at: fc.nat(20),
    }),
    fc.record({ what: fc.constant('delete' as const), chain: fc.constantFrom(...names), at: fc.nat(20) }),
    fc.record({ what: fc.constant('flush' as const), chain: fc.constantFrom(...names) }),
    fc.record({ what: fc.constant('add chain' as const), chain: fc.constantFrom(...names) }),
    fc.record({ what: fc.constant('delete chain' as const), chain: fc.constantFrom(...names) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      nftables.commit([
        { op: 'add table', table: t },
        { op: 'delete table', table: t },
        { op: 'add table', table: t },
      ]);
      const model = new Map<string, { rule: Rule; handle: number }[]>();
      let serial = 0;
      for (const s of steps) {
        const rules = model.get(s.chain);
        const apply = (operation: Operation): number | undefined =>
          nftables.commit([operation], { handles: true }).handles.get(0);
        if (s.what === 'add chain') {
          apply({ op: 'add chain', table: t, chain: { name: s.chain } });
          if (!rules) model.set(s.chain, []);
          continue;
        }
        if (!rules) continue;
        if (s.what === 'delete chain') {
          nftables.commit([
            { op: 'flush chain', table: t, chain: s.chain },
            { op: 'delete chain', table: t, chain: s.chain },
          ]);
          model.delete(s.chain);
          continue;
        }
        if (s.what === 'flush') {
          apply({ op: 'flush chain', table: t, chain: s.chain });
          rules.length = 0;
          continue;
        }
        const at = 'at' in s && rules.length > 0 ? s.at % rules.length : undefined;
        if ('at' in s && at === undefined) continue;
        if (s.what === 'delete') {
          apply({ op: 'delete rule', table: t, chain: s.chain, handle: rules[at!]!.handle });
          rules.splice(at!, 1);
          continue;
        }
        // Each rule is another one, so that none is taken for its neighbour.
        const rule: Rule = {
          chain: s.chain,
          expressions: [{ kind: 'meta', key: 'mark', to: serial % 16 }],
          comment: `${serial++}`,
        };
        if (s.what === 'append') rules.push({ rule, handle: apply({ op: 'add rule', table: t, rule })! });
        if (s.what === 'insert')
          rules.unshift({ rule, handle: apply({ op: 'insert rule', table: t, rule })! });
        if (s.what === 'after') {
          rules.splice(at! + 1, 0, {
            rule,
            handle: apply({ op: 'add rule', table: t, rule, after: rules[at!]!.handle })!,
          });
        }
        if (s.what === 'before') {
          rules.splice(at!, 0, {
            rule,
            handle: apply({ op: 'insert rule', table: t, rule, before: rules[at!]!.handle })!,
          });
        }
        if (s.what === 'replace') {
          rules[at!] = {
            rule,
            handle: apply({ op: 'replace rule', table: t, rule, handle: rules[at!]!.handle })!,
          };
        }
      }
      const dump = nftables.dump(t)!;
      expect(new Map(dump.chains.map((c) => [c.chain.name, c.rules]))).toEqual(model);
      const listed = ns.nft('list', 'table', 'inet', 't').flatMap((item) => {
        const { rule } = item as { rule?: { chain: string; handle: number; comment: string } };
        return rule ? [`${rule.chain} ${rule.handle} ${rule.comment}`] : [];
      });
      expect(listed.sort()).toEqual(
        [...model]
          .flatMap(([name, rules]) => rules.map((r) => `${name} ${r.handle} ${r.rule.comment}`))
          .sort(),
      );
    }),
    { numRuns: 30 },
  );
});

function describeSet(set: SetDefinition): string {
  return `${set.value ? 'map' : 'set'} of ${set.interval ? 'intervals of ' : ''}${set.key.join(' . ')}`;
}

function textOf(set: SetDefinition, e: Element): string {
  const word = e.comment === undefined ? '' : ` comment "${e.comment}"`;
  return `${formatKey(set, e)}${word}${e.value === undefined ? '' : ` : ${formatData(set, e.value)}`}`;
}

/** The elements that nft prints. */
function listed(set: SetDefinition): string[] {
  const text = ns.exec('nft', ['list', set.value ? 'map' : 'set', 'inet', 't', set.name]);
  const elements = /elements = \{([^}]*)\}/.exec(text)?.[1];
  return elements === undefined
    ? []
    : elements
        .split(',')
        .map((part) => part.trim().replaceAll(/\s+/g, ' '))
        .sort();
}
