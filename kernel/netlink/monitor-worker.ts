import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { SyscallError } from '../sys/errno.ts';
import { pollReadable, recv } from '../sys/libc.ts';

/*
 * The thread behind NetlinkMonitor: waits for the sockets, packs what has come into one buffer a turn, posts it. It
 * stops reading while the main thread has CREDIT_BYTES unread.
 */

export interface MonitorSetup {
  readonly fds: readonly number[];
  /** An eventfd that becomes readable when the monitor is closed. */
  readonly stopFd: number;
  /** One number: bytes posted and not yet delivered. Negative when the monitor is closed. */
  readonly outstanding: Int32Array;
}

/** `bytes` are whole datagrams of the subscription `index`, back to back; without them notifications were lost. */
export interface MonitorReport {
  readonly index: number;
  readonly bytes?: Uint8Array;
}

/** Unread bytes at which the worker stops reading. */
export const CREDIT_BYTES = 8 << 20;

/**
 * A worker that is terminated, as one is whose parent is a worker that ends, gets no farther than the end of a system
 * call: so none lasts for ever.
 */
const POLL_MS = 1000;
const ENOBUFS = 105;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const ROOM = 1 << 18;
const DATAGRAM = 1 << 16;

if (!isMainThread && parentPort && isSetup(workerData)) listen(workerData);

function isSetup(data: unknown): data is MonitorSetup {
  return typeof data === 'object' && data !== null && 'stopFd' in data && 'outstanding' in data;
}

function listen(setup: MonitorSetup): void {
  const { fds, stopFd, outstanding } = setup;
  const buffer = new Uint8Array(ROOM);
  const watched = [...fds, stopFd];
  for (;;) {
    for (;;) {
      const unread = Atomics.load(outstanding, 0);
      if (unread < 0) return;
      if (unread < CREDIT_BYTES) break;
      Atomics.wait(outstanding, 0, unread, 1000);
    }
    const readable = pollReadable(watched, POLL_MS);
    if (readable[fds.length]) return;
    for (let index = 0; index < fds.length; index++) {
      if (readable[index]) readOne(fds[index]!, index, buffer, outstanding);
    }
  }
}

/** Reads what one socket has, up to the buffer's room. */
function readOne(fd: number, index: number, buffer: Uint8Array, outstanding: Int32Array): void {
  let length = 0;
  let lost = false;
  while (length + DATAGRAM <= buffer.length) {
    let received: number;
    try {
      received = recv(fd, buffer.subarray(length), DATAGRAM, MSG_DONTWAIT | MSG_TRUNC);
    } catch (error) {
      if (!(error instanceof SyscallError && error.errno === ENOBUFS)) throw error;
      lost = true;
      continue;
    }
    if (received < 0) break;
    if (received > DATAGRAM) lost = true;
    else length += (received + 3) & ~3;
  }
  if (length > 0) {
    const bytes = buffer.slice(0, length);
    Atomics.add(outstanding, 0, length);
    parentPort!.postMessage({ index, bytes } satisfies MonitorReport, [bytes.buffer]);
  }
  // After what came before the loss, so that the reader's tables are read again last.
  if (lost) parentPort!.postMessage({ index } satisfies MonitorReport);
}
