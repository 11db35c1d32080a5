import { once } from 'node:events';
import fs from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SyscallError } from '#kernel/sys/errno.ts';
import { close, getsockname, ifNametoindex } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { decodeSockaddr } from '#kernel/sys/sockaddr.ts';
import { getSocketOption, setSocketOptions } from '#kernel/sys/sockopt.ts';
import { descriptorOf, type ListenOptions, openConnecting, openListener } from '#kernel/sys/tcp.ts';
import { removeTcpMd5, setTcpMd5 } from '#kernel/sys/tcp-md5.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';

let left: Netns;
let right: Netns;
let a: NetworkNamespace;
let b: NetworkNamespace;
let indexA: number;
let linkLocalA: string;
let linkLocalB: string;

function linkLocal(ns: Netns): string {
  const links = ns.ip('-6', 'address', 'show', 'dev', 'eth0') as {
    addr_info: { local: string; scope: string }[];
  }[];
  return links.flatMap((link) => link.addr_info).find((address) => address.scope === 'link')!.local;
}

beforeAll(() => {
  left = createNetns();
  right = createNetns();
  const addresses = (host: number): string[] => [
    ...[1, 2, 3].map((net) => `10.0.${net}.${host}/24`),
    ...[1, 2, 3].map((net) => `fd00:${net}::${host}/64`),
  ];
  // An interface ahead of the one that is used: the first with a link-local address must not be taken for it.
  connect({ netns: left, name: 'first0' }, { netns: right, name: 'first0' });
  connect(
    { netns: left, name: 'eth0', addresses: addresses(1) },
    { netns: right, name: 'eth0', addresses: addresses(2) },
  );
  a = NetworkNamespace.named(left.name);
  b = NetworkNamespace.named(right.name);
  indexA = a.run(() => ifNametoindex('eth0'));
  linkLocalA = linkLocal(left);
  linkLocalB = linkLocal(right);
});
afterAll(() => {
  a.close();
  b.close();
  left.remove();
  right.remove();
});

const sockets = new Set<Socket>();
const servers = new Set<Server>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  servers.clear();
});

interface Listening {
  readonly fd: number;
  readonly accepted: Socket[];
  readonly port: number;
}

/** Listens in the right namespace; accepted connections echo. */
async function listening(options: ListenOptions): Promise<Listening> {
  const fd = openListener({ namespace: b, ...options });
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => socket.write(bytes));
  });
  servers.add(server);
  server.listen({ fd, backlog: options.backlog ?? 128 });
  await once(server, 'listening');
  return { fd, accepted, port: (server.address() as { port: number }).port };
}

function connecting(options: Parameters<typeof openConnecting>[0]): Socket {
  const socket = openConnecting({ namespace: a, ...options });
  sockets.add(socket);
  return socket;
}

async function outcome(socket: Socket): Promise<string> {
  try {
    await once(socket, 'connect');
    return 'connect';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function echo(socket: Socket, text: string): Promise<void> {
  const answer = once(socket, 'data');
  socket.write(text);
  expect(String((await answer)[0])).toBe(text);
}

/** A counter of /proc/net/netstat in a namespace. */
function counter(ns: NetworkNamespace, name: string): number {
  const lines = ns.run(() => fs.readFileSync('/proc/thread-self/net/netstat', 'utf8')).split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const at = lines[i]!.split(' ').indexOf(name);
    if (at > 0) return Number(lines[i + 1]!.split(' ')[at]);
  }
  throw new Error(`no counter ${name}`);
}

/** Runs `act`, and waits until it has raised a counter in the right namespace: the packets were seen, and refused. */
async function raises(name: string, act: () => void): Promise<void> {
  const before = counter(b, name);
  act();
  await waitFor(() => counter(b, name) > before, { what: `${name} to rise` });
}

const families = [
  { family: 'IPv4', any: '0.0.0.0', host: (net: number, host: number) => `10.0.${net}.${host}`, bits: 32 },
  { family: 'IPv6', any: '::', host: (net: number, host: number) => `fd00:${net}::${host}`, bits: 128 },
];

describe.each(families)('TCP over $family', ({ any, host, bits }) => {
  test('connects from the source address that was asked for', async () => {
    const { port, accepted } = await listening({ address: any, port: 0 });
    const socket = connecting({ address: host(1, 2), port, source: { address: host(3, 1), port: 0 } });
    expect(socket.connecting).toBe(true);
    expect(await outcome(socket)).toBe('connect');
    expect([socket.localAddress, socket.remoteAddress]).toEqual([host(3, 1), host(1, 2)]);
    expect(accepted[0]!.remoteAddress).toBe(host(3, 1));
    await echo(socket, 'hello');
    const again = connecting({ address: host(1, 2), port, source: { address: host(2, 1), port: 17900 } });
    expect(await outcome(again)).toBe('connect');
    expect([again.localAddress, again.localPort]).toEqual([host(2, 1), 17900]);
  });

  test('a port where nobody listens is ECONNREFUSED, a network without route ENETUNREACH', async () => {
    expect(await outcome(connecting({ address: host(1, 2), port: 1 }))).toBe('ECONNREFUSED');
    const lost = bits === 32 ? '192.0.2.1' : '2001:db8::1';
    expect(await outcome(connecting({ address: lost, port: 1 }))).toBe('ENETUNREACH');
  });

  test('a peer that never answers is ETIMEDOUT after as many repeats as were asked for', async () => {
    right.exec('nft', [
      'add table inet quiet; add chain inet quiet input { type filter hook input priority 0; }',
    ]);
    right.exec('nft', ['add rule inet quiet input tcp dport 4444 drop']);
    const started = performance.now();
    const socket = connecting({ address: host(1, 2), port: 4444, synRetries: 1 });
    expect(await outcome(socket)).toBe('ETIMEDOUT');
    expect(performance.now() - started).toBeLessThan(10_000);
    right.exec('nft', ['delete table inet quiet']);
  });

  test('an abort ends a connection that is being made', async () => {
    const controller = new AbortController();
    const address = bits === 32 ? '10.0.1.99' : 'fd00:1::99';
    const socket = connecting({ address, port: 179, signal: controller.signal });
    controller.abort();
    expect(await outcome(socket)).toBe('ABORT_ERR');
  });

  test('a source address that the machine lacks is refused by name, unless it is bound freely', async () => {
    const { port } = await listening({ address: any, port: 0 });
    const source = { address: host(9, 9), port: 0 };
    expect(() => connecting({ address: host(1, 2), port, source })).toThrow(SyscallError);
    expect(() => connecting({ address: host(1, 2), port, source })).toThrow(
      `bind ${bits === 32 ? '10.0.9.9:0' : '[fd00:9::9]:0'}: EADDRNOTAVAIL`,
    );
    for (const option of ['freebind', 'transparent'] as const) {
      const fd = openListener({ ...source, namespace: b, [option]: true });
      expect(getSocketOption(fd, option)).toBe(1);
      close(fd);
    }
  });

  test('no descriptor is left behind by what fails', () => {
    const before = fs.readdirSync('/proc/self/fd').length;
    expect(() => openListener({ address: host(9, 9), port: 0, namespace: b })).toThrow('EADDRNOTAVAIL');
    expect(() => openListener({ address: any, port: 0, namespace: b, device: 'none0' })).toThrow(
      'SO_BINDTODEVICE none0: ENODEV',
    );
    expect(() => connecting({ address: host(1, 2), port: 1, ttl: 300 })).toThrow('EINVAL');
    expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  });

  test('MD5: the right key connects, a wrong one and none are dropped and counted', async () => {
    const { port, fd } = await listening({
      address: any,
      port: 0,
      md5: [{ peer: { address: host(1, 1) }, key: 'secret' }],
    });
    const source = { address: host(1, 1), port: 0 };
    const right = connecting({ address: host(1, 2), port, source, md5: 'secret' });
    expect(await outcome(right)).toBe('connect');
    await echo(right, 'signed');
    await raises('TCPMD5Failure', () => connecting({ address: host(1, 2), port, source, md5: 'secrets' }));
    await raises('TCPMD5NotFound', () => connecting({ address: host(1, 2), port, source }));
    // The other way round: a peer without a key on the listener must not sign.
    const other = { address: host(2, 1), port: 0 };
    await raises('TCPMD5Unexpected', () =>
      connecting({ address: host(1, 2), port, source: other, md5: 'secret' }),
    );
    // Keys can be set while the listener is in use; 80 bytes are the longest.
    const long = new Uint8Array(80).fill(7);
    setTcpMd5(fd, { address: host(2, 1) }, long);
    expect(await outcome(connecting({ address: host(1, 2), port, source: other, md5: long }))).toBe(
      'connect',
    );
    await echo(right, 'still');
  });

  test('MD5: changing and removing one key disturbs no session of another peer', async () => {
    const { port, fd, accepted } = await listening({ address: any, port: 0 });
    setTcpMd5(fd, { address: host(1, 1) }, 'one');
    setTcpMd5(fd, { address: host(2, 1) }, 'two');
    const two = connecting({
      address: host(1, 2),
      port,
      source: { address: host(2, 1), port: 0 },
      md5: 'two',
    });
    expect(await outcome(two)).toBe('connect');
    const source = { address: host(1, 1), port: 0 };
    const one = connecting({ address: host(1, 2), port, source, md5: 'one' });
    expect(await outcome(one)).toBe('connect');

    setTcpMd5(fd, { address: host(1, 1) }, 'new');
    await raises('TCPMD5Failure', () => connecting({ address: host(1, 2), port, source, md5: 'one' }));
    expect(await outcome(connecting({ address: host(1, 2), port, source, md5: 'new' }))).toBe('connect');
    // An accepted connection has a copy of the key that it was accepted with...
    await echo(one, 'with the old key');
    // ... and takes another when both ends do.
    const end = accepted.find((socket) => socket.remotePort === one.localPort)!;
    setTcpMd5(descriptorOf(end), { address: host(1, 1) }, 'third');
    setTcpMd5(descriptorOf(one), { address: host(1, 2) }, 'third');
    await echo(one, 'with the third key');

    removeTcpMd5(fd, { address: host(1, 1) });
    await raises('TCPMD5Unexpected', () => connecting({ address: host(1, 2), port, source, md5: 'new' }));
    expect(await outcome(connecting({ address: host(1, 2), port, source }))).toBe('connect');
    expect(() => removeTcpMd5(fd, { address: host(1, 1) })).toThrow(`TCP_MD5SIG ${host(1, 1)}: ENOENT`);
    await echo(two, 'undisturbed');
  });

  test('MD5: a key for a prefix covers all peers in it, a longer prefix goes first', async () => {
    const { port, fd } = await listening({ address: any, port: 0 });
    const wide = {
      address: bits === 32 ? '10.0.0.0' : 'fd00::',
      prefixLength: bits / 2 - (bits === 32 ? 0 : 48),
    };
    const narrow = { address: host(2, 0).replace('::0', '::'), prefixLength: bits === 32 ? 24 : 64 };
    setTcpMd5(fd, wide, 'wide');
    setTcpMd5(fd, narrow, 'narrow');
    const from = (net: number, md5: string): Socket =>
      connecting({ address: host(1, 2), port, source: { address: host(net, 1), port: 0 }, md5 });
    expect(await outcome(from(1, 'wide'))).toBe('connect');
    expect(await outcome(from(3, 'wide'))).toBe('connect');
    expect(await outcome(from(2, 'narrow'))).toBe('connect');
    await raises('TCPMD5Failure', () => from(2, 'wide'));
    removeTcpMd5(fd, narrow);
    expect(await outcome(from(2, 'wide'))).toBe('connect');
    removeTcpMd5(fd, wide);
    await raises('TCPMD5Unexpected', () => from(1, 'wide'));
  });

  test('MD5: keys that can not be are refused before the kernel sees them', async () => {
    const { fd } = await listening({ address: any, port: 0 });
    const peer = { address: host(1, 1) };
    expect(() => setTcpMd5(fd, peer, '')).toThrow('TCP MD5 key of 0 bytes, expected 1 to 80');
    expect(() => setTcpMd5(fd, peer, new Uint8Array(81))).toThrow('TCP MD5 key of 81 bytes');
    expect(() => setTcpMd5(fd, { ...peer, prefixLength: bits + 1 }, 'k')).toThrow(`expected 0 to ${bits}`);
    expect(() => setTcpMd5(fd, { ...peer, prefixLength: bits - 8 }, 'k')).toThrow(
      'has bits set past its length',
    );
    // The interface must be a VRF.
    expect(() => setTcpMd5(fd, { ...peer, ifindex: indexA }, 'k')).toThrow(
      `TCP_MD5SIG_EXT ${host(1, 1)} interface ${indexA}: EINVAL`,
    );
  });

  test('MD5: a key for the interfaces outside all VRFs', async () => {
    const { port, fd } = await listening({ address: any, port: 0 });
    setTcpMd5(fd, { address: host(1, 1), ifindex: 0 }, 'default');
    const source = { address: host(1, 1), port: 0 };
    expect(await outcome(connecting({ address: host(1, 2), port, source, md5: 'default' }))).toBe('connect');
  });

  test('GTSM: TTL 255 is accepted, TTL 254 dropped', async () => {
    const { port, accepted } = await listening({ address: any, port: 0, minTtl: 255, ttl: 255 });
    const near = connecting({ address: host(1, 2), port, ttl: 255, minTtl: 255 });
    expect(await outcome(near)).toBe('connect');
    await echo(near, 'near');
    // What the listener accepts inherits both.
    expect(getSocketOption(descriptorOf(accepted[0]!), 'minTtl')).toBe(255);
    expect(getSocketOption(descriptorOf(accepted[0]!), 'ttl')).toBe(255);
    await raises('TCPMinTTLDrop', () => connecting({ address: host(1, 2), port, ttl: 254 }));
    // On an established connection too: a segment from farther off is not taken, until it comes from near again.
    setSocketOptions(descriptorOf(near), { ttl: 254 });
    const answer = once(near, 'data');
    await raises('TCPMinTTLDrop', () => near.write('from afar'));
    setSocketOptions(descriptorOf(near), { ttl: 255 });
    expect(String((await answer)[0])).toBe('from afar');
    expect(accepted).toHaveLength(1);
  });

  test('a socket that is bound to an interface takes no connection from another', async () => {
    const { port } = await listening({ address: any, port: 0, device: 'eth0' });
    const loopback = bits === 32 ? '127.0.0.1' : '::1';
    expect(await outcome(connecting({ address: loopback, port, namespace: b }))).toBe('ECONNREFUSED');
    expect(await outcome(connecting({ address: host(1, 2), port }))).toBe('connect');
  });

  test('options read back as they were set', () => {
    const fd = openListener({
      namespace: b,
      address: any,
      port: 0,
      reusePort: true,
      mark: 77,
      ttl: 64,
      minTtl: 63,
      trafficClass: 0xc0,
      priority: 5,
      receiveBuffer: 50_000,
      sendBuffer: 60_000,
      keepAlive: true,
      noDelay: true,
      maxSegment: 1000,
      synRetries: 3,
      userTimeout: 9000,
    });
    const read = (name: Parameters<typeof getSocketOption>[1]): number => getSocketOption(fd, name);
    expect(read('reuseAddress')).toBe(1);
    expect(read('reusePort')).toBe(1);
    expect(read('mark')).toBe(77);
    expect(read('ttl')).toBe(64);
    expect(read('minTtl')).toBe(63);
    expect(read('trafficClass')).toBe(0xc0);
    expect(read('priority')).toBe(5);
    expect(read('receiveBuffer')).toBe(100_000);
    expect(read('sendBuffer')).toBe(120_000);
    expect(read('keepAlive')).toBe(1);
    expect(read('noDelay')).toBe(1);
    expect(read('maxSegment')).toBe(1000);
    expect(read('synRetries')).toBe(3);
    expect(read('userTimeout')).toBe(9000);
    close(fd);
  });
});

describe('TCP', () => {
  test('an IPv6 listener takes IPv4 only when told so, and signs and checks TTL for both', async () => {
    const six = await listening({ address: '::', port: 0 });
    expect(await outcome(connecting({ address: '10.0.1.2', port: six.port }))).toBe('ECONNREFUSED');
    const both = await listening({ address: '::', port: 0, v6Only: false, minTtl: 200, ttl: 255 });
    setTcpMd5(both.fd, { address: '10.0.1.1' }, 'four');
    setTcpMd5(both.fd, { address: '10.0.2.0', prefixLength: 24 }, 'prefix');
    const to = { address: '10.0.1.2', port: both.port, ttl: 255 };
    const source = { address: '10.0.1.1', port: 0 };
    expect(await outcome(connecting({ ...to, source, md5: 'four' }))).toBe('connect');
    expect(both.accepted[0]!.remoteAddress).toBe('::ffff:10.0.1.1');
    const covered = { address: '10.0.2.1', port: 0 };
    expect(await outcome(connecting({ ...to, source: covered, md5: 'prefix' }))).toBe('connect');
    expect(await outcome(connecting({ ...to, address: 'fd00:1::2' }))).toBe('connect');
    await raises('TCPMinTTLDrop', () =>
      connecting({ ...to, source: { address: '10.0.3.1', port: 0 }, ttl: 199 }),
    );
  });

  test('connects to a link-local address over the interface of its scope', async () => {
    const { port, accepted } = await listening({ address: '::', port: 0 });
    const socket = connecting({ address: linkLocalB, port, scopeId: indexA });
    expect(await outcome(socket)).toBe('connect');
    await echo(socket, 'link-local');
    expect(accepted[0]!.localAddress).toMatch(linkLocalB);
    expect(await outcome(connecting({ address: linkLocalB, port, device: 'eth0' }))).toBe('connect');
    const source = { address: linkLocalA, port: 0, scopeId: indexA };
    const bound = connecting({ address: linkLocalB, port, source, scopeId: indexA, md5: 'k' });
    expect(bound.connecting).toBe(true);
    expect(decodeSockaddr(getsockname(descriptorOf(bound)))).toMatchObject({
      ...source,
      port: expect.any(Number),
    });
    expect(() => connecting({ address: linkLocalB, port })).toThrow('without scopeId or device');
    expect(() => connecting({ address: linkLocalB, port, scopeId: 999 })).toThrow(
      `if_indextoname 999 of ${linkLocalB}: ENODEV`,
    );
  });

  test('IPv6 options on an IPv4 socket and IPv6 peers of one are refused', () => {
    const fd = openListener({ address: '0.0.0.0', port: 0, namespace: b });
    expect(() => setSocketOptions(fd, { v6Only: true })).toThrow('option v6Only on an IPv4 socket');
    expect(() => getSocketOption(fd, 'v6Only')).toThrow('option v6Only on an IPv4 socket');
    expect(() => setTcpMd5(fd, { address: '::1' }, 'k')).toThrow('TCP MD5 peer ::1 on an IPv4 socket');
    close(fd);
  });

  test('descriptorOf knows when there is none', async () => {
    const server = createServer();
    expect(() => descriptorOf(server)).toThrow('it is not open');
    const socket = connecting({ address: '10.0.1.2', port: 1 });
    expect(descriptorOf(socket)).toBeGreaterThan(2);
    await outcome(socket);
    expect(() => descriptorOf(socket)).toThrow('it is not open');
  });
});
