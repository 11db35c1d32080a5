import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DatagramReader, DatagramWriter, openUdp, type UdpOptions } from '#kernel/sys/datagram.ts';
import { close, eventfd, getsockname, ifNametoindex, setsockopt } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { type Watch, watchReadable } from '#kernel/sys/readable.ts';
import { decodeSockaddr, encodeSockaddr } from '#kernel/sys/sockaddr.ts';
import { setSocketOptions } from '#kernel/sys/sockopt.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';

let left: Netns;
let right: Netns;
let a: NetworkNamespace;
let b: NetworkNamespace;
let indexB: number;
beforeAll(() => {
  left = createNetns();
  right = createNetns();
  connect(
    { netns: left, addresses: ['10.0.1.1/24', '10.0.1.11/24', 'fd00:1::1/64', 'fd00:1::11/64'] },
    { netns: right, addresses: ['10.0.1.2/24', '10.0.1.12/24', 'fd00:1::2/64', 'fd00:1::12/64'] },
  );
  a = NetworkNamespace.named(left.name);
  b = NetworkNamespace.named(right.name);
  indexB = b.run(() => ifNametoindex('eth0'));
  // The neighbours are known before datagrams are counted.
  left.exec('ping', ['-c1', '10.0.1.2']);
  left.exec('ping', ['-c1', 'fd00:1::2']);
});
afterAll(() => {
  a.close();
  b.close();
  left.remove();
  right.remove();
});

const open: number[] = [];
const watches: Watch[] = [];
afterEach(() => {
  for (const watch of watches.splice(0)) watch.dispose();
  for (const fd of open.splice(0)) close(fd);
});
function udp(options: UdpOptions): { fd: number; port: number } {
  const fd = openUdp(options);
  open.push(fd);
  return { fd, port: decodeSockaddr(getsockname(fd)).port };
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (of: Uint8Array): string => new TextDecoder().decode(of);

const families = [
  { family: 'IPv4', any: '0.0.0.0', host: (host: number) => `10.0.1.${host}` },
  { family: 'IPv6', any: '::', host: (host: number) => `fd00:1::${host}` },
];

describe.each(families)('UDP over $family', ({ any, host }) => {
  test('tells the TTL, the destination and the interface that each datagram came with', async () => {
    const receiver = udp({ address: any, port: 0, namespace: b, receiveTtl: true, receivePacketInfo: true });
    const sender = udp({ address: host(1), port: 49152, namespace: a, ttl: 255 });
    const writer = new DatagramWriter();
    const to = encodeSockaddr({ address: host(2), port: receiver.port });
    expect(writer.send(sender.fd, bytes('near'), to)).toBe(true);
    setSocketOptions(sender.fd, { ttl: 254 });
    writer.send(sender.fd, bytes('far'), encodeSockaddr({ address: host(12), port: receiver.port }));
    writer.send(sender.fd, new Uint8Array(0), to, { ttl: 7 });
    const reader = new DatagramReader(8);
    expect(reader.receive(receiver.fd)).toBe(3);
    expect([0, 1, 2].map((slot) => text(reader.data(slot)))).toEqual(['near', 'far', '']);
    expect([...reader.ttl.subarray(0, 3)]).toEqual([255, 254, 7]);
    expect([...reader.ifindex.subarray(0, 3)]).toEqual([indexB, indexB, indexB]);
    expect([0, 1, 2].map((slot) => reader.destination(slot))).toEqual([host(2), host(12), host(2)]);
    expect(reader.source(1)).toEqual({ address: host(1), port: 49152 });
    expect(reader.receive(receiver.fd)).toBe(0);
  });

  test('sends from the address and interface that were asked for', () => {
    const receiver = udp({ address: host(2), port: 0, namespace: b });
    const sender = udp({ address: any, port: 49153, namespace: a });
    const writer = new DatagramWriter();
    const to = encodeSockaddr({ address: host(2), port: receiver.port });
    const source = encodeSockaddr({ address: host(11), port: 0 });
    const ifindex = a.run(() => ifNametoindex('eth0'));
    writer.send(sender.fd, bytes('one'), to, { source });
    writer.send(sender.fd, bytes('two'), to, { source, ifindex, ttl: 255 });
    writer.send(sender.fd, bytes('three'), to, { ifindex });
    const reader = new DatagramReader(8);
    expect(reader.receive(receiver.fd)).toBe(3);
    expect([0, 1].map((slot) => reader.source(slot).address)).toEqual([host(11), host(11)]);
    // Without the options there is nothing to tell.
    expect([reader.ttl[0], reader.ifindex[0], reader.destination(0)]).toEqual([-1, 0, undefined]);
    expect(() => writer.send(sender.fd, bytes('no'), to, { ifindex: 9999 })).toThrow(/sendmsg: E\w+/);
    const foreign = encodeSockaddr({ address: host(99), port: 0 });
    expect(() => writer.send(sender.fd, bytes('no'), to, { source: foreign })).toThrow(
      /sendmsg: E(INVAL|NETUNREACH)/,
    );
    const other = encodeSockaddr({ address: any === '::' ? '10.0.1.1' : '::1', port: 0 });
    expect(() => writer.send(sender.fd, bytes('no'), to, { source: other })).toThrow('source of family');
  });

  test('a datagram longer than the room is marked, and does not spill into the next', () => {
    const receiver = udp({ address: host(2), port: 0, namespace: b });
    const sender = udp({ address: host(1), port: 0, namespace: a });
    const writer = new DatagramWriter();
    const to = encodeSockaddr({ address: host(2), port: receiver.port });
    writer.send(sender.fd, new Uint8Array(100).fill(1), to);
    writer.send(sender.fd, new Uint8Array(64).fill(2), to);
    const reader = new DatagramReader(4, 64);
    expect(reader.receive(receiver.fd)).toBe(2);
    expect([...reader.truncated.subarray(0, 2)]).toEqual([1, 0]);
    expect(reader.data(0)).toEqual(new Uint8Array(64).fill(1));
    expect(reader.data(1)).toEqual(new Uint8Array(64).fill(2));
    expect(() => writer.send(sender.fd, new Uint8Array(2049), to)).toThrow('datagram of 2049 bytes');
  });

  test('a watch on the event loop wakes once for many datagrams, and no more once it is taken off', async () => {
    const receiver = udp({ address: host(2), port: 0, namespace: b, receiveBuffer: 1 << 20 });
    const sender = udp({ address: host(1), port: 0, namespace: a });
    const reader = new DatagramReader(32);
    let received = 0;
    let wakes = 0;
    const watch = watchReadable(receiver.fd, () => {
      wakes++;
      for (let round = 0; round < 10; round++) received += reader.receive(receiver.fd);
    });
    watches.push(watch);
    const writer = new DatagramWriter();
    const to = encodeSockaddr({ address: host(2), port: receiver.port });
    for (let i = 0; i < 200; i++) writer.send(sender.fd, bytes(`${i}`), to);
    await waitFor(() => received === 200, { what: '200 datagrams' });
    expect(wakes).toBeLessThan(5);
    watch.dispose();
    watch.dispose();
    writer.send(sender.fd, bytes('more'), to);
    await new Promise(setImmediate);
    expect(received).toBe(200);
    expect(reader.receive(receiver.fd)).toBe(1);
  });
});

test('the destination of a broadcast is the address it was sent to, not the one that would answer', () => {
  const receiver = udp({ address: '0.0.0.0', port: 0, namespace: b, receivePacketInfo: true });
  const sender = udp({ address: '10.0.1.1', port: 0, namespace: a });
  setsockopt(sender.fd, 1, 6, 1); // SO_BROADCAST
  new DatagramWriter().send(
    sender.fd,
    bytes('all'),
    encodeSockaddr({ address: '10.0.1.255', port: receiver.port }),
  );
  const reader = new DatagramReader();
  expect(reader.receive(receiver.fd)).toBe(1);
  expect(reader.destination(0)).toBe('10.0.1.255');
});

describe('a worker that polls', () => {
  test('reads and answers while the main thread is stalled', () => {
    const receiver = udp({ address: '10.0.1.2', port: 0, namespace: b, receiveTtl: true });
    const sender = udp({ address: '10.0.1.1', port: 0, namespace: a, ttl: 255 });
    const stop = eventfd(0, 0);
    const ready = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./echo-worker.ts', import.meta.url), {
      workerData: { fd: receiver.fd, stop, ready },
    });
    Atomics.wait(ready, 0, 0, 10_000);
    // From here to the end of the test nothing yields to the event loop.
    const writer = new DatagramWriter();
    const reader = new DatagramReader();
    const to = encodeSockaddr({ address: '10.0.1.2', port: receiver.port });
    const end = performance.now() + 5000;
    let answers = 0;
    for (let i = 0; i < 100; i++) {
      writer.send(sender.fd, bytes(`${i}`), to);
      while (reader.receive(sender.fd) === 0 && performance.now() < end) {}
      if (text(reader.data(0)) === `${i}:255`) answers++;
    }
    expect(answers).toBe(100);
    fs.writeSync(stop, new Uint8Array(new BigUint64Array([1n]).buffer));
    Atomics.wait(ready, 0, 1, 10_000);
    close(stop);
    worker.unref();
  });
});

test('what can not be opened leaves no descriptor behind', () => {
  const before = fs.readdirSync('/proc/self/fd').length;
  expect(() => openUdp({ address: '192.0.2.9', port: 1, namespace: a })).toThrow(
    'bind 192.0.2.9 port 1: EADDRNOTAVAIL',
  );
  expect(() => openUdp({ address: '::', port: 1, namespace: a, device: 'none0' })).toThrow('ENODEV');
  expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
});
