/**
 * One address that is listened on, tried again for as long as that does not work.
 */

import type { Socket } from 'node:net';
import { formatAddress } from '#bgp/config/address.ts';
import type { ListenConfig } from '#bgp/config/model.ts';
import type { Clock } from './clock.ts';
import type { SessionEvent } from './handler.ts';
import type { Listening, Sockets } from './transport/sockets.ts';

export type ListenerOptions = {
  readonly clock: Clock;
  readonly sockets: Sockets;
  readonly accept: (socket: Socket) => void;
  /** Called before anybody can connect, to set keys. */
  readonly opened: (listening: Listening) => void;
  readonly event: (event: SessionEvent) => void;
};

/** How long until it is tried again, in ms. */
const RETRY_MS = 5000;

export class Listener {
  readonly #at: ListenConfig;
  readonly #options: ListenerOptions;
  #listening: Listening | undefined;
  #cancelRetry = () => {};

  constructor(at: ListenConfig, options: ListenerOptions) {
    this.#at = at;
    this.#options = options;
  }

  /** What listens, if it does. */
  get listening(): Listening | undefined {
    return this.#listening;
  }

  open(): void {
    const { sockets, clock, accept, opened, event } = this.#options;
    const { port } = this.#at;
    const address = formatAddress(this.#at.address);
    const failed = (error: Error) => event({ kind: 'listenFailed', address, port, error });
    try {
      this.#listening = sockets.listen(this.#at, accept, failed);
      opened(this.#listening);
      event({ kind: 'listening', address, port });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#listening?.close();
      this.#listening = undefined;
      failed(error);
      this.#cancelRetry = clock.after(RETRY_MS, () => this.open());
    }
  }

  close(): void {
    this.#cancelRetry();
    this.#listening?.close();
    this.#listening = undefined;
  }
}
