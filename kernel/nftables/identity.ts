import type { Chain, Rule, SetDefinition, StatefulObject, Table } from './model.ts';

/*
 * Texts that are equal when two values ask for the same thing: what should be there against what a dump found. Fields
 * may stand in any order, `false` and the kernel's defaults may be there or not, and what packets change (counts, used
 * quota, what is left of a timeout) is passed over.
 */

/** The same for two rules that do the same, wherever in their chain they are. */
export function ruleIdentity(rule: Rule): string {
  return canonical(rule);
}

/** The same for two chains that differ in nothing but their rules. */
export function chainIdentity(chain: Chain): string {
  const { base } = chain;
  if (!base) return canonical(chain);
  return canonical({ ...chain, base: { ...base, policy: base.policy ?? 'accept' } });
}

/** The same for two sets that differ in nothing but their elements. A set can not be changed: make it anew. */
export function setIdentity(set: SetDefinition): string {
  return canonical(set);
}

export function objectIdentity(object: StatefulObject): string {
  return canonical(object);
}

export function tableIdentity(table: Table): string {
  return canonical(table);
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = value as Readonly<Record<string, unknown>>;
  const changing = CHANGING[String(fields.kind)] ?? [];
  const parts: string[] = [];
  for (const key of Object.keys(fields).sort()) {
    const field = fields[key];
    if (field === undefined || field === false || key === 'expires' || changing.includes(key)) continue;
    parts.push(`${key}:${canonical(field)}`);
  }
  return `{${parts.join(',')}}`;
}

/** What packets change, by kind of expression. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  counter: ['packets', 'bytes'],
  quota: ['consumed'],
  last: ['ago'],
};
