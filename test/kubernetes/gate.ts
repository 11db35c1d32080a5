/** A way to the API server that can be closed, cut and blocked. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Gate implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #address: string;
  readonly #port: number;
  readonly #target: number;

  constructor(address: string, port: number, target: number) {
    this.#address = address;
    this.#port = port;
    this.#target = target;
    this.#server = createServer((socket) => this.#join(socket));
  }

  async open(): Promise<void> {
    this.#server.listen(this.#port, this.#address);
    await once(this.#server, 'listening');
  }

  /** No new connections, and an end to those that there are. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing passes any more on the connections that there are, and nobody is told. New ones are as they should be. */
  block(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #join(client: Socket): void {
    const server = connect(this.#target, this.#address);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
