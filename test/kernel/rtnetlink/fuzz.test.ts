import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NLM_F_MULTI, NLMSG_DONE } from '#kernel/netlink/constants.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { Attributes, eachAttribute } from '#kernel/netlink/reader.ts';
import type { Message } from '#kernel/netlink/socket.ts';
import { readAddress } from '#kernel/rtnetlink/address.ts';
import * as C from '#kernel/rtnetlink/constants.ts';
import { readLink } from '#kernel/rtnetlink/link.ts';
import { readNeighbour } from '#kernel/rtnetlink/neighbour.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import { readRoute } from '#kernel/rtnetlink/route-message.ts';
import { RouteReader } from '#kernel/rtnetlink/route-reader.ts';
import { Routes } from '#kernel/rtnetlink/routes.ts';
import { readRule } from '#kernel/rtnetlink/rule.ts';
import { FakeKernel, message } from './fake-kernel.ts';
import { World } from './world.ts';

/** What each kind of message is read by. */
const KINDS: readonly { name: string; get: number; header: number; read: (message: Message) => unknown }[] = [
  { name: 'links', get: C.RTM_GETLINK, header: 16, read: (message) => readLink(message, true) },
  { name: 'addresses', get: C.RTM_GETADDR, header: 8, read: readAddress },
  { name: 'routes', get: C.RTM_GETROUTE, header: 12, read: readRoute },
  { name: 'neighbours', get: C.RTM_GETNEIGH, header: 12, read: readNeighbour },
  { name: 'rules', get: C.RTM_GETRULE, header: 12, read: readRule },
  {
    name: 'routes for a table',
    get: C.RTM_GETROUTE,
    header: 12,
    read: (message) => {
      const reader = new RouteReader(new NextHopSets());
      return reader.read(message) ? reader.set() : undefined;
    },
  },
];

/** Payloads of messages that the kernel sends, of a namespace with something of everything. */
function realMessages(world: World, get: number, header: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  world.rt.socket.dump('everything', get, (writer) => void writer.fixed(header), {
    restart: () => {},
    message: ({ bytes, start, end }) => void found.push(bytes.slice(start, end)),
  });
  return found;
}

function furnish(world: World): void {
  const { routes, rules, neighbours, addresses } = world.rt;
  const link = world.v0;
  routes.add({
    destination: '20.0.0.0/8',
    protocol: 80,
    table: 1000,
    mtu: 1400,
    source: '10.0.0.1',
    nextHops: [
      { gateway: '10.0.0.2', link },
      { gateway: 'fd00::2', link, weight: 3 },
    ],
  });
  routes.add({
    destination: '2001:db8::/32',
    protocol: 80,
    nextHops: [2, 3].map((n) => ({ gateway: `fd00::${n}`, link })),
  });
  routes.add({ destination: '21.0.0.0/8', protocol: 80, nextHops: [{ gateway: 'fd00::2', link }] });
  rules.add({
    family: 4,
    priority: 5,
    protocol: 80,
    table: 1000,
    from: '10.0.0.0/8',
    mark: 1,
    incomingLink: 'v0',
  });
  rules.add({ family: 6, priority: 5, protocol: 80, table: 1000, to: 'fd00::/8', suppressPrefixLength: 3 });
  neighbours.add({ link, address: '10.0.0.9', hardwareAddress: '02:00:00:00:00:09', protocol: 80 });
  neighbours.add({ link, address: 'fd00::9', hardwareAddress: '02:00:00:00:00:09' });
  addresses.add({
    link,
    address: '10.5.0.1',
    peer: '10.5.0.2',
    length: 32,
    validLifetime: 100,
    protocol: 80,
  });
  world.type('link set v0 alias some-text');
  world.type('link property add dev v0 altname another');
}

const mutation = fc.oneof(
  fc.record({ what: fc.constant('byte' as const), at: fc.nat(), value: fc.nat(255) }),
  // Lengths and types are what matters most: small, huge, off by a few.
  fc.record({
    what: fc.constant('u16' as const),
    at: fc.nat(),
    value: fc.constantFrom(0, 1, 3, 4, 5, 8, 9, 0xffff),
  }),
  fc.record({ what: fc.constant('cut' as const), at: fc.nat(), value: fc.nat(40) }),
  fc.record({ what: fc.constant('repeat' as const), at: fc.nat(), value: fc.nat(60) }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let out: Uint8Array<ArrayBufferLike> = bytes.slice();
  for (const { what, at, value } of mutations) {
    const length = Math.max(out.length, 1);
    const where = at % length;
    if (what === 'byte') out[where] = value;
    else if (what === 'u16') {
      out[where & ~3] = value & 255;
      out[(where & ~3) + 1] = value >> 8;
    } else if (what === 'cut') out = Buffer.concat([out.subarray(0, where), out.subarray(where + value)]);
    else if (out.length < 2000) {
      out = Buffer.concat([out.subarray(0, where), out.subarray(where, where + value), out.subarray(where)]);
    }
  }
  return out;
}

/** The message in the middle of other bytes, as in a receive buffer: who reads past its end reads these. */
function inBuffer(payload: Uint8Array): Message {
  const bytes = new Uint8Array(payload.length + 96).fill(0xa5);
  bytes.set(payload, 32);
  const view = new DataView(bytes.buffer);
  return { bytes, view, type: 24, flags: 0, start: 32, end: 32 + payload.length };
}

describe('what reads messages', () => {
  for (const { name, get, header, read } of KINDS) {
    test(`of ${name} makes a value of any bytes or says that they are cut short, and ends`, () => {
      using world = new World();
      furnish(world);
      const real = realMessages(world, get, header);
      expect(real.length).toBeGreaterThan(1);
      let values = 0;
      let refused = 0;
      fc.assert(
        fc.property(fc.nat(), fc.array(mutation, { maxLength: 6 }), (which, mutations) => {
          const payload = mutate(real[which % real.length]!, mutations);
          try {
            if (read(inBuffer(payload)) !== undefined) values++;
          } catch (error) {
            if (!(error instanceof RangeError)) throw error;
            refused++;
          }
        }),
        { numRuns: 20_000 },
      );
      // It was no test if nothing got through, or nothing was broken.
      expect(values).toBeGreaterThan(1000);
      expect(refused + values).toBeLessThanOrEqual(20_000);
    });
  }

  test('of a dump takes any datagrams as an answer or says what is wrong with them, and ends', () => {
    using world = new World();
    furnish(world);
    const real = realMessages(world, C.RTM_GETROUTE, 12);
    const datagram = fc.tuple(
      fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
      fc.array(mutation, { maxLength: 4 }),
    );
    let listed = 0;
    fc.assert(
      fc.property(fc.array(datagram, { minLength: 1, maxLength: 3 }), (datagrams) => {
        using kernel = new FakeKernel();
        for (const [which, mutations] of datagrams) {
          const messages = which.map((n) => message(C.RTM_NEWROUTE, NLM_F_MULTI, 1, real[n % real.length]!));
          const bytes = mutate(Buffer.concat(messages), mutations);
          if (bytes.length > 0) kernel.answer(bytes);
        }
        // Without an end it would wait for one; each try at the dump gets its own.
        for (let i = 1; i <= 10; i++) kernel.answer(message(NLMSG_DONE, NLM_F_MULTI, i, new Uint8Array(4)));
        try {
          listed += new Routes(kernel.socket).list({ family: 4 }).length;
        } catch (error) {
          if (!(error instanceof RangeError || error instanceof NetlinkError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
    expect(listed).toBeGreaterThan(1000);
  });

  test('never reads attributes beyond the end, and ends on any bytes', () => {
    const attributes = new Attributes(64);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (payload) => {
        const { bytes, view, start, end } = inBuffer(payload);
        attributes.parse(bytes, view, start, end);
        for (let type = 0; type <= 64; type++) {
          if (!attributes.has(type)) continue;
          expect(attributes.offset(type)).toBeGreaterThanOrEqual(start + 4);
          expect(attributes.offset(type) + attributes.size(type)).toBeLessThanOrEqual(end);
        }
        let last = start;
        eachAttribute(view, start, end, (_, from, to) => {
          expect(from).toBeGreaterThanOrEqual(last + 4);
          expect(to).toBeLessThanOrEqual(end);
          last = from;
        });
      }),
      { numRuns: 5000 },
    );
  });
});
