import os from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Names that `os.constants.errno` leaves out, from asm-generic/errno.h. */
const MORE = {
  ENOTBLK: 15,
  ERESTART: 85,
  EUSERS: 87,
  ESOCKTNOSUPPORT: 94,
  EPFNOSUPPORT: 96,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  EHOSTDOWN: 112,
  EUCLEAN: 117,
  EREMOTEIO: 121,
  ENOMEDIUM: 123,
  EMEDIUMTYPE: 124,
  ENOKEY: 126,
  EKEYEXPIRED: 127,
  EKEYREVOKED: 128,
  EKEYREJECTED: 129,
};

const names = new Map<number, string>();
for (const [name, value] of Object.entries({ ...os.constants.errno, ...MORE })) {
  if (!names.has(value)) names.set(value, name);
}
// Two names for one number: keep the one that Linux documents for sockets.
names.set(11, 'EAGAIN');
names.set(95, 'EOPNOTSUPP');

const systemErrors = getSystemErrorMap();

/** Numbers by name, as in errno.h. */
export const errno = Object.freeze({ ...os.constants.errno, ...MORE });

/** The errno.h name of `value` (positive), or `E<number>` for one that has none. */
export function errnoName(value: number): string {
  return names.get(value) ?? `E${value}`;
}

/** A sentence for `value`, e.g. "file already exists". */
export function errnoText(value: number): string {
  return systemErrors.get(-value)?.[1] ?? 'unknown error';
}

/** Thrown when a system call fails. */
export class SyscallError extends Error {
  override readonly name = 'SyscallError';
  /** The errno.h name, e.g. `EPERM`. */
  readonly code: string;
  readonly errno: number;
  /** The call that failed, e.g. `setns`. */
  readonly syscall: string;

  /** @param subject what the call was about, e.g. a path or an address; empty when there is nothing to say */
  constructor(syscall: string, errnoValue: number, subject = '') {
    const code = errnoName(errnoValue);
    super(`${syscall}${subject ? ` ${subject}` : ''}: ${code}: ${errnoText(errnoValue)}`);
    this.code = code;
    this.errno = errnoValue;
    this.syscall = syscall;
  }
}
