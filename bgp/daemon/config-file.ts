/**
 * The configuration of a running speaker: a file, read at the start and again when somebody asks for it, and where it follows a cluster,
 * the nodes of that.
 */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { ClusterFacts } from '#bgp/cluster/facts.ts';
import { speakerOf } from '#bgp/cluster/speaker-config.ts';
import { loadConfig } from '#bgp/config/load.ts';
import type { ClusterConfig, FileConfig, SpeakerConfig } from '#bgp/config/model.ts';
import { ReloadError, type Reloaded, type Speaker } from '#bgp/speaker.ts';
import { ConfigFileError, readConfigText } from '#daemon/config-file.ts';
import type { Log } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';

/** @throws ConfigError ConfigFileError */
export function readConfigFile(file: string): FileConfig {
  const source = readConfigText(file);
  return loadConfig(source, {
    file,
    readSecret: (path) => readFileSync(path, 'utf8'),
    node: process.env.NODE_NAME,
  });
}

export type ConfigFileOptions = {
  readonly file: string;
  readonly log: Log;
  /** ms since 1970. */
  readonly date: () => number;
  /** Puts into force what is not the speaker's: the level of the log. */
  readonly apply: (config: SpeakerConfig) => void;
  /** What is known of the nodes at the start. */
  readonly facts: ClusterFacts | undefined;
};

export class ConfigFile {
  /** When the configuration in force was read, ms since 1970. */
  loadedAt: number;
  /** What was wrong with it the last time, '' if nothing. */
  error = '';
  /** What is wrong with the nodes, in words. */
  problems: readonly string[] = [];
  readonly #options: ConfigFileOptions;
  #loaded: FileConfig;
  #facts: ClusterFacts | undefined;
  #speaker: Speaker | undefined;

  /** @param loaded what the file said at the start */
  constructor(loaded: FileConfig, options: ConfigFileOptions) {
    this.#loaded = loaded;
    this.#options = options;
    this.#facts = options.facts;
    this.loadedAt = options.date();
  }

  /** What the file says. */
  get loaded(): FileConfig {
    return this.#loaded;
  }

  /** What the speaker is to be; `undefined` as long as that needs a node of which nothing is known. */
  current(): SpeakerConfig | undefined {
    return this.#speakerConfig(this.#loaded, this.#facts);
  }

  /** From here on what changes goes to this speaker, which has been started with `current`. */
  attach(speaker: Speaker): void {
    this.#speaker = speaker;
  }

  /** The nodes are others now. */
  nodesChanged(facts: ClusterFacts): void {
    this.#facts = facts;
    const config = this.current();
    if (config === undefined || this.#speaker === undefined) return;
    const reloaded = this.#speaker.reload(config);
    this.#options.log.info(reloaded, 'the nodes of the cluster have changed');
  }

  /**
   * Reads the file again and puts the difference into force. With a fault in it nothing changes.
   *
   * @throws ConfigError ConfigFileError ReloadError
   */
  reload(): Reloaded {
    const { file, log, date, apply } = this.#options;
    try {
      const loaded = readConfigFile(file);
      checkCluster(this.#loaded.cluster, loaded.cluster);
      const config = this.#speakerConfig(loaded, this.#facts);
      const reloaded = config === undefined ? undefined : this.#speaker?.reload(config);
      this.#loaded = loaded;
      apply(loaded.speaker);
      this.error = '';
      this.loadedAt = date();
      log.info(reloaded ?? {}, 'configuration reloaded');
      return reloaded ?? { added: 0, removed: 0, changed: 0, reset: [] };
    } catch (error) {
      if (!isFault(error)) throw error;
      this.error = error.message;
      for (const line of error.message.split('\n')) log.error(`configuration not reloaded: ${line}`);
      throw error;
    }
  }

  #speakerConfig(loaded: FileConfig, facts: ClusterFacts | undefined): SpeakerConfig | undefined {
    if (loaded.cluster === undefined) return loaded.speaker;
    if (facts === undefined) return undefined;
    const { config, problems } = speakerOf(loaded, facts);
    const before = new Set(this.problems);
    for (const problem of problems)
      if (!before.has(problem)) this.#options.log.warn({ problem }, 'a node is not as expected');
    this.problems = problems;
    return config;
  }
}

/** Parts of `cluster` that are read at the start only. */
const FIXED = ['node', 'datastore', 'stateFolder'] as const;

/** @throws ReloadError */
function checkCluster(before: ClusterConfig | undefined, after: ClusterConfig | undefined): void {
  const fields =
    before === undefined || after === undefined
      ? before === after
        ? []
        : ['cluster']
      : FIXED.filter((field) => !isDeepStrictEqual(before[field], after[field])).map((field) =>
          field === 'datastore' ? field : `cluster.${field}`,
        );
  if (fields.length > 0)
    throw new ReloadError(
      fields,
      'found another value than at the start, expected the same, as a change takes a restart of the speaker',
    );
}

/** Whether it is the configuration that is at fault, and not this program. */
export function isFault(error: unknown): error is ConfigError | ConfigFileError | ReloadError {
  return error instanceof ConfigError || error instanceof ConfigFileError || error instanceof ReloadError;
}
