import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
} from '../netlink/constants.ts';
import { MessageWriter } from '../netlink/writer.ts';
import * as nft from './constants.ts';
import { normaliseElements } from './elements.ts';
import { InvalidObjectError } from './error.ts';
import type { SetNames } from './expression/expression.ts';
import { putChain, putChainRef } from './message/chain.ts';
import { putElements, putElementsRef, startsAtZero } from './message/element.ts';
import { putHeader } from './message/header.ts';
import { putObject, putObjectRef } from './message/object.ts';
import { putRule, putRuleRef, type RulePlace } from './message/rule.ts';
import { putSet, putSetRef } from './message/set.ts';
import { putTable, putTableRef } from './message/table.ts';
import {
  type AnonymousSet,
  type Family,
  families,
  type Rule,
  type SetShape,
  type TableRef,
} from './model.ts';
import { describeOperation, type Operation, type Transaction } from './operation.ts';

export interface EncodeOptions {
  /** Have the kernel refuse the batch when the ruleset's generation is another. */
  readonly generation?: number | undefined;
  /** Have the kernel tell the handles of the rules that it makes. */
  readonly echo?: boolean;
  /** Have the kernel tell the generation that the transaction makes. */
  readonly tellGeneration?: boolean;
}

/**
 * A transaction as one nfnetlink batch, ready for one sendmsg(2): BATCH_BEGIN, the messages, BATCH_END. An operation
 * makes one message or more: elements that do not fit in one attribute of 64 KiB go on in the next message, and a set
 * without a name goes ahead of its rule.
 */
export class EncodedTransaction {
  readonly writer: MessageWriter;
  /** Operation of each message; none for BATCH_BEGIN and BATCH_END. */
  readonly #operations: readonly (number | undefined)[];
  /** Where each message starts. */
  readonly #starts: readonly number[];
  #sequence = 0;

  constructor(writer: MessageWriter, operations: readonly (number | undefined)[], starts: readonly number[]) {
    this.writer = writer;
    this.#operations = operations;
    this.#starts = starts;
  }

  /** Messages in the batch, its begin and end included. */
  get messages(): number {
    return this.#starts.length;
  }

  /** Numbers the messages from `sequence` on; they come numbered from 0. */
  number(sequence: number): void {
    this.#sequence = sequence;
    this.#starts.forEach((start, i) => {
      this.writer.view.setUint32(start + 8, sequence + i, true);
    });
  }

  /** Position of the operation that a message belongs to; undefined for BATCH_BEGIN and BATCH_END. */
  operationOf(sequence: number): number | undefined {
    return this.#operations[sequence - this.#sequence];
  }

  /** Where a message starts in the writer's bytes; undefined for one of another batch. */
  startOf(sequence: number): number | undefined {
    return this.#starts[sequence - this.#sequence];
  }
}

/**
 * Writes a transaction.
 *
 * @param writer memory to use; what it holds is lost
 * @throws InvalidObjectError when a value has no place in a message
 * @throws IntervalConflictError when elements overlap that say different things
 */
export function encodeTransaction(
  transaction: Transaction,
  options: EncodeOptions = {},
  writer: MessageWriter = new MessageWriter(),
): EncodedTransaction {
  return new Encoder(transaction, options, writer).encode();
}

class Encoder implements SetNames {
  readonly #transaction: Transaction;
  readonly #options: EncodeOptions;
  readonly #writer: MessageWriter;
  readonly #operations: (number | undefined)[] = [];
  readonly #starts: number[] = [];
  #operation = 0;
  /** Numbers of the sets that the transaction made so far, by table and name. */
  readonly #ids = new Map<string, number>();
  #lastId = 0;
  /** The table of the rule that is being written, and its own sets. */
  #table: TableRef | undefined;
  readonly #anonymous = new Map<AnonymousSet, { readonly name: string; readonly id: number }>();

  constructor(transaction: Transaction, options: EncodeOptions, writer: MessageWriter) {
    this.#transaction = transaction;
    this.#options = options;
    this.#writer = writer;
  }

  encode(): EncodedTransaction {
    const writer = this.#writer;
    writer.reset();
    writer.ensure(estimate(this.#transaction));
    this.#frame(nft.NFNL_MSG_BATCH_BEGIN, this.#options.generation);
    for (const operation of this.#transaction) {
      try {
        this.#put(operation);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new InvalidObjectError(describeOperation(operation), error.message, error);
      }
      this.#operation++;
    }
    this.#frame(nft.NFNL_MSG_BATCH_END);
    return new EncodedTransaction(writer, this.#operations, this.#starts);
  }

  #put(operation: Operation): void {
    const writer = this.#writer;
    const { table } = operation;
    const create = NLM_F_CREATE | ('exclusive' in operation && operation.exclusive ? NLM_F_EXCL : 0);
    switch (operation.op) {
      case 'add table':
        this.#begin(nft.NFT_MSG_NEWTABLE, create, table);
        putTable(writer, operation.table);
        writer.end();
        return;
      case 'delete table':
        this.#begin(nft.NFT_MSG_DELTABLE, 0, table);
        putTableRef(writer, table);
        writer.end();
        return;
      case 'flush table':
        this.#begin(nft.NFT_MSG_DELRULE, 0, table);
        putRuleRef(writer, table);
        writer.end();
        return;
      case 'add chain':
        this.#begin(nft.NFT_MSG_NEWCHAIN, create, table);
        putChain(writer, table, operation.chain);
        writer.end();
        return;
      case 'delete chain':
        this.#begin(nft.NFT_MSG_DELCHAIN, 0, table);
        putChainRef(writer, table, operation.chain);
        writer.end();
        return;
      case 'flush chain':
        this.#begin(nft.NFT_MSG_DELRULE, 0, table);
        putRuleRef(writer, table, operation.chain);
        writer.end();
        return;
      case 'add rule':
        this.#putRule(NLM_F_CREATE | NLM_F_APPEND, table, operation.rule, { position: operation.after });
        return;
      case 'insert rule':
        this.#putRule(NLM_F_CREATE, table, operation.rule, { position: operation.before });
        return;
      case 'replace rule':
        this.#putRule(NLM_F_REPLACE, table, operation.rule, { handle: operation.handle });
        return;
      case 'delete rule':
        this.#begin(nft.NFT_MSG_DELRULE, 0, table);
        putRuleRef(writer, table, operation.chain, operation.handle);
        writer.end();
        return;
      case 'add set': {
        const id = ++this.#lastId;
        this.#begin(nft.NFT_MSG_NEWSET, create, table);
        putSet(writer, table, operation.set, { name: operation.set.name, id });
        writer.end();
        this.#ids.set(setKey(table, operation.set.name), id);
        return;
      }
      case 'delete set':
        this.#begin(nft.NFT_MSG_DELSET, 0, table);
        putSetRef(writer, table, operation.set);
        writer.end();
        this.#ids.delete(setKey(table, operation.set));
        return;
      case 'flush set':
        this.#begin(nft.NFT_MSG_DELSETELEM, 0, table);
        putElementsRef(writer, table, operation.set);
        writer.end();
        return;
      case 'add elements': {
        const { set } = operation;
        const elements = normaliseElements(set, operation.elements);
        this.#putElements(nft.NFT_MSG_NEWSETELEM, create, table, set.name, set, elements);
        return;
      }
      case 'delete elements': {
        const { set } = operation;
        const elements = normaliseElements(set, operation.elements);
        this.#putElements(nft.NFT_MSG_DELSETELEM, 0, table, set.name, set, elements);
        return;
      }
      case 'add object':
        this.#begin(nft.NFT_MSG_NEWOBJ, create, table);
        putObject(writer, table, operation.object);
        writer.end();
        return;
      case 'delete object':
        this.#begin(nft.NFT_MSG_DELOBJ, 0, table);
        putObjectRef(writer, table, operation.kind, operation.name);
        writer.end();
        return;
    }
  }

  /** What a set is called in the rule that is being written. */
  of(set: string | AnonymousSet): { readonly name: string; readonly id: number | undefined } {
    if (typeof set !== 'string') return this.#anonymous.get(set)!;
    return { name: set, id: this.#ids.size > 0 ? this.#ids.get(setKey(this.#table!, set)) : undefined };
  }

  /** A rule, with the sets without names that it uses ahead of it. */
  #putRule(flags: number, table: TableRef, rule: Rule, place: RulePlace): void {
    if (this.#anonymous.size > 0) this.#anonymous.clear();
    for (const e of rule.expressions) {
      const set = e.kind === 'lookup' ? e.set : e.kind === 'objref map' ? e.map : '';
      if (typeof set !== 'string') this.#anonymous.set(set, this.#putAnonymous(table, set));
    }
    this.#table = table;
    this.#begin(nft.NFT_MSG_NEWRULE, flags | (this.#options.echo ? NLM_F_ECHO : 0), table);
    putRule(this.#writer, table, rule, place, this);
    this.#writer.end();
  }

  #putAnonymous(table: TableRef, set: AnonymousSet): { name: string; id: number } {
    const id = ++this.#lastId;
    const name = set.value === undefined && set.object === undefined ? '__set%d' : '__map%d';
    const elements = normaliseElements(set, set.elements);
    this.#begin(nft.NFT_MSG_NEWSET, NLM_F_CREATE, table);
    // nft's own sets of intervals have this, so that it prints ours the same.
    const autoMerge = set.interval === true && set.value === undefined && set.object === undefined;
    const size = wireCount(set, elements);
    putSet(this.#writer, table, { ...set, size, autoMerge }, { name, id, anonymous: true });
    this.#writer.end();
    this.#putElements(nft.NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, name, set, elements, id);
    return { name, id };
  }

  #putElements(
    type: number,
    flags: number,
    table: TableRef,
    name: string,
    set: SetShape,
    elements: AnonymousSet['elements'],
    anonymousId?: number,
  ): void {
    const id = anonymousId ?? this.#ids.get(setKey(table, name));
    const whole = anonymousId !== undefined;
    // The kernel takes a second end at zero for the first one.
    let first = type === nft.NFT_MSG_NEWSETELEM && id !== undefined;
    for (let next = 0; next < elements.length; ) {
      this.#begin(type, flags, table);
      next = putElements(this.#writer, table, name, set, elements, next, { id, whole, first });
      this.#writer.end();
      first = false;
    }
  }

  #begin(type: number, flags: number, table: { readonly family: Family }): void {
    this.#open(type, flags, this.#operation);
    putHeader(this.#writer, families.number(table.family));
  }

  #frame(type: number, generation?: number): void {
    const writer = this.#writer;
    this.#open(type, 0, undefined);
    putHeader(writer, 0, nft.NFNL_SUBSYS_NFTABLES);
    if (generation !== undefined) writer.be32(nft.NFNL_BATCH_GENID, generation);
    writer.end();
  }

  #open(type: number, flags: number, operation: number | undefined): void {
    const writer = this.#writer;
    const sequence = this.#starts.length;
    this.#operations.push(operation);
    this.#starts.push(writer.length);
    // The kernel goes by the message that follows BATCH_BEGIN (nf_tables_gen_notify), and echoes what that did as well.
    const echo = sequence === 1 && this.#options.tellGeneration ? NLM_F_ECHO : 0;
    writer.begin(type, NLM_F_REQUEST | echo | flags, sequence);
  }
}

/** About how many bytes a transaction takes; too small a figure only costs copying. */
function estimate(transaction: Transaction): number {
  let bytes = 256;
  for (const operation of transaction) {
    bytes += 128;
    if ('elements' in operation) bytes += operation.elements.length * 48;
    if ('rule' in operation) bytes += operation.rule.expressions.length * 64;
  }
  return bytes;
}

function setKey(table: TableRef, set: string): string {
  return `${table.family} ${table.name} ${set}`;
}

/** Elements on the wire, by whose number the kernel chooses how to keep the set; counted as nft does. */
function wireCount(set: SetShape, elements: AnonymousSet['elements']): number {
  if (!set.interval || set.key.length > 1) return elements.length;
  return elements.length * 2 + (startsAtZero(elements) ? 0 : 1);
}
