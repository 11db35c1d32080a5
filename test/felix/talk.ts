/**
 * Connections between pods, by sockets of this process that live in the pods' namespaces.
 */

import { createSocket, type Socket as Datagram } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { openUdp } from '#kernel/sys/datagram.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openConnecting, openListener } from '#kernel/sys/tcp.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import type { FabricNode, Slot } from './fabric.ts';

export type Side = 'client' | 'server';

/** What both kinds of pair can do. */
export interface Pair extends Disposable {
  /** Says something in both directions, and hears it. */
  exchange(text: string): Promise<void>;
  /** Says something, and what the other side's node is told after it comes through, but this does not. */
  expectSilence(from: Side, text?: string): Promise<void>;
}

/** A transfer without end. */
export interface Transfer {
  received(): number;
  failed(): Error | undefined;
  /** Resolves when more has come. */
  moves(): Promise<void>;
  /** Sends nothing more, and resolves when nothing is under way. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when the sender sends in vain, and nothing comes meanwhile. */
  stands(): Promise<void>;
}

export interface TcpPair extends Pair {
  readonly clientPort: number;
  /** From the client to the server: as much as goes, or some KiB every so many ms. */
  stream(interval?: number): Transfer;
}

/**
 * @param family 0 for IPv4, 1 for IPv6: the index of the address
 * @param via the address that the client calls, when it is a service's
 */
export async function tcpPair(
  client: Slot,
  server: Slot,
  family: number,
  port: number,
  via?: string,
): Promise<TcpPair> {
  using clientNamespace = NetworkNamespace.open(client.netns.path);
  using serverNamespace = NetworkNamespace.open(server.netns.path);
  const address = server.addresses[family]!;
  const listener: Server = createServer();
  listener.listen({ fd: openListener({ address, port, namespace: serverNamespace }), backlog: 16 });
  const accepted = once(listener, 'connection');
  const connecting = openConnecting({ address: via ?? address, port, namespace: clientNamespace });
  await once(connecting, 'connect');
  const [accepting] = (await accepted) as [Socket];
  const sockets: Record<Side, Socket> = { client: connecting, server: accepting };
  const heard: Record<Side, string> = { client: '', server: '' };
  const listen = (side: Side) => (bytes: Buffer) => {
    heard[side] += bytes.toString();
  };
  const listeners = { client: listen('client'), server: listen('server') };
  for (const side of ['client', 'server'] as const) {
    sockets[side].on('data', listeners[side]);
    sockets[side].on('error', () => {});
  }
  const packets = () => ({ sent: countersOf(client).tx.packets, received: countersOf(server).rx.packets });
  return {
    clientPort: accepting.remotePort!,
    async exchange(text) {
      for (const [from, to] of BOTH_WAYS) {
        heard[to] = '';
        sockets[from].write(text);
        await waitFor(() => heard[to].includes(text), { what: `'${text}' from ${from} to ${to}` });
      }
    },
    async expectSilence(from, text = 'silence') {
      const to = from === 'client' ? 'server' : 'client';
      heard[to] = '';
      sockets[from].write(text);
      await fence(from === 'client' ? client : server, (from === 'client' ? server : client).node, family);
      if (heard[to] !== '') throw new Error(`${to} heard '${heard[to]}'`);
    },
    stream(interval) {
      let received = 0;
      let failure: Error | undefined;
      const chunk = Buffer.alloc(16 << 10);
      sockets.server.off('data', listeners.server);
      sockets.server.on('data', (bytes) => {
        received += bytes.length;
      });
      for (const side of ['client', 'server'] as const) {
        sockets[side].on('error', (error) => {
          failure = error;
        });
      }
      let paused = false;
      let sent = 0;
      const more = (): void => {
        while (!paused && !sockets.client.destroyed && sockets.client.write(chunk)) sent += chunk.length;
        if (!paused) sent += chunk.length;
      };
      const some = (): void => {
        if (paused || sockets.client.destroyed) return;
        sockets.client.write(chunk);
        sent += chunk.length;
        setTimeout(some, interval);
      };
      const resume = interval === undefined ? more : some;
      if (interval === undefined) sockets.client.on('drain', more);
      resume();
      return {
        received: () => received,
        failed: () => failure,
        async moves() {
          const before = received;
          await waitFor(() => received > before, { what: 'more of the transfer' });
        },
        async pause() {
          paused = true;
          await waitFor(() => sockets.client.writableLength === 0, { what: 'the end of what was written' });
          let last = packets();
          await waitFor(
            () => {
              const next = packets();
              const still = next.sent === last.sent && next.received === last.received;
              last = next;
              return still && sent === received;
            },
            { what: 'all that was written' },
          );
        },
        resume() {
          paused = false;
          resume();
        },
        async stands() {
          // What came before the end may not have been read yet: each turn of the loop reads some of it.
          let last = received;
          let sent = packets().sent;
          await waitFor(
            () => {
              const now = packets().sent;
              if (received === last) return now >= sent + 2;
              last = received;
              sent = now;
              return false;
            },
            { what: 'segments that are sent again in vain' },
          );
        },
      };
    },
    [Symbol.dispose]() {
      sockets.client.destroy();
      sockets.server.destroy();
      listener.close();
    },
  };
}

export async function udpPair(client: Slot, server: Slot, family: number, port: number): Promise<Pair> {
  const sockets: Record<Side, Datagram> = {
    client: udpSocket(client.netns.path, client.addresses[family]!, 5001),
    server: udpSocket(server.netns.path, server.addresses[family]!, port),
  };
  const heard: Record<Side, string[]> = { client: [], server: [] };
  for (const side of ['client', 'server'] as const) {
    sockets[side].on('message', (bytes) => heard[side].push(bytes.toString()));
  }
  const say = (from: Side, text: string): void => {
    if (from === 'client') sockets.client.send(text, port, server.addresses[family]!);
    else sockets.server.send(text, 5001, client.addresses[family]!);
  };
  return {
    async exchange(text) {
      for (const [from, to] of BOTH_WAYS) {
        say(from, text);
        await waitFor(() => heard[to].includes(text), { what: `'${text}' from ${from} to ${to}` });
      }
    },
    async expectSilence(from, text = 'silence') {
      const to = from === 'client' ? 'server' : 'client';
      say(from, text);
      await fence(from === 'client' ? client : server, (from === 'client' ? server : client).node, family);
      if (heard[to].includes(text)) throw new Error(`${to} heard what it should not`);
    },
    [Symbol.dispose]() {
      sockets.client.close();
      sockets.server.close();
    },
  };
}

/** Counts on a node what of a connection comes to our hooks and what leaves them: before and behind `raw`, and `forward`. */
export function countPackets(
  netns: Netns,
  clientPort: number,
  port: number,
): { read(): [number, number, number, number]; remove(): void } {
  const table = `counting-${clientPort}-${port}`;
  const ports = `th sport . th dport { ${clientPort} . ${port}, ${port} . ${clientPort} }`;
  const hooks = [
    'prerouting priority -301',
    'prerouting priority -299',
    'forward priority 9',
    'forward priority 11',
  ];
  const chains = hooks.map((hook, i) => `chain c${i} { type filter hook ${hook}; ${ports} counter; }`);
  netns.exec('nft', ['-f', '-'], { input: `table inet ${table} {\n${chains.join('\n')}\n}\n` });
  return {
    read() {
      const text = netns.exec('nft', ['list', 'table', 'inet', table]);
      const counts = [...text.matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets));
      if (counts.length !== hooks.length) throw new Error(text);
      return counts as ReturnType<ReturnType<typeof countPackets>['read']>;
    },
    remove: () => void netns.exec('nft', ['delete', 'table', 'inet', table]),
  };
}

function countersOf(slot: Slot): { tx: { packets: number }; rx: { packets: number } } {
  const [link] = slot.netns.ip('-s', 'link', 'show', 'dev', 'eth0') as {
    stats64: ReturnType<typeof countersOf>;
  }[];
  return link!.stats64;
}

const BOTH_WAYS = [
  ['client', 'server'],
  ['server', 'client'],
] as const;

/** A packet from a pod to a node comes after those that the pod sent before: they have met that node's ruleset. */
async function fence(from: Slot, node: FabricNode, family: number): Promise<void> {
  const target = udpSocket(node.netns.path, node.addresses[family]!, 4999);
  const sender = udpSocket(from.netns.path, from.addresses[family]!, 4998);
  try {
    let arrived = false;
    target.on('message', () => {
      arrived = true;
    });
    sender.send('fence', 4999, node.addresses[family]!);
    await waitFor(() => arrived, { what: 'the fence', interval: 2 });
  } finally {
    target.close();
    sender.close();
  }
}

function udpSocket(path: string, address: string, port: number): Datagram {
  using namespace = NetworkNamespace.open(path);
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind({ fd: openUdp({ address, port, namespace }) });
  return socket;
}
