import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { bgpService } from '#proto/bgp.ts';
import { connect } from '#proto/client.ts';
import { RpcError } from '#proto/error.ts';
import { type Handlers, RpcServer } from '#proto/server.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

const unused = (): never => {
  throw new RpcError('UNIMPLEMENTED', 'not in this test');
};

function handlers(some: Partial<Handlers<typeof bgpService>>): Handlers<typeof bgpService> {
  return {
    getStatus: unused,
    listNeighbors: unused,
    listRoutes: unused,
    lookupRoute: unused,
    advertise: unused,
    withdraw: unused,
    resetNeighbor: unused,
    setNeighborEnabled: unused,
    reload: unused,
    watchEvents: unused,
    ...some,
  };
}

describe('services on a unix socket', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function serve(
    some: Partial<Handlers<typeof bgpService>>,
    onFault: (method: string, error: unknown) => void = () => {},
  ) {
    const path = join(newTempFolder(), 'bgp.sock');
    const server = new RpcServer({ onFault }).add(bgpService, handlers(some));
    await server.listenUnix(path);
    closing.push(() => server.stop());
    const client = connect(bgpService, `unix:${path}`);
    closing.push(() => client.close());
    return { path, server, client };
  }

  test('a reply comes back with its numbers and its absent fields', async () => {
    const { client } = await serve({
      lookupRoute: ({ address }) => ({
        route: {
          prefix: address,
          paths: [{ best: true, attributes: { med: 0, asPath: '65001', localPreference: 4294967295 } }],
        },
      }),
    });
    const { route } = await client.lookupRoute({ address: '10.0.0.0/8' });
    expect(route?.prefix).toBe('10.0.0.0/8');
    expect(route?.paths?.[0]?.attributes).toMatchObject({ med: 0, localPreference: 4294967295 });
    expect((await client.lookupRoute({ address: '' })).route?.paths?.[0]?.attributes?.nextHop).toBe('');
  });

  test('only the owner may open the socket', async () => {
    const { path } = await serve({});
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('a status that a handler throws arrives with code and text', async () => {
    const { client } = await serve({
      withdraw: () => {
        throw new RpcError('NOT_FOUND', 'prefix 10.0.0.0/8: not advertised here');
      },
    });
    await expect(client.withdraw({ prefixes: ['10.0.0.0/8'] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'prefix 10.0.0.0/8: not advertised here',
    });
  });

  test('any other exception is INTERNAL to the client and a reported fault to us', async () => {
    const faults: unknown[] = [];
    const { client } = await serve(
      {
        reload: () => {
          throw new TypeError('broken');
        },
        // biome-ignore lint/correctness/useYield: it fails before the first reply
        watchEvents: async function* () {
          throw new TypeError('broken stream');
        },
      },
      (method, error) => faults.push(`${method}: ${error}`),
    );
    await expect(client.reload({})).rejects.toMatchObject({ code: 'INTERNAL' });
    const read = async (): Promise<void> => {
      for await (const _ of client.watchEvents({}));
    };
    await expect(read()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(faults).toEqual(['reload: TypeError: broken', 'watchEvents: TypeError: broken stream']);
  });

  test('a reader that stops reading holds up its stream, and leaving ends the handler', async () => {
    let produced = 0;
    let ended: () => void = () => {};
    const handlerEnded = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const { client } = await serve({
      listRoutes: async function* (_request, { signal }) {
        try {
          for (; produced < 100_000 && !signal.aborted; produced++) {
            yield { routes: Array.from({ length: 100 }, () => ({ prefix: '2001:db8:1234:5678::/64' })) };
          }
        } finally {
          ended();
        }
      },
    });
    let read = 0;
    for await (const batch of client.listRoutes({})) {
      read += batch.routes?.length ?? 0;
      if (read >= 1000) break;
    }
    await handlerEnded;
    expect(produced).toBeLessThan(5000);
  });

  test('stopping ends open streams with UNAVAILABLE and removes the socket', async () => {
    const { client, server, path } = await serve({
      watchEvents: async function* (_request, { signal }) {
        yield { at: 1 };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });
    const events: unknown[] = [];
    const read = (async () => {
      for await (const event of client.watchEvents({})) {
        events.push(event);
        void server.stop();
      }
    })();
    await expect(read).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(events).toHaveLength(1);
    await server.stop();
    expect(existsSync(path)).toBe(false);
  });

  test('an address that can not be had is told in the words of the system', async () => {
    const server = new RpcServer({ onFault: () => {} }).add(bgpService, handlers({}));
    // Nobody may make a file there.
    await expect(server.listenUnix('/proc/margay.sock')).rejects.toThrow(
      /^listen on unix:\/proc\/margay\.sock: E[A-Z]+: [a-z ]+$/,
    );
    await server.stop();
  });

  test('the socket file of a killed server is replaced, that of a living one is not', async () => {
    const path = join(newTempFolder(), 'bgp.sock');
    writeFileSync(path, '');
    chmodSync(path, 0o600);
    const server = new RpcServer({ onFault: unused }).add(bgpService, handlers({}));
    await server.listenUnix(path);
    await server.stop();
    const living = createServer();
    await new Promise<void>((resolve) => living.listen(path, resolve));
    closing.push(() => living.close());
    const second = new RpcServer({ onFault: unused }).add(bgpService, handlers({}));
    await expect(second.listenUnix(path)).rejects.toThrow(`${path}: another process is listening there`);
  });

  test('a server that does not answer is told in words, with its address and for how long', async () => {
    const never = new Promise<never>(() => {});
    const { path, client } = await serve({
      getStatus: () => never,
      // biome-ignore lint/correctness/useYield: it never comes to that
      listRoutes: async function* () {
        await never;
      },
    });
    const late = { code: 'DEADLINE_EXCEEDED', message: `unix:${path}: no answer within 0.05 s` };
    await expect(client.getStatus({}, { timeoutMs: 50 })).rejects.toMatchObject(late);
    const stream = client.listRoutes({}, { timeoutMs: 50 })[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject(late);
  });

  test('a stream may take as long as it likes to be read', async () => {
    const { client } = await serve({
      listRoutes: async function* () {
        yield { routes: [] };
        yield { routes: [] };
      },
    });
    let replies = 0;
    for await (const _ of client.listRoutes({}, { timeoutMs: 200 })) {
      replies++;
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    expect(replies).toBe(2);
  });

  test('a server that is not there is UNAVAILABLE and named', async () => {
    const client = connect(bgpService, 'unix:/nonexistent/bgp.sock');
    closing.push(() => client.close());
    await expect(client.getStatus({})).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('unix:/nonexistent/bgp.sock'),
    });
  });
});
