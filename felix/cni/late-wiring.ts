import type { PodNetwork } from '../endpoints/pod-network.ts';
import type { Attachment } from './configuration.ts';
import type { Wiring } from './handler.ts';

/** What wires the pods, once it is known with which addresses; until then the runtime is told to try again, and why. */
export class LateWiring implements Wiring {
  network: PodNetwork | undefined;
  readonly #waitsFor: () => string;

  /** @param waitsFor what is missing, in words */
  constructor(waitsFor: () => string) {
    this.#waitsFor = waitsFor;
  }

  get notReady(): string | undefined {
    return this.network === undefined ? this.#waitsFor() : this.network.notReady;
  }

  get noNewPods(): string | undefined {
    return this.network === undefined ? this.#waitsFor() : this.network.noNewPods;
  }

  add(...args: Parameters<Wiring['add']>): ReturnType<Wiring['add']> {
    return this.#ready.add(...args);
  }

  remove(containerId: string, interfaceName: string): Promise<void> {
    return this.#ready.remove(containerId, interfaceName);
  }

  find(containerId: string, interfaceName: string): ReturnType<Wiring['find']> {
    return this.#ready.find(containerId, interfaceName);
  }

  check(...args: Parameters<Wiring['check']>): string[] {
    return this.#ready.check(...args);
  }

  keepOnly(network: string, attachments: readonly Attachment[]): Promise<void> {
    return this.#ready.keepOnly(network, attachments);
  }

  /** The protocol asks for `notReady` before all else. */
  get #ready(): PodNetwork {
    if (this.network === undefined) throw new RangeError(this.#waitsFor());
    return this.network;
  }
}
