import { chmodSync, existsSync, statSync, unlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { RpcError, statusNumber } from './error.ts';
import type { Method, Service } from './service.ts';
import type { MutualTls } from './tls-listener.ts';

// What it would write on standard error by itself is in the errors that we get.
if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);

/** What a handler knows of its call. */
export interface CallContext {
  /** Aborted when the client goes away or cancels, and when the server stops. */
  readonly signal: AbortSignal;
  /** The client, as gRPC names it. */
  readonly peer: string;
  /** The client's certificate, verified, where one was asked for. */
  readonly certificate: PeerCertificate | undefined;
  /**
   * Resolves when all replies that a stream gave so far have gone out, or the call's signal or the one given is aborted. A
   * stream that waits for it before it makes the next reply has no more than one waiting in memory, where otherwise there
   * would be sixteen.
   */
  readonly written: (signal?: AbortSignal) => Promise<void>;
}

/** A function for each method: a promise of the reply, or an async iterable of the replies. */
export type Handlers<S extends Service> = {
  readonly [K in keyof S]: S[K] extends Method<infer _A, infer Request, infer Reply, infer _B, infer Stream>
    ? Stream extends true
      ? (request: Request, context: CallContext) => AsyncIterable<Reply>
      : (request: Request, context: CallContext) => Promise<Reply> | Reply
    : never;
};

export interface ServerOptions {
  /** Called for what a handler throws that is not an RpcError: a fault of ours, which the client sees as INTERNAL. */
  readonly onFault: (method: string, error: unknown) => void;
  readonly credentials?: ServerCredentials;
}

/** How long clients have to end their calls, and connections to close after that, in ms. */
const STOP_MS = 1000;

/** A gRPC server for one or more services. */
export class RpcServer {
  readonly #server = new Server({
    'grpc.max_receive_message_length': 16 << 20,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  readonly #options: ServerOptions;
  readonly #stopping = new AbortController();
  readonly #tls: MutualTls[] = [];
  #socket: { readonly path: string; readonly inode: number } | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  add<S extends Service>(service: S, handlers: Handlers<S>): this {
    const definitions: Record<string, Method<unknown, unknown, unknown, unknown, boolean>['definition']> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(service)) {
      definitions[name] = method.definition;
      const handler = handlers[name as keyof S] as (request: unknown, context: CallContext) => unknown;
      implementation[name] = method.stream
        ? (call: ServerWritableStream<unknown, unknown>) => void this.#stream(name, call, handler)
        : (call: ServerUnaryCall<unknown, unknown>, reply: sendUnaryData<unknown>) =>
            void this.#unary(name, call, reply, handler);
    }
    this.#server.addService(definitions, implementation);
    return this;
  }

  /**
   * Listens on a unix socket that only its owner may open (mode 0600). A socket file that a killed process left is
   * replaced; one that somebody answers on is not.
   *
   * @throws Error when another process listens there, or the folder is missing
   */
  async listenUnix(path: string): Promise<void> {
    if (existsSync(path)) {
      if (await answers(path)) throw new Error(`${path}: another process is listening there`);
      unlinkSync(path);
    }
    const mask = process.umask(0o177);
    try {
      await this.#bind(`unix:${path}`, ServerCredentials.createInsecure());
    } finally {
      process.umask(mask);
    }
    chmodSync(path, 0o600);
    this.#socket = { path, inode: statSync(path).ino };
  }

  /** Listens on `host:port` for those who have a certificate; port 0 takes a free one. Returns the port. */
  listenTcp(address: string, tls: MutualTls): Promise<number> {
    // TLS is the listener's: to gRPC these are connections like any other.
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#tls.push(tls);
    return tls.listen(address, (socket) => injector.injectConnection(socket));
  }

  /**
   * Ends all calls and stops listening: in good order within a second, else by force. Resolves a second later at the latest.
   * A client that does not read may then still hold a connection, as Node's HTTP/2 waits for what it has begun to write.
   */
  async stop(): Promise<void> {
    this.#stopping.abort(new RpcError('UNAVAILABLE', 'the server is stopping'));
    for (const tls of this.#tls) tls.close();
    await new Promise<void>((resolve) => {
      let timer = setTimeout(() => {
        this.#server.forceShutdown();
        timer = setTimeout(resolve, STOP_MS);
      }, STOP_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    // Another process may have taken the place already.
    const { path, inode } = this.#socket ?? {};
    this.#socket = undefined;
    if (path !== undefined && statSync(path, { throwIfNoEntry: false })?.ino === inode) unlinkSync(path);
  }

  #bind(address: string, credentials: ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error) reject(new Error(`listen on ${address}: ${reasonOf(error.message)}`, { cause: error }));
        else resolve(port);
      });
    });
  }

  async #unary(
    name: string,
    call: ServerUnaryCall<unknown, unknown>,
    reply: sendUnaryData<unknown>,
    handler: (request: unknown, context: CallContext) => unknown,
  ): Promise<void> {
    const gone = this.#abortWith(call);
    try {
      reply(
        null,
        await handler(
          call.request,
          contextOf(call, gone.signal, async () => {}),
        ),
      );
    } catch (error) {
      reply(this.#status(name, error));
    } finally {
      gone.release();
    }
  }

  async #stream(
    name: string,
    call: ServerWritableStream<unknown, unknown>,
    handler: (request: unknown, context: CallContext) => unknown,
  ): Promise<void> {
    const gone = this.#abortWith(call);
    const outgoing = new Outgoing(gone.signal);
    try {
      const replies = handler(
        call.request,
        contextOf(call, gone.signal, (signal) => outgoing.drained(signal)),
      ) as AsyncIterable<unknown>;
      for await (const reply of replies) {
        if (gone.signal.aborted) break;
        // A reader that does not keep up holds up its own handler, and nobody else.
        if (!call.write(reply, outgoing.add())) await drained(call, gone.signal);
      }
      if (this.#stopping.signal.aborted)
        call.emit('error', rpcStatus(new RpcError('UNAVAILABLE', 'the server is stopping')));
      else call.end();
    } catch (error) {
      if (!call.cancelled) call.emit('error', this.#status(name, error));
    } finally {
      gone.release();
    }
  }

  #abortWith(call: { on(event: 'cancelled', listener: () => void): unknown }): {
    signal: AbortSignal;
    release: () => void;
  } {
    const controller = new AbortController();
    const stopping = (): void => controller.abort(this.#stopping.signal.reason);
    if (this.#stopping.signal.aborted) stopping();
    this.#stopping.signal.addEventListener('abort', stopping, { once: true });
    call.on('cancelled', () => controller.abort(new RpcError('CANCELLED', 'the client went away')));
    return {
      signal: controller.signal,
      release: () => this.#stopping.signal.removeEventListener('abort', stopping),
    };
  }

  #status(name: string, error: unknown): Error & { code: number; details: string } {
    if (error instanceof RpcError) return rpcStatus(error);
    if (this.#stopping.signal.aborted)
      return rpcStatus(new RpcError('UNAVAILABLE', 'the server is stopping'));
    this.#options.onFault(name, error);
    return rpcStatus(
      new RpcError('INTERNAL', `${name} failed: ${error instanceof Error ? error.message : error}`),
    );
  }
}

function contextOf(
  call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
  signal: AbortSignal,
  written: CallContext['written'],
): CallContext {
  const certificate = call.getAuthContext()?.sslPeerCertificate;
  return { signal, peer: call.getPeer(), certificate, written };
}

/** Replies that were given to the connection and have not gone out. */
class Outgoing {
  readonly #signal: AbortSignal;
  #count = 0;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  /** One more. @returns to be called when it has gone out */
  add(): () => void {
    this.#count++;
    return () => {
      if (--this.#count === 0) this.#wake?.();
    };
  }

  async drained(signal?: AbortSignal): Promise<void> {
    if (this.#count === 0 || this.#signal.aborted || signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#wake = wake;
    signal?.addEventListener('abort', wake);
    await promise;
    signal?.removeEventListener('abort', wake);
    this.#wake = undefined;
  }
}

function rpcStatus(error: RpcError): Error & { code: number; details: string } {
  return Object.assign(new Error(error.message), { code: statusNumber(error.code), details: error.message });
}

function drained(call: ServerWritableStream<unknown, unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      call.off('close', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    call.on('close', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** Whether somebody accepts connections on the unix socket at `path`. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}

/** Of what gRPC says of an address that it can not listen on, that which the system said: `EACCES: permission denied`. */
function reasonOf(text: string): string {
  return /listen (E[A-Z]+: [a-z ]*[a-z])/.exec(text)?.[1] ?? text;
}
