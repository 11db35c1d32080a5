/**
 * A process that sends packets all the time, while this one changes what becomes of them.
 */

import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import type { ProbeProtocol } from './prober.ts';

/** Packets of new connections, from one place to another. */
export interface Stream {
  /** Paths of namespaces. */
  readonly from: string;
  readonly to: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: ProbeProtocol;
  readonly port: number;
  /** Whether all of them are to arrive, or none; either where it is not told. */
  readonly expected?: boolean;
}

export interface StreamCount {
  readonly sent: number;
  readonly arrived: number;
  /** By the other end's kernel: TCP (a reset, nobody listens) and echo, of which there may be fewer. */
  readonly answered: number;
  /** When those that were to arrive and did not were sent; ms since 1970. */
  readonly lost: readonly number[];
}

export class Sender implements Disposable {
  readonly #home: Netns = createNetns();
  readonly #process: ChildProcess;
  readonly #answers: string[] = [];

  constructor() {
    this.#process = this.#home.spawn(process.execPath, [join(import.meta.dirname, 'sender-process.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#answers.push(line));
  }

  /**
   * Resolves when one of each has been sent.
   *
   * @param interval ms from one of each to the next; 0 for as fast as can be
   */
  async begin(streams: readonly Stream[], interval = 0): Promise<void> {
    await this.#ask({ begin: streams, interval });
  }

  /** @param patience how long what is missing may still come, in ms */
  async end(patience = 2000): Promise<StreamCount[]> {
    return this.#ask({ end: patience }) as Promise<StreamCount[]>;
  }

  [Symbol.dispose](): void {
    this.#process.stdin!.end();
    this.#home.remove();
  }

  async #ask(order: object): Promise<unknown> {
    this.#process.stdin!.write(`${JSON.stringify(order)}\n`);
    const line = await waitFor(() => this.#answers.shift(), {
      what: 'the sender',
      interval: 1,
      timeout: 30_000,
    });
    return JSON.parse(line);
  }
}
