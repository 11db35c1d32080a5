/**
 * The daemon: `margay policy --datastore DIR`, `--kubeconfig FILE` or `--config FILE`. Wires the parts by hand and runs until it is told to
 * stop.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ConfigFileError } from '#daemon/config-file.ts';
import { type DaemonLog, openLog } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';
import { readVersion } from '#daemon/version.ts';
import { openSource } from '#datastore/open.ts';
import type { Kind } from '#datastore/resource.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { Certificates } from './daemon/certificates.ts';
import { type Flags, type ListenConfig, type PolicyConfig, readConfig } from './daemon/config.ts';
import { Engine } from './daemon/engine.ts';
import { localHandlers, remoteHandlers } from './daemon/handlers.ts';

export interface RunOptions {
  readonly flags: Flags;
  /** Ends the engine. Nodes keep what they have. */
  readonly signal: AbortSignal;
}

/** Thrown when the engine can not start, for a reason that the operator can put right. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly code = 'START_FAILED';

  constructor(what: string, cause: unknown) {
    super(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Whether it is for the operator to put right. Its message has a line for each thing that is wrong. */
export function isOperatorFault(error: unknown): error is Error {
  return error instanceof StartError || error instanceof ConfigError || error instanceof ConfigFileError;
}

/** What policies are about: no other objects are asked for, and no other permissions needed. */
const KINDS: readonly Kind[] = ['Node', 'Namespace', 'Pod', 'NetworkPolicy'];

/** How often the files of certificates are looked at, in ms. */
const LOOK_MS = 2_000;

/**
 * Runs an engine until the signal. SIGHUP has the configuration and the certificates read again.
 *
 * @throws ConfigError ConfigFileError for the configuration, StartError for what it needs of the system
 */
export async function runPolicy({ flags, signal }: RunOptions): Promise<void> {
  const startedAt = Date.now();
  const config = readConfig(flags);
  const log = openLog('policy', config.log.level);
  const { source, description, kinds } = await openSource(config.datastore, { kinds: KINDS });
  const engine = new Engine({ source, log, date: Date.now });
  const certificates = config.listen && openCertificates(config.listen, log);
  const servers: RpcServer[] = [];
  const newServer = (): RpcServer => {
    const server = new RpcServer({
      onFault: (method, error) => log.error({ method, error: describe(error) }, 'a request failed'),
    });
    servers.push(server);
    return server;
  };
  const stop = new AbortController();
  const onStop = () => stop.abort(signal.reason);
  signal.addEventListener('abort', onStop);
  if (signal.aborted) onStop();
  const reload = (): void => {
    certificates?.look();
    reloadConfig(flags, config, log);
  };
  const looking = setInterval(() => certificates?.look(), LOOK_MS);
  process.on('SIGHUP', reload);
  try {
    let address = '';
    const local = localHandlers({
      engine,
      version: readVersion(),
      source: description,
      kinds,
      startedAt,
      memory: () => process.memoryUsage.rss(),
      listener: () =>
        certificates && {
          address,
          certificateEndsAt: certificates.endsAt / 1_000,
          error: certificates.error,
        },
    });
    await listenUnix(newServer().add(policyService, local), config.api.socket);
    if (config.listen !== undefined && certificates !== undefined) {
      address = await listenTcp(
        newServer().add(policyService, remoteHandlers(engine)),
        config.listen,
        certificates,
      );
    }
    log.info({ socket: config.api.socket, listen: address, datastore: description }, 'policy engine started');
    await engine.run(stop.signal);
    log.info('policy engine stops');
  } catch (error) {
    if (!isOperatorFault(error))
      log.error({ error: describe(error) }, 'the engine failed and ends; nodes keep what they have');
    throw error;
  } finally {
    process.off('SIGHUP', reload);
    clearInterval(looking);
    signal.removeEventListener('abort', onStop);
    stop.abort();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function openCertificates({ tls }: ListenConfig, log: DaemonLog): Certificates {
  try {
    return new Certificates(tls, log, Date.now);
  } catch (error) {
    throw new StartError('listen.tls', error);
  }
}

async function listenUnix(server: RpcServer, socket: string): Promise<void> {
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
    await server.listenUnix(socket);
  } catch (error) {
    throw new StartError(`API socket ${socket}`, error);
  }
}

/** @returns where it listens, with the port that it was given if it asked for any */
async function listenTcp(
  server: RpcServer,
  { address }: ListenConfig,
  { listener }: Certificates,
): Promise<string> {
  try {
    const port = await server.listenTcp(address, listener);
    return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
  } catch (error) {
    throw new StartError('listen.address', error);
  }
}

/** Only the level of the log can change while the engine runs. */
function reloadConfig(flags: Flags, running: PolicyConfig, log: DaemonLog): void {
  try {
    const config = readConfig(flags);
    log.level = config.log.level;
    const parts = (['datastore', 'api', 'listen'] as const).filter(
      (part) => !isDeepStrictEqual(config[part], running[part]),
    );
    if (parts.length > 0) log.warn({ parts }, 'configuration read; these parts change with a restart only');
    else log.info('configuration read');
  } catch (error) {
    if (!isOperatorFault(error)) throw error;
    for (const line of error.message.split('\n')) log.error(`configuration not reloaded: ${line}`);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
