/**
 * The other end of a connection, played by a test: it reads whole messages and sends what it is told to, right or wrong.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { MAX_EXTENDED_MESSAGE } from '#bgp/wire/constants.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { decodeMessage, encodeMessage, type Message } from '#bgp/wire/message.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { type ConnectOptions, openConnecting, openListener } from '#kernel/sys/tcp.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { peerOpen } from './settings.ts';

const CONTEXT = { as4: true, ebgp: true };

export class ScriptedPeer implements Disposable {
  readonly socket: Socket;
  readonly received: (Message | Fault)[] = [];
  /** The other side has closed, or the connection failed. */
  ended = false;
  error: string | undefined;
  readonly #framer = new Framer(MAX_EXTENDED_MESSAGE);
  #seen = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#framer.push(new Uint8Array(chunk));
      while (this.#framer.next()) {
        const { type, bytes, start, end } = this.#framer;
        this.received.push(decodeMessage(type, bytes.slice(start, end), CONTEXT));
      }
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
      this.ended = true;
    });
    socket.on('close', () => {
      this.ended = true;
    });
  }

  static connect(options: ConnectOptions): ScriptedPeer {
    return new ScriptedPeer(openConnecting(options));
  }

  send(...messages: readonly (Message | Uint8Array)[]): void {
    for (const message of messages) {
      if (message instanceof Uint8Array) this.socket.write(message);
      else for (const bytes of encodeMessage(message, CONTEXT)) this.socket.write(bytes);
    }
  }

  /** The next message that has not been asked for yet, waited for; it must be of this kind. */
  async next<K extends Message['kind']>(kind: K): Promise<Extract<Message, { kind: K }>> {
    const message = await waitFor(() => this.received[this.#seen], {
      what: `${kind} from the speaker`,
      details: () =>
        `received so far: ${this.received.map((each) => each.kind).join(' ')}, ended: ${this.ended}`,
    });
    this.#seen++;
    if (message.kind !== kind) throw new Error(`received ${JSON.stringify(message)}, expected ${kind}`);
    return message as Extract<Message, { kind: K }>;
  }

  /** Messages of a kind that were received so far. */
  count(kind: Message['kind']): number {
    return this.received.filter((message) => message.kind === kind).length;
  }

  /** Goes through OPEN and KEEPALIVE of both sides. */
  async establish(open = peerOpen()): Promise<void> {
    await this.next('open');
    this.send(open, { kind: 'keepalive' });
    await this.next('keepalive');
  }

  async closed(): Promise<void> {
    await waitFor(() => this.ended, { what: 'the end of the connection' });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Takes connections for scripted peers. */
export class ScriptedListener implements Disposable {
  readonly accepted: ScriptedPeer[] = [];
  readonly #server: Server;
  #seen = 0;

  /** @param at an address, whose port 179 is listened on, or a descriptor that listens */
  constructor(namespace: NetworkNamespace, at: string | number) {
    const fd = typeof at === 'number' ? at : openListener({ address: at, port: 179, namespace });
    this.#server = createServer((socket) => {
      this.accepted.push(new ScriptedPeer(socket));
    });
    this.#server.listen({ fd });
  }

  async next(): Promise<ScriptedPeer> {
    const peer = await waitFor(() => this.accepted[this.#seen], { what: 'a connection from the speaker' });
    this.#seen++;
    return peer;
  }

  /** Also frees the port, for another one to come. */
  async close(): Promise<void> {
    for (const peer of this.accepted) peer.socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.dispose](): void {
    void this.close();
  }
}
