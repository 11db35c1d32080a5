import type { Message, NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import * as nft from './constants.ts';
import { UnstableDumpError } from './error.ts';
import type { Expression } from './expression/expression.ts';
import { takeChain } from './message/chain.ts';
import { pairElements, putElementsRef, takeElements, type WireElement } from './message/element.ts';
import { putHeader } from './message/header.ts';
import { takeObject } from './message/object.ts';
import { takeRule } from './message/rule.ts';
import { takeSet } from './message/set.ts';
import { putTableFilter, takeTable } from './message/table.ts';
import {
  type AnonymousSet,
  type Chain,
  type Element,
  families,
  type Rule,
  type SetDefinition,
  type SetShape,
  type StatefulObject,
  type Table,
  type TableRef,
} from './model.ts';
import type { RulesetWatch, WatchedChanges } from './watch.ts';

const ATTEMPTS = 10;
/** Attempts that trust to nobody committing meanwhile; after them transactions are looked at. */
const QUIET_ATTEMPTS = 2;
/** Of one list, while others make and remove things of its kind. */
const LIST_ATTEMPTS = 100;

/** A table as the kernel has it: values of the same types as are sent, with what the kernel gave them. */
export interface TableDump {
  /** The ruleset's generation that it was read at. */
  readonly generation: number;
  readonly table: Table;
  readonly chains: readonly ChainDump[];
  readonly sets: readonly SetDump[];
  readonly objects: readonly StatefulObject[];
  /** What this layer does not know: objects of other kinds, sets with keys of other types. */
  readonly unknown: readonly { readonly kind: 'set' | 'object'; readonly name: string }[];
}

export interface ChainDump {
  readonly chain: Chain;
  /** In the order in which packets meet them. */
  readonly rules: readonly RuleDump[];
}

export interface RuleDump {
  readonly rule: Rule;
  /** By which operations call the rule. */
  readonly handle: number;
}

export interface SetDump {
  readonly set: SetDefinition;
  /** Sorted by key. */
  readonly elements: readonly Element[];
}

/**
 * Reads a table. Each of the requests that it takes sees the ruleset of its moment; when the table changed meanwhile, all is
 * read again. What others do to their own tables all the time, as a service proxy does, does not matter.
 *
 * @param generation asks for the ruleset's generation
 * @param watch opens what hears of transactions
 */
export function dumpTable(
  socket: NetlinkSocket,
  generation: () => number,
  table: TableRef,
  watch: () => RulesetWatch,
): TableDump | undefined {
  for (let attempt = 0; attempt < QUIET_ATTEMPTS; attempt++) {
    const before = generation();
    const found = new Reader(socket, table).read(before);
    if (generation() === before) return found;
  }
  using watching = watch();
  for (let attempt = QUIET_ATTEMPTS; attempt < ATTEMPTS; attempt++) {
    const before = generation();
    let at = before;
    let disturbed = false;
    const look = (): WatchedChanges => {
      const now = generation();
      const changes = watching.changes(at, now);
      at = now;
      disturbed ||= changes.ofTable;
      return changes;
    };
    const found = new Reader(socket, table, look).read(before);
    look();
    if (!disturbed) return found;
  }
  throw new UnstableDumpError(`table ${table.family} ${table.name}`, ATTEMPTS);
}

/** Reads the elements of one set. @throws NetlinkError when there is no such set */
export function dumpElements(socket: NetlinkSocket, table: TableRef, set: SetDefinition): Element[] {
  return new Reader(socket, table).elements(set.name, set);
}

class Reader {
  readonly #socket: NetlinkSocket;
  readonly #table: TableRef;
  readonly #what: string;

  readonly #look: (() => WatchedChanges) | undefined;

  /** @param look tells what has happened since it was called before; without it the kernel's word counts */
  constructor(socket: NetlinkSocket, table: TableRef, look?: () => WatchedChanges) {
    this.#look = look;
    this.#socket = socket;
    this.#table = table;
    this.#what = `table ${table.family} ${table.name}`;
  }

  read(generation: number): TableDump | undefined {
    const table = this.#list(nft.NFT_MSG_GETTABLE, () => {}, takeTable).find(({ table }) =>
      this.#isOurs(table),
    );
    if (!table) return undefined;
    const chains = this.#list(nft.NFT_MSG_GETCHAIN, () => {}, takeChain).filter((c) => this.#isOurs(c.table));
    const rules = this.#all(nft.NFT_MSG_GETRULE, (w) => putTableFilter(w, this.#table), takeRule);
    const sets = this.#all(nft.NFT_MSG_GETSET, (w) => putTableFilter(w, this.#table), takeSet);
    const objects = this.#list(nft.NFT_MSG_GETOBJ, (w) => putTableFilter(w, this.#table), takeObject);

    const anonymous = new Map<string, AnonymousSet>();
    const named: SetDump[] = [];
    const unknown: { kind: 'set' | 'object'; name: string }[] = [];
    for (const taken of sets) {
      if (!this.#isOurs(taken.table)) continue;
      const { name, definition } = taken;
      if (!definition) unknown.push({ kind: 'set', name });
      else if (taken.anonymous)
        anonymous.set(name, withElements(definition, this.elements(name, definition)));
      else named.push({ set: definition, elements: this.elements(name, definition) });
    }
    const known: StatefulObject[] = [];
    for (const { table: owner, name, object } of objects) {
      if (!this.#isOurs(owner)) continue;
      if (object) known.push(object);
      else unknown.push({ kind: 'object', name });
    }
    const byChain = new Map<string, RuleDump[]>(chains.map(({ chain }) => [chain.name, []]));
    for (const { table: owner, rule, handle } of rules) {
      if (this.#isOurs(owner)) byChain.get(rule.chain)?.push({ rule: inlineSets(rule, anonymous), handle });
    }
    return {
      generation,
      table: table.table,
      chains: chains.map(({ chain }) => ({ chain, rules: byChain.get(chain.name)! })),
      sets: named,
      objects: known,
      unknown,
    };
  }

  /** What is counted over all tables: read again when something of the kind came or went in any. */
  #list<T>(type: number, fill: (writer: MessageWriter) => void, take: (message: Message) => T): T[] {
    const look = this.#look;
    if (!look) return this.#all(type, fill, take);
    for (let attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
      look();
      const found = this.#all(type, fill, take);
      if (!look().ofLists) return found;
    }
    throw new UnstableDumpError(this.#what, LIST_ATTEMPTS);
  }

  #all<T>(type: number, fill: (writer: MessageWriter) => void, take: (message: Message) => T): T[] {
    const family = families.number(this.#table.family);
    return this.#socket.dumpAll(
      this.#what,
      type,
      (writer) => {
        putHeader(writer, family);
        fill(writer);
      },
      take,
      undefined,
      this.#look !== undefined,
    );
  }

  /**
   * The kernel walks a hash table by counting its elements, anew for each part of an answer. While the table grows, which
   * it does in the background after a transaction, an element may come twice, and another not at all in its place.
   */
  elements(name: string, shape: SetShape): Element[] {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const elements = pairElements(shape, this.#wireElements(name));
      if (!hasRepeats(elements)) return elements;
    }
    throw new UnstableDumpError(`set ${this.#table.family} ${this.#table.name} ${name}`, ATTEMPTS);
  }

  #wireElements(set: string): WireElement[] {
    const found: WireElement[] = [];
    this.#socket.dump(
      `set ${this.#table.family} ${this.#table.name} ${set}`,
      nft.NFT_MSG_GETSETELEM,
      (writer) => {
        putHeader(writer, families.number(this.#table.family));
        putElementsRef(writer, this.#table, set);
      },
      {
        restart: () => {
          found.length = 0;
        },
        message: (message) => takeElements(message, found),
        knowsBetter: this.#look !== undefined,
      },
    );
    return found;
  }

  #isOurs(table: TableRef): boolean {
    return table.family === this.#table.family && table.name === this.#table.name;
  }
}

/** Whether a key stands twice in sorted elements. */
function hasRepeats(elements: readonly Element[]): boolean {
  return elements.some((element, i) => i > 0 && element.key === elements[i - 1]!.key);
}

/** Puts a rule's own sets where their names stand. */
function inlineSets(rule: Rule, sets: ReadonlyMap<string, AnonymousSet>): Rule {
  if (sets.size === 0) return rule;
  const expressions = rule.expressions.map((e): Expression => {
    if (e.kind === 'lookup' && typeof e.set === 'string') return { ...e, set: sets.get(e.set) ?? e.set };
    if (e.kind === 'objref map' && typeof e.map === 'string') return { ...e, map: sets.get(e.map) ?? e.map };
    return e;
  });
  return { ...rule, expressions };
}

function withElements(set: SetDefinition, elements: readonly Element[]): AnonymousSet {
  const { key, value, object, interval } = set;
  return {
    key,
    ...(value ? { value } : {}),
    ...(object ? { object } : {}),
    ...(interval ? { interval } : {}),
    elements,
  };
}
