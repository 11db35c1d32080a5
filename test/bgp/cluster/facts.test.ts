import { describe, expect, test } from 'vitest';
import { factsOf } from '#bgp/cluster/facts.ts';
import { formatFacts, parseFacts } from '#bgp/cluster/facts-file.ts';
import type { Node } from '#datastore/kinds/node.ts';
import { factsFor, nodeFacts } from './nodes.ts';

function node(name: string, addresses: readonly (readonly [string, string])[]): Node {
  return {
    kind: 'Node',
    namespace: '',
    name,
    uid: '',
    labels: { rack: 'a' },
    podCidrs: ['10.244.1.0/24'],
    addresses: addresses.map(([type, address]) => ({ type, address })),
  };
}

describe('what is taken of a Node object', () => {
  test('the first InternalIP of each family, in their order', () => {
    const addresses = [
      ['ExternalIP', '192.0.2.1'],
      ['InternalIP', 'fd00::1'],
      ['InternalIP', '10.0.0.1'],
      ['InternalIP', '10.9.9.9'],
      ['InternalIP', 'fd00::9'],
    ] as const;
    expect(factsOf([node('n1', addresses)], 'n1')).toEqual({
      own: {
        name: 'n1',
        addresses: ['fd00::1', '10.0.0.1'],
        podCidrs: ['10.244.1.0/24'],
        labels: { rack: 'a' },
      },
      others: [],
    });
  });

  test('the others by name, and nothing at all as long as this node is not among them', () => {
    const nodes = ['n3', 'n1', 'n2'].map((name) => node(name, []));
    expect(factsOf(nodes, 'n1')?.others.map(({ name }) => name)).toEqual(['n2', 'n3']);
    expect(factsOf(nodes, 'n4')).toBeUndefined();
  });
});

describe('the file of what was last known', () => {
  const facts = factsFor('n1', [1, 2, 3].map(nodeFacts), { rack: 'a' });

  test('gives back what was written', () => {
    expect(parseFacts(formatFacts(facts), 'n1')).toEqual(facts);
  });

  test.each([
    ['nothing', ''],
    ['half of it', formatFacts(facts).slice(0, 100)],
    ['another version', formatFacts(facts).replace('"version":1', '"version":2')],
    ['an address that is none', formatFacts(facts).replace('10.0.0.2', '10.0.0.256')],
    ['a pod CIDR that is none', formatFacts(facts).replace('10.244.3.0/24', '10.244.3.0/33')],
  ])('is not believed when it is damaged: %s', (_, text) => {
    expect(parseFacts(text, 'n1')).toHaveProperty('damage');
  });

  test('of another node is not believed', () => {
    expect(parseFacts(formatFacts(facts), 'n2')).toEqual({ damage: 'it is of the node n1, expected n2' });
  });
});
