import fc from 'fast-check';
import koffi from 'koffi';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Batch } from '#kernel/netlink/batch.ts';
import {
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_CREATE,
  NLM_F_DUMP_INTR,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
} from '#kernel/netlink/constants.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { Attributes } from '#kernel/netlink/reader.ts';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { MessageWriter } from '#kernel/netlink/writer.ts';
import { errno, errnoName, SyscallError } from '#kernel/sys/errno.ts';
import { close, connect, socket as openSocket, recv, send, setsockopt } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_DELROUTE = 25;
const RTM_GETLINK = 18;

/** Opens or fills a message that adds 10.x.y.z/32 to `lo`. */
function address(writer: MessageWriter, number: number): void {
  const at = writer.fixed(8);
  writer.bytes[at] = 2;
  writer.bytes[at + 1] = 32;
  writer.view.setUint32(at + 4, 1, true);
  writer.be32(2, 0x0a000000 + number);
}

function blackhole(writer: MessageWriter, number: number): void {
  const at = writer.fixed(12);
  writer.bytes.set([2, 32, 0, 0, 254, 4, 0, 6], at);
  writer.be32(1, 0x0b000000 + number);
}

function errorOf(work: () => unknown): NetlinkError {
  try {
    work();
  } catch (error) {
    if (error instanceof NetlinkError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a netlink socket and the kernel', () => {
  let ns: Netns;
  let inside: NetworkNamespace;
  let socket: NetlinkSocket;
  let other: NetlinkSocket;
  beforeAll(() => {
    ns = createNetns();
    inside = NetworkNamespace.named(ns.name);
    socket = NetlinkSocket.open(NETLINK_ROUTE, inside);
    other = NetlinkSocket.open(NETLINK_ROUTE, inside);
    const batch = new Batch(socket, (i) => `address ${i}`);
    for (let i = 0; i < 2000; i++) {
      batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
      address(batch.writer, i);
      batch.end();
    }
    expect(batch.finish()).toEqual([]);
  });
  afterAll(() => {
    socket.close();
    other.close();
    inside.close();
    ns.remove();
  });

  test('takes answers from the kernel alone, not from others in its namespace', () => {
    const fake = new MessageWriter();
    fake.begin(NLMSG_ERROR, 0, 1); // An acknowledgement of the first request that a socket makes.
    fake.fixed(20);
    fake.end();
    using victim = NetlinkSocket.open(NETLINK_ROUTE, inside);
    const to = new Uint8Array(12); // struct sockaddr_nl
    to[0] = 16;
    new DataView(to.buffer).setUint32(4, victim.port, true);
    const stranger = inside.run(() => openSocket(16, 3, NETLINK_ROUTE));
    try {
      connect(stranger, to);
      expect(() => send(stranger, fake.bytes, fake.length, 0)).toThrow('ECONNREFUSED');
    } finally {
      close(stranger);
    }
    const gone = errorOf(() =>
      victim.request('delete a link', 17, 0, (w) => w.view.setInt32(w.fixed(16) + 4, 999, true)),
    );
    expect(gone.code).toBe('ENODEV');
  });

  let added = 2000;
  const addOne = (): void => other.request('address', RTM_NEWADDR, NLM_F_CREATE, (w) => address(w, added++));

  test('a dump that a change interrupts is read again, and what came before is forgotten', () => {
    let restarts = 0;
    let count = 0;
    socket.dump('addresses', RTM_GETADDR, (w) => w.fixed(8), {
      restart: () => {
        restarts++;
        count = 0;
      },
      message: () => {
        // The table changes while the kernel has handed over only its first part.
        if (count++ === 0 && restarts < 2) addOne();
      },
    });
    expect(restarts).toBe(2);
    // All those, and those of 127.0.0.0/8 and ::1.
    expect(count).toBe(added + 2);
  });

  test('a dump that is interrupted each time is given up, by a typed error', () => {
    let first = true;
    const error = errorOf(() =>
      socket.dump('addresses', RTM_GETADDR, (w) => w.fixed(8), {
        restart: () => {
          first = true;
        },
        message: () => {
          if (first) addOne();
          first = false;
        },
      }),
    );
    expect(error.message).toBe('addresses: EINTR: the table changed during each of 10 dumps');
    // The socket is fit for the next request.
    expect(
      socket.dumpAll(
        'links',
        RTM_GETLINK,
        (w) => w.fixed(16),
        () => 1,
      ),
    ).toHaveLength(1);
  });

  test('answers to an earlier request are passed over', () => {
    const stale = new MessageWriter();
    stale.begin(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK, 0xfffffff0);
    stale.fixed(8); // refused: no address, no interface
    stale.end();
    send(socket.fd, stale.bytes, stale.length, 0);
    addOneOn(socket);
    send(socket.fd, stale.bytes, stale.length, 0);
    expect(
      socket.dumpAll(
        'links',
        RTM_GETLINK,
        (w) => w.fixed(16),
        () => 1,
      ),
    ).toHaveLength(1);
  });
  function addOneOn(on: NetlinkSocket): void {
    on.request('address', RTM_NEWADDR, NLM_F_CREATE, (w) => address(w, added++));
  }

  test('a sink that throws leaves no answers behind, and one that uses its own socket is told', () => {
    const failing = (): unknown =>
      socket.dumpAll(
        'addresses',
        RTM_GETADDR,
        (w) => w.fixed(8),
        () => {
          throw new Error('sink failed');
        },
      );
    expect(failing).toThrow('sink failed');
    expect(() =>
      socket.dumpAll(
        'addresses',
        RTM_GETADDR,
        (w) => w.fixed(8),
        () => addOneOn(socket),
      ),
    ).toThrow('socket is in use');
    addOneOn(socket);
  });

  test('sequence numbers wrap around, and requests, dumps and batches go on', () => {
    using wrapping = NetlinkSocket.open(NETLINK_ROUTE, inside);
    wrapping.takeSequence(0xfffffffa - 1);
    const seen: number[] = [];
    for (let i = 0; i < 8; i++) {
      addOneOn(wrapping);
      seen.push(wrapping.takeSequence());
    }
    expect(seen[0]).toBe(0xfffffffb);
    expect(seen.slice(3).every((sequence) => sequence > 0 && sequence < 20)).toBe(true);
    using batching = NetlinkSocket.open(NETLINK_ROUTE, inside);
    batching.takeSequence(0xfffffff0);
    const batch = new Batch(batching, (i) => `delete route ${i}`);
    for (let i = 0; i < 40; i++) {
      batch.begin(RTM_DELROUTE, 0);
      blackhole(batch.writer, i);
      batch.end();
    }
    expect(batch.finish().map((failure) => failure.index)).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test('a batch of which all 20,000 messages are refused reports each of them', () => {
    const batch = new Batch(socket, (i) => `delete route ${i}`);
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      batch.begin(RTM_DELROUTE, 0);
      blackhole(batch.writer, i);
      batch.end();
    }
    const failures = batch.finish();
    expect(failures).toHaveLength(count);
    expect(failures.every((failure, i) => failure.index === i && failure.error.code === 'ESRCH')).toBe(true);
    expect(failures[19_999]!.error.message).toMatch(/^delete route 19999: ESRCH: /);
  });

  test('an answer that does not fit the receive buffer is an error, and the socket goes on', () => {
    using small = NetlinkSocket.open(NETLINK_ROUTE, inside);
    setsockopt(small.fd, 1, 8, 1); // SO_RCVBUF: the smallest there is
    const batch = new Batch(small, (i) => `delete route ${i}`);
    const fill = (): unknown => {
      for (let i = 0; i < 500; i++) {
        batch.begin(RTM_DELROUTE, 0);
        blackhole(batch.writer, i);
        batch.end();
      }
      return batch.finish();
    };
    const error = errorOf(fill);
    expect(error.message).toBe('batch: ENOBUFS: answers were lost: the receive buffer was full');
    addOneOn(small);
  });

  test('a closed socket says so', () => {
    const closed = NetlinkSocket.open(NETLINK_ROUTE, inside);
    closed.close();
    closed.close();
    expect(closed.isOpen).toBe(false);
    expect(() => addOneOn(closed)).toThrow('netlink socket is closed');
  });
});

/*
 * Over a pair of unix sockets the test is the kernel: the answers to a request are queued before it is made. Sequence
 * numbers begin at 1.
 */
describe('a netlink socket and a peer that answers what it likes', () => {
  const socketpair = koffi
    .load('libc.so.6')
    .func('int socketpair(int domain, int type, int protocol, void *fds)');
  const fds: number[] = [];
  function pair(timeout = 200_000n): { socket: NetlinkSocket; peer: number } {
    const both = new Int32Array(2);
    expect(socketpair(1, 5, 0, both)).toBe(0); // AF_UNIX, SOCK_SEQPACKET
    fds.push(...both);
    setsockopt(both[0]!, 1, 20, new Uint8Array(new BigInt64Array([0n, timeout]).buffer)); // SO_RCVTIMEO
    return { socket: NetlinkSocket.over(both[0]!, NETLINK_ROUTE), peer: both[1]! };
  }
  afterEach(() => {
    for (const fd of fds.splice(0)) close(fd);
  });
  function answer(peer: number, build: (writer: MessageWriter) => void): void {
    const writer = new MessageWriter();
    build(writer);
    send(peer, writer.bytes, writer.length, 0);
  }
  /** An NLMSG_ERROR or NLMSG_DONE. */
  function outcome(
    writer: MessageWriter,
    type: number,
    sequence: number,
    error: number,
    text?: string,
    flags = text === undefined ? 0 : NLM_F_ACK_TLVS | NLM_F_CAPPED,
  ): void {
    writer.begin(type, flags, sequence);
    writer.view.setInt32(writer.fixed(4), -error, true);
    if (type === NLMSG_ERROR) writer.fixed(16);
    if (text !== undefined) writer.string(1, text);
    writer.end();
  }
  const ask = (socket: NetlinkSocket): void => socket.request('thing', RTM_NEWADDR, 0, (w) => w.fixed(8));
  const dump = (socket: NetlinkSocket): number[] =>
    socket.dumpAll(
      'things',
      RTM_GETADDR,
      (w) => w.fixed(8),
      (message) => message.type,
    );

  test('no answer is ETIMEDOUT, not a hang', () => {
    const { socket } = pair();
    expect(errorOf(() => ask(socket)).message).toBe('thing: ETIMEDOUT: the kernel gave no answer');
  });

  test('acknowledgements and refusals are found among other messages', () => {
    const { socket, peer } = pair();
    answer(peer, (w) => {
      w.begin(NLMSG_NOOP, 0, 1);
      w.end();
      outcome(w, NLMSG_ERROR, 77, errno.EPERM);
      outcome(w, NLMSG_ERROR, 1, 0);
    });
    ask(socket);
    answer(peer, (w) => outcome(w, NLMSG_ERROR, 2, errno.EBUSY, 'it is busy'));
    const error = errorOf(() => ask(socket));
    expect(error).toMatchObject({ code: 'EBUSY', kernelText: 'it is busy', object: 'thing' });
    expect(error.message).toBe('thing: EBUSY: it is busy');
  });

  test('a refusal without text has the sentence of its errno; one that is not capped echoes the request', () => {
    const { socket, peer } = pair();
    answer(peer, (w) => outcome(w, NLMSG_ERROR, 1, errno.EEXIST));
    expect(errorOf(() => ask(socket)).message).toBe('thing: EEXIST: file already exists');
    answer(peer, (w) => {
      w.begin(NLMSG_ERROR, NLM_F_ACK_TLVS, 2);
      w.view.setInt32(w.fixed(4), -errno.EINVAL, true);
      const echo = w.fixed(24);
      w.view.setUint32(echo, 24, true);
      w.string(1, 'after the echo');
      w.u32(2, 16 + 8);
      w.end();
    });
    expect(errorOf(() => ask(socket)).kernelText).toBe('after the echo');
  });

  test('an error in the end marker of a dump, and one instead of the dump', () => {
    const { socket, peer } = pair();
    answer(peer, (w) => {
      w.begin(RTM_NEWADDR, NLM_F_MULTI, 1);
      w.end();
      outcome(w, NLMSG_DONE, 1, errno.ENOMEM, 'no room', NLM_F_ACK_TLVS);
    });
    expect(errorOf(() => dump(socket)).message).toBe('things: ENOMEM: no room');
    answer(peer, (w) => outcome(w, NLMSG_ERROR, 2, errno.EOPNOTSUPP));
    expect(errorOf(() => dump(socket)).code).toBe('EOPNOTSUPP');
  });

  test('an interrupted dump is asked for again, whether flag or end marker says so', () => {
    const { socket, peer } = pair();
    answer(peer, (w) => {
      w.begin(RTM_NEWADDR, NLM_F_MULTI | NLM_F_DUMP_INTR, 1);
      w.end();
      outcome(w, NLMSG_DONE, 1, 0);
    });
    answer(peer, (w) => {
      w.begin(RTM_NEWADDR, NLM_F_MULTI, 2);
      w.end();
      outcome(w, NLMSG_DONE, 2, errno.EINTR);
    });
    answer(peer, (w) => {
      w.begin(RTM_NEWADDR, NLM_F_MULTI, 3);
      w.end();
      w.begin(NLMSG_DONE, NLM_F_MULTI, 3); // without an error code, as some dumps end
      w.end();
    });
    expect(dump(socket)).toEqual([RTM_NEWADDR]);
    const asked = new Uint8Array(256);
    let count = 0;
    while (recv(peer, asked, asked.length, 0x40) > 0) count++;
    expect(count).toBe(3);
  });

  test.each([
    [
      'a length shorter than a header',
      (w: MessageWriter) => w.view.setUint32(w.fixed(16), 15, true),
      '15 bytes at 0 of 16',
    ],
    [
      'a length past the end',
      (w: MessageWriter) => w.view.setUint32(w.fixed(16), 17, true),
      '17 bytes at 0 of 16',
    ],
  ])('%s is EPROTO', (_name, build, words) => {
    const { socket, peer } = pair();
    answer(peer, build);
    expect(errorOf(() => ask(socket)).message).toBe(`thing: EPROTO: answer with a message of ${words}`);
    // What is wrong has been thrown away; the next answer counts.
    answer(peer, (w) => outcome(w, NLMSG_ERROR, 2, 0));
    ask(socket);
  });

  test('an error message that is cut short is EPROTO', () => {
    const { socket, peer } = pair();
    answer(peer, (w) => {
      w.begin(NLMSG_ERROR, 0, 1);
      w.end();
    });
    expect(errorOf(() => ask(socket)).message).toBe('thing: EPROTO: answer cut short');
  });

  test('an answer larger than the room is EPROTO', () => {
    const { socket, peer } = pair();
    send(peer, new Uint8Array(70_000), 70_000, 0);
    expect(errorOf(() => ask(socket)).message).toBe(
      'thing: EPROTO: answer of 70000 bytes, expected at most 65536',
    );
  });

  test('whatever bytes come back, a request ends by returning or by a typed error', () => {
    const { socket, peer } = pair(1000n);
    let sequence = 0;
    const header = fc.record({
      length: fc.oneof(fc.nat(64), fc.constant(16), fc.constant(36)),
      type: fc.oneof(fc.constantFrom(NLMSG_ERROR, NLMSG_DONE, NLMSG_NOOP), fc.nat(0xffff)),
      flags: fc.nat(0xffff),
      own: fc.boolean(),
      body: fc.uint8Array({ maxLength: 64 }),
    });
    fc.assert(
      fc.property(fc.array(header, { minLength: 1, maxLength: 3 }), fc.boolean(), (list, asDump) => {
        sequence++;
        answer(peer, (w) => {
          for (const { length, type, flags, own, body } of list) {
            const at = w.fixed(16 + body.length);
            w.view.setUint32(at, length, true);
            w.view.setUint16(at + 4, type, true);
            w.view.setUint16(at + 6, flags & ~NLM_F_DUMP_INTR, true);
            w.view.setUint32(at + 8, own ? sequence : 9, true);
            w.bytes.set(body, at + 16);
          }
          outcome(w, NLMSG_ERROR, sequence, 0);
        });
        try {
          if (asDump) dump(socket);
          else ask(socket);
        } catch (error) {
          expect(error).toBeInstanceOf(NetlinkError);
          // -EINTR in an end marker asks for the dump again.
          if ((error as NetlinkError).errno === 110) sequence = socket.takeSequence();
        }
        sequence = socket.takeSequence();
        while (recv(peer, new Uint8Array(256), 256, 0x40) > 0);
        while (recv(socket.fd, new Uint8Array(256), 256, 0x40) > 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('attributes', () => {
  test('what is written is read back', () => {
    const writer = new MessageWriter(16);
    writer.begin(1, 0, 1);
    writer.u8(1, 0xfe);
    writer.u16(2, 0xfedc);
    writer.be16(3, 0xfedc);
    writer.u32(4, 0xfedcba98);
    writer.be32(5, 0xfedcba98);
    writer.u64(6, 0xfedcba9876543210n);
    writer.be64(7, 0xfedcba9876543210n);
    writer.flag(8);
    writer.raw(
      9,
      Uint8Array.from({ length: 300 }, (_, i) => i & 255),
      17,
      21,
    );
    writer.string(10, 'žába');
    const nest = writer.nest(11);
    writer.u32(4, 7);
    writer.nestEnd(nest);
    writer.end();
    const read = new Attributes(11).parse(writer.bytes, writer.view, 16, writer.length);
    expect([read.u8(1), read.u16(2), read.be16(3)]).toEqual([0xfe, 0xfedc, 0xfedc]);
    expect([read.u32(4), read.be32(5), read.i32(4)]).toEqual([0xfedcba98, 0xfedcba98, 0xfedcba98 | 0]);
    expect([read.u64(6), read.be64(7)]).toEqual([0xfedcba9876543210n, 0xfedcba9876543210n]);
    expect([read.has(8), read.size(8), read.has(0)]).toEqual([true, 0, false]);
    expect([...read.copy(9)]).toEqual(Array.from({ length: 21 }, (_, i) => 17 + i));
    expect(read.string(10)).toBe('žába');
    expect(new Attributes(4).parseNested(read, 11).u32(4)).toBe(7);
    expect(writer.length % 4).toBe(0);
  });

  test('an absent one gives its default or throws, one that is too short throws', () => {
    const writer = new MessageWriter();
    writer.begin(1, 0, 1);
    writer.u8(1, 1);
    writer.end();
    const read = new Attributes(4).parse(writer.bytes, writer.view, 16, writer.length);
    expect(read.u32(2, 9)).toBe(9);
    expect(() => read.u32(2)).toThrow('netlink attribute 2: found none, expected 4 bytes');
    expect(() => read.u32(1)).toThrow('netlink attribute 1: found 1 bytes, expected 4');
    expect(new Attributes(4).parseNested(read, 3).has(1)).toBe(false);
  });

  test('bytes of any kind are parsed without reading past their end', () => {
    const attributes = new Attributes(8);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        attributes.parse(bytes, view, 0, bytes.length);
        for (let type = 0; type <= 8; type++) {
          if (!attributes.has(type)) continue;
          expect(attributes.offset(type) + attributes.size(type)).toBeLessThanOrEqual(bytes.length);
        }
      }),
    );
  });

  test('one that is too long is refused by name of its size', () => {
    const writer = new MessageWriter();
    writer.begin(1, 0, 1);
    expect(() => writer.raw(1, new Uint8Array(65_532))).toThrow('netlink attribute of 65532 bytes');
    const nest = writer.nest(2);
    for (let i = 0; i < 2; i++) writer.raw(1, new Uint8Array(40_000));
    expect(() => writer.nestEnd(nest)).toThrow('at most 65535 fit');
  });
});

describe('errno', () => {
  test('names those that Node leaves out, and one name for each number', () => {
    expect(errnoName(errno.EPERM)).toBe('EPERM');
    expect(errnoName(11)).toBe('EAGAIN');
    expect(errnoName(95)).toBe('EOPNOTSUPP');
    expect(errnoName(94)).toBe('ESOCKTNOSUPPORT');
    expect(errnoName(524)).toBe('E524');
  });

  test('a failed call is named, with what it was about', () => {
    expect(() => close(1_000_000)).toThrow('close: EBADF: bad file descriptor');
    const error = new SyscallError('setsockopt', errno.ENOPROTOOPT, 'IP_TTL 300');
    expect(error).toMatchObject({ code: 'ENOPROTOOPT', errno: 92, syscall: 'setsockopt' });
    expect(error.message).toBe('setsockopt IP_TTL 300: ENOPROTOOPT: protocol not available');
  });
});
