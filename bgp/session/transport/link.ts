/**
 * One TCP connection as the session sees it: whole messages in, bytes out, and a single word when it is over.
 */

import type { Socket } from 'node:net';
import { NO_BYTES } from '#bgp/wire/bytes.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { encodeNotification, type Fault, type Notification } from '#bgp/wire/notification.ts';
import type { Task, Turns } from './turns.ts';

/** What a link tells. After `finish` or `abort` it tells nothing any more. */
export interface LinkEvents {
  /** The outgoing connection is up. */
  connected(): void;
  /** A whole message; the bytes from `start` to `end` are its body, valid during the call. */
  message(type: number, bytes: Uint8Array, start: number, end: number): void;
  /** A few messages have been handed over; what is to be done once for all of them can be done now. */
  batch(): void;
  /** What came can not be followed any further. Nothing comes after it. */
  fault(fault: Fault): void;
  /** Bytes that waited have been taken by TCP. */
  progress(): void;
  /** There is room again for `write`. */
  writable(): void;
  /** The connection could not be made or is gone; what came before it has been handed over. Once, and nothing after it. */
  lost(error: string): void;
}

export type LinkOptions = {
  readonly turns: Turns;
  /** Links that have something to say yet and are closed then. */
  readonly lingering: Lingering;
  readonly now: () => number;
  /** Calls the function after so many ms, unless the returned one is called before. */
  readonly after: (ms: number, run: () => void) => () => void;
};

/** Connections whose last words are on the way. */
export class Lingering {
  readonly #links = new Set<Link>();
  #resolvers: (() => void)[] = [];

  add(link: Link): void {
    this.#links.add(link);
  }

  delete(link: Link): void {
    this.#links.delete(link);
    if (this.#links.size > 0) return;
    for (const resolve of this.#resolvers) resolve();
    this.#resolvers = [];
  }

  /** Resolves when there is none (any more): at once, or after a few seconds at most. */
  none(): Promise<void> {
    if (this.#links.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#resolvers.push(resolve));
  }
}

/** Bytes received and not yet handed over, from which on the neighbour has to wait, and below which it may go on. */
const INPUT_HIGH = 512 * 1024;
const INPUT_LOW = 128 * 1024;
/** How long to wait for the neighbour to take the last bytes and close its side. */
const LINGER_MS = 2000;

export class Link implements Task {
  readonly #socket: Socket;
  readonly #events: LinkEvents;
  readonly #options: LinkOptions;
  readonly #framer = new Framer();
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  #held = false;
  /** Messages of the chunk in the framer may be left. */
  #inChunk = false;
  #blocked = false;
  #over = false;
  #error: string | undefined;

  constructor(socket: Socket, events: LinkEvents, options: LinkOptions) {
    this.#socket = socket;
    this.#events = events;
    this.#options = options;
    socket.on('connect', () => {
      if (!this.#over) this.#events.connected();
    });
    // As plain bytes: `slice` of a Buffer is no copy, and who reads messages relies on one.
    socket.on('data', (chunk: Buffer) => {
      this.#receive(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    socket.on('drain', () => {
      this.#blocked = false;
      if (!this.#over) this.#events.writable();
    });
    socket.on('end', () => this.#end('connection closed by the neighbour'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(describeSocketError(error)));
    socket.on('close', () => this.#end('connection closed'));
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  /** Bytes that wait for TCP to take them. */
  get queued(): number {
    return this.#socket.writableLength;
  }

  /** TCP takes no more for now; `writable` will come. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Something came in that has not been handed over yet. */
  get hasInput(): boolean {
    return this.#inChunk || this.#chunkBytes > 0 || this.#held || this.#socket.readableLength > 0;
  }

  /** From the next message on, accept up to 65,535 bytes: RFC 8654. */
  allowExtendedMessages(): void {
    this.#framer.allowExtendedMessages();
  }

  /** Sends bytes, which must not change any more. They are taken even while blocked: the caller keeps measure. */
  write(...parts: readonly Uint8Array[]): void {
    if (this.#over || parts.length === 0) return;
    if (parts.length > 1) this.#socket.cork();
    for (const [i, part] of parts.entries()) {
      const last = i === parts.length - 1;
      if (!this.#socket.write(part, last ? this.#written : undefined)) this.#blocked = true;
    }
    if (parts.length > 1) this.#socket.uncork();
  }

  /** Closes after all that was written; what the neighbour still sends is thrown away. */
  finish(): void {
    if (this.#over) return;
    this.#stop();
    // Unread input would make the kernel answer with a reset, which may overtake the NOTIFICATION: so it is read on.
    this.#socket.resume();
    this.#socket.end();
    const cancel = this.#options.after(LINGER_MS, () => this.#socket.destroy());
    const { lingering } = this.#options;
    lingering.add(this);
    this.#socket.once('close', () => {
      cancel();
      lingering.delete(this);
    });
  }

  /** Closes at once. */
  abort(): void {
    this.#stop();
    this.#socket.destroy();
  }

  /** Hands messages over, as the turns allow. */
  run(until: number): boolean {
    let handed = false;
    while (!this.#over) {
      if (!this.#nextMessage()) break;
      const { type, bytes, start, end } = this.#framer;
      handed = true;
      this.#events.message(type, bytes, start, end);
      if (this.#options.now() >= until) break;
    }
    if (handed && !this.#over) this.#events.batch();
    if (this.#over) return false;
    if (this.#framer.fault !== undefined) {
      const { fault } = this.#framer;
      // The stream is lost: whatever else comes means nothing.
      this.#chunks = [];
      this.#chunkBytes = 0;
      this.#inChunk = false;
      this.#events.fault(fault);
      return false;
    }
    if (this.#held && this.#chunkBytes < INPUT_LOW) {
      this.#held = false;
      this.#socket.resume();
    }
    const more = this.#inChunk || this.#chunks.length > 0;
    if (!more && this.#error !== undefined) this.#lose(this.#error);
    return more;
  }

  #nextMessage(): boolean {
    for (;;) {
      if (this.#inChunk && this.#framer.next()) return true;
      this.#inChunk = false;
      if (this.#framer.fault !== undefined) return false;
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return false;
      this.#chunkBytes -= chunk.length;
      this.#framer.push(chunk);
      this.#inChunk = true;
    }
  }

  readonly #written = (error?: Error | null): void => {
    if (!this.#over && !error) this.#events.progress();
  };

  #receive(chunk: Uint8Array): void {
    if (this.#over || this.#framer.fault !== undefined) return;
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#chunkBytes > INPUT_HIGH) {
      this.#held = true;
      this.#socket.pause();
    }
    this.#options.turns.add(this);
  }

  /** The connection is over; said once everything that came before has been handed over. */
  #end(error: string): void {
    if (this.#over || this.#error !== undefined) return;
    this.#error = error;
    this.#held = false;
    this.#options.turns.add(this);
  }

  #lose(error: string): void {
    this.#stop();
    this.#socket.destroy();
    this.#events.lost(error);
  }

  #stop(): void {
    this.#over = true;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#inChunk = false;
    this.#framer.bytes = NO_BYTES;
  }
}

/** Sends the reason, if there is one, and closes a connection that is nobody's. */
export function rejectConnection(socket: Socket, why: Notification | undefined, options: LinkOptions): void {
  const link = new Link(socket, SILENT, options);
  if (why === undefined) {
    link.abort();
  } else {
    link.write(encodeNotification(why));
    link.finish();
  }
}

const nothing = () => {};
const SILENT: LinkEvents = {
  connected: nothing,
  message: nothing,
  batch: nothing,
  fault: nothing,
  progress: nothing,
  writable: nothing,
  lost: nothing,
};

/** What happened to a connection, in words. */
export function describeSocketError(error: NodeJS.ErrnoException): string {
  const words = error.code === undefined ? undefined : ERRORS[error.code];
  return words === undefined ? error.message : `${words} (${error.code})`;
}

const ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the neighbour',
  ECONNABORTED: 'connection aborted',
  EPIPE: 'connection closed by the neighbour',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to the neighbour',
  ENETUNREACH: 'no route to the network of the neighbour',
  EADDRNOTAVAIL: 'the source address is not one of this machine',
  ENODEV: 'no such interface',
  EACCES: 'not permitted',
  EPERM: 'not permitted',
  EMFILE: 'too many open files in this process',
  ENFILE: 'too many open files in this system',
  ENOBUFS: 'no memory for it in the kernel',
  ENOMEM: 'no memory for it in the kernel',
};
