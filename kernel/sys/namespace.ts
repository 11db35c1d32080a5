import fs from 'node:fs';
import { SyscallError } from './errno.ts';
import { abort, close, ioctl, setns, unshare } from './libc.ts';

/** Where `ip netns` keeps its named namespaces, and so do we. */
export const NETNS_DIR = '/run/netns';

/** Thrown when a network namespace can not be opened, made, removed or entered. */
export class NamespaceError extends Error {
  override readonly name = 'NamespaceError';
  /** The errno.h name of what went wrong, e.g. `ENOENT`; `ENOTNS` for a file that is no network namespace. */
  readonly code: string;
  /** The namespace's name or path. */
  readonly namespace: string;

  constructor(action: string, namespace: string, code: string, cause?: unknown) {
    const why = cause instanceof Error ? cause.message : code;
    super(`${action} network namespace ${namespace}: ${why}`, { cause });
    this.code = code;
    this.namespace = namespace;
  }
}

/**
 * A network namespace held open: it exists at least as long as this does, whether it has a name or not.
 *
 * setns(2) moves the calling thread and no other: worker threads are each in a namespace of their own. Threads that are
 * started while one is inside begin there: a `new Worker` made in `run` lives in that namespace.
 */
export class NetworkNamespace implements Disposable {
  readonly #fd: number;
  #open = true;
  /** The path it was opened by, or for one that has none, words for it. */
  readonly path: string;

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  /**
   * Opens the namespace at `path`: `/run/netns/NAME`, `/proc/PID/ns/net`, or a bind mount of one.
   *
   * @throws NamespaceError
   */
  static open(path: string): NetworkNamespace {
    let fd: number;
    try {
      // Should somebody give a pipe as the path, nobody waits for who writes into it.
      fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    } catch (error) {
      throw new NamespaceError('open', path, codeOf(error), error);
    }
    try {
      if (ioctl(fd, NS_GET_NSTYPE) === CLONE_NEWNET) return new NetworkNamespace(fd, path);
    } catch (error) {
      // ENOTTY: another kind of file, e.g. a name whose namespace is not mounted on it (yet).
      if (!(error instanceof SyscallError)) throw error;
    }
    fs.closeSync(fd);
    throw new NamespaceError('open', path, 'ENOTNS', new Error('the file is not a network namespace'));
  }

  /** Opens the namespace that `ip netns` calls `name`. */
  static named(name: string): NetworkNamespace {
    return NetworkNamespace.open(`${NETNS_DIR}/${name}`);
  }

  /** Opens the namespace that the process `pid` (its main thread) is in. */
  static ofProcess(pid: number): NetworkNamespace {
    return NetworkNamespace.open(`/proc/${pid}/ns/net`);
  }

  /** Opens the namespace that the calling thread is in. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open(THREAD_NAMESPACE);
  }

  /** Makes a namespace that has no name: it goes when this, and all that is inside, is closed. Its `lo` is down. */
  static anonymous(): NetworkNamespace {
    return away('make', 'without a name', () => {
      unshare(CLONE_NEWNET);
      return new NetworkNamespace(fs.openSync(THREAD_NAMESPACE, 'r'), 'without a name');
    });
  }

  /** A descriptor of it, for messages that name a namespace so (IFLA_NET_NS_FD). It is closed with this. */
  get fd(): number {
    if (!this.#open) throw new Error(`network namespace ${this.path} is closed`);
    return this.#fd;
  }

  /** Tells namespaces apart: equal for two that are the same (the inode on nsfs), as `net:[4026531840]` has it. */
  get inode(): number {
    return fs.fstatSync(this.fd).ino;
  }

  /**
   * Runs `work` with the calling thread inside this namespace, and comes back out whatever happens. A socket made
   * there stays there. `work` must be synchronous: setns(2) moves the thread, and what else would run on it during
   * an await would run in the wrong namespace; a returned promise is refused.
   *
   * Should the thread not get back, the process ends with SIGABRT and a line on standard error: going on in the wrong
   * namespace would put routes and rules where they do harm.
   *
   * @throws NamespaceError when the namespace can not be entered
   */
  run<T>(work: () => T): T {
    const fd = this.fd;
    const result = away('enter', this.path, () => {
      try {
        setns(fd, CLONE_NEWNET);
      } catch (error) {
        throw new NamespaceError('enter', this.path, codeOf(error), error);
      }
      return work();
    });
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function')
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

const CLONE_NEWNET = 0x40000000;
/** _IO(0xb7, 3), linux/nsfs.h */
const NS_GET_NSTYPE = 0xb703;
/** Not /proc/self, which is the main thread's also when a worker looks. */
const THREAD_NAMESPACE = '/proc/thread-self/ns/net';

let poolStarted = false;

/** Runs `work`, which may move the thread to another network namespace, and takes the thread back. */
function away<T>(action: string, namespace: string, work: () => T): T {
  startThreadPool();
  let home: number;
  try {
    home = fs.openSync(THREAD_NAMESPACE, 'r');
  } catch (error) {
    throw new NamespaceError(action, namespace, codeOf(error), error);
  }
  try {
    return work();
  } finally {
    try {
      setns(home, CLONE_NEWNET);
    } catch (error) {
      // Who may not leave home has not left it.
      if (!isHome(home)) {
        try {
          fs.writeSync(2, `margay: this thread can not leave network namespace ${namespace}: ${error}\n`);
        } finally {
          // Also when nobody reads standard error any more.
          abort();
        }
      }
    }
    close(home);
  }
}

function isHome(home: number): boolean {
  try {
    return fs.statSync(THREAD_NAMESPACE).ino === fs.fstatSync(home).ino;
  } catch {
    return false;
  }
}

/**
 * libuv starts its pool when it is first used, by whichever thread that is, and its threads begin in that thread's
 * namespace and stay there: name look-ups would ask the wrong network for ever. So it is started before we leave home.
 */
function startThreadPool(): void {
  if (poolStarted) return;
  poolStarted = true;
  fs.stat('/', () => {});
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
