/** Requests to the API server over HTTP/1.1, one connection to each that is under way. */

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type CredentialOptions, Credentials } from './credentials.ts';
import { CutError, UnreachableError } from './errors.ts';
import { readStatus } from './events.ts';

/** Bytes of an answer that says what is wrong; more is not read. */
const MOST_STATUS = 64 * 1024;

/** Connections that were kept and turn out to be closed, tried for one request. */
const MOST_STALE = 8;

class StaleSocketError extends UnreachableError {}

export class Connection {
  readonly #credentials: Credentials;
  #server: string;

  constructor(options: CredentialOptions) {
    this.#credentials = new Credentials(options);
    this.#server = options.kubeconfig ?? 'kubernetes';
  }

  /** Address of the API server; before it is known, where it is to be found. */
  get server(): string {
    return this.#server;
  }

  /**
   * Asks for something and waits for the answer to begin.
   *
   * @param path with its query
   * @param signal ends the request, and the answer after it
   * @throws ApiStatusError for an answer that is no success, AccessError, UnreachableError, or the reason of the signal
   */
  async get(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { server, options } = await unlessAborted(this.#credentials.get(), signal);
    this.#server = server;
    const response = await this.#sendAgain(`${server}${path}`, options, signal);
    const { statusCode: status = 0, headers } = response;
    if (status === 200) return response;
    // A token or certificate may have been changed, or a plugin's credential be of yesterday.
    if (status === 401) this.#credentials.forget();
    const body = await readSome(response);
    throw readStatus(parseIfJson(body), { status, retryAfter: readRetryAfter(headers['retry-after']) });
  }

  close(): void {
    this.#credentials.close();
  }

  /** A connection that was kept may be closed by the server in the moment in which it is used again. */
  async #sendAgain(url: string, options: object, signal: AbortSignal): Promise<IncomingMessage> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.#send(url, options, signal);
      } catch (error) {
        if (!(error instanceof StaleSocketError) || tries >= MOST_STALE) throw error;
      }
    }
  }

  #send(url: string, options: object, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const send = url.startsWith('http:') ? httpRequest : httpsRequest;
    const { headers } = options as { headers?: object };
    const request = send(url, {
      ...options,
      signal,
      headers: { ...headers, Accept: 'application/json', 'User-Agent': 'margay' },
    });
    request.on('response', resolve);
    request.on('error', (error) => {
      const Failure = request.reusedSocket ? StaleSocketError : UnreachableError;
      reject(signal.aborted ? signal.reason : new Failure(describe(error), { cause: error }));
    });
    request.end();
    return promise;
  }
}

/**
 * The pieces of an answer as they come. The next one is read when this one is done with.
 *
 * @throws CutError if the connection ends before it, or the reason of the signal
 */
export async function* piecesOf(
  response: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  try {
    for await (const piece of response) yield piece as Buffer;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new CutError(`the connection was cut (${describe(error as Error)})`, { cause: error });
  } finally {
    response.destroy();
  }
}

/** A plugin that brings credentials may take its time, or for ever. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function readSome(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of response) {
      pieces.push(piece);
      length += piece.length;
      if (length > MOST_STATUS) break;
    }
  } catch {
    // Of an answer that is cut, the status says enough.
  }
  return Buffer.concat(pieces).toString();
}

/** A `Status`, or what something in between that is no API server says in its own words. */
function parseIfJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.replace(/\s+/g, ' ').trim().slice(0, 200) };
  }
}

/** @returns ms; 0 for none. A date is not understood, and no API server sends one. */
function readRetryAfter(value: string | undefined): number {
  return /^\d{1,5}$/.test(value ?? '') ? Number(value) * 1_000 : 0;
}

function describe(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  // The connection attempts to several addresses of a name come as one error without words.
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((one: Error) => one.message).join(', ');
  }
  return error.message || code || 'no reason given';
}
