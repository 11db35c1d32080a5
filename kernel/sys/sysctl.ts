import fs from 'node:fs';
import type { NetworkNamespace } from './namespace.ts';

/** Thrown when a kernel parameter can not be read or set. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  /** The errno.h name, e.g. `ENOENT` for a parameter that this kernel does not have. */
  readonly code: string;
  readonly key: string;

  constructor(action: string, key: string, cause: unknown) {
    super(`${action} kernel parameter ${key}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    const code = (cause as { code?: unknown } | null)?.code;
    this.code = typeof code === 'string' ? code : 'UNKNOWN';
    this.key = key;
  }
}

/**
 * Reads a kernel parameter, without the line's end. Those under `net` are of `namespace`, or of the thread's own.
 *
 * @param key parts with slashes, as in /proc/sys: an interface's name may have dots (`net/ipv4/conf/eth0.5/rp_filter`)
 * @throws SysctlError
 */
export function readSysctl(key: string, namespace?: NetworkNamespace): string {
  return at('read', key, namespace, (path) => fs.readFileSync(path, 'utf8').trimEnd());
}

/** Sets a kernel parameter. See {@link readSysctl}. @throws SysctlError */
export function writeSysctl(key: string, value: string | number, namespace?: NetworkNamespace): void {
  at('set', key, namespace, (path) => fs.writeFileSync(path, String(value)));
}

/** /proc/sys/net is that of the network namespace of the thread that opens the file. */
function at<T>(
  action: string,
  key: string,
  namespace: NetworkNamespace | undefined,
  work: (path: string) => T,
): T {
  const parts = key.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0')))
    throw new SysctlError(action, key, new Error('expected parts with slashes, such as net/ipv4/ip_forward'));
  const path = `/proc/sys/${key}`;
  try {
    return namespace ? namespace.run(() => work(path)) : work(path);
  } catch (error) {
    throw new SysctlError(action, key, error);
  }
}
