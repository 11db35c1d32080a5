import { readFileSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';

/** Thrown when the file can not be read. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError';
  readonly code = 'CONFIG_UNREADABLE';
  readonly file: string;

  constructor(file: string, cause: unknown) {
    super(`${file}: ${reasonOf(cause)}, expected a configuration file of YAML`, { cause });
    this.file = file;
  }
}

/** The text of a configuration file. @throws ConfigFileError */
export function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigFileError(file, error);
  }
}

/** What the system says, without the name of the call. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { errno } = cause as NodeJS.ErrnoException;
  return errno === undefined ? cause.message : getSystemErrorMessage(errno);
}
