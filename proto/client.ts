import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { RpcError, statusName } from './error.ts';
import type { Method, Service } from './service.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
  /**
   * Milliseconds until a unary call gives up, 10,000 unless told; of a stream the longest wait for the next reply, without end unless
   * told.
   */
  readonly timeoutMs?: number;
}

/** A function for each method: a promise of the reply, or an async iterable of the replies. */
export type RpcClient<S extends Service> = {
  readonly [K in keyof S]: S[K] extends Method<infer Request, infer _A, infer _B, infer Reply, infer Stream>
    ? Stream extends true
      ? (request: Request, options?: CallOptions) => AsyncIterable<Reply>
      : (request: Request, options?: CallOptions) => Promise<Reply>
    : never;
} & {
  /** Ends the connection. */
  close(): void;
};

/**
 * A client of `service` at `address` (`unix:/path` or `host:port`). Connects with the first call. Calls throw RpcError;
 * UNAVAILABLE names the address.
 */
export function connect<S extends Service>(
  service: S,
  address: string,
  channel = credentials.createInsecure(),
): RpcClient<S> {
  const client = new Client(address, channel, {
    // A proxy in the environment is for the outside world, not for a socket beside us.
    'grpc.enable_http_proxy': 0,
    'grpc.max_receive_message_length': 64 << 20,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5000,
    // A stream on which nothing comes must not be taken for one where there is nothing to tell.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  const calls: Record<string, unknown> = { close: () => client.close() };
  for (const [name, method] of Object.entries(service)) {
    calls[name] = method.stream
      ? (request: unknown, options?: CallOptions) => stream(client, address, method, request, options)
      : (request: unknown, options?: CallOptions) => once(client, address, method, request, options);
  }
  return calls as RpcClient<S>;
}

function once(
  client: Client,
  address: string,
  method: Service[string],
  request: unknown,
  options: CallOptions = {},
): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = method.definition;
  return new Promise((resolve, reject) => {
    const { timeoutMs = 10_000 } = options;
    const deadline = Date.now() + timeoutMs;
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      { deadline },
      (error, reply) => {
        options.signal?.removeEventListener('abort', cancel);
        if (error) reject(explain(error, address, timeoutMs));
        else resolve(reply);
      },
    );
    const cancel = (): void => call.cancel();
    options.signal?.addEventListener('abort', cancel);
    if (options.signal?.aborted) cancel();
  });
}

async function* stream(
  client: Client,
  address: string,
  method: Service[string],
  request: unknown,
  options: CallOptions = {},
): AsyncGenerator<unknown> {
  const { path, requestSerialize, responseDeserialize } = method.definition;
  const call: ClientReadableStream<unknown> = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
  );
  const cancel = (): void => call.cancel();
  options.signal?.addEventListener('abort', cancel);
  if (options.signal?.aborted) cancel();
  const { timeoutMs } = options;
  let timer: NodeJS.Timeout | undefined;
  let late = false;
  const wait = (): void => {
    if (timeoutMs === undefined) return;
    timer = setTimeout(() => {
      late = true;
      call.cancel();
    }, timeoutMs);
  };
  try {
    wait();
    for await (const reply of call) {
      // The time that our reader takes is not the server's.
      clearTimeout(timer);
      yield reply;
      wait();
    }
  } catch (error) {
    if (options.signal?.aborted) return;
    throw late
      ? new RpcError('DEADLINE_EXCEEDED', tooLate(address, timeoutMs), { cause: error })
      : explain(error as ServiceError, address, timeoutMs);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

function explain(error: ServiceError, address: string, timeoutMs: number | undefined): RpcError {
  const code = statusName(error.code);
  const text = error.details || error.message;
  const said =
    code === 'UNAVAILABLE'
      ? `${address}: ${reasonOf(text)}`
      : code === 'DEADLINE_EXCEEDED'
        ? tooLate(address, timeoutMs)
        : text;
  return new RpcError(code, said, { cause: error });
}

function tooLate(address: string, timeoutMs = 0): string {
  return `${address}: no answer within ${timeoutMs / 1000} s`;
}

/** Of what gRPC says of a connection that can not be made, that which the system said: `connect ENOENT`. */
function reasonOf(text: string): string {
  return /\b(connect E[A-Z]+)/.exec(text)?.[1] ?? text;
}
