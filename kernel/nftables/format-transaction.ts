import { normaliseElements } from './elements.ts';
import { formatRule } from './format-rule.ts';
import { formatDuration, formatStateful } from './format-statement.ts';
import { formatData, formatKey } from './key.ts';
import {
  type BaseChain,
  type Chain,
  type Element,
  PRIORITY,
  type SetDefinition,
  type StatefulObject,
  type TableRef,
} from './model.ts';
import type { Operation, Transaction } from './operation.ts';

/**
 * A transaction in nft's language, an operation a line: for tests, logs and people. `nft -f` takes it, except for rules
 * that name another by a handle that is not there. Elements are shown as they are sent: normalised.
 *
 * @throws IntervalConflictError when elements overlap that lead to different things
 */
export function formatTransaction(transaction: Transaction): string {
  return transaction.map((operation) => `${formatOperation(operation)}\n`).join('');
}

export function formatOperation(operation: Operation): string {
  const where = `${operation.table.family} ${operation.table.name}`;
  const add = 'exclusive' in operation && operation.exclusive ? 'create' : 'add';
  switch (operation.op) {
    case 'add table': {
      const { dormant, comment } = operation.table;
      return `${add} table ${where}${block([dormant ? 'flags dormant' : '', quoted(comment)])}`;
    }
    case 'delete table':
    case 'flush table':
      return `${operation.op} ${where}`;
    case 'add chain':
      return `${add} chain ${where} ${operation.chain.name}${block(chainParts(operation.chain))}`;
    case 'delete chain':
    case 'flush chain':
      return `${operation.op} ${where} ${operation.chain}`;
    case 'add rule':
    case 'insert rule':
    case 'replace rule': {
      const { family } = operation.table;
      return `${operation.op} ${where} ${operation.rule.chain}${placeOf(operation)} ${formatRule(family, operation.rule)}`;
    }
    case 'delete rule':
      return `delete rule ${where} ${operation.chain} handle ${operation.handle}`;
    case 'add set':
      return `${add} ${setWord(operation.set)} ${where} ${operation.set.name}${block(setParts(operation.set))}`;
    case 'delete set':
    case 'flush set':
      return `${operation.op} ${where} ${operation.set}`;
    case 'add elements':
    case 'delete elements': {
      const word = operation.op === 'delete elements' ? 'delete' : add;
      const elements = normaliseElements(operation.set, operation.elements);
      return `${word} element ${where} ${operation.set.name}${elementsText(operation.set, elements)}`;
    }
    case 'add object': {
      const { kind, name } = operation.object;
      return `${add} ${kind} ${where} ${name}${block(objectParts(operation.object))}`;
    }
    case 'delete object':
      return `delete ${operation.kind} ${where} ${operation.name}`;
  }
}

/** What a table holds, in the shape of a dump. */
export interface TableContents {
  readonly table: TableRef & { readonly comment?: string; readonly dormant?: boolean };
  readonly chains: readonly {
    readonly chain: Chain;
    readonly rules: readonly { readonly rule: Parameters<typeof formatRule>[1] }[];
  }[];
  readonly sets: readonly { readonly set: SetDefinition; readonly elements: readonly Element[] }[];
  readonly objects: readonly StatefulObject[];
}

export interface FormatOptions {
  /** An element a line, where there are several. */
  readonly elementLines?: boolean;
}

/** A table with all that is in it as `nft list table` shows it, but for how long lists are broken into lines. */
export function formatTable(contents: TableContents, { elementLines = false }: FormatOptions = {}): string {
  const { table, chains, sets, objects } = contents;
  const section = (head: string, lines: readonly string[]): string =>
    [`\t${head} {`, ...lines.filter((line) => line !== '').map((line) => `\t\t${line}`), '\t}'].join('\n');
  const sections = [
    ...objects.map((o) => section(`${o.kind} ${o.name}`, objectParts(o))),
    ...sets.map(({ set, elements }) => {
      const texts = elements.map((element) => formatElement(set, element));
      const list =
        texts.length === 0
          ? []
          : elementLines && texts.length > 1
            ? ['elements = {', ...texts.map((text) => `\t${text},`), '}']
            : [`elements = { ${texts.join(', ')} }`];
      return section(`${setWord(set)} ${set.name}`, [...setParts(set), ...list]);
    }),
    ...chains.map(({ chain, rules }) =>
      section(`chain ${chain.name}`, [
        ...chainParts(chain),
        ...rules.map(({ rule }) => formatRule(table.family, rule)),
      ]),
    ),
  ];
  const head = [
    table.dormant ? '\tflags dormant' : '',
    quoted(table.comment) && `\t${quoted(table.comment)}`,
  ];
  const lines = [...head.filter((line) => line !== ''), sections.join('\n\n')].filter((text) => text !== '');
  return `table ${table.family} ${table.name} {\n${lines.map((line) => `${line}\n`).join('')}}\n`;
}

/** An element as nft prints it. */
export function formatElement(set: SetDefinition, element: Element): string {
  const parts = [formatKey(set, element)];
  if (element.timeout !== undefined) parts.push(`timeout ${formatDuration(element.timeout)}`);
  if (element.expires !== undefined) parts.push(`expires ${formatDuration(element.expires)}`);
  for (const e of element.state ?? []) parts.push(formatStateful(e));
  if (element.comment !== undefined) parts.push(quoted(element.comment));
  if (element.object !== undefined) parts.push(`: "${element.object}"`);
  else if (element.value !== undefined) parts.push(`: ${formatData(set, element.value)}`);
  return parts.join(' ');
}

function elementsText(set: SetDefinition, elements: readonly Element[]): string {
  return ` { ${elements.map((element) => formatElement(set, element)).join(', ')} }`;
}

function block(parts: readonly string[]): string {
  const some = parts.filter((part) => part !== '');
  // What ends with a policy ends with its semicolon, as nft has it.
  return some.length === 0 ? '' : ` { ${some.map((part) => `${part.replace(/;$/, '')};`).join(' ')} }`;
}

function quoted(comment: string | undefined): string {
  return comment === undefined ? '' : `comment "${comment}"`;
}

function setWord(set: SetDefinition): 'set' | 'map' {
  return set.value === undefined && set.object === undefined ? 'set' : 'map';
}

function chainParts({ base, comment }: Chain): string[] {
  if (!base) return [quoted(comment)];
  const devices = base.devices ?? [];
  const device =
    devices.length === 0
      ? ''
      : devices.length === 1
        ? ` device "${devices[0]}"`
        : ` devices = { ${devices.map((name) => `"${name}"`).join(', ')} }`;
  const hook = `type ${base.type} hook ${base.hook}${device} priority ${priorityText(base)}`;
  return [quoted(comment), `${hook}; policy ${base.policy ?? 'accept'};`];
}

/** A priority by the nearest name, at most 10 away, as nft shows it. */
function priorityText({ priority, hook }: BaseChain): string {
  for (const [name, value] of Object.entries(PRIORITY)) {
    const distance = priority - value;
    if (Math.abs(distance) > 10 || !hasName(name, hook)) continue;
    return distance === 0 ? name : `${name} ${distance < 0 ? '-' : '+'} ${Math.abs(distance)}`;
  }
  return String(priority);
}

/** nft has the names of NAT only for the hooks that they belong to. */
function hasName(name: string, hook: string): boolean {
  if (name === 'dstnat') return hook === 'prerouting';
  if (name === 'srcnat') return hook === 'postrouting' || hook === 'input';
  return hook !== 'ingress' && hook !== 'egress' ? true : name === 'filter';
}

function setParts(set: SetDefinition): string[] {
  const { typeof: fields } = set;
  const key = fields ? `typeof ${fields.key.join(' . ')}` : `type ${set.key.join(' . ')}`;
  const named = fields?.value ?? (set.value === 'verdict' ? ['verdict'] : set.value);
  const value = set.object ?? named?.join(' . ');
  const flags = [
    set.constant ? 'constant' : '',
    set.dynamic ? 'dynamic' : '',
    set.interval ? 'interval' : '',
    set.timeout !== undefined ? 'timeout' : '',
  ].filter((flag) => flag !== '');
  return [
    value === undefined ? key : `${key} : ${value}`,
    set.policy === undefined ? '' : `policy ${set.policy}`,
    set.size === undefined ? '' : `size ${set.size}`,
    flags.length === 0 ? '' : `flags ${flags.join(',')}`,
    set.timeout ? `timeout ${formatDuration(set.timeout)}` : '',
    set.gcInterval === undefined ? '' : `gc-interval ${formatDuration(set.gcInterval)}`,
    set.autoMerge ? 'auto-merge' : '',
    quoted(set.comment),
    ...(set.state ?? []).map((e) => (e.kind === 'counter' ? 'counter' : formatStateful(e))),
  ];
}

function objectParts(object: StatefulObject): string[] {
  const text = formatStateful(object).slice(object.kind.length + 1);
  return [quoted(object.comment), text];
}

function placeOf(operation: Extract<Operation, { readonly rule: unknown }>): string {
  if (operation.op === 'replace rule') return ` handle ${operation.handle}`;
  const other = operation.op === 'add rule' ? operation.after : operation.before;
  return other === undefined ? '' : ` handle ${other}`;
}
