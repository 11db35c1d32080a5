/** A way from network namespaces to the API server, which is reached by the same address inside. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import type { Cluster } from './cluster.ts';

const PORT = 6443;

/** Each connection to the address goes on through a unix socket, which no network namespace keeps apart. */
const FORWARD = `
const net = require('node:net');
const [path, address, port] = process.argv.slice(1);
net.createServer((client) => {
  const server = net.connect(path);
  client.pipe(server).pipe(client);
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
  server.on('close', () => client.destroy());
}).listen(Number(port), address, () => console.log('listens'));
`;

export class Tunnel implements AsyncDisposable {
  readonly #path: string;
  readonly #address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor({ folder, address }: Cluster) {
    this.#path = join(folder, 'tunnel.sock');
    this.#address = address;
    this.#server = createServer((socket) => this.#join(socket));
  }

  async open(): Promise<void> {
    this.#server.listen(this.#path);
    await once(this.#server, 'listening');
  }

  /** Lets those in a namespace have the API server; the process goes with the namespace. */
  async into(netns: Netns): Promise<void> {
    const args = ['-e', FORWARD, this.#path, this.#address, String(PORT)];
    const child = netns.spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await waitFor(() => said !== '', { what: 'a tunnel', timeout: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket): void {
    const server = connect(PORT, this.#address);
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
