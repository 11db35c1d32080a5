import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writeTuple } from '#kernel/conntrack/flow-message.ts';
import { formatAddress } from '#kernel/ip.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { NetlinkMonitor } from '#kernel/netlink/monitor.ts';
import { MessageWriter } from '#kernel/netlink/writer.ts';
import { PacketLog, type PacketLogOptions } from '#kernel/nflog/packet-log.ts';
import { hookName, type LoggedPacket, PacketView } from '#kernel/nflog/packet-view.ts';
import { DatagramWriter, openUdp } from '#kernel/sys/datagram.ts';
import { close, ifNametoindex } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { encodeSockaddr } from '#kernel/sys/sockaddr.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';

const RULES = `
table inet t {
  chain input {
    type filter hook input priority 0;
    udp dport 1000 meta mark set 0xdeadbeef log prefix "denied: pod-a" group 5 drop
    udp dport 2000 log prefix "žlutý" group 6 drop
    udp dport 3000 log group 7 snaplen 30 drop
  }
  chain output {
    type filter hook output priority 0;
    udp dport 4000 log prefix "leaving" group 5 drop
  }
}`;

let left: Netns;
let right: Netns;
let a: NetworkNamespace;
let b: NetworkNamespace;
let indexB: number;
let hardwareA: string;
let sender: number;
let sender6: number;
beforeAll(() => {
  left = createNetns();
  right = createNetns();
  connect(
    { netns: left, addresses: ['10.0.1.1/24', 'fd00:1::1/64'] },
    { netns: right, addresses: ['10.0.1.2/24', 'fd00:1::2/64'] },
  );
  a = NetworkNamespace.named(left.name);
  b = NetworkNamespace.named(right.name);
  indexB = b.run(() => ifNametoindex('eth0'));
  hardwareA = (left.ip('link', 'show', 'dev', 'eth0') as { address: string }[])[0]!.address;
  right.exec('nft', ['-f', '-'], { input: RULES });
  left.exec('ping', ['-c1', '10.0.1.2']);
  left.exec('ping', ['-c1', 'fd00:1::2']);
  sender = openUdp({ address: '10.0.1.1', port: 40000, namespace: a, ttl: 77, sendBuffer: 8 << 20 });
  sender6 = openUdp({ address: 'fd00:1::1', port: 40000, namespace: a });
});
beforeEach((ctx) => requires(ctx, 'kernel:nflog'));
const monitors: NetlinkMonitor[] = [];
afterEach(async () => {
  for (const monitor of monitors.splice(0)) await monitor.closed();
});
afterAll(() => {
  close(sender);
  close(sender6);
  a.close();
  b.close();
  left.remove();
  right.remove();
});

function read(...options: readonly (Partial<PacketLogOptions> & { group: number })[]): {
  logs: PacketLog[];
  packets: LoggedPacket[];
} {
  const packets: LoggedPacket[] = [];
  const logs = options.map(
    (one) =>
      new PacketLog({
        namespace: b,
        delay: 10,
        onPacket: (packet) => packets.push(packet.toPacket()),
        ...one,
      }),
  );
  const monitor = NetlinkMonitor.open(
    logs.map((log) => log.subscription),
    (error) => {
      throw error;
    },
  );
  monitors.push(monitor);
  return { logs, packets };
}

const writer = new DatagramWriter(4096);
const addresses = {
  1000: encodeSockaddr({ address: '10.0.1.2', port: 1000 }),
  2000: encodeSockaddr({ address: '10.0.1.2', port: 2000 }),
  3000: encodeSockaddr({ address: '10.0.1.2', port: 3000 }),
};
function send(port: keyof typeof addresses, text: string | Uint8Array): void {
  writer.send(sender, typeof text === 'string' ? new TextEncoder().encode(text) : text, addresses[port]);
}
/** Source, destination, TTL, ports and data of a logged UDP packet. */
function udp(packet: LoggedPacket): unknown {
  const { payload } = packet;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const six = payload[0]! >> 4 === 6;
  const at = six ? 40 : 20;
  return {
    source: six ? formatAddress(payload, 8, 16) : formatAddress(payload, 12, 4),
    destination: six ? formatAddress(payload, 24, 16) : formatAddress(payload, 16, 4),
    ttl: six ? payload[7] : payload[8],
    ports: [view.getUint16(at), view.getUint16(at + 2)],
    data: new TextDecoder().decode(payload.subarray(at + 8)),
  };
}

describe('a log of packets', () => {
  test('shows what was sent, and where it came by', async () => {
    const { packets } = read({ group: 5 });
    const before = Date.now();
    send(1000, 'hello');
    await waitFor(() => packets.length === 1, { what: 'the packet' });
    expect(packets[0]).toEqual({
      group: 5,
      prefix: 'denied: pod-a',
      etherType: 0x0800,
      hook: 'input',
      mark: 0xdeadbeef,
      inDevice: indexB,
      hardwareAddress: Uint8Array.from(hardwareA.split(':'), (byte) => Number.parseInt(byte, 16)),
      time: expect.toSatisfy((ms: number) => ms > before - 1000 && ms < before + 60_000),
      sequence: 0,
      payload: expect.any(Uint8Array),
    });
    expect(udp(packets[0]!)).toEqual({
      source: '10.0.1.1',
      destination: '10.0.1.2',
      ttl: 77,
      ports: [40000, 1000],
      data: 'hello',
    });
  });

  test('shows IPv6, and what this machine sends itself', async () => {
    const { packets } = read({ group: 5 });
    writer.send(
      sender6,
      new TextEncoder().encode('six'),
      encodeSockaddr({ address: 'fd00:1::2', port: 1000 }),
    );
    const local = openUdp({ address: '10.0.1.2', port: 41000, namespace: b });
    // The rule drops it, which sendmsg tells.
    expect(() =>
      writer.send(
        local,
        new TextEncoder().encode('out'),
        encodeSockaddr({ address: '10.0.1.1', port: 4000 }),
      ),
    ).toThrow('EPERM');
    close(local);
    await waitFor(() => packets.length === 2, { what: 'both packets' });
    expect(packets[0]!.etherType).toBe(0x86dd);
    expect(udp(packets[0]!)).toMatchObject({ source: 'fd00:1::1', destination: 'fd00:1::2', data: 'six' });
    expect(packets[1]).toMatchObject({
      hook: 'output',
      prefix: 'leaving',
      outDevice: indexB,
      user: 0,
      userGroup: 0,
      sequence: 1,
    });
    expect(packets[1]).not.toHaveProperty('inDevice');
    expect(packets[1]).not.toHaveProperty('hardwareAddress');
  });

  test('two groups at once, each with numbers of its own', async () => {
    const { packets, logs } = read({ group: 5 }, { group: 6 });
    for (let i = 0; i < 100; i++) {
      send(1000, `a${i}`);
      send(2000, `b${i}`);
    }
    await waitFor(() => packets.length === 200, { what: '200 packets' });
    for (const [group, letter, prefix] of [
      [5, 'a', 'denied: pod-a'],
      [6, 'b', 'žlutý'],
    ] as const) {
      const mine = packets.filter((packet) => packet.group === group);
      expect(mine.map((packet) => (udp(packet) as { data: string }).data)).toEqual(
        Array.from({ length: 100 }, (_, i) => `${letter}${i}`),
      );
      expect(mine.map((packet) => packet.sequence)).toEqual(Array.from({ length: 100 }, (_, i) => i));
      expect(mine[0]!.prefix).toBe(prefix);
    }
    expect(logs.map((log) => [log.received, log.lost])).toEqual([
      [100, 0],
      [100, 0],
    ]);
  });

  test('copies as much of a packet as was asked for, or as the rule allows', async () => {
    const { packets } = read(
      { group: 5, copyRange: 40 },
      { group: 6, copyRange: 0 },
      { group: 7, copyRange: 2000 },
    );
    send(1000, 'x'.repeat(1000));
    send(2000, 'y'.repeat(1000));
    send(3000, 'z'.repeat(1000));
    await waitFor(() => packets.length === 3, { what: 'three packets' });
    const sizes = new Map(packets.map((packet) => [packet.group, packet.payload.length]));
    expect([sizes.get(5), sizes.get(6), sizes.get(7)]).toEqual([40, 0, 30]);
    await monitors.pop()!.closed();
    const whole = read({ group: 5, copyRange: 61_440 });
    send(1000, 'w'.repeat(1400));
    await waitFor(() => whole.packets.length === 1, { what: 'the packet' });
    expect(whole.packets[0]!.payload.length).toBe(1428);
  });

  test('gathers packets, and waits no longer than it was told', async () => {
    const { packets } = read(
      { group: 5, threshold: 1000, delay: 1500 },
      { group: 6, threshold: 1, delay: 60_000 },
    );
    send(1000, 'early');
    send(2000, 'late');
    // The threshold of one lets the second pass at once, the first waits for its time.
    await waitFor(() => packets.length > 0, { what: 'the packet that is not gathered' });
    expect(packets[0]!.group).toBe(6);
    await waitFor(() => packets.length === 2, { what: 'the time to run out' });
  });

  test('a group that another reads is EPERM; closing gives it back', async () => {
    read({ group: 5 });
    expect(() => read({ group: 5 })).toThrow(NetlinkError);
    expect(() => read({ group: 6 }, { group: 5 })).toThrow(/^read log group 5: EPERM/);
    await monitors.pop()!.closed();
    const { packets } = read({ group: 5 });
    send(1000, 'again');
    await waitFor(() => packets.length === 1, { what: 'the packet' });
    expect(packets[0]!.sequence).toBe(0);
  });

  test('asks for the flow of each packet, and knows when the kernel can not tell', async () => {
    const { packets, logs } = read({ group: 5, conntrack: true });
    send(1000, 'flow');
    await waitFor(() => packets.length === 1, { what: 'the packet' });
    expect(packets[0]!.sequence).toBeGreaterThanOrEqual(0);
    if (logs[0]!.hasConntrack) expect(packets[0]!.conntrack).toMatchObject({ direction: 'original' });
    else expect(packets[0]).not.toHaveProperty('conntrack');
  });

  test('values that can not be are refused', () => {
    const log = (options: Partial<PacketLogOptions>): (() => PacketLog) => {
      return () => new PacketLog({ group: 1, onPacket: () => {}, ...options });
    };
    expect(log({ group: 65_536 })).toThrow('packet log group 65536, expected 0 to 65535');
    expect(log({ copyRange: 65_536 })).toThrow('packet log copyRange');
    expect(log({ threshold: 0 })).toThrow('packet log threshold');
    expect(log({ gatherBytes: 1 << 20 })).toThrow('packet log gatherBytes');
  });
});

describe('a reader that is too slow', () => {
  test('loses packets, and counts to the last one how many', async () => {
    const losses: number[] = [];
    const { logs } = read({
      group: 5,
      bufferBytes: 4096,
      threshold: 1,
      onPacket: () => {},
      onLost: (count) => losses.push(count),
    });
    const [log] = logs;
    send(1000, 'first');
    await waitFor(() => log!.received === 1, { what: 'the first packet' });
    for (let i = 0; i < 20_000; i++) send(1000, 'flood');
    let sent = 20_001;
    // The loss is told by a packet that comes through after it.
    await waitFor(
      () => {
        send(1000, 'last');
        sent++;
        return log!.lost > 0 && log!.received + log!.lost >= sent - 1;
      },
      { what: 'the loss to be counted' },
    );
    await waitFor(() => log!.received + log!.lost === sent, { what: 'all packets to be accounted for' });
    expect(losses.reduce((sum, count) => sum + count, 0)).toBe(log!.lost);
  });

  test('stalled, it costs bounded memory', async () => {
    let bytes = 0;
    const { logs } = read({
      group: 5,
      copyRange: 4096,
      bufferBytes: 1 << 20,
      onPacket: (packet) => {
        bytes += packet.payload.length;
      },
    });
    const [log] = logs;
    send(1000, 'first');
    await waitFor(() => log!.received === 1, { what: 'the first packet' });
    const before = process.memoryUsage.rss();
    const data = new Uint8Array(1400);
    for (let i = 0; i < 60_000; i++) send(1000, data);
    // 86 MB in all; 8 MiB are held by the worker, 1 MiB by the kernel.
    expect(process.memoryUsage.rss() - before).toBeLessThan(40 << 20);
    await waitFor(
      () => {
        send(1000, 'last');
        return log!.lost > 0;
      },
      { what: 'the loss to be counted' },
    );
    expect(bytes).toBeGreaterThan(1 << 20);
  });
});

describe('a packet message', () => {
  test('with the flow that it belongs to', () => {
    const message = new MessageWriter();
    message.begin(0x400, 0, 0);
    const at = message.fixed(4);
    message.bytes[at] = 10;
    message.view.setUint16(at + 2, 9);
    const tuple = {
      source: 'fd00::1',
      destination: 'fd00::2',
      protocol: 17,
      sourcePort: 1,
      destinationPort: 53,
    };
    const nest = message.nest(18);
    writeTuple(message, 1, 6, tuple);
    writeTuple(message, 2, 6, tuple);
    message.be32(12, 4711);
    message.nestEnd(nest);
    message.be32(19, 5);
    message.raw(9, new Uint8Array([0x60, 1, 2]));
    message.string(10, 'prefix');
    message.end();
    const packet = new PacketView()
      .read({
        bytes: message.bytes,
        view: message.view,
        type: 0x400,
        flags: 0,
        start: 16,
        end: message.length,
      })
      .toPacket();
    expect(packet).toMatchObject({
      group: 9,
      prefix: 'prefix',
      payload: new Uint8Array([0x60, 1, 2]),
      conntrack: { state: 'new', direction: 'reply', flow: { family: 6, original: tuple, id: 4711 } },
    });
  });

  test('of a hook without a name has its number', () => {
    expect([0, 1, 2, 3, 4, 5].map(hookName)).toEqual([
      'prerouting',
      'input',
      'forward',
      'output',
      'postrouting',
      5,
    ]);
  });
});
