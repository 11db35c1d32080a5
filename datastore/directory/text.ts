/**
 * The text of a file, and by what it can be told that it is another one now.
 */

import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Problem } from '../problem.ts';

/** Largest file that is read once, in bytes: a hundred thousand pods have room in it. */
export const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Largest file of a directory that is followed, in bytes. A list of this size that is one document is read in one go, which
 * takes seconds, and a process that follows a directory has other things to do.
 */
export const MOST_BYTES_FOLLOWED = 8 * 1024 * 1024;

/** The signature of a file that is not there. */
export const GONE = '';

export interface Signature {
  readonly text: string;
  /** When it was last written to, by its own time; in ms since the epoch. */
  readonly written: number;
}

/** Differs whenever the file was written or replaced; follows symbolic links. */
export async function signatureOf(path: string): Promise<Signature> {
  try {
    return signature(await stat(path, { bigint: true }));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { text: GONE, written: Number.POSITIVE_INFINITY };
    throw error;
  }
}

interface FileTimes {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  isFile(): boolean;
}

function signature(stats: FileTimes): Signature {
  // Folders and devices are not manifests, whatever their names.
  if (!stats.isFile()) return { text: GONE, written: Number.POSITIVE_INFINITY };
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return { text: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`, written: Number(mtimeNs / 1_000_000n) };
}

/**
 * The text; `undefined` if a signature is given and the file is not, or after reading no longer, of that signature.
 *
 * @param most bytes that are read
 */
export async function readText(
  path: string,
  expected: string | undefined,
  most: number,
): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const { size } = await file.stat();
    if (size > most) throw new TooLargeError(size, most);
    const bytes = await file.readFile();
    const after = signature(await file.stat({ bigint: true })).text;
    if (expected !== undefined && after !== expected) return undefined;
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } finally {
    await file.close();
  }
}

/** A fault of a whole file or directory. */
export function unreadable(file: string, error: unknown): Problem {
  const { code, message } = error as NodeJS.ErrnoException;
  const place = { file, document: 0, line: 0, column: 0, object: '', path: '' };
  return { severity: 'error', ...place, found: foundOf(code, message), expected: expectedOf(error) };
}

function foundOf(code: string | undefined, message: string): string {
  switch (code) {
    case 'ENOENT':
      return 'nothing';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'bytes that are not UTF-8';
    case TOO_LARGE:
      return message;
    default:
      return `what can not be read (${code ?? message})`;
  }
}

function expectedOf(error: unknown): string {
  return error instanceof TooLargeError
    ? `at most ${error.most} bytes, the rest in other files`
    : 'a readable file of UTF-8 text, or a directory of such files';
}

const TOO_LARGE = 'TOO_LARGE';

/** Thrown for a file that is larger than what is read. */
class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
  readonly code = TOO_LARGE;
  readonly most: number;

  constructor(size: number, most: number) {
    super(`a file of ${size} bytes`);
    this.most = most;
  }
}
