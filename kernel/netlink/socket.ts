import { SyscallError } from '../sys/errno.ts';
import {
  bind,
  close,
  connect,
  getsockname,
  getsockoptInt,
  recv,
  send,
  setsockopt,
  socket,
} from '../sys/libc.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import {
  AF_NETLINK,
  MSG_TRUNC,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CAP_ACK,
  NETLINK_DROP_MEMBERSHIP,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  SO_RCVBUFFORCE,
  SO_RCVTIMEO,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from './constants.ts';
import { NetlinkError, type Refusal, readRefusal } from './error.ts';
import { MessageWriter } from './writer.ts';

const RECEIVE_BYTES = 1 << 16;
/** A refused batch answers with one error a message, each of which the kernel accounts with over 700 bytes. */
const ANSWER_BUFFER = 8 << 20;
const MAX_DUMP_ATTEMPTS = 10;
const EPROTO = 71;
const ENOBUFS = 105;
const ENOSPC_SNDBUF_OVERHEAD = 32;

/** One received message, valid during the call it is handed to. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly type: number;
  readonly flags: number;
  /** Where the payload (the family's fixed header) starts. */
  readonly start: number;
  /** Where the message ends. */
  readonly end: number;
}

/** Takes what a dump yields. `restart` is called when an interrupted dump begins again: forget what came so far. */
export interface DumpSink {
  restart(): void;
  message(message: Message): void;
  /** Finds out by itself whether a change has disturbed the dump: what the kernel says of that is passed over. */
  readonly knowsBetter?: boolean;
}

/**
 * For a table whose dump the kernel does not mark when a change interrupts it: what tells of changes, to which the socket
 * then listens during the dump.
 */
export interface DumpGuard {
  /** Multicast group. */
  readonly group: number;
  /** Whether a change that the group tells of disturbs the dump. */
  affects(message: Message): boolean;
}

/** Fills the open message of the writer: fixed header and attributes. */
export type Fill = (writer: MessageWriter) => void;

/** `interrupted`: by the word of the kernel, or nothing to be had; `disturbed`: by what the guard saw. */
type DumpOutcome = 'whole' | 'disturbed' | 'interrupted';

/** A mutable view that the reading loop moves along. */
interface Cursor {
  bytes: Uint8Array;
  view: DataView;
  type: number;
  flags: number;
  start: number;
  end: number;
}

/**
 * A netlink socket for requests. The kernel answers rtnetlink and nfnetlink requests inside sendmsg(2), so a request
 * is a plain synchronous call: send, then read what is already there. Extended ACKs and strict checking are on.
 *
 * Not re-entrant: a dump's sink must not use the socket that feeds it.
 */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  readonly protocol: number;
  /** The address that the kernel gave the socket; notifications of what it changed carry it as the sender. */
  readonly port: number;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  readonly #writer = new MessageWriter();
  readonly #cursor: Cursor;
  #sequence = 1;
  #busy = false;
  #open = true;
  #sendBuffer: number;

  private constructor(fd: number, protocol: number) {
    this.fd = fd;
    this.protocol = protocol;
    const address = getsockname(fd); // struct sockaddr_nl
    this.port = address.length >= 8 ? new DataView(address.buffer).getUint32(4, true) : 0;
    this.#cursor = { bytes: this.#buffer, view: this.#view, type: 0, flags: 0, start: 0, end: 0 };
    this.#sendBuffer = getsockoptInt(fd, SOL_SOCKET, 7); // SO_SNDBUF
  }

  /**
   * Opens a socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER) in `namespace`, or in the thread's own.
   *
   * @throws SyscallError
   */
  static open(protocol: number, namespace?: NetworkNamespace): NetlinkSocket {
    const open = (): number => openNetlink(protocol, ANSWER_BUFFER);
    return new NetlinkSocket(namespace ? namespace.run(open) : open(), protocol);
  }

  /**
   * Speaks over a descriptor that another owns, and is to close, e.g. to configure a socket before it is listened to.
   * Answers that come between a request and its acknowledgement go to that request's `onReply`, or nowhere.
   */
  static over(fd: number, protocol: number): NetlinkSocket {
    return new NetlinkSocket(fd, protocol);
  }

  /** Takes over an open socket, with its options as they are; it is closed with this. */
  static adopt(fd: number, protocol: number): NetlinkSocket {
    return new NetlinkSocket(fd, protocol);
  }

  /** Takes `count` consecutive sequence numbers and returns the first. They wrap around at 2^32, passing over 0. */
  takeSequence(count = 1): number {
    if (this.#sequence + count > 0xffffffff) this.#sequence = 1;
    const first = this.#sequence;
    this.#sequence += count;
    return first;
  }

  /**
   * Sends one request and waits for its acknowledgement. Messages that come back before it (NLM_F_ECHO, or the answer
   * of a GET) go to `onReply`.
   *
   * @param object what the request is about, in words, for the error
   * @throws NetlinkError when the kernel refuses
   */
  request(
    object: string,
    type: number,
    flags: number,
    fill: Fill,
    onReply?: (message: Message) => void,
  ): void {
    const writer = this.#writer;
    writer.reset();
    const sequence = this.takeSequence();
    writer.begin(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence);
    fill(writer);
    writer.end();
    let refusal: Refusal | undefined;
    this.#exclusively(() => {
      this.#send(writer.bytes, writer.length);
      this.#receive(object, (message, messageSequence) => {
        if (messageSequence !== sequence) return false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          refusal = readRefusal(
            message.bytes,
            message.view,
            message.start - NLMSG_HEADER,
            message.end,
            message.type === NLMSG_DONE,
            { protocol: this.protocol, view: writer.view, start: 0 },
          );
          return true;
        }
        onReply?.(message);
        return false;
      });
    });
    if (refusal && refusal.errno !== 0) throw new NetlinkError(object, refusal);
  }

  /**
   * Asks for a whole table. A dump that was interrupted by a change, as the kernel says (NLM_F_DUMP_INTR) or the guard
   * finds, is started over, ten times at the most.
   *
   * @returns whether the sink has the table as it was; false when the guard, but not the kernel, found the last dump
   *   disturbed as well: entries may be missing from it, or stand in it twice
   * @throws NetlinkError when the kernel refuses, or with EINTR when it was interrupted each time
   */
  dump(object: string, type: number, fill: Fill, sink: DumpSink, guard?: DumpGuard): boolean {
    let outcome: DumpOutcome = 'interrupted';
    for (let attempt = 0; attempt < MAX_DUMP_ATTEMPTS; attempt++) {
      if (attempt > 0) sink.restart();
      outcome = this.#dumpOnce(object, type, fill, sink, guard);
      if (outcome === 'whole') return true;
    }
    if (outcome === 'disturbed') return false;
    throw new NetlinkError(object, {
      errno: 4,
      text: `the table changed during each of ${MAX_DUMP_ATTEMPTS} dumps`,
    });
  }

  /**
   * A dump piece by piece: the kernel makes the next piece when it is asked for, so that what else the thread has to do can
   * be done between two of them. What the kernel says of interruptions is passed over. The socket is taken until the
   * generator has ended.
   *
   * @throws NetlinkError; Error when the socket is closed meanwhile
   */
  *dumpSteps(
    object: string,
    type: number,
    fill: Fill,
    onMessage: (message: Message) => void,
  ): Generator<void> {
    const writer = this.#writer;
    writer.reset();
    const sequence = this.takeSequence();
    writer.begin(type, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    fill(writer);
    writer.end();
    this.#take();
    let finished = false;
    let refusal: Refusal | undefined;
    const take = (message: Message, messageSequence: number): boolean => {
      if (messageSequence !== sequence) return false;
      if (message.type !== NLMSG_DONE && message.type !== NLMSG_ERROR) {
        onMessage(message);
        return false;
      }
      const done = message.type === NLMSG_DONE;
      if (done && message.end - message.start < 4) return true;
      const at = message.start - NLMSG_HEADER;
      refusal = readRefusal(message.bytes, message.view, at, message.end, done);
      return true;
    };
    try {
      this.#send(writer.bytes, writer.length);
      for (;;) {
        finished = this.#receiveDatagram(object, take, false);
        if (finished) break;
        yield;
        // Its number may be another's by now, of whom it would wait for an answer.
        this.#requireOpen();
      }
    } finally {
      this.#busy = false;
      if (!finished && this.#open) this.#drain();
    }
    if (refusal && refusal.errno !== 0) throw new NetlinkError(object, refusal);
  }

  /** Like {@link dump}, collecting what `parse` makes of each message; undefined leaves one out. */
  dumpAll<T>(
    object: string,
    type: number,
    fill: Fill,
    parse: (message: Message) => T | undefined,
    guard?: DumpGuard,
    knowsBetter = false,
  ): T[] {
    const found: T[] = [];
    const sink: DumpSink = {
      knowsBetter,
      restart: () => {
        found.length = 0;
      },
      message: (message) => {
        const value = parse(message);
        if (value !== undefined) found.push(value);
      },
    };
    this.dump(object, type, fill, sink, guard);
    return found;
  }

  /**
   * Sends messages that were written elsewhere, as one datagram, and reads all answers that the kernel has: to the
   * acknowledgement of `lastSequence`, or, without it, until nothing is left (nfnetlink acknowledges a batch's end
   * only since Linux 6.10, but has every error queued when sendmsg returns).
   *
   * @param onError called with the sequence number of each refused message
   * @param onReply called with other messages (NLM_F_ECHO)
   */
  exchange(
    object: string,
    bytes: Uint8Array,
    length: number,
    lastSequence: number | undefined,
    onError: (sequence: number, refusal: Refusal) => void,
    onReply?: (message: Message) => void,
  ): void {
    this.#exclusively(() => {
      this.#send(bytes, length);
      this.#receive(
        object,
        (message, sequence) => {
          if (message.type !== NLMSG_ERROR) {
            if (message.type !== NLMSG_DONE) onReply?.(message);
            return false;
          }
          const at = message.start - NLMSG_HEADER;
          const refusal = readRefusal(message.bytes, message.view, at, message.end, false);
          if (refusal.errno !== 0) onError(sequence, refusal);
          return sequence === lastSequence;
        },
        lastSequence === undefined,
      );
    });
  }

  /** Whether the socket is open. */
  get isOpen(): boolean {
    return this.#open;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** One attempt at a dump. */
  #dumpOnce(
    object: string,
    type: number,
    fill: Fill,
    sink: DumpSink,
    guard: DumpGuard | undefined,
  ): DumpOutcome {
    const writer = this.#writer;
    writer.reset();
    const sequence = this.takeSequence();
    writer.begin(type, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    fill(writer);
    writer.end();
    let outcome: DumpOutcome = 'whole';
    let refusal: Refusal | undefined;
    /** Whether a message is a notification: an answer has ourselves as the sender, a notification who caused it. */
    const notified = (message: Message): boolean => {
      if (!guard || message.view.getUint32(message.start - 4, true) === this.port) return false;
      if (outcome === 'whole' && guard.affects(message)) outcome = 'disturbed';
      return true;
    };
    this.#exclusively(() => {
      const leave = guard ? this.#join(guard.group) : undefined;
      try {
        this.#send(writer.bytes, writer.length);
        this.#receive(object, (message, messageSequence) => {
          if (notified(message) || messageSequence !== sequence) return false;
          if (message.flags & NLM_F_DUMP_INTR && !sink.knowsBetter) outcome = 'interrupted';
          if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
            const done = message.type === NLMSG_DONE;
            if (done && message.end - message.start < 4) return true;
            const at = message.start - NLMSG_HEADER;
            refusal = readRefusal(message.bytes, message.view, at, message.end, done, {
              protocol: this.protocol,
              view: writer.view,
              start: 0,
            });
            return true;
          }
          // What is disturbed may be all that can be had.
          if (outcome !== 'interrupted') sink.message(message);
          return false;
        });
        // A change is told of after it was made, which may be after the end of the dump.
        if (guard) this.#receive(object, (message) => notified(message) && false, true);
      } catch (error) {
        // More notifications than there was room for.
        if (!(guard && error instanceof NetlinkError && error.errno === ENOBUFS)) throw error;
        outcome = 'interrupted';
      } finally {
        leave?.();
      }
    });
    // -EINTR in the end marker says the same as the flag.
    if (refusal?.errno === 4) return 'interrupted';
    if (refusal && refusal.errno !== 0) throw new NetlinkError(object, refusal);
    return outcome;
  }

  /** Joins a multicast group. Returns what leaves it again and throws away what is left of it. */
  #join(group: number): () => void {
    setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    return () => {
      setsockopt(this.fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group);
      this.#drain();
    };
  }

  #send(bytes: Uint8Array, length: number): void {
    // A datagram that is larger than the send buffer is refused whole.
    if (length + ENOSPC_SNDBUF_OVERHEAD > this.#sendBuffer) {
      setsockopt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, length + ENOSPC_SNDBUF_OVERHEAD);
      this.#sendBuffer = getsockoptInt(this.fd, SOL_SOCKET, 7);
    }
    send(this.fd, bytes, length, 0);
  }

  /**
   * Hands messages to `take` until it returns true, or, with `untilEmpty`, until there are none left.
   */
  #receive(object: string, take: (message: Message, sequence: number) => boolean, untilEmpty = false): void {
    while (!this.#receiveDatagram(object, take, untilEmpty));
  }

  /** The same with one datagram. @returns whether that was all */
  #receiveDatagram(
    object: string,
    take: (message: Message, sequence: number) => boolean,
    untilEmpty: boolean,
  ): boolean {
    const cursor = this.#cursor;
    const view = this.#view;
    let finished = false;
    let received: number;
    try {
      received = recv(this.fd, this.#buffer, RECEIVE_BYTES, MSG_TRUNC | (untilEmpty ? 0x40 : 0));
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOBUFS) {
        this.#drain();
        throw new NetlinkError(object, {
          errno: ENOBUFS,
          text: 'answers were lost: the receive buffer was full',
        });
      }
      throw error;
    }
    if (received < 0) {
      if (untilEmpty) return true;
      throw new NetlinkError(object, { errno: 110, text: 'the kernel gave no answer' });
    }
    if (received > RECEIVE_BYTES) {
      this.#drain();
      throw new NetlinkError(object, {
        errno: EPROTO,
        text: `answer of ${received} bytes, expected at most ${RECEIVE_BYTES}`,
      });
    }
    let at = 0;
    while (at + NLMSG_HEADER <= received) {
      const length = view.getUint32(at, true);
      if (length < NLMSG_HEADER || at + length > received) {
        this.#drain();
        throw new NetlinkError(object, {
          errno: EPROTO,
          text: `answer with a message of ${length} bytes at ${at} of ${received}`,
        });
      }
      cursor.type = view.getUint16(at + 4, true);
      cursor.flags = view.getUint16(at + 6, true);
      cursor.start = at + NLMSG_HEADER;
      cursor.end = at + length;
      if (cursor.type !== NLMSG_NOOP && cursor.type !== NLMSG_OVERRUN && !finished) {
        finished = take(cursor, view.getUint32(at + 8, true));
      }
      at += (length + 3) & ~3;
    }
    return finished;
  }

  /** Throws away what is queued, so that the next request does not read answers to this one. */
  #drain(): void {
    for (let i = 0; i < 100_000; i++) {
      try {
        if (recv(this.fd, this.#buffer, RECEIVE_BYTES, MSG_TRUNC | 0x40) < 0) return;
      } catch (error) {
        if (!(error instanceof SyscallError && error.errno === ENOBUFS)) throw error;
      }
    }
  }

  #take(): void {
    this.#requireOpen();
    if (this.#busy) throw new Error('netlink socket is in use: a sink must not use the socket that feeds it');
    this.#busy = true;
  }

  #requireOpen(): void {
    if (!this.#open) throw new Error('netlink socket is closed');
  }

  #exclusively(work: () => void): void {
    this.#take();
    try {
      work();
    } catch (error) {
      // A sink that threw leaves answers behind.
      this.#drain();
      throw error;
    } finally {
      this.#busy = false;
    }
  }
}

/** Opens and binds a netlink socket with extended ACKs, strict checking and a receive buffer of `receiveBytes`. */
export function openNetlink(protocol: number, receiveBytes: number): number {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  try {
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    if (protocol === NETLINK_ROUTE) setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receiveBytes);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, 1 << 20);
    // Answers are there when send returns; the timeout turns a kernel that breaks this into an error, not a hang.
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval(10));
    // struct sockaddr_nl: any port for us, the kernel for the other end. Connected, the kernel lets no other process of the
    // namespace send to the socket, which could answer in its stead.
    const anyPort = new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bind(fd, anyPort);
    connect(fd, anyPort);
  } catch (error) {
    close(fd);
    throw error;
  }
  return fd;
}

/** Sets the size of a buffer; without CAP_NET_ADMIN (who only reads needs none) as far as the system's limit allows. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  try {
    setsockopt(fd, SOL_SOCKET, force, bytes);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.code !== 'EPERM') throw error;
    setsockopt(fd, SOL_SOCKET, plain, bytes);
  }
}

/** asm-generic/socket.h. */
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;

/** struct timeval of whole seconds. */
function timeval(seconds: number): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(seconds), 0n]).buffer);
}
