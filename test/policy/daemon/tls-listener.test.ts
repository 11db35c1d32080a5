/** The port for those with a certificate: how many may be there, and for how long. */

import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Certificates } from '#policy/daemon/certificates.ts';
import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';
import { type Handlers, RpcServer } from '#proto/server.ts';
import { clientTls, readTls, type TlsMaterial } from '#proto/tls.ts';
import { type ConnectionEvent, MutualTls, type MutualTlsOptions } from '#proto/tls-listener.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Authority } from './certificates.ts';

const SERVER = { subject: '/CN=policy', names: 'IP:127.0.0.1' };
const DAY_MS = 86_400_000;

const unused = (): never => {
  throw new Error('not in this test');
};
/** Tells one update, and then nothing for as long as the call lasts. */
const handlers: Handlers<typeof policyService> = {
  getStatus: unused,
  explain: unused,
  listObjects: unused,
  async *watch(_, { signal }) {
    yield { snapshot: true };
    await once(signal, 'abort');
  },
};

let folder: string;
let authority: Authority;
let server: RpcServer;
let events: ConnectionEvent[];
const sockets: Socket[] = [];

beforeEach(() => {
  folder = newTempFolder();
  authority = new Authority(folder, 'ca');
  server = new RpcServer({ onFault: (_, error) => expect.unreachable(String(error)) });
  server.add(policyService, handlers);
  events = [];
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function listen(options: MutualTlsOptions = {}): Promise<{ tls: MutualTls; port: number }> {
  const tls = new MutualTls(readTls(authority.issue(SERVER)), {
    ...options,
    onEvent: (event) => events.push(event),
  });
  return { tls, port: await server.listenTcp('127.0.0.1:0', tls) };
}

/** A stream that has been told something, and how it ended. */
async function stream(port: number, material: TlsMaterial) {
  const client = connect(policyService, `127.0.0.1:${port}`, clientTls(material));
  const stop = new AbortController();
  const close = (): void => {
    stop.abort();
    client.close();
  };
  const updates = client.watch({ node: 'n1' }, { signal: stop.signal })[Symbol.asyncIterator]();
  try {
    expect((await updates.next()).value).toMatchObject({ snapshot: true });
  } catch (error) {
    // It would go on trying, and take the place of another one.
    close();
    throw error;
  }
  const state = { end: undefined as unknown, close };
  void updates.next().then(
    () => {
      state.end = 'done';
    },
    (error: unknown) => {
      state.end = error;
    },
  );
  return state;
}

/** A connection that says nothing. */
function silent(port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  return socket;
}

test('a connection without a handshake is ended', async () => {
  const { port, tls } = await listen({ handshakeMs: 50 });
  await once(silent(port), 'close');
  await waitFor(() => tls.size === 0, { what: 'it is forgotten' });
});

test('of those without a certificate the oldest makes room: nobody keeps nodes out by coming first', async () => {
  const { port, tls } = await listen({ mostHandshakes: 4 });
  const crowd = Array.from({ length: 12 }, () => silent(port));
  let closed = 0;
  for (const each of crowd) each.once('close', () => closed++);
  await waitFor(() => closed === 8, { what: 'the oldest are gone' });
  const node = await stream(port, authority.ofNode('n1'));
  expect(events.filter(({ kind }) => kind === 'displaced').length).toBeGreaterThanOrEqual(8);
  expect(tls.size).toBeLessThanOrEqual(5);
  expect(node.end).toBeUndefined();
  node.close();
});

test('more connections than may be are refused, and those that are there go on', async () => {
  const { port, tls } = await listen({ most: 2 });
  const own = authority.ofNode('n1');
  const first = await stream(port, own);
  const second = await stream(port, own);
  await once(silent(port), 'close');
  expect(events).toMatchObject([{ kind: 'refused', most: 2 }]);
  expect([first.end, second.end]).toEqual([undefined, undefined]);
  first.close();
  await waitFor(() => tls.size === 1, { what: 'room for another' });
  (await stream(port, own)).close();
  second.close();
});

test('a stream ends with the certificate of its client, and no sooner', async () => {
  const { port, tls } = await listen();
  const short = await stream(port, authority.ofNode('n1', { days: 1 }));
  const long = await stream(port, authority.ofNode('n1', { days: 9 }));
  tls.sweep(Date.now());
  tls.sweep(Date.now() + DAY_MS / 2);
  expect(events).toEqual([]);
  tls.sweep(Date.now() + 2 * DAY_MS);
  await waitFor(() => short.end !== undefined, { what: 'the end of it' });
  expect(short.end).toMatchObject({ code: 'UNAVAILABLE' });
  expect(events).toMatchObject([
    { kind: 'ended', subject: 'system:node:n1', reason: 'its certificate has ended' },
  ]);
  expect(long.end).toBeUndefined();
  short.close();
  long.close();
});

test('an authority that is taken away ends the streams of its own, one that is added ends none', async () => {
  const { port, tls } = await listen();
  const other = new Authority(folder, 'other');
  const bundle = join(folder, 'bundle');
  const files = authority.issue(SERVER);
  const use = (...authorities: Authority[]) => {
    writeFileSync(bundle, authorities.map(({ ca }) => readFileSync(ca, 'utf8')).join(''));
    tls.replace(readTls({ ...files, ca: bundle }));
  };
  const mine = await stream(port, authority.ofNode('n1'));
  use(authority, other);
  const theirs = await stream(port, { ...other.ofNode('n1'), ca: readFileSync(authority.ca) });
  expect(events).toEqual([]);
  use(other);
  await waitFor(() => mine.end !== undefined, { what: 'the end of the stream' });
  expect(events).toMatchObject([{ kind: 'ended', reason: 'its authority is not among ours any more' }]);
  expect(theirs.end).toBeUndefined();
  mine.close();
  theirs.close();
});

test('the daemon looks at the certificates of its clients whenever it looks at its own, and says what it ends', async () => {
  const lines: string[] = [];
  const write = (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const log = { error: write, warn: write, info: write, debug: write } as never;
  const files = authority.issue({ ...SERVER, days: 30 });
  let date = Date.now();
  const certificates = new Certificates(files, log, () => date);
  const port = await server.listenTcp('127.0.0.1:0', certificates.listener);
  const node = await stream(port, authority.ofNode('n1'));
  certificates.look();
  expect(lines).toEqual([]);
  date += 2 * DAY_MS;
  certificates.look();
  await waitFor(() => node.end !== undefined, { what: 'the end of the stream' });
  expect(lines).toEqual([expect.stringMatching(/^a connection is ended: .*system:node:n1.*has ended/)]);
  node.close();
});
