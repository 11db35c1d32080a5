/**
 * A compiler, its readers and their ends, without a socket in between: every update goes when the test says so.
 */

import { setImmediate } from 'node:timers/promises';
import { keyOf, type Resource, type ResourceKey } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { Fanout, type FanoutOptions } from '#policy/stream/fanout.ts';
import type { margay } from '#proto/generated/policy.js';
import { describeProgram } from '../compiled.ts';
import { overTheWire, Receiver } from './receiver.ts';

export class World {
  readonly compiler = new Compiler();
  readonly fanout: Fanout;
  readonly state = new Map<ResourceKey, Resource>();
  seconds = 1_000;
  isStarted = false;

  constructor(options: Partial<FanoutOptions> = {}) {
    this.fanout = new Fanout(this.compiler, { date: () => this.seconds * 1_000, ...options });
  }

  start(): void {
    this.isStarted = true;
    this.fanout.start();
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.type === 'put') this.state.set(keyOf(change.resource), change.resource);
      else this.state.delete(change.key);
    }
    this.compiler.apply(changes);
    this.fanout.flush();
  }

  put(...resources: readonly Resource[]): void {
    this.apply(resources.map((resource) => ({ type: 'put', resource })));
  }
}

let connections = 0;

/** A reader with a wire that holds one update, which goes out when the test says so. */
export class Reader {
  readonly receiver = new Receiver();
  readonly node: string;
  updates = 0;
  #world: World;
  #stream: AsyncGenerator<margay.policy.v1.IUpdate> | undefined;
  #abort = new AbortController();
  /** The update on its way. */
  #next: Promise<void> | undefined;
  #arrived: { readonly update: margay.policy.v1.IUpdate } | undefined;
  #goOn: () => void = () => {};
  error: unknown;
  #peer = '';

  constructor(world: World, node: string) {
    this.#world = world;
    this.node = node;
  }

  connect(): void {
    this.receiver.connect();
    this.#peer = `reader ${++connections}`;
    this.#abort = new AbortController();
    this.#arrived = undefined;
    this.#stream = this.#world.fanout.read({
      node: this.node,
      peer: this.#peer,
      signal: this.#abort.signal,
      written: (signal) =>
        new Promise((resolve) => {
          const goOn = (): void => {
            signal.removeEventListener('abort', goOn);
            resolve();
          };
          this.#goOn = goOn;
          signal.addEventListener('abort', goOn);
        }),
    });
    this.#ask();
  }

  /** The connection breaks: what is on its way is lost. */
  async cut(): Promise<void> {
    this.#abort.abort(new Error('cut'));
    this.#goOn();
    const stream = this.#stream;
    this.#stream = undefined;
    await this.#next;
    await stream?.return(undefined);
  }

  /** Lets one update through, if there is one. @returns whether there was */
  async step(): Promise<boolean> {
    while (this.#arrived === undefined && this.#world.isStarted && this.#isBehind()) await setImmediate();
    const arrived = this.#arrived;
    if (arrived === undefined) return false;
    this.#arrived = undefined;
    this.updates++;
    this.receiver.receive(overTheWire(arrived.update));
    this.#goOn();
    return true;
  }

  async drain(): Promise<void> {
    while (await this.step());
  }

  get program(): unknown {
    return describeProgram(this.receiver.program);
  }

  /** Whether there is something that has not been written. */
  #isBehind(): boolean {
    const own = [...this.#world.fanout.subscribers].find(({ peer }) => peer === this.#peer);
    return own !== undefined && own.behindSince > 0;
  }

  #ask(): void {
    const stream = this.#stream!;
    this.#next = stream.next().then(
      ({ value }) => {
        if (stream !== this.#stream || value === undefined) return;
        this.#arrived = { update: value };
        this.#ask();
      },
      (error: unknown) => {
        this.error = error;
      },
    );
  }
}
