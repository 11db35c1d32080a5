/**
 * A small API server with the list and watch of the real one, that does wrong what a test asks it to. The real one is
 * there to show that this one behaves like it; this one, for what can not be had of the real one when one wants it.
 */

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { COLLECTIONS, collectionPath } from '#datastore/kubernetes/api.ts';
import type { Kind } from '#datastore/resource.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** A request for a list or watch. */
export interface ApiRequest {
  readonly kind: Kind;
  readonly verb: 'list' | 'watch';
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/** What goes wrong with a request; nothing if there is none. */
export interface Fault {
  /** Answers with this status and nothing else. */
  readonly status?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly retryAfter?: number;
  /** A body of its own instead of a `Status`. */
  readonly text?: string;
  /** The body of an answer that says that all is well. */
  readonly body?: string;
  /** Never answers. */
  readonly silent?: boolean;
  /** Closes the connection instead of an answer. */
  readonly refused?: boolean;
  /** Closes the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Sends nothing after so many bytes of the body, and leaves the connection open. */
  readonly stallAfter?: number;
  /** Ends the answer, as if it were whole, after so many bytes. */
  readonly endAfter?: number;
  /** Sends this after so many bytes. */
  readonly insert?: { readonly after: number; readonly text: string };
  /** An event that comes first, as it stands. */
  readonly event?: object;
}

interface Stored {
  readonly object: ApiObject;
  readonly at: number;
}

interface Happening {
  readonly at: number;
  readonly kind: Kind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: ApiObject;
  /** Before; for selectors. */
  readonly before: ApiObject | undefined;
}

interface Watcher {
  readonly kind: Kind;
  readonly selects: (object: ApiObject) => boolean;
  readonly write: (event: object) => void;
  readonly end: () => void;
}

export class FakeApiServer implements AsyncDisposable {
  readonly requests: ApiRequest[] = [];
  /** What goes wrong with the next requests; asked for each of them. */
  fault: (request: ApiRequest, count: number) => Fault | undefined = () => undefined;
  /** Whether watches can begin with everything: the feature WatchList. */
  streams = true;
  /** Bytes of padding in managedFields of each object, which nobody is to keep. */
  padding = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #version = 1_000;
  #uid = 0;
  #objects = new Map<string, Stored>();
  #history: Happening[] = [];
  /** Versions before this one are forgotten. */
  #oldest = 0;
  readonly #watchers = new Set<Watcher>();
  #epoch = 0;

  private constructor() {
    this.#server = createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
      this.#handle(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  static async start(): Promise<FakeApiServer> {
    const server = new FakeApiServer();
    await server.listen();
    return server;
  }

  /** Begins to listen, on the port that it had before, if it does not. */
  async listen(): Promise<void> {
    if (this.#server.listening) return;
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Closes the port and all connections, as by a crash. Objects stay. */
  async crash(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  /** Closes all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#watchers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  get objects(): ApiObject[] {
    return [...this.#objects.values()].map(({ object }) => object);
  }

  get watches(): number {
    return this.#watchers.size;
  }

  /** Path of a kubeconfig that leads here. */
  kubeconfig(user: object = { token: 'secret' }): string {
    const file = join(newTempFolder(), 'kubeconfig');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: this.url } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  /** Puts an object; one that is there keeps its UID. */
  put(kind: Kind, name: string, fields: { readonly [field: string]: unknown } = {}): ApiObject {
    const namespace = COLLECTIONS[kind].namespaced ? ((fields.namespace as string) ?? 'default') : undefined;
    const key = `${kind}/${namespace ?? ''}/${name}`;
    const before = this.#objects.get(key)?.object;
    const at = ++this.#version;
    const { labels, namespace: _, ...rest } = fields;
    const object: ApiObject = {
      apiVersion: COLLECTIONS[kind].apiVersion,
      kind,
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        uid: before?.metadata.uid ?? `uid-${++this.#uid}`,
        resourceVersion: `${at}`,
        ...(labels === undefined ? {} : { labels: labels as Record<string, string> }),
        ...(this.padding > 0 ? { managedFields: [{ manager: 'm'.repeat(this.padding) }] } : {}),
      },
      ...rest,
    };
    this.#objects.set(key, { object, at });
    this.#happens({ at, kind, type: before === undefined ? 'ADDED' : 'MODIFIED', object, before });
    return object;
  }

  delete(kind: Kind, name: string, namespace = 'default'): void {
    const key = `${kind}/${COLLECTIONS[kind].namespaced ? namespace : ''}/${name}`;
    const stored = this.#objects.get(key);
    if (stored === undefined) return;
    this.#objects.delete(key);
    const at = ++this.#version;
    const { object: before } = stored;
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: `${at}` } };
    this.#happens({ at, kind, type: 'DELETED', object, before });
  }

  /** Forgets all that has happened so far, as etcd does when it is compacted. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history = [];
    this.#epoch++;
  }

  /**
   * Goes back to an earlier state, as etcd does when it is restored from a copy.
   *
   * @param bump whether versions go on after those that were, as its manual demands (etcdutl, `--bump-revision`
   *   `--mark-compacted`)
   */
  restore(copy: ReturnType<FakeApiServer['save']>, { bump = false } = {}): void {
    this.cut();
    this.#objects = new Map(copy.objects);
    this.#history = [...copy.history];
    if (!bump) {
      this.#version = copy.version;
      return;
    }
    this.#version += 1_000;
    this.compact();
  }

  save() {
    return { objects: [...this.#objects], history: [...this.#history], version: this.#version };
  }

  /** All watches are told that there is nothing new. */
  bookmark(): void {
    for (const watcher of this.#watchers) watcher.write(this.#bookmark(watcher.kind));
  }

  /** Ends all watches in good order. */
  endWatches(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  /** Tells all watches of a kind something, as it stands. */
  say(kind: Kind, event: object): void {
    for (const watcher of this.#watchers) if (watcher.kind === kind) watcher.write(event);
  }

  #happens(happening: Happening): void {
    this.#history.push(happening);
    for (const watcher of this.#watchers) tell(watcher, happening);
  }

  #bookmark(kind: Kind, annotations?: object): object {
    const { apiVersion } = COLLECTIONS[kind];
    const metadata = { resourceVersion: `${this.#version}`, ...(annotations && { annotations }) };
    return { type: 'BOOKMARK', object: { apiVersion, kind, metadata } };
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url!, this.url);
    const api = Object.values(COLLECTIONS).find((other) => collectionPath(other) === pathname);
    if (api === undefined) {
      fail(response, { status: 404, reason: 'NotFound' });
      return;
    }
    const verb = query.get('watch') === 'true' ? 'watch' : 'list';
    const asked: ApiRequest = { kind: api.kind, verb, query, headers: request.headers };
    this.requests.push(asked);
    const fault = this.fault(asked, this.requests.length) ?? {};
    if (fault.silent) return;
    if (fault.refused) request.socket.resetAndDestroy();
    else if (fault.status !== undefined) fail(response, fault);
    else if (fault.body !== undefined) response.end(fault.body);
    else if (verb === 'watch') this.#watch(asked, new FaultyBody(response, fault), response);
    else this.#list(asked, new FaultyBody(response, fault), response);
  }

  #list({ kind, query }: ApiRequest, body: FaultyBody, response: ServerResponse): void {
    const limit = Number(query.get('limit') ?? 0);
    const token = query.get('continue');
    const { version, start, epoch } = token === null ? this.#firstPage() : JSON.parse(token);
    if (epoch !== this.#epoch) {
      fail(response, {
        status: 410,
        reason: 'Expired',
        message: 'The provided continue parameter is too old',
      });
      return;
    }
    const all = this.#objectsAt(kind, version).filter(selectorOf(query));
    const end = limit === 0 ? all.length : start + limit;
    const more = end < all.length ? JSON.stringify({ version, start: end, epoch }) : undefined;
    const { apiVersion } = COLLECTIONS[kind];
    // The items of the real one have neither apiVersion nor kind.
    const items = all.slice(start, end).map(({ apiVersion: _, kind: __, ...object }) => object);
    const metadata = { resourceVersion: `${version}`, ...(more && { continue: more }) };
    body.write(JSON.stringify({ kind: `${kind}List`, apiVersion, metadata, items }));
    body.end();
  }

  #firstPage() {
    return { version: this.#version, start: 0, epoch: this.#epoch };
  }

  /** The objects as they were then, in the order of their names. */
  #objectsAt(kind: Kind, version: number): ApiObject[] {
    const objects = new Map<string, ApiObject>();
    for (const [key, { object }] of this.#objects) if (object.kind === kind) objects.set(key, object);
    for (const { at, object, before } of this.#history.toReversed()) {
      if (at <= version) break;
      if (object.kind !== kind) continue;
      const key = `${kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      if (before === undefined) objects.delete(key);
      else objects.set(key, before);
    }
    return [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  #watch({ kind, query }: ApiRequest, body: FaultyBody, response: ServerResponse): void {
    const from = query.get('resourceVersion') ?? '';
    const everything = query.get('sendInitialEvents') === 'true';
    if (everything && !this.streams) {
      const message =
        'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
      fail(response, { status: 422, reason: 'Invalid', message });
      return;
    }
    if (!everything && Number(from) < this.#oldest) {
      fail(response, { status: 410, reason: 'Expired', message: `too old resource version: ${from}` });
      return;
    }
    const selects = selectorOf(query);
    const watcher: Watcher = {
      kind,
      selects,
      write: (event) => body.write(`${JSON.stringify(event)}\n`),
      end: () => {
        this.#watchers.delete(watcher);
        clearTimeout(timer);
        body.end();
      },
    };
    const timer = setTimeout(() => watcher.end(), Number(query.get('timeoutSeconds') ?? 1_800) * 1_000);
    response.on('close', () => {
      this.#watchers.delete(watcher);
      clearTimeout(timer);
    });
    body.begin();
    if (everything) {
      for (const object of this.#objectsAt(kind, this.#version).filter(selects)) {
        watcher.write({ type: 'ADDED', object });
      }
      watcher.write(this.#bookmark(kind, { 'k8s.io/initial-events-end': 'true' }));
    } else {
      for (const happening of this.#history) if (happening.at > Number(from)) tell(watcher, happening);
    }
    this.#watchers.add(watcher);
  }
}

function tell(watcher: Watcher, { kind, type, object, before }: Happening): void {
  if (kind !== watcher.kind) return;
  const now = type !== 'DELETED' && watcher.selects(object);
  const was = before !== undefined && watcher.selects(before);
  if (now) watcher.write({ type: was ? 'MODIFIED' : 'ADDED', object });
  else if (was) {
    const metadata = { ...before.metadata, resourceVersion: object.metadata.resourceVersion };
    watcher.write({ type: 'DELETED', object: { ...before, metadata } });
  }
}

function selectorOf(query: URLSearchParams): (object: ApiObject) => boolean {
  const [path = '', value] = (query.get('fieldSelector') ?? '').split('=');
  if (path === '') return () => true;
  return (object) =>
    path.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], object) === value;
}

function fail(
  response: ServerResponse,
  { status = 500, reason = '', message, retryAfter, text }: Fault,
): void {
  const headers = retryAfter === undefined ? {} : { 'Retry-After': `${retryAfter}` };
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code: status };
  response.end(text ?? JSON.stringify(body));
}

/** The body of an answer, with what goes wrong with it. */
class FaultyBody {
  readonly #response: ServerResponse;
  readonly #fault: Fault;
  #sent = 0;
  #stopped = false;
  #inserted = false;

  constructor(response: ServerResponse, fault: Fault) {
    this.#response = response;
    this.#fault = fault;
  }

  begin(): void {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' });
      this.#response.flushHeaders();
      if (this.#fault.event !== undefined) this.write(`${JSON.stringify(this.#fault.event)}\n`);
      this.write('');
    }
  }

  write(text: string): void {
    this.begin();
    const { insert } = this.#fault;
    let bytes = Buffer.from(text);
    if (insert !== undefined && !this.#inserted && this.#sent + bytes.length >= insert.after) {
      this.#inserted = true;
      const at = insert.after - this.#sent;
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(insert.text), bytes.subarray(at)]);
    }
    this.#send(bytes);
  }

  end(): void {
    if (!this.#stopped) this.#response.end();
  }

  #send(bytes: Buffer): void {
    if (this.#stopped) return;
    const { cutAfter = Infinity, stallAfter = Infinity, endAfter = Infinity } = this.#fault;
    const limit = Math.min(cutAfter, stallAfter, endAfter);
    const part = bytes.subarray(0, Math.max(0, limit - this.#sent));
    this.#sent += part.length;
    if (part.length > 0) this.#response.write(part);
    if (this.#sent < limit) return;
    this.#stopped = true;
    if (limit === endAfter) this.#response.end();
    // What was written has to be on its way first.
    else if (limit === cutAfter) setImmediate(() => this.#response.socket?.destroy());
  }
}
