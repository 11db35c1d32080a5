import fs from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';
import type { Answer, Call } from './handler.ts';

/** What a request begins with; the comment in ../plugin/margay-cni.c has the rest. */
const MAGIC = Buffer.from('margay-cni 1\n');
const MAX_VARIABLES = 1 << 20;
const MAX_INPUT = 4 << 20;

/** Connections at once; more are closed, which the plugin tells as an error to be tried again. */
const MAX_CONNECTIONS = 2048;
/** How long a request may take to be whole, in ms. */
const REQUEST_MS = 20_000;
/** How long those that are under way may take when felix stops, in ms. */
const STOP_MS = 5000;

export interface CniServerOptions {
  readonly path: string;
  /** Never rejects. The signal is aborted when the plugin goes away and when the server stops. */
  readonly answer: (call: Call, signal: AbortSignal) => Promise<Answer>;
  /** A connection that had nothing sensible to say. */
  readonly onBadRequest: (what: string) => void;
}

/** The unix socket that the plugin talks to. Only root may open it (mode 0600). */
export class CniServer {
  readonly #options: CniServerOptions;
  readonly #server: net.Server;
  readonly #connections = new Set<net.Socket>();
  readonly #stopping = new AbortController();

  private constructor(options: CniServerOptions) {
    this.#options = options;
    this.#server = net.createServer((connection) => this.#serve(connection));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Starts to listen. What a killed felix left in the place of the socket is replaced.
   *
   * @throws Error when another process listens there, or the socket can not be made
   */
  static async listen(options: CniServerOptions): Promise<CniServer> {
    const { path } = options;
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    if (fs.existsSync(path)) {
      if (await answers(path)) throw new Error(`${path}: another process is listening there`);
      fs.rmSync(path, { force: true });
    }
    const server = new CniServer(options);
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        server.#server.once('error', reject);
        server.#server.listen({ path, backlog: 511 }, () => {
          server.#server.off('error', reject);
          resolve();
        });
      });
    } finally {
      process.umask(mask);
    }
    return server;
  }

  /** Stops listening, and ends what is under way. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#stopping.abort();
    const force = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, STOP_MS);
    await closed;
    clearTimeout(force);
  }

  #serve(connection: net.Socket): void {
    this.#connections.add(connection);
    const gone = new AbortController();
    const chunks: Buffer[] = [];
    let length = 0;
    let asked = false;
    const refuse = (what: string): void => {
      this.#options.onBadRequest(what);
      connection.destroy();
    };
    const late = setTimeout(() => refuse(`the request was not whole after ${REQUEST_MS} ms`), REQUEST_MS);
    connection.on('error', () => connection.destroy());
    connection.on('close', () => {
      clearTimeout(late);
      this.#connections.delete(connection);
      gone.abort();
    });
    connection.on('data', (chunk) => {
      if (asked) return;
      chunks.push(chunk);
      length += chunk.length;
      // Only what has a chance of being whole is joined: a request of megabytes comes in hundreds of pieces.
      if (length < needed(chunks)) return;
      const request = parseRequest(Buffer.concat(chunks));
      if (request === undefined) return;
      if ('fault' in request) return refuse(request.fault);
      asked = true;
      clearTimeout(late);
      chunks.length = 0;
      const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
      void this.#options.answer(request, signal).then((answer) => connection.end(frame(answer)));
    });
    connection.on('end', () => {
      if (!asked) refuse(`the request ended after ${length} bytes`);
    });
  }
}

/** Bytes that have to be there before it is worth to look, as far as the first piece tells. */
function needed(chunks: readonly Buffer[]): number {
  const first = chunks[0]!;
  const at = MAGIC.length;
  if (first.length < at + 4) return at + 8;
  const variables = Math.min(first.readUInt32BE(at), MAX_VARIABLES);
  const second = at + 4 + variables;
  if (first.length < second + 4) return second + 4;
  return second + 4 + Math.min(first.readUInt32BE(second), MAX_INPUT);
}

/** The request, what is wrong with it, or undefined when it is not whole. */
function parseRequest(bytes: Buffer): Call | { readonly fault: string } | undefined {
  const head = bytes.subarray(0, MAGIC.length);
  if (!head.equals(MAGIC.subarray(0, head.length)))
    return { fault: 'it does not begin as the requests of the plugin do' };
  let at = MAGIC.length;
  if (bytes.length < at + 4) return undefined;
  const size = bytes.readUInt32BE(at);
  if (size > MAX_VARIABLES) return { fault: `variables of ${size} bytes` };
  at += 4;
  if (bytes.length < at + size + 4) return undefined;
  const variables = new Map<string, string>();
  for (const text of bytes.toString('utf8', at, at + size).split('\0')) {
    const equals = text.indexOf('=');
    if (equals > 0) variables.set(text.slice(0, equals), text.slice(equals + 1));
  }
  at += size;
  const inputSize = bytes.readUInt32BE(at);
  if (inputSize > MAX_INPUT) return { fault: `an input of ${inputSize} bytes` };
  at += 4;
  if (bytes.length < at + inputSize) return undefined;
  return { variables, input: bytes.toString('utf8', at, at + inputSize) };
}

function frame({ status, output }: Answer): Buffer {
  const text = Buffer.from(output);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(status, 0);
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, text]);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}
