import { describe, expect, test } from 'vitest';
import {
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  SO_RCVBUFFORCE,
  SOL_SOCKET,
} from '#kernel/netlink/constants.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { MessageWriter } from '#kernel/netlink/writer.ts';
import { RTM_GETROUTE, RTM_NEWROUTE } from '#kernel/rtnetlink/constants.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import { routeOf } from '#kernel/rtnetlink/route.ts';
import { RouteBatch } from '#kernel/rtnetlink/route-batch.ts';
import { readRoutes } from '#kernel/rtnetlink/route-difference.ts';
import { writeRoute } from '#kernel/rtnetlink/route-message.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { RouteTable6 } from '#kernel/rtnetlink/route-table6.ts';
import { ipv6RouteGuard, Routes } from '#kernel/rtnetlink/routes.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { setsockopt } from '#kernel/sys/libc.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { FakeKernel, message } from './fake-kernel.ts';
import { World } from './world.ts';

/** The body of a message about a blackhole route. */
function blackhole(destination: string): Uint8Array {
  const writer = new MessageWriter();
  const route = routeOf({ destination, protocol: 80, metric: 32, type: 'blackhole' });
  writeRoute(writer, 'route', route);
  return writer.bytes.slice(0, writer.length);
}

const OK = new Uint8Array(4);
const INTERRUPTED = new Uint8Array(new Int32Array([-4]).buffer);

/** One dump as the kernel would answer it, two datagrams and an end. */
function dump(kernel: FakeKernel, sequence: number, prefixes: string[], flags: number, end = OK): void {
  const [first, ...rest] = prefixes.map((p) => message(RTM_NEWROUTE, NLM_F_MULTI, sequence, blackhole(p)));
  kernel.answer(first!);
  const last = rest.map((bytes) => {
    new DataView(bytes.buffer).setUint16(6, NLM_F_MULTI | flags, true);
    return bytes;
  });
  kernel.answer(...last);
  kernel.answer(message(NLMSG_DONE, NLM_F_MULTI, sequence, end));
}

describe('a dump', () => {
  test('that the kernel says was interrupted is begun again, and what came before is forgotten', () => {
    using kernel = new FakeKernel();
    dump(kernel, 1, ['10.0.0.0/8', '11.0.0.0/8'], NLM_F_DUMP_INTR);
    dump(kernel, 2, ['10.0.0.0/8', '12.0.0.0/8'], 0, INTERRUPTED);
    dump(kernel, 3, ['10.0.0.0/8', '13.0.0.0/8', '14.0.0.0/8'], 0);
    const list = new Routes(kernel.socket).list({ family: 4 });
    expect(list.map((route) => route.destination)).toEqual(['10.0.0.0/8', '13.0.0.0/8', '14.0.0.0/8']);
    expect(kernel.requests()).toHaveLength(3);
  });

  test('that is interrupted fills a table only with the last try', () => {
    using kernel = new FakeKernel();
    dump(kernel, 1, ['10.0.0.0/8', '11.0.0.0/8'], NLM_F_DUMP_INTR);
    dump(kernel, 2, ['10.0.0.0/8', '12.0.0.0/8'], 0);
    const sets = new NextHopSets();
    const table = new RouteTable4({ sets, table: 254, protocol: 80, metric: 32 });
    expect(readRoutes(kernel.socket, table)).toBe(true);
    expect(table.size).toBe(2);
    expect(table.getPrefix('11.0.0.0/8')).toBe(0);
    expect(sets.path(table.getPrefix('12.0.0.0/8')).type).toBe('blackhole');
  });

  test('that is interrupted each time is an error after ten', () => {
    using kernel = new FakeKernel();
    for (let i = 1; i <= 10; i++) dump(kernel, i, ['10.0.0.0/8', '11.0.0.0/8'], NLM_F_DUMP_INTR);
    expect(() => new Routes(kernel.socket).list({ family: 4 })).toThrow(
      'list IPv4 routes: EINTR: the table changed during each of 10 dumps',
    );
  });

  test('whose answer makes no sense is an error, and the next one is read from its own answers', () => {
    using kernel = new FakeKernel();
    const broken = message(RTM_NEWROUTE, NLM_F_MULTI, 1, blackhole('10.0.0.0/8'));
    new DataView(broken.buffer).setUint32(0, 4000, true);
    kernel.answer(broken);
    kernel.answer(message(RTM_NEWROUTE, NLM_F_MULTI, 2, blackhole('66.0.0.0/8')));
    expect(() => new Routes(kernel.socket).list({ family: 4 })).toThrow(
      /EPROTO: answer with a message of 4000/,
    );
    dump(kernel, 2, ['10.0.0.0/8', '12.0.0.0/8'], 0);
    expect(new Routes(kernel.socket).list({ family: 4 })).toHaveLength(2);
  });

  test('tells of a refusal at its end', () => {
    using kernel = new FakeKernel();
    kernel.answer(message(NLMSG_DONE, NLM_F_MULTI, 1, new Uint8Array(new Int32Array([-22]).buffer)));
    expect(() => new Routes(kernel.socket).list({ family: 4 })).toThrow(NetlinkError);
  });
});

describe('a dump of IPv6 routes', () => {
  /** Enough that a dump takes many reads, and a second socket that changes the table between two of them. */
  function furnish(world: World): Rtnetlink {
    const sets = new NextHopSets();
    const table = new RouteTable6({ sets, table: 254, protocol: 80, metric: 32 });
    const batch = new RouteBatch(world.rt.socket);
    const id = sets.intern(6, { type: 'blackhole' });
    for (let i = 0; i < 2000; i++) {
      table.set(0x20010db8, i, 0, 0, 64, id);
      batch.add(table, table.slot(0x20010db8, i, 0, 0, 64));
    }
    expect(batch.finish()).toEqual([]);
    return Rtnetlink.open(world.inside);
  }

  /** Reads the table, with `disturb` called in the midst of each try. */
  function read(world: World, disturb: (attempt: number) => void): { whole: boolean; tries: number } {
    let tries = 1;
    let messages = 0;
    const whole = world.rt.socket.dump(
      'routes',
      RTM_GETROUTE,
      (writer) => {
        writer.bytes[writer.fixed(12)] = 10;
        writer.u32(15, 254);
      },
      {
        restart: () => {
          tries++;
          messages = 0;
        },
        message: () => {
          if (++messages === 500) disturb(tries);
        },
      },
      ipv6RouteGuard(254),
    );
    return { whole, tries };
  }

  test('is begun again when the table changes the while, and given up after ten', () => {
    using world = new World();
    using other = furnish(world);
    const spec = { destination: '2001:db8:1::/64', protocol: 81, type: 'blackhole' } as const;
    expect(read(world, () => {})).toEqual({ whole: true, tries: 1 });
    expect(read(world, (attempt) => attempt < 3 && other.routes.replace(spec))).toEqual({
      whole: true,
      tries: 3,
    });
    expect(read(world, () => other.routes.replace(spec))).toEqual({ whole: false, tries: 10 });
    // Nothing of it is left for the next request to trip over.
    expect(world.rt.routes.list({ protocol: 81 })).toHaveLength(1);
    expect(world.rt.links.get('v0')!.name).toBe('v0');
  });

  test('does not mind what happens in other tables', () => {
    using world = new World();
    using other = furnish(world);
    const spec = { destination: '2001:db8:1::/64', protocol: 81, type: 'blackhole', table: 300 } as const;
    expect(read(world, () => other.routes.replace(spec))).toEqual({ whole: true, tries: 1 });
  });

  test('that drowns in changes is begun again', () => {
    using world = new World();
    using other = furnish(world);
    const spec = { destination: '2001:db8:1::/64', protocol: 81, type: 'blackhole' } as const;
    setsockopt(world.rt.socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, 40_000);
    const flood = (attempt: number) => {
      for (let i = 0; attempt < 2 && i < 500; i++) other.routes.replace(spec);
    };
    expect(read(world, flood)).toEqual({ whole: true, tries: 2 });
  });
});

for (const family of [4, 6] as const) {
  test(`a dump of many IPv${family} routes that change all the while has each that stays, once`, async () => {
    using world = new World();
    const sets = new NextHopSets();
    const id = sets.intern(family, { type: 'blackhole' });
    const options = { sets, table: 254, protocol: 80, metric: 32 };
    const table = family === 4 ? new RouteTable4(options) : new RouteTable6(options);
    const steady = 20_000;
    for (let i = 0; i < steady; i++) {
      if (table instanceof RouteTable4) table.set(0x14000000 + i * 256, 24, id);
      else table.set(0x20010000, i * 65536, 0, 0, 48, id);
    }
    const batch = new RouteBatch(world.rt.socket);
    for (let slot = table.next(-1); slot >= 0; slot = table.next(slot)) batch.add(table, slot);
    expect(batch.finish()).toEqual([]);

    // Another process adds and removes routes between these, all over the table.
    const child = world.netns.spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin!.on('error', () => {});
    let ended = false;
    child.on('exit', () => {
      ended = true;
    });
    let n = 0;
    const feed = () => {
      let lines = '';
      for (let i = 0; i < 200; i++) {
        const k = (n++ * 7919) % steady;
        const prefix = family === 4 ? `20.${k >> 8}.${k & 255}.128/25` : `2001:0:${k.toString(16)}:8000::/49`;
        lines += `route add blackhole ${prefix} proto 81\nroute del blackhole ${prefix} proto 81\n`;
      }
      if (!ended && !child.stdin!.writableEnded) child.stdin!.write(lines, () => feed());
    };
    feed();

    let whole = 0;
    let changing = 0;
    await waitFor(
      () => {
        // All protocols: were ours asked for alone, the others would not be passed over one by one.
        const seen = new Map<string, number>();
        let others = 0;
        const complete = world.rt.socket.dump(
          'routes',
          RTM_GETROUTE,
          (writer) => {
            writer.bytes[writer.fixed(12)] = family === 4 ? 2 : 10;
          },
          {
            restart: () => {
              seen.clear();
              changing++;
            },
            message: ({ bytes, start }) => {
              if (bytes[start + 5] !== 80) {
                others += bytes[start + 5] === 81 ? 1 : 0;
                return;
              }
              const key = Buffer.from(bytes.subarray(start + 12, start + 36)).toString('latin1');
              seen.set(key, (seen.get(key) ?? 0) + 1);
            },
          },
          family === 6 ? ipv6RouteGuard() : undefined,
        );
        changing += others;
        if (complete) {
          expect(seen.size).toBe(steady);
          expect([...seen.values()].every((count) => count === 1)).toBe(true);
          whole++;
        }
        return whole >= 10 && changing >= 3;
      },
      {
        what: 'ten whole dumps, and changes between them',
        details: () => JSON.stringify({ whole, changing }),
      },
    );
    child.stdin!.end();
    child.kill('SIGKILL');
    await waitFor(() => ended, { what: 'end of ip' });
    const actual = family === 4 ? new RouteTable4(options) : new RouteTable6(options);
    expect(readRoutes(world.rt.socket, actual as RouteTable4)).toBe(true);
    expect(actual.size).toBe(steady);
  });
}
