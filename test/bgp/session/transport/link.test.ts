import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Lingering, Link, type LinkEvents } from '#bgp/session/transport/link.ts';
import { Turns } from '#bgp/session/transport/turns.ts';
import { CEASE_ADMIN_SHUTDOWN, ERROR_CEASE, encodeNotification } from '#bgp/wire/notification.ts';

/*
 * One connection over the loopback, with a neighbour that is a plain socket.
 */

const now = () => performance.now();
const nothing = () => {};
const DEAF: LinkEvents = {
  connected: nothing,
  message: nothing,
  batch: nothing,
  fault: nothing,
  progress: nothing,
  writable: nothing,
  lost: nothing,
};

async function pair(): Promise<{ ours: Socket; theirs: Socket; end: () => void }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const accepted = once(server, 'connection');
  const ours = connect(port, '127.0.0.1');
  const [theirs] = (await accepted) as [Socket];
  return { ours, theirs, end: () => server.close() };
}

test.each([0, 1, 7])('a neighbour that sends all the time reads our last words (%i)', async (turns) => {
  const { ours, theirs, end } = await pair();
  const cancelled: (() => void)[] = [];
  const link = new Link(ours, DEAF, {
    turns: new Turns({ now, defer: setImmediate }),
    lingering: new Lingering(),
    now,
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      cancelled.push(() => clearTimeout(timer));
      return () => clearTimeout(timer);
    },
  });
  const keepalive = Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, 19, 4])]);
  const flood = Buffer.concat(Array.from({ length: 50_000 }, () => keepalive));
  // It reads nothing yet: first it sends more than fits into what lies between.
  theirs.pause();
  const failures: Error[] = [];
  theirs.on('error', (error) => failures.push(error));
  for (let i = 0; i < 10; i++) theirs.write(flood);
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
  const words = encodeNotification({
    code: ERROR_CEASE,
    subcode: CEASE_ADMIN_SHUTDOWN,
    data: new Uint8Array(),
  });
  link.write(words);
  link.finish();
  const heard: Buffer[] = [];
  theirs.on('data', (bytes) => heard.push(bytes));
  theirs.on('end', () => theirs.end());
  theirs.resume();
  await once(theirs, 'close');
  for (const cancel of cancelled) cancel();
  end();
  expect(failures).toEqual([]);
  expect(Buffer.concat(heard)).toEqual(Buffer.from(words));
});
