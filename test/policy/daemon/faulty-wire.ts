/** A wire between a node agent and the engine that can be cut, held up, and given some bytes more to live. */

import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';

export class FaultyWire implements AsyncDisposable {
  readonly path: string;
  readonly #to: string;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isHeld = false;

  private constructor(path: string, to: string) {
    this.path = path;
    this.#to = to;
    this.#server = createServer((near) => this.#join(near));
  }

  /** Listens at `path` and passes on to `to`. */
  static async open(path: string, to: string): Promise<FaultyWire> {
    const wire = new FaultyWire(path, to);
    await new Promise<void>((resolve) => wire.#server.listen(path, resolve));
    return wire;
  }

  /** Cuts what is there after so many bytes more have come from the engine. */
  cut(after = 0): void {
    for (const pair of this.#pairs) {
      pair.left = after;
      if (after === 0) this.#end(pair);
    }
  }

  /** Nothing comes from the engine any more, and nothing ends. Connections that come now are held up too. */
  hold(): void {
    this.#isHeld = true;
    for (const { far } of this.#pairs) far.pause();
  }

  goOn(): void {
    this.#isHeld = false;
    for (const { far } of this.#pairs) far.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.path, { force: true });
  }

  #join(near: Socket): void {
    const far = createConnection(this.#to);
    const pair: Pair = { near, far, left: Number.POSITIVE_INFINITY };
    this.#pairs.add(pair);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      near.write(bytes.subarray(0, pair.left));
      pair.left -= bytes.length;
      if (pair.left <= 0) this.#end(pair);
    });
    for (const socket of [near, far]) {
      socket.on('error', () => this.#end(pair));
      socket.on('close', () => this.#end(pair));
    }
    if (this.#isHeld) far.pause();
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.near.destroy();
    pair.far.destroy();
  }
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes that may still come from the engine. */
  left: number;
}
