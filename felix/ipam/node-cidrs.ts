/**
 * The pod CIDRs of this node from its own Node object, and what was last known of them on disk: pods that run have to be taken over
 * while the datastore can not be reached, too.
 */

import type { Log } from '#daemon/log.ts';
import { type AddressPrefix, formatPrefix, parsePrefix } from '#datastore/address.ts';
import { describeProblem, type Problem } from '#datastore/problem.ts';
import type { Source, Update } from '#datastore/source.ts';
import { Commits, StateError } from '../state/commits.ts';
import { type Files, refusalOf } from '../state/files.ts';
import { seal, unseal } from '../state/sealed.ts';

export interface NodeCidrsOptions {
  /** Name of the Node object. */
  readonly node: string;
  readonly source: Source;
  /** Where objects come from, in words. */
  readonly datastore: string;
  /** Folder in which the state is kept; it has to be there. */
  readonly stateFolder: string;
  readonly files: Files;
  readonly log: Log;
}

/** With the node in it: a machine that gets another name has a file of CIDRs that are another node's by now. */
const titleOf = (node: string) => `margay pod CIDRs 1 of node ${node}`;
/** How long until a file that could not be written is tried again, in ms. */
const RETRY_MS = 10_000;

export class NodeCidrs {
  readonly #options: NodeCidrsOptions;
  readonly #path: string;
  readonly #commits: Commits;
  #current: readonly AddressPrefix[] | undefined;
  /** What the object is seen to lack. */
  #lack: string | undefined;
  #problems: readonly string[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(options: NodeCidrsOptions) {
    this.#options = options;
    this.#path = `${options.stateFolder}/cidrs`;
    this.#commits = new Commits(options.files, this.#path, () => seal(titleOf(options.node), this.#texts));
  }

  /** As last known, at least one; `undefined` if they never were. */
  get current(): readonly AddressPrefix[] | undefined {
    return this.#current;
  }

  /** What it waits for, in words; `undefined` once there are pod CIDRs. */
  get waitsFor(): string | undefined {
    if (this.#current !== undefined) return undefined;
    const { node, datastore } = this.#options;
    return `spec.podCIDRs of Node ${node} are not known yet (${this.#problems[0] ?? this.#lack ?? datastore})`;
  }

  /** What is wrong, in words. */
  get problems(): readonly string[] {
    return [...(this.#lack === undefined ? [] : [this.#lack]), ...this.#problems];
  }

  /** Takes what an earlier run has kept. */
  load(): void {
    const { files, log, node } = this.#options;
    let damage: string | undefined;
    try {
      const text = files.read(this.#path);
      if (text === undefined) return;
      const kept = unseal(titleOf(node), text);
      if ('damage' in kept) damage = kept.damage;
      else {
        const cidrs = kept.lines.map((line) => parsePrefix(line));
        if (cidrs.length > 0 && cidrs.every((cidr) => cidr !== undefined)) this.#current = cidrs;
        else damage = `it has ${JSON.stringify(kept.lines)}, expected CIDRs`;
      }
    } catch (error) {
      damage = refusalOf(error);
      if (damage === undefined) throw error;
    }
    if (damage !== undefined)
      log.error(
        { file: this.#path, damage },
        'the pod CIDRs last known can not be read; they are waited for',
      );
  }

  /**
   * Follows the Node object until the signal.
   *
   * @param onChange there are others than before
   */
  async run(signal: AbortSignal, onChange: (cidrs: readonly AddressPrefix[]) => void): Promise<void> {
    try {
      for await (const update of this.#options.source.watch(signal)) {
        const cidrs = this.#take(update);
        if (cidrs === undefined || cidrs.join() === this.#texts.join()) continue;
        this.#current = cidrs.map((text) => parsePrefix(text)!);
        onChange(this.#current);
        await this.#keep();
      }
    } finally {
      clearTimeout(this.#retry);
    }
  }

  get #texts(): string[] {
    return (this.#current ?? []).map(formatPrefix);
  }

  /** What the object says now; `undefined` where it says nothing, so that what was known stays in force. */
  #take(update: Update): readonly string[] | undefined {
    const { node, log } = this.#options;
    this.#report(update.problems);
    if (update.type === 'trouble') return undefined;
    const before = this.#lack;
    let cidrs: readonly string[] | undefined;
    const changes =
      update.type === 'changes'
        ? update.changes
        : update.resources.map((resource) => ({ type: 'put', resource }) as const);
    if (update.type === 'snapshot')
      this.#lack = `Node ${node}: found no such object, expected this node's own`;
    for (const change of changes) {
      if (change.type === 'delete') {
        if (change.key === `Node//${node}`)
          this.#lack = `Node ${node}: found no such object, expected this node's own`;
      } else if (change.resource.kind === 'Node' && change.resource.name === node) {
        cidrs = change.resource.podCidrs;
        this.#lack =
          cidrs.length > 0
            ? undefined
            : `Node ${node}: spec.podCIDRs: found nothing, expected the pod CIDRs of this node (kube-controller-manager with --allocate-node-cidrs sets them)`;
      }
    }
    if (this.#lack !== undefined && this.#lack !== before)
      log.error({ problem: this.#lack }, 'the pod CIDRs are not to be had');
    return cidrs === undefined || cidrs.length === 0 ? undefined : cidrs;
  }

  #report(problems: readonly Problem[]): void {
    const object = `Node ${this.#options.node}`;
    const texts = problems
      .filter((each) => each.object === '' || each.object === object)
      .map(describeProblem);
    for (const text of texts)
      if (!this.#problems.includes(text))
        this.#options.log.warn({ problem: text }, 'the Node object can not be read');
    this.#problems = texts;
  }

  async #keep(): Promise<void> {
    clearTimeout(this.#retry);
    try {
      await this.#commits.commit();
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#options.log.error(
        { error: error.message },
        'the pod CIDRs are not on disk yet; it is tried again',
      );
      this.#retry = setTimeout(() => void this.#keep(), RETRY_MS).unref();
    }
  }
}
