import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { type Flow, FlowStatus, statusNames } from '#kernel/conntrack/flow.ts';
import { type FlowEvent, flowEvents } from '#kernel/conntrack/flow-events.ts';
import { labelChange } from '#kernel/conntrack/flow-message.ts';
import { NetlinkMonitor } from '#kernel/netlink/monitor.ts';
import { DatagramReader, DatagramWriter, openUdp } from '#kernel/sys/datagram.ts';
import { close } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { encodeSockaddr } from '#kernel/sys/sockaddr.ts';
import { writeSysctl } from '#kernel/sys/sysctl.ts';
import { openConnecting, openListener } from '#kernel/sys/tcp.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { listByTool, shown } from './tool.ts';

/*
 * Client and server with a router between them, which tracks, counts, translates one address, and drops what has label
 * 127 before it looks at anything else.
 */
const RULES = `
table inet t {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct label 127 counter drop
    ct state vmap { established : accept, related : accept, invalid : drop }
  }
}
table ip nat {
  chain prerouting {
    type nat hook prerouting priority -100;
    ip daddr 10.9.9.9 tcp dport 80 dnat to 10.0.2.2:8080
  }
}`;

let client: Netns;
let router: Netns;
let server: Netns;
let atClient: NetworkNamespace;
let atRouter: NetworkNamespace;
let atServer: NetworkNamespace;
let conntrack: Conntrack;
let service: Server;
beforeAll(async () => {
  client = createNetns();
  router = createNetns();
  server = createNetns();
  connect(
    { netns: client, addresses: ['10.0.1.2/24', 'fd00:1::2/64'] },
    { netns: router, name: 'left', addresses: ['10.0.1.1/24', 'fd00:1::1/64'] },
  );
  connect(
    { netns: server, addresses: ['10.0.2.2/24', 'fd00:2::2/64'] },
    { netns: router, name: 'right', addresses: ['10.0.2.1/24', 'fd00:2::1/64'] },
  );
  for (const [ns, net] of [
    [client, 1],
    [server, 2],
  ] as const) {
    ns.exec('ip', ['route', 'add', 'default', 'via', `10.0.${net}.1`]);
    ns.exec('ip', ['route', 'add', 'default', 'via', `fd00:${net}::1`]);
  }
  atClient = NetworkNamespace.named(client.name);
  atRouter = NetworkNamespace.named(router.name);
  atServer = NetworkNamespace.named(server.name);
  writeSysctl('net/ipv4/ip_forward', 1, atRouter);
  writeSysctl('net/ipv6/conf/all/forwarding', 1, atRouter);
  writeSysctl('net/netfilter/nf_conntrack_acct', 1, atRouter);
  writeSysctl('net/netfilter/nf_conntrack_timestamp', 1, atRouter);
  // The last segments of a connection whose entry was deleted make no entry anew.
  writeSysctl('net/netfilter/nf_conntrack_tcp_loose', 0, atRouter);
  router.exec('nft', ['-f', '-'], { input: RULES });
  conntrack = Conntrack.open(atRouter);
  service = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => socket.write(bytes));
  });
  service.listen({
    fd: openListener({ address: '::', port: 8080, v6Only: false, namespace: atServer }),
    backlog: 128,
  });
  await once(service, 'listening');
});
beforeEach((ctx) => {
  requires(ctx, 'kernel:conntrack', 'kernel:conntrack-labels', 'kernel:nft-nat');
  conntrack.deleteMatching({});
});
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(async () => {
  conntrack.close();
  service.close();
  for (const ns of [atClient, atRouter, atServer]) ns.close();
  for (const ns of [client, router, server]) ns.remove();
});

async function dial(address: string, port: number): Promise<Socket> {
  const socket = openConnecting({ address, port, namespace: atClient });
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}
async function echo(socket: Socket, text: string): Promise<void> {
  const answer = once(socket, 'data');
  socket.write(text);
  expect(String((await answer)[0])).toBe(text);
}

const byId = (a: { id: number }, b: { id: number }): number => a.id - b.id;

function flowOf(socket: Socket): Flow {
  const [flow] = conntrack.list({ protocol: 6, original: { sourcePort: socket.localPort! } });
  return flow!;
}

describe('flows of real packets', () => {
  test('TCP with an address that is translated: both tuples, state, status, counters, time', async (ctx) => {
    requires(ctx, 'tool:conntrack');
    const before = BigInt(Date.now()) * 1_000_000n;
    const socket = await dial('10.9.9.9', 80);
    await echo(socket, 'hello');
    const flow = await waitFor(
      () => {
        const one = flowOf(socket);
        return one.status & FlowStatus.assured ? one : undefined;
      },
      { what: 'the flow to be assured' },
    );
    const port = socket.localPort!;
    expect(flow).toEqual({
      family: 4,
      original: {
        source: '10.0.1.2',
        destination: '10.9.9.9',
        protocol: 6,
        sourcePort: port,
        destinationPort: 80,
      },
      reply: {
        source: '10.0.2.2',
        destination: '10.0.1.2',
        protocol: 6,
        sourcePort: 8080,
        destinationPort: port,
      },
      zone: 0,
      id: expect.any(Number),
      state: 'ESTABLISHED',
      status: expect.any(Number),
      timeout: expect.toSatisfy((seconds: number) => seconds > 3600),
      mark: 0,
      labels: [],
      counters: {
        original: {
          packets: expect.toSatisfy((n: number) => n >= 3),
          bytes: expect.toSatisfy((n: number) => n > 160),
        },
        reply: {
          packets: expect.toSatisfy((n: number) => n >= 2),
          bytes: expect.toSatisfy((n: number) => n > 110),
        },
      },
      started: expect.toSatisfy(
        (ns: bigint) => ns > before - 1_000_000_000n && ns < before + 60_000_000_000n,
      ),
    });
    expect(statusNames(flow.status)).toEqual([
      'seenReply',
      'assured',
      'confirmed',
      'destinationNat',
      'sourceNatDone',
      'destinationNatDone',
    ]);
    socket.destroy();
    await waitFor(() => conntrack.get(flow)?.state !== 'ESTABLISHED', { what: 'the flow to be closing' });
    // Last segments may come between the two looks.
    await waitFor(
      () => {
        expect(conntrack.list().map(shown).sort(byId)).toEqual(listByTool(router).sort(byId));
        return true;
      },
      { what: 'both to show the same' },
    );
  });

  test('UDP, ICMP and ICMPv6 are the same to the conntrack tool', (ctx) => {
    requires(ctx, 'tool:conntrack');
    client.exec('ping', ['-c1', '10.0.2.2']);
    client.exec('ping', ['-c1', 'fd00:2::2']);
    const writer = new DatagramWriter();
    const reader = new DatagramReader();
    const listener = openUdp({ address: '10.0.2.2', port: 5353, namespace: atServer });
    const sender = openUdp({ address: '10.0.1.2', port: 40000, namespace: atClient });
    const sender6 = openUdp({ address: 'fd00:1::2', port: 40000, namespace: atClient });
    const listener6 = openUdp({ address: 'fd00:2::2', port: 5353, namespace: atServer });
    writer.send(sender, new Uint8Array(100), encodeSockaddr({ address: '10.0.2.2', port: 5353 }));
    writer.send(sender6, new Uint8Array(100), encodeSockaddr({ address: 'fd00:2::2', port: 5353 }));
    expect(reader.receive(listener6)).toBe(1);
    writer.send(listener6, new Uint8Array(50), encodeSockaddr(reader.source(0)));
    for (const fd of [listener, sender, sender6, listener6]) close(fd);
    const flows = conntrack.list();
    expect(flows.map(shown).sort(byId)).toEqual(listByTool(router).sort(byId));
    const of = (family: number, protocol: number): Flow =>
      flows.find((flow) => flow.family === family && flow.original.protocol === protocol)!;
    expect(of(4, 1).original.icmp).toMatchObject({ type: 8, code: 0 });
    expect(of(4, 1).reply.icmp).toMatchObject({ type: 0, code: 0, id: of(4, 1).original.icmp!.id });
    expect(of(6, 58).original.icmp?.type).toBe(128);
    expect(of(4, 17).counters).toEqual({
      original: { packets: 1, bytes: 128 },
      reply: { packets: 0, bytes: 0 },
    });
    expect(of(6, 17).counters).toEqual({
      original: { packets: 1, bytes: 148 },
      reply: { packets: 1, bytes: 98 },
    });
  });
});

describe('label 127', () => {
  const denied = (): number =>
    (
      router.nft('list', 'chain', 'inet', 't', 'forward') as {
        rule?: { expr: { counter?: { packets: number } }[] };
      }[]
    )
      .flatMap((item) => item.rule?.expr ?? [])
      .find((expr) => expr.counter)!.counter!.packets;

  test('set on a flow stops it at once in both directions, cleared lets it go on', async () => {
    const socket = await dial('10.0.2.2', 8080);
    await echo(socket, 'before');
    const flow = flowOf(socket);
    expect(conntrack.update(flow, { labels: labelChange([127]) })).toBe(true);
    expect(conntrack.get(flow)!.labels).toEqual([127]);
    const before = denied();
    const answer = once(socket, 'data');
    socket.write('denied');
    await waitFor(() => denied() > before, { what: 'the rule to drop' });
    conntrack.update(flow, { labels: labelChange([], [127]) });
    expect(String((await answer)[0])).toBe('denied');
    await echo(socket, 'after');
    expect(conntrack.get(flow)!.labels).toEqual([]);
  });

  test('on many flows at once, chosen by the real destination after translation', async () => {
    const translated = await dial('10.9.9.9', 80);
    const direct = await dial('fd00:2::2', 8080);
    expect(
      conntrack.updateMatching(
        { reply: { source: '10.0.2.2', sourcePort: 8080 }, withoutLabel: 127 },
        { labels: labelChange([127]) },
      ),
    ).toBe(1);
    await echo(direct, 'not meant');
    const before = denied();
    translated.write('meant');
    await waitFor(() => denied() > before, { what: 'the rule to drop' });
    expect(conntrack.list({ label: 127 }).map((flow) => flow.original.destination)).toEqual(['10.9.9.9']);
  });

  test('prints well', () => {
    expect(router.exec('nft', ['list', 'chain', 'inet', 't', 'forward'])).toMatch(
      /ct label 127 counter packets \d+/,
    );
  });
});

describe('events', () => {
  const monitors: NetlinkMonitor[] = [];
  afterEach(async () => {
    for (const monitor of monitors.splice(0)) await monitor.closed();
  });
  function listen(options: Partial<Parameters<typeof flowEvents>[0]>): [FlowEvent, Flow][] {
    const heard: [FlowEvent, Flow][] = [];
    monitors.push(
      NetlinkMonitor.open(
        [
          flowEvents({
            namespace: atRouter,
            onEvent: (event, flow) => heard.push([event, flow.toFlow()]),
            onOverflow: () => {},
            ...options,
          }),
        ],
        (error) => {
          throw error;
        },
      ),
    );
    return heard;
  }

  test('tell of a flow from its first packet to its end, with its counters', async () => {
    const heard = listen({});
    const socket = await dial('10.0.2.2', 8080);
    await echo(socket, 'x'.repeat(100));
    const flow = flowOf(socket);
    conntrack.update(flow, { mark: { value: 9 }, labels: labelChange([127]) });
    conntrack.delete(flow);
    await waitFor(() => heard.some(([event]) => event === 'destroy'), { what: 'the end of the flow' });
    const mine = heard.filter(([, one]) => one.original.sourcePort === socket.localPort);
    expect(mine[0]![0]).toBe('new');
    expect(mine[0]![1]).toMatchObject({ state: 'SYN_SENT', original: flow.original, id: flow.id });
    expect(mine.some(([event, one]) => event === 'update' && one.state === 'ESTABLISHED')).toBe(true);
    expect(mine.some(([event, one]) => event === 'update' && one.mark === 9)).toBe(true);
    expect(mine.some(([event, one]) => event === 'update' && one.labels.includes(127))).toBe(true);
    const [event, last] = mine.at(-1)!;
    expect(event).toBe('destroy');
    expect(last.counters!.original.bytes).toBeGreaterThan(100);
    expect(last.stopped! > last.started!).toBe(true);
  });

  test.each([
    [2, false],
    [1, true],
  ])('of a flow that began unheard: with nf_conntrack_events %i told is %s', async (setting, told) => {
    writeSysctl('net/netfilter/nf_conntrack_events', setting, atRouter);
    const original = { source: '10.0.0.1', destination: '10.0.0.2', protocol: 17, destinationPort: 9 };
    const make = (sourcePort: number): Flow => {
      const flow = { family: 4, original: { ...original, sourcePort }, timeout: 100 } as const;
      conntrack.create(flow);
      return conntrack.get(flow)!;
    };
    const unheard = make(1);
    const heard = listen({ events: ['destroy'] });
    conntrack.delete(unheard);
    conntrack.delete(make(2));
    await waitFor(() => heard.some(([, flow]) => flow.original.sourcePort === 2), { what: 'the second' });
    expect(heard.some(([, flow]) => flow.original.sourcePort === 1)).toBe(told);
    writeSysctl('net/netfilter/nf_conntrack_events', 2, atRouter);
  });

  test('only of the kinds that were asked for', async () => {
    const heard = listen({ events: ['destroy'] });
    const socket = await dial('10.0.2.2', 8080);
    await echo(socket, 'hello');
    conntrack.deleteMatching({ protocol: 6 });
    await waitFor(() => heard.length > 0, { what: 'the end of the flow' });
    expect(new Set(heard.map(([event]) => event))).toEqual(new Set(['destroy']));
  });

  test('that are lost are told, and the table is there to be listed', async () => {
    let lost = 0;
    listen({ bufferBytes: 4096, onOverflow: () => lost++ });
    const changes = conntrack.changes();
    for (let i = 1; i <= 20_000; i++) {
      changes.create({
        family: 4,
        original: {
          source: '10.0.0.1',
          destination: '10.0.0.2',
          protocol: 17,
          sourcePort: i,
          destinationPort: 9,
        },
        timeout: 100,
      });
    }
    expect(changes.finish()).toEqual([]);
    await waitFor(() => lost > 0, { what: 'the overflow' });
    expect(conntrack.list({ protocol: 17, original: { destinationPort: 9 } })).toHaveLength(20_000);
  });
});
