import koffi from 'koffi';
import { NETLINK_ROUTE } from '#kernel/netlink/constants.ts';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { close, recv, send } from '#kernel/sys/libc.ts';

const socketpair = koffi
  .load('libc.so.6')
  .func('int socketpair(int domain, int type, int protocol, void *fds)');

/** Where a test plays the kernel: a NetlinkSocket whose answers are whatever the test has put there before. */
export class FakeKernel implements Disposable {
  readonly socket: NetlinkSocket;
  readonly #fd: number;

  constructor() {
    const fds = new Int32Array(2);
    if (socketpair(1, 2, 0, fds) !== 0) throw new Error('socketpair failed'); // AF_UNIX, SOCK_DGRAM
    this.socket = NetlinkSocket.adopt(fds[0]!, NETLINK_ROUTE);
    this.#fd = fds[1]!;
  }

  /** Puts a datagram of messages where the socket's next read finds it. */
  answer(...messages: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(messages);
    send(this.#fd, bytes, bytes.length, 0);
  }

  /** Requests that came, as bytes. */
  requests(): Uint8Array[] {
    const found: Uint8Array[] = [];
    const buffer = new Uint8Array(1 << 16);
    for (;;) {
      const length = recv(this.#fd, buffer, buffer.length, 0x40);
      if (length < 0) return found;
      found.push(buffer.slice(0, length));
    }
  }

  [Symbol.dispose](): void {
    this.socket.close();
    close(this.#fd);
  }
}

/** A netlink message: struct nlmsghdr and `payload`, padded. */
export function message(type: number, flags: number, sequence: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + ((payload.length + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(payload, 16);
  return bytes;
}
