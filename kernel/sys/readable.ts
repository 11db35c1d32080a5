import koffi from 'koffi';

/**
 * Calls `onReadable` from the event loop of the calling thread (the main one or a worker's) whenever there is something
 * to read on `fd`, an error or hang-up included. It must read, or take the watch off: it is called again as long as
 * something is there. Works for any descriptor that poll(2) works for, also those that Node itself can not adopt:
 * netlink, UDP with control messages, eventfd, raw sockets.
 *
 * One watch a descriptor. Dispose it before the descriptor is closed. It keeps the process alive, unless `unref`.
 */
export function watchReadable(fd: number, onReadable: () => void): Watch {
  // libuv's uv_poll; koffi carries it but does not yet describe it, so it is used here and nowhere else.
  const handle = koffi.node.poll(fd, { readable: true, disconnect: true }, onReadable);
  let open = true;
  const dispose = (): void => {
    if (!open) return;
    open = false;
    handle.stop();
    handle.close();
  };
  return {
    unref: () => {
      if (open) handle.unref();
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** A descriptor being watched. */
export interface Watch extends Disposable {
  /** Lets the process exit although this is there. */
  unref(): void;
  /** Ends it. No call comes afterwards. */
  dispose(): void;
}
