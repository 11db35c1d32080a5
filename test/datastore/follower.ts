import { expect } from 'vitest';
import type { Problem } from '#datastore/problem.ts';
import { keyOf } from '#datastore/resource.ts';
import type { Source, Update } from '#datastore/source.ts';
import { waitFor } from '#test/helpers/wait.ts';

/** Takes all updates of a source and adds them up. */
export class Follower implements AsyncDisposable {
  readonly updates: Update[] = [];
  readonly objects = new Map<string, string | undefined>();
  problems: readonly Problem[] = [];
  /** While true, no update is taken. */
  paused = false;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(source: Source) {
    this.#done = this.#follow(source);
  }

  get inSync(): boolean {
    return this.updates.some(({ type }) => type === 'snapshot');
  }

  /** Waits until the objects and their versions are these. */
  async sees(objects: Record<string, string>): Promise<void> {
    const wanted = JSON.stringify(Object.entries(objects).sort());
    const seen = () => JSON.stringify([...this.objects].sort());
    await waitFor(() => this.inSync && seen() === wanted, { what: wanted, details: seen });
  }

  async reports(...found: (string | RegExp)[]): Promise<void> {
    const matches = () =>
      this.problems.length === found.length &&
      this.problems.every((problem, i) => new RegExp(found[i]!).test(problem.found));
    await waitFor(matches, { what: `problems ${found}`, details: () => JSON.stringify(this.problems) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.paused = false;
    await this.#done;
  }

  async #follow(source: Source): Promise<void> {
    for await (const update of source.watch(this.#stop.signal)) {
      if (this.paused) await waitFor(() => !this.paused, { what: 'go on' });
      this.#take(update);
    }
  }

  #take(update: Update): void {
    expect(update.type === 'snapshot' && this.inSync).toBe(false);
    expect(update.type === 'changes' && !this.inSync).toBe(false);
    this.updates.push(update);
    this.problems = update.problems;
    const resources = update.type === 'snapshot' ? update.resources : [];
    for (const resource of resources) this.objects.set(resource.name, resource.labels.v);
    for (const change of update.type === 'changes' ? update.changes : []) {
      if (change.type === 'put') this.objects.set(change.resource.name, change.resource.labels.v);
      else
        expect(
          this.objects.delete(change.key.slice(keyOf({ kind: 'Namespace', namespace: '', name: '' }).length)),
        ).toBe(true);
    }
  }
}
