import { Worker } from 'node:worker_threads';
import type { AddressKey } from '#datastore/address.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';

/** What is to go together. */
export interface RemovalRequest {
  readonly interfaces: readonly string[];
  readonly addresses: readonly string[];
}

/** What could not be removed, in words. */
export interface RemovalAnswer {
  readonly interfaces?: string;
  readonly flows?: string;
}

/** Thrown when the kernel does not let an interface go. */
export class RemovalError extends Error {
  override readonly name = 'RemovalError';
  readonly code = 'NOT_REMOVED';
}

interface Waiting extends RemovalRequest {
  readonly resolve: (answer: RemovalAnswer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Removes pairs and the connections of their addresses, on a thread of its own. What is asked for while the kernel is at work
 * waits and goes together: for thirty pairs the kernel takes little longer than for one.
 */
export class Removal {
  readonly #namespace: NetworkNamespace | undefined;
  #worker: Worker | undefined;
  #waiting: Waiting[] = [];
  #running: Waiting[] = [];
  #closed = false;

  constructor(namespace: NetworkNamespace | undefined) {
    this.#namespace = namespace;
    this.#worker = this.#start();
  }

  /**
   * Resolves when the interface and the connections of the addresses are gone, to what of the connections is not.
   *
   * @throws RemovalError
   */
  async remove(hostInterface: string, addresses: readonly AddressKey[]): Promise<string | undefined> {
    const answer = await new Promise<RemovalAnswer>((resolve, reject) => {
      this.#waiting.push({ interfaces: [hostInterface], addresses, resolve, reject });
      this.#next();
    });
    if (answer.interfaces !== undefined)
      throw new RemovalError(`remove ${hostInterface}: ${answer.interfaces}`);
    return answer.flows;
  }

  /**
   * Resolves when the connections of addresses are gone whose interface is gone already, to what of them is not.
   *
   * @throws RemovalError
   */
  async removeFlows(addresses: readonly AddressKey[]): Promise<string | undefined> {
    const answer = await new Promise<RemovalAnswer>((resolve, reject) => {
      this.#waiting.push({ interfaces: [], addresses, resolve, reject });
      this.#next();
    });
    return answer.flows;
  }

  /** Ends the thread when it is done; it is not torn out of a system call, which would end the process. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage(null);
    await ended;
  }

  #next(): void {
    if (this.#running.length > 0 || this.#waiting.length === 0) return;
    this.#worker ??= this.#start();
    this.#running = this.#waiting;
    this.#waiting = [];
    const request: RemovalRequest = {
      interfaces: this.#running.flatMap((each) => each.interfaces),
      addresses: this.#running.flatMap((each) => each.addresses),
    };
    this.#worker.postMessage(request);
  }

  #start(): Worker {
    const url = new URL(
      import.meta.url.endsWith('.ts') ? './removal-worker.ts' : './removal-worker.js',
      import.meta.url,
    );
    // A thread begins in the network namespace of the one that makes it.
    const start = (): Worker => new Worker(url, { resourceLimits: { maxOldGenerationSizeMb: 256 } });
    const worker = this.#namespace === undefined ? start() : this.#namespace.run(start);
    worker.unref();
    worker.on('message', (answer: RemovalAnswer) => {
      const done = this.#running;
      this.#running = [];
      for (const each of done) each.resolve(answer);
      this.#next();
    });
    const died = (error: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      const failed = this.#running;
      this.#running = [];
      for (const each of failed) each.reject(error);
      if (!this.#closed) this.#next();
    };
    worker.on('error', (error: unknown) => died(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => died(new RemovalError('the thread that removes interfaces ended')));
    return worker;
  }
}
