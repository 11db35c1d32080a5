import { type Log, LogLimit } from '#daemon/log.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Nftables } from '#kernel/nftables/connection.ts';
import type { TableDump } from '#kernel/nftables/dump.ts';
import { InvalidObjectError, TransactionError } from '#kernel/nftables/error.ts';
import type { RulesetChange } from '#kernel/nftables/monitor.ts';
import type { Operation, Transaction } from '#kernel/nftables/operation.ts';
import type { Changes, DesiredTable } from './desired.ts';
import { partsAtFault } from './fault.ts';
import { keptTable } from './kept.ts';
import { type Part, partKey } from './part.ts';
import { newestBridge, removeBridges, replaceTable } from './replacement.ts';
import type { NodeRuleset } from './ruleset.ts';

/** What the driver needs of nf_tables; `Nftables` is it. */
export type RulesetKernel = Pick<Nftables, 'commit' | 'dump' | 'elements' | 'tables'>;

/** What the kernel refused, and what is closed for it. */
export interface Problem {
  readonly part: Part | undefined;
  /** In words: the object, errno, the kernel's own words. */
  readonly text: string;
  /** ms since 1970 */
  readonly since: number;
}

export interface DriverCounters {
  /** Transactions that the kernel took. */
  transactions: number;
  /** Times that there was nothing to change. */
  unchanged: number;
  /** Operations in them. */
  operations: number;
  /** Transactions that the kernel refused. */
  refused: number;
  /** Times that others changed the table and it was put right. */
  repairs: number;
  /** When it last was; ms since 1970, 0 for never. */
  repairedAt: number;
}

/** Times that parts are closed and the rest tried again. */
const MAX_ROUNDS = 50;
/** Times that a transaction is sent of which the kernel's answer was lost. */
const MAX_UNANSWERED = 3;

/**
 * Brings the desired ruleset into the kernel, and back into it after others changed it. One call of `apply` is
 * one transaction that packets notice; what is new is built before it, and what is gone cleared after it.
 *
 * A transaction that the kernel refuses is based on a wrong idea of what there is, or has something in it that this
 * kernel does not take: the table is read again, then the parts at fault are closed, and the rest goes in.
 *
 * An agent that comes finds the table of the one before. Until the programs are known, that one is kept (`find`, `keep`): it is
 * not changed, and what others do to it is undone.
 */
export class RulesetDriver {
  readonly counters: DriverCounters = {
    transactions: 0,
    unchanged: 0,
    operations: 0,
    refused: 0,
    repairs: 0,
    repairedAt: 0,
  };
  readonly #kernel: RulesetKernel;
  readonly #ruleset: NodeRuleset;
  readonly #log: Log;
  readonly #limit = new LogLimit(() => performance.now());
  readonly #problems = new Map<string, Problem>();
  /** The generation that the table was read at. */
  #readAt = 0;
  /** The table that was there first, until the programs are known; `unread` until it is looked for. */
  #found: TableDump | 'unread' | undefined = 'unread';
  /** The same as what is wanted, once it was damaged. */
  #kept: DesiredTable | undefined;
  /** What the table is like is not known: it is to be read. */
  #doubt = true;
  #strayed = false;
  /** There may be a bridge of a replacement, of this process or of one before. */
  #bridged = true;
  /** What the kernel refused until it is tried again. */
  #earlier: ReadonlyMap<string, Problem> = new Map();

  constructor(kernel: RulesetKernel, ruleset: NodeRuleset, log: Log) {
    this.#kernel = kernel;
    this.#ruleset = ruleset;
    this.#log = log;
  }

  /** What the kernel refused, now. */
  get problems(): readonly Problem[] {
    return [...this.#problems.values()];
  }

  problemOf(part: Part): Problem | undefined {
    return this.#problems.get(partKey(part));
  }

  /**
   * Whether the kernel has had something else in force since the last call than what was put there, so that connections may have
   * begun that are not allowed.
   */
  takeStrayed(): boolean {
    const strayed = this.#strayed;
    this.#strayed = false;
    return strayed;
  }

  /**
   * Looks what an earlier agent has left; it stays as it is. To be called when others are watched already.
   *
   * @throws NetlinkError, DecodeError, UnstableDumpError; then it is looked for again by `keep`
   */
  find(): void {
    if (this.#found !== 'unread') return;
    const { table } = this.#ruleset.desired;
    const bridge = newestBridge(this.#kernel, table);
    this.#found = this.#kernel.dump(bridge ?? table);
    this.#readAt = this.#found?.generation ?? 0;
    // Its own name is that of a table that was on its way out, or has not come into force.
    this.#doubt = bridge !== undefined || this.#found === undefined;
  }

  /**
   * Before the programs are known: what `find` has found stays in force, and is put back if others damaged it. Without it, or
   * where it can not be put back, all pods are closed.
   *
   * @throws as `apply`
   */
  keep(): void {
    this.find();
    if (this.#found === undefined || this.#found === 'unread') {
      this.apply();
      return;
    }
    if (!this.#doubt) return;
    this.#kept ??= keptTable(this.#found, this.#ruleset.desired.table);
    try {
      if (this.#kept) {
        this.#bring(this.#kept);
        return;
      }
      this.#log.error('the table has been changed, and can not be made again as it was: all pods are closed');
    } catch (error) {
      if (!(error instanceof TransactionError || error instanceof InvalidObjectError)) throw error;
      this.#log.error(
        { error: error.message },
        'the table has been changed, and the kernel does not take it as it was: all pods are closed',
      );
    }
    this.apply();
  }

  /**
   * Makes the kernel's table what it should be.
   *
   * @throws TransactionError, NetlinkError when nothing of it could be done; what was in force is so still
   */
  apply(): void {
    const { desired } = this.#ruleset;
    if (typeof this.#found === 'object' && !this.#doubt && !this.#kept) {
      this.#ruleset.prepare();
      desired.adopt(this.#found);
    } else if (this.#isKeeping) this.#doubt = true;
    this.#found = undefined;
    this.#kept = undefined;
    this.#bring(desired);
  }

  get #isKeeping(): boolean {
    return this.#found !== undefined;
  }

  /** There was no table, and nobody has asked for one. */
  get #isIdle(): boolean {
    return !this.#isKeeping && this.counters.transactions + this.counters.unchanged === 0;
  }

  #applyOrKeep(): void {
    if (this.#isKeeping) this.keep();
    else this.apply();
  }

  #bring(desired: DesiredTable): void {
    let read = this.#doubt;
    let unanswered = 0;
    let sent = false;
    const isKept = desired === this.#kept;
    const prepare = (): void => {
      if (!isKept) this.#ruleset.prepare();
    };
    // What is wanted, first: a chain that is there and not wanted is another's.
    prepare();
    if (this.#doubt) this.#adopt(desired);
    for (let refused = 0; ; ) {
      prepare();
      const changes = desired.changes();
      if (changes.transaction.length === 0) {
        changes.done();
        if (!sent) this.counters.unchanged++;
        break;
      }
      try {
        this.#commit(desired, changes);
        changes.done();
        this.counters.transactions++;
        this.counters.operations += changes.transaction.length;
        sent = true;
      } catch (error) {
        // Answers were lost: it may be in force, or not.
        if (error instanceof NetlinkError && ++unanswered < MAX_UNANSWERED) {
          this.#adopt(desired);
          read = true;
          continue;
        }
        if (!(error instanceof TransactionError)) throw this.#failed(error);
        this.counters.refused++;
        if (!read) {
          this.#adopt(desired);
          read = true;
          continue;
        }
        if (isKept || ++refused > MAX_ROUNDS || !this.#close(error, changes.transaction))
          throw this.#failed(error);
      }
    }
    if (sent && read) this.#strayed = true;
    this.#problems.delete('');
    if (this.#bridged) this.#removeBridges();
  }

  /** Tries again what the kernel refused before. @throws as `apply` */
  retry(): void {
    for (const part of this.#ruleset.closed) this.#ruleset.reopen(part);
    this.#earlier = new Map(this.#problems);
    this.#problems.clear();
    this.#doubt = true;
    try {
      this.#applyOrKeep();
    } finally {
      this.#earlier = new Map();
    }
  }

  /**
   * Takes note of what others did to the table, and undoes it.
   *
   * @returns whether there was something to undo
   * @throws as `apply`
   */
  repair({ generation, events, process }: RulesetChange): boolean {
    // It was there already when the table was read. (Generations are 32-bit numbers that wrap.)
    if (this.#isIdle || (!this.#doubt && ((generation - this.#readAt) | 0) <= 0)) return false;
    const { desired } = this.#ruleset;
    if (this.#isKeeping) this.#doubt = true;
    const sets = new Set<string>();
    for (const event of events) {
      if (event.object === 'rule') desired.doubtChain(event.chain);
      else if (event.object === 'elements') sets.add(event.set);
      // A set without a name goes with its rule.
      else if (event.object === 'set' && /^__(set|map)\d+$/.test(event.name)) continue;
      else this.#doubt = true;
    }
    if (!this.#doubt) for (const set of sets) this.#reread(set);
    const before = this.counters.transactions;
    this.#applyOrKeep();
    if (this.counters.transactions === before) return false;
    // Not by number: each run of a program has one of its own.
    this.#repaired(`${process.name} ${events[0]?.object}`, {
      process: process.name,
      pid: process.id,
      changes: events.length,
    });
    return true;
  }

  /**
   * The same where nobody has told what was changed, or whether anything was.
   *
   * @throws as `apply`
   */
  repairUnseen(): void {
    if (this.#isIdle) return;
    // What is ours to change goes first, so that what is left to do is for what others did.
    if (!this.#isKeeping) this.apply();
    this.#doubt = true;
    const before = this.counters.transactions;
    this.#applyOrKeep();
    if (this.counters.transactions > before) this.#repaired('unseen', { process: 'unknown' });
  }

  #repaired(by: string, facts: Readonly<Record<string, unknown>>): void {
    this.#strayed = true;
    this.counters.repairs++;
    this.counters.repairedAt = Date.now();
    this.#limit.run(`repair ${by}`, (leftOut) => {
      this.#log.warn(
        leftOut === 0 ? facts : { ...facts, leftOut },
        'somebody changed the table; it is as it should be again',
      );
    });
  }

  /** What the table is like is to be found out before the next change. */
  doubt(): void {
    this.#doubt = true;
  }

  #commit({ table }: DesiredTable, { transaction, replaced }: Changes): void {
    if (replaced === undefined) {
      this.#kernel.commit(transaction);
      return;
    }
    this.#bridged = true;
    replaceTable(this.#kernel, table, transaction, replaced);
  }

  #removeBridges(): void {
    try {
      removeBridges(this.#kernel, this.#ruleset.desired.table);
      this.#bridged = false;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#log.error(
        { error: error.message },
        'what bridged a replacement of the table could not be removed yet',
      );
    }
  }

  #adopt(desired: DesiredTable): void {
    const dump = this.#kernel.dump(desired.table);
    desired.adopt(dump);
    this.#readAt = dump?.generation ?? this.#readAt;
    this.#doubt = false;
  }

  #reread(name: string): void {
    const { desired } = this.#ruleset;
    const definition = desired.definition(name);
    if (!definition) return;
    try {
      desired.adoptElements(name, this.#kernel.elements(desired.table, definition));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      // It is gone, or was read while others changed it.
      this.#doubt = true;
    }
  }

  /** Closes what the kernel named, or all that the transaction was about. @returns false when that is closed already */
  #close(error: TransactionError, transaction: Transaction): boolean {
    const named = error.failures.flatMap(({ operation, key, error: cause }) =>
      partsAtFault(operation, key, this.#ruleset).map((part) => ({ part, text: cause.message })),
    );
    const isClosed = new Set(this.#ruleset.closed.map(partKey));
    let parts = named.filter(({ part }) => !isClosed.has(partKey(part)));
    if (parts.length === 0) {
      parts = transaction
        .flatMap((operation: Operation) => partsAtFault(operation, undefined, this.#ruleset))
        .filter((part) => !isClosed.has(partKey(part)))
        .map((part) => ({ part, text: error.message }));
    }
    for (const { part, text } of parts) {
      const key = partKey(part);
      if (this.#problems.has(key)) continue;
      this.#ruleset.close(part);
      const earlier = this.#earlier.get(key);
      this.#problems.set(key, { part, text, since: earlier?.since ?? Date.now() });
      if (earlier?.text === text) continue;
      this.#log.error({ part, error: text }, 'the kernel refused a part of the ruleset, which is closed now');
    }
    return parts.length > 0;
  }

  #failed(error: unknown): unknown {
    this.#doubt = true;
    const text = error instanceof Error ? error.message : String(error);
    const earlier = this.#problems.get('') ?? this.#earlier.get('');
    if (earlier?.text !== text) this.#log.error({ error: text }, 'the ruleset could not be changed');
    this.#problems.set('', { part: undefined, text, since: earlier?.since ?? Date.now() });
    return error;
  }
}
