/**
 * The configuration list that tells the container runtime of the plugin. Where felix keeps it, the file is there once pods can come
 * with their policy, and the node becomes ready by that.
 */

import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Log } from '#daemon/log.ts';

export const DEFAULT_CONFLIST = '/etc/cni/net.d/10-margay.conflist';

/** Spec 1.0.0 for runtimes that know no newer one; the others take theirs from the list of versions. */
export const CONFLIST = `${JSON.stringify(
  {
    cniVersion: '1.0.0',
    cniVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    name: 'margay',
    plugins: [
      {
        type: 'margay',
        capabilities: { portMappings: true, bandwidth: true, ips: true, mac: true, dns: true },
      },
    ],
  },
  undefined,
  2,
)}\n`;

/**
 * Puts the file there as a whole, should it not be there as it ought to.
 *
 * @returns whether it was not
 * @throws Node's errors, with `code` and `path`
 */
export function writeConflist(path: string): boolean {
  if (read(path) === CONFLIST) return false;
  fs.mkdirSync(dirname(path), { recursive: true });
  // Runtimes look at names that end in .conf, .conflist or .json.
  const unfinished = `${path}.new`;
  fs.writeFileSync(unfinished, CONFLIST, { mode: 0o644, flush: true });
  fs.renameSync(unfinished, path);
  return true;
}

/** How often it is looked whether pods can come now, and then whether the file is still there, in ms. */
const READY_MS = 200;
const LOOK_MS = 5_000;

/** Keeps the file in its place, from the moment on at which pods can come. */
export class ConflistKeeper {
  /** Why the file is not there, in words; '' if it is, or if it is too early. */
  problem = '';
  readonly #path: string;
  readonly #ready: () => boolean;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, ready: () => boolean, log: Log) {
    this.#path = path;
    this.#ready = ready;
    this.#log = log;
  }

  start(): void {
    let wasReady = false;
    const look = (): void => {
      wasReady ||= this.#ready();
      if (wasReady) this.#keep();
      this.#timer = setTimeout(look, wasReady ? LOOK_MS : READY_MS).unref();
    };
    look();
  }

  /** The file stays: the runtime goes on knowing the plugin, which says itself that felix is away. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #keep(): void {
    try {
      if (writeConflist(this.#path))
        this.#log.info({ file: this.#path }, 'the container runtime is told of the plugin');
      const first = firstConfiguration(dirname(this.#path));
      this.#tell(
        first < basename(this.#path)
          ? `${this.#path}: found ${first} beside it, expected none that comes before it by name: the runtime takes the first`
          : '',
      );
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#tell(`${this.#path} can not be written: ${error.message}`);
    }
  }

  #tell(problem: string): void {
    if (problem !== '' && problem !== this.problem)
      this.#log.error({ problem }, 'the container runtime does not take the plugin');
    this.problem = problem;
  }
}

/** Name of the file that runtimes take; there is at least one. */
function firstConfiguration(folder: string): string {
  return fs
    .readdirSync(folder)
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort()[0]!;
}

function read(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
