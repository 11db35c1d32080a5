import { readFileSync } from 'node:fs';

/** Thrown when the file can not be read. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError';
  readonly code = 'CONFIG_UNREADABLE';
  readonly file: string;

  constructor(file: string, cause: unknown) {
    super(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
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
