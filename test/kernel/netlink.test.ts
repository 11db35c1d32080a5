import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Batch } from '#kernel/netlink/batch.ts';
import { NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL } from '#kernel/netlink/constants.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { NetlinkMonitor } from '#kernel/netlink/monitor.ts';
import { Attributes } from '#kernel/netlink/reader.ts';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { MessageWriter } from '#kernel/netlink/writer.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

const RTM_GETLINK = 18;
const RTM_NEWROUTE = 24;
const RTM_NEWADDR = 20;
const IFLA_IFNAME = 3;
const RTNLGRP_IPV4_ROUTE = 7;

function blackhole(writer: MessageWriter, address: number, length: number): void {
  const at = writer.fixed(12); // struct rtmsg
  writer.bytes[at] = 2;
  writer.bytes[at + 1] = length;
  writer.bytes[at + 4] = 254;
  writer.bytes[at + 5] = 4;
  writer.bytes[at + 7] = 6;
  writer.be32(1, address);
}

describe('a message writer', () => {
  test('refuses numbers that do not fit, and texts at whose zero the kernel would stop', () => {
    const writer = new MessageWriter();
    const misfits: (() => void)[] = [
      () => writer.u8(1, 256),
      () => writer.u8(1, -1),
      () => writer.u16(1, 65536),
      () => writer.be16(1, 70_000),
      () => writer.u32(1, 2 ** 32),
      () => writer.be32(1, Number.NaN),
      () => writer.be32(1, -(2 ** 31) - 1),
      () => writer.u64(1, -1n),
      () => writer.be64(1, 2n ** 64n),
      () => writer.string(1, 'a\0b'),
    ];
    for (const misfit of misfits) expect(misfit).toThrow(RangeError);
    expect(writer.length).toBe(0);
    writer.be16(1, 65535);
    writer.be32(1, -300);
    writer.be32(1, 2 ** 32 - 1);
    expect(writer.length).toBe(24);
  });
});

describe('netlink socket', () => {
  let ns: Netns;
  let inside: NetworkNamespace;
  let socket: NetlinkSocket;
  beforeAll(async () => {
    ns = await createNetns();
    inside = NetworkNamespace.named(ns.name);
    socket = NetlinkSocket.open(NETLINK_ROUTE, inside);
  });
  afterAll(() => {
    socket.close();
    inside.close();
    ns[Symbol.dispose]();
  });

  test('dumps the links of the namespace it was opened in', () => {
    const attributes = new Attributes(64);
    const names = socket.dumpAll(
      'links',
      RTM_GETLINK,
      (w) => w.fixed(16),
      (m) => attributes.parse(m.bytes, m.view, m.start + 16, m.end).string(IFLA_IFNAME),
    );
    expect(names).toEqual(['lo']);
  });

  test('a refused request names object, errno, the text of the kernel and the offending attribute', () => {
    const refused = (): void =>
      socket.request('add address 10.0.0.1/24', RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, (w) => {
        const at = w.fixed(8);
        w.bytes[at] = 2;
        w.bytes[at + 1] = 24;
        w.view.setUint32(at + 4, 999, true);
        w.be32(2, 0x0a000001);
      });
    expect(refused).toThrow(NetlinkError);
    expect(refused).toThrow('add address 10.0.0.1/24: ENODEV: ');
    const badLength = (): void =>
      socket.request('add route', RTM_NEWROUTE, NLM_F_CREATE, (w) => {
        blackhole(w, 0x0a000000, 8);
        w.raw(15, new Uint8Array(2)); // RTA_TABLE must have 4 bytes
      });
    try {
      badLength();
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      expect(error.kernelText).not.toBe('');
      expect(error.attribute?.path).toEqual([15]);
    }
  });

  test('a batch maps each error to its message, across many datagrams', () => {
    const batch = new Batch(socket, (i) => `route number ${i}`);
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
      // Every thousandth repeats the one before it.
      blackhole(batch.writer, 0x0a000000 + (i % 1000 === 999 ? i - 1 : i), 32);
      batch.end();
    }
    const failures = batch.finish();
    expect(failures.map((f) => f.index)).toEqual(Array.from({ length: 20 }, (_, i) => i * 1000 + 999));
    expect(failures[0]!.error.message).toMatch(/^route number 999: EEXIST: /);
    expect(batch.finish()).toEqual([]);
  });

  test('a monitor hears what changes after it was opened', async () => {
    let routes = 0;
    let done: () => void = () => {};
    const heard = new Promise<void>((resolve) => {
      done = resolve;
    });
    const monitor = NetlinkMonitor.open(
      [
        {
          protocol: NETLINK_ROUTE,
          groups: [RTNLGRP_IPV4_ROUTE],
          namespace: inside,
          onMessage: () => {
            if (++routes === 5000) done();
          },
          onOverflow: () => expect.unreachable(),
        },
      ],
      (error) => {
        throw error;
      },
    );
    const batch = new Batch(socket, (i) => `route ${i}`);
    for (let i = 0; i < 5000; i++) {
      batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
      blackhole(batch.writer, 0x0b000000 + i, 32);
      batch.end();
    }
    expect(batch.finish()).toEqual([]);
    await heard;
    await monitor.closed();
    expect(routes).toBe(5000);
  });
});
