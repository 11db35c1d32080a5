/**
 * The configuration file of a running speaker: read at the start, and again when somebody asks for it.
 */

import { readFileSync } from 'node:fs';
import { loadConfig } from '#bgp/config/load.ts';
import type { SpeakerConfig } from '#bgp/config/model.ts';
import { ReloadError, type Reloaded, type Speaker } from '#bgp/speaker.ts';
import { ConfigFileError, readConfigText } from '#daemon/config-file.ts';
import type { Log } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';

/** @throws ConfigError ConfigFileError */
export function readConfigFile(file: string): SpeakerConfig {
  const source = readConfigText(file);
  return loadConfig(source, { file, readSecret: (path) => readFileSync(path, 'utf8') });
}

export class ConfigFile {
  /** When the configuration in force was read, ms since 1970. */
  loadedAt: number;
  /** What was wrong with it the last time, '' if nothing. */
  error = '';
  readonly #file: string;
  readonly #speaker: Speaker;
  readonly #log: Log;
  readonly #date: () => number;
  readonly #apply: (config: SpeakerConfig) => void;

  /** @param apply puts into force what is not the speaker's: the level of the log */
  constructor(
    file: string,
    speaker: Speaker,
    log: Log,
    date: () => number,
    apply: (config: SpeakerConfig) => void,
  ) {
    this.#file = file;
    this.#speaker = speaker;
    this.#log = log;
    this.#date = date;
    this.#apply = apply;
    this.loadedAt = date();
  }

  /**
   * Reads the file again and puts the difference into force. With a fault in it nothing changes.
   *
   * @throws ConfigError ConfigFileError ReloadError
   */
  reload(): Reloaded {
    try {
      const config = readConfigFile(this.#file);
      const reloaded = this.#speaker.reload(config);
      this.#apply(config);
      this.error = '';
      this.loadedAt = this.#date();
      this.#log.info(reloaded, 'configuration reloaded');
      return reloaded;
    } catch (error) {
      if (!isFault(error)) throw error;
      this.error = error.message;
      for (const line of error.message.split('\n')) this.#log.error(`configuration not reloaded: ${line}`);
      throw error;
    }
  }
}

/** Whether it is the configuration that is at fault, and not this program. */
export function isFault(error: unknown): error is ConfigError | ConfigFileError | ReloadError {
  return error instanceof ConfigError || error instanceof ConfigFileError || error instanceof ReloadError;
}
