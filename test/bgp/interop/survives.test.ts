/**
 * What the speaker has to live through as a process: strangers and garbage on its port, neighbours and readers that stall, a log that
 * can not be written. And the end, which comes when it is asked for, whatever is going on.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { BenchPeer } from '#bench/bgp/speakers/peer.ts';
import { announcements, withdrawals } from '#bench/bgp/updates.ts';
import { parseAddress, parseIpv4 } from '#bgp/wire/address.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openConnecting } from '#kernel/sys/tcp.ts';
import { runCommandSync } from '#test/helpers/command.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { A4, B4, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { ScriptedPeer } from '../session/scripted.ts';
import { peerOpen } from '../session/settings.ts';
import { launchMargay, type Margay } from './margay.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const SECOND = '10.0.0.3';
const THIRD = '10.0.0.4';
const STRANGER = '10.0.0.9';
/** So long may it take to end, in ms. */
const END_MS = 15_000;

type Net = ReturnType<typeof twoNamespaces>;

describe('SIGTERM ends it', () => {
  test('in the middle of a burst, with routes on their way into the kernel', {
    timeout: 150_000,
  }, async () => {
    using net = network();
    using namespace = NetworkNamespace.open(net.b.path);
    await using margay = await launchMargay(net.a, config({ kernel: { enabled: true } }));
    using feeder = await feederOf(namespace);
    feeder.send(table(300_000));
    await waitFor(async () => (await margay.api.getStatus({})).kernel!.routes! > 1000, {
      what: 'the first routes in the kernel',
      timeout: 45_000,
    });
    await ends(margay);
    expect(routesOf(net)).toBeGreaterThan(1000);
  });

  test('while a neighbour takes nothing, a request is read by nobody, and nobody reads the log', {
    timeout: 150_000,
  }, async () => {
    using net = network();
    using namespace = NetworkNamespace.open(net.b.path);
    await using margay = await launchMargay(net.a, config());
    using feeder = await feederOf(namespace);
    using deaf = await deafOf(namespace);
    // What the kernel takes for it is not always the same: other tables follow until some of it waits.
    let tables = 0;
    await waitFor(
      async () => {
        if ((await margay.neighbor(SECOND)).queuedBytes! > 100_000) return true;
        feeder.send(table(200_000, 65002 + 100_000 * tables++));
        return false;
      },
      {
        what: 'bytes that wait for the neighbour',
        timeout: 35_000,
        interval: 1000,
        details: () => `${tables} tables\n${margay.log.slice(-3000)}`,
      },
    );
    expect(deaf.ended).toBe(false);
    using table1 = stalledReader(margay, 'rib', '-o', 'json');
    using events = stalledReader(margay, 'events', '--routes');
    feeder.send(withdrawals(100_000));
    expect([table1.exitCode, events.exitCode]).toEqual([null, null]);
    margay.stallLog(true);
    await floodLog(margay);
    await ends(margay);
  });

  test('before it has come up, and twice', { timeout: 150_000 }, async () => {
    using net = network();
    await using margay = await launchMargay(net.a, config());
    await ends(margay);
    for (const wait of [0, 50, 150, 300]) {
      const child = net.a.spawn(process.execPath, [MAIN, 'bgp', '--config', margay.configFile], {
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.once('close', resolve));
      await new Promise((resolve) => setTimeout(resolve, wait));
      child.kill('SIGTERM');
      child.kill('SIGTERM');
      await within(ended, `its end ${wait} ms after the start`);
    }
  });
});

describe('the log', () => {
  test('that nobody reads holds up no session, and says afterwards what was lost', {
    timeout: 150_000,
  }, async () => {
    using net = network();
    using namespace = NetworkNamespace.open(net.b.path);
    await using margay = await launchMargay(net.a, config());
    // It gives the speaker up after three seconds of silence.
    using short = await feederOf(namespace, SECOND, 3);
    margay.stallLog(true);
    const before = (await margay.neighbor(SECOND)).sent!.keepalives!;
    await floodLog(margay);
    await waitFor(async () => (await margay.neighbor(SECOND)).sent!.keepalives! > before + 4, {
      what: 'more KEEPALIVEs than fit into the hold time',
      timeout: 45_000,
    });
    short.check();
    expect(await margay.neighbor(SECOND)).toMatchObject({ flaps: 0 });
    margay.stallLog(false);
    await expect(margay.api.reload({})).rejects.toThrow('nonsense0');
    await waitFor(
      async () => {
        await margay.api.reload({}).catch(() => {});
        return margay.log.includes('lines of the log were lost');
      },
      { what: 'the number of lost lines', interval: 50 },
    );
  });

  test('on a disk that is full is left out, and goes on when there is room', {
    timeout: 150_000,
  }, async () => {
    const folder = newTempFolder();
    runCommandSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
    try {
      using net = network();
      using namespace = NetworkNamespace.open(net.b.path);
      const file = join(folder, 'log');
      const fd = openSync(file, 'a');
      await using margay = await launchMargay(net.a, config(), fd);
      closeSync(fd);
      using short = await feederOf(namespace, SECOND, 3);
      const before = (await margay.neighbor(SECOND)).sent!.keepalives!;
      await floodLog(margay, 10);
      await waitFor(async () => (await margay.neighbor(SECOND)).sent!.keepalives! > before + 2, {
        what: 'more KEEPALIVEs',
        timeout: 45_000,
      });
      short.check();
      runCommandSync('truncate', ['-s', '0', file]);
      await expect(margay.api.reload({})).rejects.toThrow('nonsense0');
      await waitFor(() => readFileSync(file, 'utf8').includes('lines of the log were lost'), {
        what: 'the number of lost lines',
      });
      await ends(margay);
    } finally {
      runCommandSync('umount', [folder]);
    }
  });
});

describe('the port', () => {
  test('takes garbage, a thousand strangers, and half a message, and serves neighbours all the while', {
    timeout: 150_000,
  }, async () => {
    using net = network();
    using namespace = NetworkNamespace.open(net.b.path);
    await using margay = await launchMargay(net.a, config());
    using short = await feederOf(namespace, SECOND, 3);
    const sockets: Socket[] = [];
    const dial = (address: string): Socket => {
      const socket = openConnecting({ namespace, address: A4, port: 179, source: { address, port: 0 } });
      socket.on('error', () => {});
      sockets.push(socket);
      return socket;
    };
    try {
      // From a neighbour's address: no header at all, then one whose message never ends.
      const garbage = dial(B4);
      garbage.write(Buffer.alloc(20_000, 'GET / HTTP/1.1\r\n'));
      await waitFor(
        async () => (await margay.neighbor(B4)).lastError.includes('Connection Not Synchronized'),
        {
          what: 'the header error',
        },
      );
      const slow = dial(B4);
      slow.write(Buffer.from(`${'ff'.repeat(16)}0100`, 'hex'));
      let closed = 0;
      for (let i = 0; i < 1000; i++) {
        const stranger = dial(STRANGER);
        // Says nothing, reads nothing.
        stranger.on('connect', () => stranger.resume());
        stranger.on('close', () => closed++);
        // The neighbours of this process have KEEPALIVEs to send.
        if (i % 20 === 0) await new Promise(setImmediate);
      }
      await waitFor(() => closed === 1000, { what: 'the end of every stranger', timeout: 45_000 });
      // The neighbour itself gets through beside the one that never ends its message.
      using real = await feederOf(namespace);
      real.check();
      short.check();
      expect(await margay.neighbor(SECOND)).toMatchObject({ flaps: 0 });
      const rejected = margay.log.split('\n').filter((line) => line.includes('connection rejected'));
      expect(rejected.length).toBeLessThan(100);
      await waitFor(() => descriptors(margay) < 60, { what: 'the end of all their descriptors' });
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});

/** A stopped reader, and a neighbour that takes nothing, cost bounded memory and hold up nobody. */
test('a reader of the API and a neighbour that have stalled hold up nobody', {
  timeout: 180_000,
}, async () => {
  using net = network();
  using namespace = NetworkNamespace.open(net.b.path);
  await using margay = await launchMargay(net.a, config());
  // Made before there are neighbours: nothing is to keep them from sending their KEEPALIVEs.
  const tables = [0, 1, 2, 3].map((round) => table(100_000, 65002 + 100_000 * round));
  const end = withdrawals(100_000);
  using feeder = await feederOf(namespace);
  using reader = stalledReader(margay, 'events', '--routes', '-o', 'json');
  using deaf = await deafOf(namespace);
  using third = await feederOf(namespace, THIRD, 3);
  const memory: number[] = [];
  for (const each of tables) {
    feeder.send(each);
    await waitFor(() => third.prefixes === 100_000, { what: 'all prefixes', timeout: 45_000 });
    feeder.send(end);
    await waitFor(() => third.prefixes === 0, { what: 'all withdrawals', timeout: 45_000 });
    memory.push((await margay.api.getStatus({})).memoryBytes!);
  }
  third.check();
  expect(deaf.ended).toBe(false);
  expect(reader.exitCode).toBeNull();
  expect(memory.at(-1)! - memory[1]!).toBeLessThan(60_000_000);
});

function network(): Net {
  const net = twoNamespaces();
  for (const address of [SECOND, THIRD, STRANGER]) {
    net.b.exec('ip', ['address', 'add', `${address}/24`, 'dev', 'eth0']);
  }
  return net;
}

function config(more: object = {}): Parameters<typeof launchMargay>[1] {
  const peer = {
    remoteAs: 'external',
    passive: true,
    import: 'accept',
    export: 'accept',
    timers: { idleHold: 0.1 },
  };
  return {
    routerId: '1.1.1.1',
    as: 65001,
    kernel: { enabled: false },
    peers: [
      { address: B4, ...peer },
      { address: SECOND, ...peer },
      { address: THIRD, ...peer },
    ],
    ...more,
  };
}

function table(prefixes: number, asn = 65002): Uint8Array {
  return announcements({ prefixes, perSet: 10, asn, nextHop: parseAddress(B4)! });
}

async function feederOf(
  namespace: NetworkNamespace,
  address = B4,
  holdTime?: number,
): Promise<BenchPeer & Disposable> {
  const peer = new BenchPeer({
    namespace,
    address,
    asn: 65000 + Number(address.split('.')[3]),
    identifier: parseIpv4(address)!,
    speaker: A4,
    ...(holdTime === undefined ? {} : { holdTime }),
  });
  await peer.establish();
  return Object.assign(peer, { [Symbol.dispose]: () => peer.close() });
}

/** A neighbour that reads nothing once its session is up. */
async function deafOf(namespace: NetworkNamespace): Promise<ScriptedPeer> {
  const peer = ScriptedPeer.connect({
    namespace,
    address: A4,
    port: 179,
    source: { address: SECOND, port: 0 },
  });
  await peer.establish(peerOpen({ asn: 65003, identifier: 3 }));
  peer.socket.pause();
  return peer;
}

/** A command of the command line that is stopped as soon as it has begun to print. */
function stalledReader(margay: Margay, ...args: string[]): ChildProcess & Disposable {
  const child = spawn(process.execPath, [MAIN, 'bgp', '--socket', margay.socket, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.once('data', () => child.kill('SIGSTOP'));
  return Object.assign(child, {
    [Symbol.dispose]: () => {
      child.kill('SIGKILL');
    },
  });
}

/** More lines than any buffer on the way holds: a configuration with many faults, again and again. */
async function floodLog(margay: Margay, rounds = 80): Promise<void> {
  const faults = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`nonsense${i}`, 1]));
  margay.write({ ...config(), ...faults });
  for (let i = 0; i < rounds; i++) await margay.api.reload({}).catch(() => {});
}

async function ends(margay: Margay): Promise<void> {
  expect(await within(margay.kill('SIGTERM'), 'the end of the speaker')).toBe(0);
}

function within<T>(promise: Promise<T>, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`not after ${END_MS} ms: ${what}`)), END_MS);
    promise.then(resolve, reject).finally(() => clearTimeout(deadline));
  });
}

function routesOf(net: Net): number {
  return Number(net.a.exec('sh', ['-c', 'ip route show proto 109 | wc -l']));
}

function descriptors(margay: Margay): number {
  return Number(runCommandSync('sh', ['-c', `ls /proc/${margay.pid}/fd | wc -l`]));
}
