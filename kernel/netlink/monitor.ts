import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { close, eventfd } from '../sys/libc.ts';
import { NLMSG_HEADER } from './constants.ts';
import type { MonitorReport, MonitorSetup } from './monitor-worker.ts';
import { CREDIT_BYTES } from './monitor-worker.ts';
import type { Message } from './socket.ts';
import { openSubscription, type Subscription } from './subscription.ts';

export type { Subscription } from './subscription.ts';

/**
 * Listens to netlink multicast groups and configured sockets. The sockets are read on a worker thread, so that a busy
 * main thread does not overflow them at once; the worker hands over whole datagrams and holds back when the main
 * thread has too much unread (then the kernel's buffer fills, and in the end `onOverflow` is called: memory stays bounded).
 *
 * All subscriptions are in force when `open` returns: what changes after that call is seen.
 */
export class NetlinkMonitor implements Disposable {
  readonly #worker: Worker;
  readonly #stopFd: number;
  readonly #fds: readonly number[];
  readonly #outstanding: Int32Array;
  #closed = false;

  private constructor(
    worker: Worker,
    stopFd: number,
    fds: readonly number[],
    outstanding: Int32Array,
    subscriptions: readonly Subscription[],
    onError: (error: Error) => void,
  ) {
    this.#worker = worker;
    this.#stopFd = stopFd;
    this.#fds = fds;
    this.#outstanding = outstanding;
    worker.on('message', (report: MonitorReport) => {
      if (this.#closed) return;
      const subscription = subscriptions[report.index]!;
      if (report.bytes === undefined) subscription.onOverflow();
      else {
        try {
          eachMessage(report.bytes, subscription.onMessage);
        } finally {
          Atomics.sub(outstanding, 0, report.bytes.length);
          Atomics.notify(outstanding, 0);
        }
      }
    });
    worker.on('error', (error: unknown) =>
      onError(error instanceof Error ? error : new Error(String(error))),
    );
    closeAtExit(this);
    worker.on('exit', () => {
      stillOpen.delete(this);
      if (stillOpen.size === 0) process.off('exit', closeAll);
      for (const fd of fds) close(fd);
      close(stopFd);
    });
  }

  /**
   * @param onError the worker died; nothing more will come. Open a new monitor and read the tables again.
   * @throws SyscallError when a socket cannot be had
   */
  static open(subscriptions: readonly Subscription[], onError: (error: Error) => void): NetlinkMonitor {
    const fds: number[] = [];
    let stopFd = -1;
    try {
      for (const subscription of subscriptions) fds.push(openSubscription(subscription));
      stopFd = eventfd(0, 0o2000000);
      const outstanding = new Int32Array(new SharedArrayBuffer(4));
      const workerData: MonitorSetup = { fds, stopFd, outstanding };
      const worker = new Worker(
        new URL(
          import.meta.url.endsWith('.ts') ? './monitor-worker.ts' : './monitor-worker.js',
          import.meta.url,
        ),
        {
          workerData,
          resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 8 },
        },
      );
      return new NetlinkMonitor(worker, stopFd, fds, outstanding, subscriptions, onError);
    } catch (error) {
      for (const fd of fds) close(fd);
      if (stopFd >= 0) close(stopFd);
      throw error;
    }
  }

  /** Lets the process exit although the monitor is open. */
  unref(): void {
    this.#worker.unref();
  }

  /** Stops listening. No callback is called afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // The worker may be waiting for the kernel or for the main thread: wake it from both.
    fs.writeSync(this.#stopFd, new Uint8Array(new BigUint64Array([1n]).buffer));
    Atomics.store(this.#outstanding, 0, -CREDIT_BYTES);
    Atomics.notify(this.#outstanding, 0);
  }

  /** Resolves when the worker is gone and its sockets are closed. */
  async closed(): Promise<void> {
    this.close();
    if (this.#worker.threadId === -1) return;
    await new Promise((resolve) => this.#worker.once('exit', resolve));
  }

  get sockets(): readonly number[] {
    return this.#fds;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Those whose worker is there. */
const stillOpen = new Set<NetlinkMonitor>();

/**
 * Node waits for the threads of workers before the process ends, also at process.exit() and after an uncaught error, and
 * can not get a thread out of poll(2): each monitor has to wake its own.
 */
function closeAtExit(monitor: NetlinkMonitor): void {
  if (stillOpen.size === 0) process.once('exit', closeAll);
  stillOpen.add(monitor);
}

function closeAll(): void {
  for (const monitor of stillOpen) monitor.close();
}

/** Calls `onMessage` for each message of a datagram; the message is valid during the call. */
export function eachMessage(bytes: Uint8Array, onMessage: (message: Message) => void): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const message = { bytes, view, type: 0, flags: 0, start: 0, end: 0 };
  let at = 0;
  while (at + NLMSG_HEADER <= bytes.length) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HEADER || at + length > bytes.length) return;
    message.type = view.getUint16(at + 4, true);
    message.flags = view.getUint16(at + 6, true);
    message.start = at + NLMSG_HEADER;
    message.end = at + length;
    onMessage(message);
    at += (length + 3) & ~3;
  }
}
