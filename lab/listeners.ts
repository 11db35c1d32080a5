/**
 * The programs in the pods: a small HTTP server on each port of a pod, which says who it is. All of them live in the lab's
 * own process, with their sockets in the namespaces of the pods.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openListener } from '#kernel/sys/tcp.ts';

/** Listens in a namespace, in both families, until it is closed. */
export class Listeners {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** @param answer the text that everybody gets who asks */
  constructor(netns: string, ports: readonly number[], families: readonly string[], answer: string) {
    using namespace = NetworkNamespace.named(netns);
    for (const port of new Set(ports)) {
      for (const family of families) {
        const fd = openListener({
          address: family === 'ipv4' ? '0.0.0.0' : '::',
          port,
          namespace,
          backlog: 128,
        });
        const server = createServer((socket) => this.#serve(socket, answer));
        this.#servers.push(server);
        // A socket in a namespace that goes is no concern of anybody.
        server.on('error', () => {});
        server.listen({ fd, backlog: 128 });
      }
    }
  }

  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket, answer: string): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    socket.setTimeout(IDLE, () => socket.destroy());
    // Whatever is asked, the answer is the same.
    socket.once('data', () => {
      socket.end(
        `HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(answer)}\r\n\r\n${answer}`,
      );
    });
  }
}

/** Longest silence of a connection, in ms. */
const IDLE = 60_000;
