/**
 * An API server that has its answers ready, in a process of its own: what is measured is the reader. `server.ts PODS` says
 * its port when it listens. `POST /change` changes one pod after the other, as many as `count` says.
 */

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { podOf } from './pods.ts';

const count = Number(process.argv[2]);
const VERSION = 1_000_000;

/** As they stand in a list, and in an event. */
const items = Array.from({ length: count }, (_, i) =>
  Buffer.from(JSON.stringify(podOf(i, VERSION - count + i))),
);
const typed = (object: Buffer, type: string) =>
  Buffer.concat([
    Buffer.from(`{"type":"${type}","object":{"kind":"Pod","apiVersion":"v1",`),
    object.subarray(1),
    Buffer.from('}\n'),
  ]);

let streams = true;
let version = VERSION;
const watches = new Set<ServerResponse>();

const server = createServer((request, response) => {
  const { pathname, searchParams: query } = new URL(request.url!, 'http://localhost');
  if (pathname === '/change') {
    void change(Number(query.get('count')), response);
    return;
  }
  if (pathname === '/streams') {
    streams = query.get('on') === 'true';
    response.end();
    return;
  }
  response.on('close', () => watches.delete(response));
  if (query.get('watch') !== 'true')
    void page(Number(query.get('limit')), Number(query.get('continue') ?? 0), response);
  else if (query.has('sendInitialEvents') && !streams)
    response.writeHead(422).end('{"kind":"Status","code":422}');
  else void watch(query.has('sendInitialEvents'), response);
});

server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());

async function page(limit: number, start: number, response: ServerResponse): Promise<void> {
  const end = start + limit;
  const more = end < count ? `,"continue":"${end}"` : '';
  response.write(
    `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"${version}"${more}},"items":[`,
  );
  for (let i = start; i < Math.min(end, count); i++) {
    if (i > start) response.write(',');
    await write(response, items[i]!);
  }
  response.end(']}');
}

async function watch(everything: boolean, response: ServerResponse): Promise<void> {
  response.writeHead(200);
  if (everything) {
    for (const item of items) await write(response, typed(item, 'ADDED'));
    const metadata = `{"resourceVersion":"${version}","annotations":{"k8s.io/initial-events-end":"true"}}`;
    response.write(`{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":${metadata}}}\n`);
  } else response.flushHeaders();
  watches.add(response);
}

async function change(times: number, response: ServerResponse): Promise<void> {
  for (let i = 0; i < times; i++) {
    const event = typed(Buffer.from(JSON.stringify(podOf(i % count, ++version, `${version}`))), 'MODIFIED');
    for (const one of watches) await write(one, event);
  }
  response.end();
}

async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (!response.write(bytes)) await new Promise((resolve) => response.once('drain', resolve));
}
