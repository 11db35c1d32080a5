import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Batch } from '#kernel/netlink/batch.ts';
import { NETLINK_ROUTE, NLM_F_CREATE } from '#kernel/netlink/constants.ts';
import { NetlinkMonitor, type Subscription } from '#kernel/netlink/monitor.ts';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';

const RTM_NEWROUTE = 24;
const RTM_GETLINK = 18;
const RTNLGRP_IPV4_ROUTE = 7;

let ns: Netns;
let inside: NetworkNamespace;
let socket: NetlinkSocket;
beforeAll(() => {
  ns = createNetns();
  inside = NetworkNamespace.named(ns.name);
  socket = NetlinkSocket.open(NETLINK_ROUTE, inside);
});
afterAll(() => {
  socket.close();
  inside.close();
  ns.remove();
});

const monitors: NetlinkMonitor[] = [];
afterEach(async () => {
  for (const monitor of monitors.splice(0)) await monitor.closed();
});
function open(...subscriptions: readonly Partial<Subscription>[]): NetlinkMonitor {
  const monitor = NetlinkMonitor.open(
    subscriptions.map((subscription) => ({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_IPV4_ROUTE],
      namespace: inside,
      onMessage: () => {},
      onOverflow: () => {},
      ...subscription,
    })),
    (error) => {
      throw error;
    },
  );
  monitors.push(monitor);
  return monitor;
}

const BLACKHOLE = 6;
const UNREACHABLE = 7;
const types = new Uint8Array(5000);

/** Adds or changes `count` of 5,000 routes, which notifies of each. */
function routes(count: number): void {
  const batch = new Batch(socket, (i) => `route ${i}`);
  for (let i = 0; i < count; i++) {
    batch.begin(RTM_NEWROUTE, NLM_F_CREATE | 0x100);
    const number = i % types.length;
    const type = types[number] === BLACKHOLE ? UNREACHABLE : BLACKHOLE;
    types[number] = type;
    const at = batch.writer.fixed(12);
    batch.writer.bytes.set([2, 32, 0, 0, 254, 4, 0, type], at);
    batch.writer.be32(1, 0x0a000000 + number);
    batch.end();
  }
  expect(batch.finish()).toEqual([]);
}

const threads = (): number => fs.readdirSync('/proc/self/task').length;
/** Sockets and eventfds; others come and go with the test runner. */
const descriptors = (): number =>
  fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /socket:|eventfd/.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;

describe('a netlink monitor', () => {
  test('leaves no descriptor and no thread behind when it is closed', async () => {
    await open({}).closed(); // What the first worker starts for good is there now.
    const before = { threads: threads(), descriptors: descriptors() };
    for (let i = 0; i < 5; i++) {
      const monitor = open({}, { groups: [] });
      if (i % 2 === 0) routes(100);
      await monitor.closed();
      await monitor.closed();
    }
    await waitFor(() => threads() <= before.threads, { what: 'the threads to end' });
    expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
  });

  test('leaves none behind when one of its sockets can not be had', () => {
    const before = { threads: threads(), descriptors: descriptors() };
    expect(() => open({}, { groups: [9999] })).toThrow('setsockopt group 9999: EINVAL');
    expect(() =>
      open(
        {},
        {
          configure: () => {
            throw new Error('not to be configured');
          },
        },
      ),
    ).toThrow('not to be configured');
    expect(threads()).toBeLessThanOrEqual(before.threads);
    expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
  });

  test.each([
    ['process.exit()', 'exit', 3],
    ['an uncaught error', 'throw', 1],
    ['the end of all else, once it is let go', 'unref', 0],
    ['the end of a worker that opened it', 'terminate', 0],
  ])(
    'does not hold up %s',
    async (_, way, code) => {
      const script = new URL('./netlink-monitor-end.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [script, way], {
        stdio: ['ignore', 'ignore', 'ignore'],
        timeout: 20_000,
        killSignal: 'SIGKILL',
      });
      expect(await once(child, 'exit')).toEqual([code, null]);
    },
    30_000,
  );

  test('calls nobody after it is closed', async () => {
    let calls = 0;
    const monitor = open({ onMessage: () => calls++ });
    routes(5000);
    await waitFor(() => calls > 0, { what: 'the first notification' });
    monitor.close();
    const then = calls;
    await monitor.closed();
    expect(calls).toBe(then);
  });

  test('configures a socket before it listens, in its namespace', async () => {
    const links: number[] = [];
    let heard = 0;
    open({
      configure: (configured) => {
        links.push(
          ...configured.dumpAll(
            'links',
            RTM_GETLINK,
            (w) => w.fixed(16),
            () => 1,
          ),
        );
      },
      onMessage: () => heard++,
    });
    expect(links).toEqual([1]);
    routes(10);
    await waitFor(() => heard === 10, { what: 'ten notifications' });
  });

  test('tells of loss after what came before it, and goes on', async () => {
    const seen: string[] = [];
    open({
      bufferBytes: 4096,
      onMessage: () => {
        if (seen.at(-1) !== 'message') seen.push('message');
      },
      onOverflow: () => seen.push('overflow'),
    });
    routes(3000);
    await waitFor(() => seen.includes('overflow'), { what: 'the overflow' });
    expect(seen[0]).toBe('message');
    seen.length = 0;
    routes(1);
    await waitFor(() => seen.includes('message'), { what: 'a notification after the overflow' });
  });

  test('a loss on one subscription is no loss on another', async () => {
    let lost = 0;
    let heard = 0;
    open(
      { bufferBytes: 4096, onOverflow: () => lost++ },
      { bufferBytes: 64 << 20, onMessage: () => heard++, onOverflow: () => expect.unreachable() },
    );
    routes(5000);
    await waitFor(() => lost > 0 && heard === 5000, { what: 'loss on the one, all on the other' });
  });

  test('a stalled main thread costs bounded memory, and ends in an overflow', async () => {
    let messages = 0;
    let overflows = 0;
    open({ bufferBytes: 1 << 20, onMessage: () => messages++, onOverflow: () => overflows++ });
    routes(10); // The worker runs before the thread stalls.
    await waitFor(() => messages === 10, { what: 'the first notifications' });
    const before = process.memoryUsage.rss();
    // Without a pause for the event loop: far more than worker and kernel hold for us.
    const total = 1_200_000;
    for (let i = 0; i < total; i += 20_000) routes(20_000);
    const grown = process.memoryUsage.rss() - before;
    // 72 bytes each and more, 86 MB in all; 8 MiB are held by the worker, 1 MiB by the kernel.
    expect(grown).toBeLessThan(40 << 20);
    await waitFor(() => overflows > 0, { what: 'the overflow' });
    expect(messages).toBeLessThan(total);
    const then = messages;
    routes(10);
    await waitFor(() => messages >= then + 10, { what: 'notifications after the stall' });
  }, 120_000);

  test('a callback that throws does not hold up the others', async () => {
    const uncaught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => uncaught.push(error));
    try {
      let heard = 0;
      open({
        onMessage: () => {
          heard++;
          if (heard === 1) throw new Error('callback failed');
        },
      });
      routes(1);
      await waitFor(() => uncaught.length === 1, { what: 'the exception' });
      routes(50);
      await waitFor(() => heard >= 51, { what: 'what came after it' });
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });
});
