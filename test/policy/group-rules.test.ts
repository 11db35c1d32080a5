import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Atom } from '#policy/compiler/atoms.ts';
import { type AtomRule, GroupRules, type TierRules } from '#policy/compiler/group-rules.ts';
import type { PodGroup } from '#policy/compiler/pods.ts';
import { includes, portsOf, unionOf, verdictOn } from '#proto/ports.ts';
import { runs } from '#test/helpers/runs.ts';

const group: PodGroup = {
  key: '',
  namespace: '',
  labels: {},
  ports: [{ name: 'web', protocol: 'TCP', port: 2 }],
  pods: new Set(),
  addresses: new Set(),
  atoms: new Set(),
};

const plain = ['a', 'b'].map(
  (text) => new Atom(text, { pods: undefined, ranges: undefined, port: undefined }),
);
const named = new Atom('named', {
  pods: undefined,
  ranges: undefined,
  port: { name: 'web', protocol: 'TCP' },
});
const PORTS = [1, 2, 3, 4];

const rule: fc.Arbitrary<AtomRule> = fc.record({
  action: fc.constantFrom('accept' as const, 'deny' as const, 'pass' as const),
  atom: fc.constantFrom(undefined, ...plain, named),
  ports: fc
    .array(fc.constantFrom(...PORTS), { maxLength: 2 })
    .map((ports) => unionOf(ports.map((port) => portsOf('TCP', [{ first: port, last: port }])))),
  names: fc.constantFrom(
    [],
    [{ name: 'web', protocol: 'TCP' as const }],
    [{ name: 'none', protocol: 'TCP' as const }],
  ),
});

const tiers: fc.Arbitrary<TierRules[]> = fc.array(
  fc.record({
    tier: fc.record({
      name: fc.constant(''),
      order: fc.constant(0),
      unmatched: fc.constantFrom('deny' as const, 'pass' as const),
    }),
    rules: fc.array(rule, { maxLength: 4 }),
  }),
  { maxLength: 3 },
);

const facets = fc.subarray([...plain.map((atom) => atom.facet()), named.facet(1), named.facet(2)]);

/** What the rules say of TCP to a port, read one after the other. */
function naive(
  tiers: readonly TierRules[],
  peer: readonly { atom: Atom; port: number }[],
  port: number,
): boolean {
  for (const { tier, rules } of tiers) {
    const first = rules.find(({ atom, ports, names }) => {
      const held = peer.filter((facet) => facet.atom === atom);
      if (atom !== undefined && held.length === 0) return false;
      if (atom === named) return held.some((facet) => facet.port === port);
      return includes(ports, 'TCP', port) || (names[0]?.name === 'web' && port === 2);
    });
    const action = first?.action ?? tier.unmatched;
    if (action !== 'pass') return action === 'accept';
  }
  return true;
}

test('any peer, class and what is left come to what the tiers say, for every peer and port', () => {
  fc.assert(
    fc.property(tiers, facets, (tiers, peer) => {
      const rules = new GroupRules(group, tiers);
      // A class has only facets that make a difference.
      const entry = rules.entry(peer.filter(({ atom }) => rules.atoms.has(atom)));
      for (const port of PORTS) {
        const accepted =
          !rules.isolated ||
          includes(rules.anyPeer, 'TCP', port) ||
          (verdictOn(entry, 'TCP', port) ?? (includes(rules.otherwise, 'TCP', port) ? 'accept' : 'drop')) ===
            'accept';
        expect([port, accepted]).toEqual([port, naive(tiers, peer, port)]);
      }
    }),
    { numRuns: runs(3_000) },
  );
});

test('very many blocks that exclude one another are of no more cost than they have to say', () => {
  const COUNT = 500;
  const atoms = Array.from(
    { length: COUNT },
    (_, i) => new Atom(`${i}`, { pods: undefined, ranges: undefined, port: undefined }),
  );
  let asked = 0;
  const rules = atoms.map(
    (atom, i): AtomRule => ({
      action: 'accept',
      atom,
      names: [],
      ports: new Proxy(portsOf('TCP', [{ first: 2 * i, last: 2 * i }]), {
        get: (target, key) => {
          asked++;
          return Reflect.get(target, key);
        },
      }),
    }),
  );
  const tier = { name: '', order: 0, unmatched: 'deny' as const };
  const resolved = new GroupRules(group, [{ tier, rules }]);
  asked = 0;
  for (const left of atoms) {
    const entry = resolved.entry(atoms.filter((atom) => atom !== left).map((atom) => atom.facet()));
    expect(includes(entry.accept, 'TCP', 2 * atoms.indexOf(left))).toBe(false);
    expect(entry.accept.lanes.TCP).toHaveLength(COUNT - 1);
  }
  // Each rule for each class a few times, and not once more for each port.
  expect(asked).toBeLessThan(10 * COUNT * COUNT);
});
