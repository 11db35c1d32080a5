import fs from 'node:fs';
import { close, setns } from './libc.ts';

const CLONE_NEWNET = 0x40000000;

/** Where `ip netns` keeps its named namespaces, and so do we. */
export const NETNS_DIR = '/run/netns';

/** A network namespace held open: it exists at least as long as this does. */
export class NetworkNamespace implements Disposable {
  readonly #fd: number;
  #open = true;
  /** The path it was opened by. */
  readonly path: string;

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  /** Opens the namespace at `path`: `/run/netns/NAME`, `/proc/PID/ns/net`, or a bind mount of one. */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(fs.openSync(path, 'r'), path);
  }

  /** Opens the namespace that `ip netns` calls `name`. */
  static named(name: string): NetworkNamespace {
    return NetworkNamespace.open(`${NETNS_DIR}/${name}`);
  }

  /** Opens the namespace that the calling thread is in. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open('/proc/thread-self/ns/net');
  }

  /**
   * Runs `work` with the calling thread inside this namespace, and comes back out whatever happens. A socket made
   * there stays there. `work` must be synchronous: setns(2) moves the thread, and what else would run on it during
   * an await would run in the wrong namespace; a returned promise is refused.
   */
  run<T>(work: () => T): T {
    if (!this.#open) throw new Error(`network namespace ${this.path} is closed`);
    const home = fs.openSync('/proc/thread-self/ns/net', 'r');
    let result: T;
    try {
      setns(this.#fd, CLONE_NEWNET);
      try {
        result = work();
      } finally {
        setns(home, CLONE_NEWNET);
      }
    } finally {
      close(home);
    }
    if (result instanceof Promise)
      throw new TypeError('NetworkNamespace.run: work must be synchronous, found a promise');
    return result;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    fs.closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
