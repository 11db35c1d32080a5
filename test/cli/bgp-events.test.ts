/**
 * `margay bgp events`, for programs: each event by itself, as it comes.
 */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { run } from '#cli/program.ts';
import { bgpService } from '#proto/bgp.ts';
import { RpcError } from '#proto/error.ts';
import { type Handlers, RpcServer } from '#proto/server.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

const unused = (): never => {
  throw new RpcError('UNIMPLEMENTED', 'not in this test');
};

const handlers: Handlers<typeof bgpService> = {
  getStatus: unused,
  listNeighbors: unused,
  listRoutes: unused,
  lookupRoute: unused,
  advertise: unused,
  withdraw: unused,
  resetNeighbor: unused,
  setNeighborEnabled: unused,
  reload: unused,
  async *watchEvents() {
    yield { at: 1, lost: 7 };
    yield { at: 2, route: { prefix: '10.0.0.0/8' } };
  },
};

const READERS = {
  json: (text: string): unknown[] =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  yaml: (text: string): unknown[] => parseAllDocuments(text).map((document) => document.toJS()),
};

test.each(['json', 'yaml'] as const)('events in %s are one after the other', async (format) => {
  const socket = join(newTempFolder(), 'bgp.sock');
  const server = new RpcServer({ onFault: () => {} }).add(bgpService, handlers);
  await server.listenUnix(socket);
  const parts: string[] = [];
  const out = {
    columns: undefined,
    colour: false,
    ready: () => Promise.resolve(),
    write: (text: string) => void parts.push(text),
  };
  try {
    const argv = ['bgp', '--socket', socket, 'events', '-o', format];
    const { signal } = new AbortController();
    expect(await run(argv, { out, error: out, now: () => 0, signal })).toBe(0);
  } finally {
    await server.stop();
  }
  expect(READERS[format](parts.join(''))).toMatchObject([
    { at: 1, lost: 7 },
    { at: 2, route: { prefix: '10.0.0.0/8' } },
  ]);
  // Nobody has to wait for the next one to read one.
  expect(parts.map((part) => READERS[format](part).length)).toEqual([1, 1]);
});
