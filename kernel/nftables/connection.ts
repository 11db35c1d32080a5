import { NETLINK_NETFILTER, SO_RCVBUFFORCE, SOL_SOCKET } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import { Attributes } from '../netlink/reader.ts';
import { type Message, NetlinkSocket } from '../netlink/socket.ts';
import { MessageWriter } from '../netlink/writer.ts';
import { errno } from '../sys/errno.ts';
import { setsockopt } from '../sys/libc.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import { NFGENMSG, NFT_MSG_GETGEN, NFT_MSG_GETTABLE, NFT_MSG_NEWGEN, NFT_MSG_NEWRULE } from './constants.ts';
import { dumpElements, dumpTable, type TableDump } from './dump.ts';
import { GenerationMovedError, type OperationFailure, TransactionError } from './error.ts';
import { putHeader } from './message/header.ts';
import { takeRule } from './message/rule.ts';
import { takeTable } from './message/table.ts';
import type { Element, SetDefinition, Table, TableRef } from './model.ts';
import { describeOperation, type Transaction } from './operation.ts';
import { explainRefusal } from './refusal.ts';
import { type EncodedTransaction, encodeTransaction } from './transaction.ts';
import { RulesetWatch } from './watch.ts';

/** Memory that is kept from one transaction to the next. */
const KEEP_BYTES = 1 << 20;
/** What the kernel accounts for an error that it sends, more or less. */
const ERROR_BYTES = 1024;
/** NFTA_GEN_ID */
const GEN_ID = 1;

export interface CommitOptions {
  /**
   * The ruleset's generation that the transaction is based on; the kernel refuses when it has moved. The generation
   * is the network namespace's and moves with other people's tables too. Without it nothing is checked.
   */
  readonly generation?: number;
  /** Learn the handles of the rules that the transaction makes. */
  readonly handles?: boolean;
}

export interface CommitResult {
  /**
   * The generation that the transaction made, or that of the ruleset when it changed nothing. A transaction that is based
   * on it sees what anybody else did since.
   */
  readonly generation: number;
  /** With `handles`: the handle of the rule that an operation made, by the operation's position. */
  readonly handles: ReadonlyMap<number, number>;
}

/**
 * nf_tables of one network namespace. Requests are synchronous.
 *
 *     using nftables = Nftables.open(namespace);
 *     nftables.commit([{ op: 'add table', table }, ...]);
 *     const dump = nftables.dump(table);
 */
export class Nftables implements Disposable {
  readonly #socket: NetlinkSocket;
  #writer = new MessageWriter(1 << 16);
  #room = 8 << 20;

  readonly #namespace: NetworkNamespace | undefined;

  private constructor(socket: NetlinkSocket, namespace: NetworkNamespace | undefined) {
    this.#socket = socket;
    this.#namespace = namespace;
  }

  /**
   * @param namespace the thread's own when absent
   * @throws SyscallError
   */
  static open(namespace?: NetworkNamespace): Nftables {
    return new Nftables(NetlinkSocket.open(NETLINK_NETFILTER, namespace), namespace);
  }

  /** The number that the kernel knows this connection by; a monitor tells its own transactions by it (monitor.ts). */
  get port(): number {
    return this.#socket.port;
  }

  /**
   * The generation of the ruleset: it moves with each transaction, by whomever.
   *
   * @throws NetlinkError
   */
  generation(): number {
    let generation: number | undefined;
    this.#socket.request(
      'ruleset generation',
      NFT_MSG_GETGEN,
      0,
      (writer) => putHeader(writer, 0),
      (message) => {
        if (message.type === NFT_MSG_NEWGEN) generation = takeGeneration(message);
      },
    );
    if (generation === undefined) {
      throw new NetlinkError('ruleset generation', { errno: errno.EPROTO, text: 'no answer' });
    }
    return generation;
  }

  /**
   * Brings a transaction into force, all of it or nothing.
   *
   * @throws GenerationMovedError when `options.generation` is not the ruleset's
   * @throws TransactionError when the kernel refuses
   * @throws NetlinkError with ENOBUFS when answers were lost, and with them whether it is in force
   * @throws InvalidObjectError, IntervalConflictError before anything is sent
   */
  commit(transaction: Transaction, options: CommitOptions = {}): CommitResult {
    const handles = new Map<number, number>();
    if (transaction.length === 0) return { generation: this.generation(), handles };
    const encoded = encodeTransaction(
      transaction,
      { generation: options.generation, echo: options.handles ?? false, tellGeneration: true },
      this.#writer,
    );
    encoded.number(this.#socket.takeSequence(encoded.messages));
    this.#makeRoom(encoded, options);
    let generation: number | undefined;
    const failures = this.#exchange(transaction, encoded, options, (message, at) => {
      if (message.type === NFT_MSG_NEWGEN) generation = takeGeneration(message);
      const index = options.handles ? encoded.operationOf(at) : undefined;
      if (message.type === NFT_MSG_NEWRULE && index !== undefined)
        handles.set(index, takeRule(message).handle);
    });
    if (failures.length > 0) throw new TransactionError(failures[0]!.error, failures);
    if (this.#writer.bytes.length > KEEP_BYTES) this.#writer = new MessageWriter(1 << 16);
    // What changed nothing makes no generation.
    return { generation: generation ?? options.generation ?? this.generation(), handles };
  }

  /**
   * A table with all that is in it, as it was at one generation; undefined when there is none.
   *
   * @throws NetlinkError, DecodeError
   * @throws UnstableDumpError when others changed the table each time it was read
   */
  dump(table: TableRef): TableDump | undefined {
    return dumpTable(
      this.#socket,
      () => this.generation(),
      table,
      () => RulesetWatch.open(table, this.#namespace),
    );
  }

  /**
   * The elements of one set, sorted by key.
   *
   * @throws NetlinkError with ENOENT when there is no such set
   * @throws DecodeError, UnstableDumpError
   */
  elements(table: TableRef, set: SetDefinition): Element[] {
    return dumpElements(this.#socket, table, set);
  }

  /**
   * The tables of all families.
   *
   * @throws NetlinkError, DecodeError
   */
  tables(): Table[] {
    return this.#socket.dumpAll(
      'nftables tables',
      NFT_MSG_GETTABLE,
      (writer) => putHeader(writer, 0),
      (message) => takeTable(message).table,
    );
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Room for an error for each message, and for each rule that is told: answers that do not fit are lost. */
  #makeRoom(encoded: EncodedTransaction, options: CommitOptions): void {
    const needed = encoded.messages * ERROR_BYTES + (options.handles ? encoded.writer.length * 4 : 0);
    if (needed <= this.#room) return;
    setsockopt(this.#socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, needed);
    this.#room = needed;
  }

  #exchange(
    transaction: Transaction,
    encoded: EncodedTransaction,
    options: CommitOptions,
    onReply: (message: Message, sequence: number) => void,
  ): OperationFailure[] {
    const failures: OperationFailure[] = [];
    const whole = `transaction of ${transaction.length} operations`;
    this.#socket.exchange(
      whole,
      encoded.writer.bytes,
      encoded.writer.length,
      undefined,
      (sequence, refusal) => {
        const index = encoded.operationOf(sequence);
        if (index !== undefined) {
          const operation = transaction[index]!;
          const { text, key } = explainRefusal(encoded.writer, encoded.startOf(sequence)!, refusal);
          const error = new NetlinkError(describeOperation(operation) + text, refusal);
          failures.push({ index, operation, error, ...(key === undefined ? {} : { key }) });
          return;
        }
        // It is about the batch: another generation, or what the kernel finds only when all is put together.
        const error = new NetlinkError(whole, refusal);
        if (refusal.errno === errno.ERESTART && options.generation !== undefined) {
          throw new GenerationMovedError(options.generation, error);
        }
        throw new TransactionError(error, failures);
      },
      (message) => onReply(message, message.view.getUint32(message.start - 8, true)),
    );
    return failures;
  }
}

function takeGeneration(message: Message): number {
  const attributes = new Attributes(GEN_ID);
  attributes.parse(message.bytes, message.view, message.start + NFGENMSG, message.end);
  return attributes.be32(GEN_ID);
}
