import type { Hex } from '#kernel/nftables/hex.ts';
import type { Operation } from '#kernel/nftables/operation.ts';
import { DIRECTIONS } from '#proto/program.ts';
import type { Part } from './part.ts';
import type { NodeRuleset } from './ruleset.ts';

/**
 * The parts of the ruleset that an operation is about: what is to be closed when the kernel refuses it. None for what holds
 * everything together.
 *
 * @param key the element that the kernel pointed at
 */
export function partsAtFault(operation: Operation, key: Hex | undefined, ruleset: NodeRuleset): Part[] {
  switch (operation.op) {
    case 'add chain':
      return ofName(operation.chain.name);
    case 'add rule':
      return ofName(operation.rule.chain);
    case 'add set':
      return ofName(operation.set.name);
    case 'add elements': {
      const { set, elements } = operation;
      if (set.key[0] !== 'ifname') return ofName(set.name);
      const keys = key === undefined ? elements.map((element) => element.key) : [key];
      const pods = keys.flatMap((text) => ruleset.podOf(interfaceOf(text)) ?? []);
      return [...new Set(pods)].map((pod) => ({ kind: 'pod', pod }));
    }
    default:
      return [];
  }
}

function ofName(name: string): Part[] {
  const direction = DIRECTIONS.find((one) => name.startsWith(`${one}-`));
  if (direction === undefined) return /^(nat-|hostports)/.test(name) ? [{ kind: 'nat' }] : [];
  const rest = name.slice(direction.length + 1);
  const id = /^[0-9a-f]{32}/.exec(rest)?.[0];
  if (id !== undefined) return [{ kind: 'class', direction, id }];
  return /^(peers|blocks)/.test(rest) ? [{ kind: 'peers', direction }] : [];
}

function interfaceOf(key: Hex): string {
  return Buffer.from(key.slice(0, 32), 'hex').toString().replace(/\0.*$/s, '');
}
