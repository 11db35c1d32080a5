import { chainIdentity, ruleIdentity } from '#kernel/nftables/identity.ts';
import type { Chain, Element, Rule } from '#kernel/nftables/model.ts';

/*
 * What counts as the same in two states of a table, and the order in which its parts are told. Pure.
 */

/** A chain with its rules. */
export interface ChainContents {
  readonly chain: Chain;
  readonly rules: readonly Rule[];
}

/** Of a chain whose rules somebody changed. */
export const UNKNOWN: readonly Rule[] = Object.freeze([]);

/** What tells elements of a set apart. */
export function elementKey({ key, end }: Element): string {
  return end === undefined ? key : `${key}-${end}`;
}

/** Whether an element says the same; two that are not there do. */
export function sameElement(a: Element | undefined, b: Element | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.comment !== b.comment) return false;
  const { value: x } = a;
  const { value: y } = b;
  if (typeof x !== 'object' || typeof y !== 'object') return x === y;
  return x.verdict === y.verdict && chainOf(x) === chainOf(y);
}

function chainOf(verdict: Extract<Element['value'], object>): string | undefined {
  return 'chain' in verdict ? verdict.chain : undefined;
}

/** What of a chain can not be changed once it is there: its hook and its comment. */
export function sameChain(wanted: ChainContents, there: ChainContents): boolean {
  return wanted.chain === there.chain || chainIdentity(wanted.chain) === chainIdentity(there.chain);
}

export function sameRules(wanted: readonly Rule[], there: readonly Rule[]): boolean {
  return (
    wanted === there ||
    (there !== UNKNOWN &&
      wanted.length === there.length &&
      wanted.every((rule, i) => ruleIdentity(rule) === ruleIdentity(there[i]!)))
  );
}

/** Base chains in the order in which a packet meets them, then the others by name. */
export function baseFirst(a: Chain, b: Chain): number {
  if (a.base === undefined || b.base === undefined) {
    if (a.base === b.base) return byText(a.name, b.name);
    return a.base === undefined ? 1 : -1;
  }
  return (
    HOOKS.indexOf(a.base.hook) - HOOKS.indexOf(b.base.hook) ||
    a.base.priority - b.base.priority ||
    byText(a.name, b.name)
  );
}

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
