import { type Log, LogLimit } from '#daemon/log.ts';
import { type AddressKey, parseAddress } from '#datastore/address.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { NftablesMonitor, type RulesetChange } from '#kernel/nftables/monitor.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import type { Dataplane, WorkloadEndpoint } from '../endpoint.ts';
import { KnownPods } from '../policy/known.ts';
import { Programs } from '../policy/programs.ts';
import { ChangeScope } from '../policy/scope.ts';
import { TimeBudget } from './budget.ts';
import { type Problem, RulesetDriver, type RulesetKernel } from './driver.ts';
import { FlowJudge } from './flows.ts';
import { NodeRuleset } from './ruleset.ts';
import type { DataplaneSettings } from './settings.ts';

export interface DataplaneOptions {
  readonly settings: DataplaneSettings;
  readonly log: Log;
  /** The thread's own when absent. */
  readonly namespace?: NetworkNamespace;
  /** In place of the kernel's own nf_tables: what puts faults before it. */
  readonly wrap?: (kernel: Nftables) => RulesetKernel;
}

/** Programs, pods and settings in the kernel, and kept there. */
export class NftablesDataplane implements Dataplane, Disposable {
  /** Where the programs go; each `commit` of it is one transaction. */
  readonly programs: Programs;
  readonly ruleset: NodeRuleset;
  readonly driver: RulesetDriver;
  readonly flows: FlowJudge;
  readonly #log: Log;
  readonly #limit = new LogLimit(() => performance.now());
  readonly #nftables: Nftables;
  readonly #conntrack: Conntrack;
  readonly #namespace: NetworkNamespace | undefined;
  readonly #pods = new Map<AddressKey, string>();
  readonly #known: KnownPods;
  #monitor: NftablesMonitor | undefined;
  #inSync = false;
  #refusal: string | undefined;
  #scheduled: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** What connections are to be judged for. */
  #scope = new ChangeScope();
  /** What they are to be judged for once more. */
  #again = new ChangeScope();
  #judging: NodeJS.Timeout | undefined;
  #isJudging = false;
  readonly #budget = new TimeBudget(JUDGE_SHARE, JUDGE_BURST_MS);
  #waiters: Waiter[] = [];
  #closed = false;

  /** @throws SyscallError */
  constructor({ settings, log, namespace, wrap }: DataplaneOptions) {
    this.#log = log;
    this.#namespace = namespace;
    this.ruleset = new NodeRuleset(settings);
    // Connections may be older than this process.
    this.#scope.all = true;
    const { ruleset } = this;
    this.programs = new Programs({
      endpoint: (...change) => ruleset.endpoint(...change),
      entry: (...change) => ruleset.entry(...change),
      address: (...change) => ruleset.address(...change),
      blocks: (...change) => ruleset.blocks(...change),
      meaning: (...change) => ruleset.meaning(...change),
      commit: () => this.#commit(),
    });
    this.#known = new KnownPods({
      knows: (pod) => ruleset.knows(pod),
      programOf: (pod) => this.programs.endpoints.get(pod),
      workloadOf: (pod) => ruleset.workload(pod),
      inSync: () => this.#inSync,
    });
    this.#nftables = Nftables.open(namespace);
    try {
      this.#conntrack = Conntrack.open(namespace);
    } catch (error) {
      this.#nftables.close();
      throw error;
    }
    this.driver = new RulesetDriver(wrap?.(this.#nftables) ?? this.#nftables, ruleset, log);
    this.flows = new FlowJudge({
      conntrack: this.#conntrack,
      lookUp: (direction, pod, ...connection) =>
        ruleset.knows(pod) ? this.programs.lookUp(direction, pod, ...connection) : 'drop',
      podAt: (address) => this.#pods.get(address),
      nodeAddresses: () => nodeAddresses(namespace),
    });
  }

  /** Begins to watch what others do to the table. What was there stays as it is until the programs are known. */
  start(): void {
    this.#watch();
    try {
      this.flows.markDenied();
    } catch (error) {
      this.#fault(error, 'connections that an earlier agent has ended could not be marked');
    }
    try {
      if (!this.#inSync) this.driver.find();
    } catch (error) {
      this.#fault(error, 'the table can not be read');
      this.#retryLater();
    }
  }

  /** Does not see any more what others do. */
  unwatch(): void {
    this.#monitor?.close();
    this.#monitor = undefined;
  }

  /** Whether the programs are known, so that the table is ours to change. */
  get inSync(): boolean {
    return this.#inSync;
  }

  /** What is not in the kernel as it should be. */
  get problems(): readonly Problem[] {
    return this.driver.problems;
  }

  get refusal(): string | undefined {
    return this.#refusal;
  }

  setEndpoint(endpoint: WorkloadEndpoint): void {
    this.#forgetAddresses(endpoint.pod);
    for (const address of endpoint.addresses) this.#pods.set(address, endpoint.pod);
    this.ruleset.setWorkload(endpoint);
    this.#known.told();
    this.#schedule();
  }

  removeEndpoint(pod: string): void {
    this.#forgetAddresses(pod);
    this.ruleset.removeWorkload(pod);
    this.#schedule();
  }

  whyUnknown(pod: string): string | undefined {
    return this.#known.why(pod);
  }

  known(pod: string, signal: AbortSignal): Promise<void> {
    return this.#known.wait(pod, signal);
  }

  applied(pods: readonly string[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => waiter.done(signal.reason);
      const waiter: Waiter = {
        pods,
        stage: 'new',
        done: (error?: unknown) => {
          signal.removeEventListener('abort', abort);
          this.#waiters = this.#waiters.filter((other) => other !== waiter);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal.addEventListener('abort', abort);
      this.#waiters.push(waiter);
      this.#schedule();
    });
  }

  close(): void {
    this.#closed = true;
    clearImmediate(this.#scheduled);
    clearTimeout(this.#retry);
    clearTimeout(this.#judging);
    const closing = new Error('the dataplane is closing');
    this.#known.close(closing);
    for (const waiter of [...this.#waiters]) waiter.done(closing);
    this.#monitor?.close();
    this.#nftables.close();
    this.#conntrack.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #commit(): void {
    this.#inSync = true;
    this.#schedule();
    this.#known.told();
  }

  /** Changes of one turn of the event loop are one transaction. */
  #schedule(): void {
    if (this.#closed) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    let failure: unknown;
    for (const waiter of this.#waiters) if (waiter.stage === 'new') waiter.stage = 'sent';
    try {
      // Before the programs are known, an old table stays in force: what it does not know is closed by it.
      if (this.#inSync) this.driver.apply();
      else this.driver.keep();
      this.#judgeStrays();
      this.#refusal = undefined;
      if (this.#inSync) this.#judge();
    } catch (error) {
      failure = error;
      this.#refusal = textOf(error);
      this.#fault(error, 'the dataplane could not be changed');
    }
    if (failure !== undefined || this.driver.problems.length > 0) this.#retryLater();
    this.#answer(failure);
  }

  /**
   * Ends the connections that are forbidden now. Going through them all takes its time (some 3 µs each, and 10 ms for the
   * kernel's table): after a change it is done at once, in a storm of changes as often as takes a quarter of the time.
   * A packet that was under way while the ruleset changed may have begun a connection by the old one: a moment later the
   * same is done once more.
   */
  #judge(): void {
    this.#scope.add(this.programs.takeScope());
    if (!this.flows.concerns(this.#scope)) this.#scope = new ChangeScope();
    if (this.#scope.isEmpty || this.#isJudging) return;
    const wait = this.#budget.wait(performance.now());
    if (wait <= 0) void this.#judgeNow();
    else this.#judgeIn(wait);
  }

  async #judgeNow(): Promise<void> {
    clearTimeout(this.#judging);
    this.#judging = undefined;
    const scope = this.#scope;
    const both = this.#again;
    both.add(scope);
    this.#scope = new ChangeScope();
    this.#again = new ChangeScope();
    this.#isJudging = true;
    for (const waiter of this.#waiters) if (waiter.stage === 'sent') waiter.stage = 'judged';
    try {
      this.#budget.spend(await this.flows.judge(both), performance.now());
      if (!scope.forbidsNothing) this.#again.add(scope);
    } catch (error) {
      if (this.#closed) return;
      this.#fault(error, 'connections could not be judged');
      this.#scope.add(both);
      for (const waiter of this.#waiters) if (waiter.stage === 'judged') waiter.stage = 'sent';
      this.#judgeIn(RETRY_MS);
      return;
    } finally {
      this.#isJudging = false;
    }
    if (this.#closed) return;
    // Whatever has changed meanwhile: there may be no end of it.
    this.#done((waiter) => waiter.stage === 'judged', undefined);
    this.#judge();
    if (!this.#again.isEmpty) this.#judgeIn(Math.max(AGAIN_MS, this.#budget.wait(performance.now())));
    this.#answer(undefined);
  }

  #judgeIn(wait: number): void {
    if (this.#isJudging) return;
    this.#judging ??= setTimeout(() => {
      this.#judging = undefined;
      this.#scope.add(this.programs.takeScope());
      if (!this.#isJudging) void this.#judgeNow();
    }, wait);
    this.#judging.unref();
  }

  /** What was waited for is in force, or failed. */
  #answer(failure: unknown): void {
    // Connections that are to end, and have not yet, are part of what was asked for.
    if (failure === undefined && this.#inSync && (this.#isJudging || !this.#scope.isEmpty)) return;
    this.#done((waiter) => waiter.stage !== 'new', failure);
  }

  #done(which: (waiter: Waiter) => boolean, failure: unknown): void {
    for (const waiter of this.#waiters.filter(which)) waiter.done(failure ?? this.#problemOf(waiter.pods));
  }

  #problemOf(pods: readonly string[]): Error | undefined {
    for (const pod of pods) {
      const problem = this.driver.problemOf({ kind: 'pod', pod });
      if (problem) return new Error(`pod ${pod}: ${problem.text}`);
    }
    return undefined;
  }

  /** What the kernel refused may be for want of memory, which passes. */
  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      try {
        this.driver.retry();
      } catch (error) {
        this.#fault(error, 'tried again in vain');
      }
      this.#schedule();
    }, RETRY_MS);
    this.#retry.unref();
  }

  #watch(): void {
    if (this.#closed) return;
    this.#monitor = NftablesMonitor.open(
      {
        change: (change) => this.#foreign(change),
        overflow: () => this.#doubt(),
        error: (error) => {
          this.#fault(error, 'watching the ruleset broke off; starting anew');
          this.#monitor?.close();
          this.#watchLater();
        },
      },
      {
        ...(this.#namespace ? { namespace: this.#namespace } : {}),
        tables: [this.ruleset.desired.table],
        exceptFrom: this.#nftables.port,
      },
    );
  }

  #watchLater(): void {
    setTimeout(() => {
      try {
        this.#watch();
      } catch (error) {
        this.#fault(error, 'the ruleset can not be watched; trying again');
        this.#watchLater();
        return;
      }
      // Of what happened meanwhile nobody tells.
      this.#doubt();
    }, WATCH_AGAIN_MS).unref();
  }

  /** What others did was not told. */
  #doubt(): void {
    this.#repair(() => this.driver.repairUnseen());
  }

  /** What others put in force may have let connections begin. */
  #judgeStrays(): void {
    if (this.driver.takeStrayed()) this.#scope.all = true;
  }

  #fault(error: unknown, text: string): void {
    this.#limit.run(text, (leftOut) =>
      this.#log.error({ error: textOf(error), ...(leftOut > 0 && { leftOut }) }, text),
    );
  }

  #foreign(change: RulesetChange): void {
    this.#repair(() => this.driver.repair(change));
  }

  #repair(work: () => void): void {
    try {
      work();
      this.#judgeStrays();
      if (this.#inSync) this.#judge();
    } catch (error) {
      this.#fault(error, 'the table could not be put right');
      this.driver.doubt();
      this.#retryLater();
    }
  }

  #forgetAddresses(pod: string): void {
    for (const address of this.ruleset.workload(pod)?.addresses ?? []) {
      if (this.#pods.get(address) === pod) this.#pods.delete(address);
    }
  }
}

/** Somebody who waits for what was set to be in force. */
interface Waiter {
  readonly pods: readonly string[];
  /** Of what was set before it began to wait: it has been sent, and connections are being held against it. */
  stage: 'new' | 'sent' | 'judged';
  readonly done: (error?: unknown) => void;
}

const RETRY_MS = 5000;
const AGAIN_MS = 100;
const WATCH_AGAIN_MS = 100;
const JUDGE_SHARE = 0.25;
const JUDGE_BURST_MS = 300;

function nodeAddresses(namespace: NetworkNamespace | undefined): Set<AddressKey> {
  using rtnetlink = Rtnetlink.open(namespace);
  return new Set(rtnetlink.addresses.list().flatMap(({ address }) => parseAddress(address) ?? []));
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
