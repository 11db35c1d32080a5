import fs from 'node:fs';
import { SyscallError } from './errno.ts';
import { flock, mount, umount } from './libc.ts';
import { NamespaceError, NETNS_DIR, NetworkNamespace } from './namespace.ts';

/*
 * Named network namespaces, as ip-netns(8) keeps them: a file of the name in /run/netns, on which the namespace is
 * bind-mounted. /run/netns is a shared mount of its own, so that names made or removed in one mount namespace are so in
 * those that were split off before (`ip netns exec` splits one off each time).
 */

/**
 * Makes the namespace `name`, for us and for `ip netns`, and opens it. Its `lo` is down.
 *
 * @throws NamespaceError with EEXIST when there is one of this name
 */
export function createNamespace(name: string): NetworkNamespace {
  const path = pathOf('make', name);
  try {
    shareFolder();
    fs.closeSync(fs.openSync(path, 'wx', 0o444));
  } catch (error) {
    throw new NamespaceError('make', name, codeOf(error), error);
  }
  let made: NetworkNamespace | undefined;
  try {
    made = NetworkNamespace.anonymous();
    mount(`/proc/thread-self/fd/${made.fd}`, path, 'none', MS_BIND);
    return NetworkNamespace.open(path);
  } catch (error) {
    removeFile(path);
    throw new NamespaceError('make', name, codeOf(error), error);
  } finally {
    made?.close();
  }
}

/**
 * Takes the name from the namespace `name`. The namespace itself goes when the last process and descriptor in it do.
 *
 * @returns false when there is no such name
 * @throws NamespaceError
 */
export function removeNamespace(name: string): boolean {
  const path = pathOf('remove', name);
  try {
    return removeFile(path);
  } catch (error) {
    throw new NamespaceError('remove', name, codeOf(error), error);
  }
}

/** Names of the namespaces that `ip netns list` shows, sorted. */
export function namespaceNames(): string[] {
  try {
    return fs.readdirSync(NETNS_DIR).sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new NamespaceError('list', NETNS_DIR, codeOf(error), error);
  }
}

const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 1 << 20;
const MNT_DETACH = 2;
const LOCK_EX = 2;

/**
 * Makes /run/netns a shared mount, under the lock that `ip netns add` takes for this: two at once would each put a
 * mount of their own over it, and names made in between would be hidden.
 */
function shareFolder(): void {
  fs.mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  const folder = fs.openSync(NETNS_DIR, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    flock(folder, LOCK_EX);
    try {
      mount('', NETNS_DIR, 'none', MS_SHARED | MS_REC);
    } catch (error) {
      // EINVAL: it is a plain folder so far.
      if (codeOf(error) !== 'EINVAL') throw error;
      mount(NETNS_DIR, NETNS_DIR, 'none', MS_BIND | MS_REC);
      mount('', NETNS_DIR, 'none', MS_SHARED | MS_REC);
    }
  } finally {
    fs.closeSync(folder);
  }
}

function removeFile(path: string): boolean {
  try {
    umount(path, MNT_DETACH);
  } catch (error) {
    // EINVAL: nothing is mounted there, e.g. because its maker was killed half-way.
    if (!(error instanceof SyscallError && (error.code === 'EINVAL' || error.code === 'ENOENT'))) throw error;
  }
  try {
    fs.unlinkSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function pathOf(action: string, name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
    throw new NamespaceError(action, JSON.stringify(name), 'EINVAL', new Error('the name can not be a file'));
  return `${NETNS_DIR}/${name}`;
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
