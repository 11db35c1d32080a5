/**
 * The daemon: `margay felix --config FILE`. Wires the parts by hand and runs until it is told to stop.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ConfigFileError } from '#daemon/config-file.ts';
import { type DaemonLog, openLog } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';
import { readVersion } from '#daemon/version.ts';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { ipamService } from '#proto/ipam.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { clientTls, readTls } from '#proto/tls.ts';
import { listenForCni } from './cni/listen.ts';
import type { CniServer } from './cni/server.ts';
import { readConfig } from './config/load.ts';
import type { FelixConfig } from './config/model.ts';
import { NftablesDataplane } from './dataplane/dataplane.ts';
import { PodNetwork } from './endpoints/pod-network.ts';
import { felixHandlers } from './handlers.ts';
import { prepareHost } from './host/prepare.ts';
import { ipamHandlers } from './ipam-handlers.ts';
import { PolicyReceiver, type PolicySource } from './policy/receiver.ts';
import { StateLock } from './state/lock.ts';

export interface RunOptions {
  /** The configuration file. */
  readonly config: string;
  /** Ends the agent. The ruleset stays in force. */
  readonly signal: AbortSignal;
}

/** Thrown when the agent can not start, for a reason that the operator can put right. */
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

/**
 * Runs an agent until the signal. SIGHUP has the configuration read again.
 *
 * @throws ConfigError, ConfigFileError for the configuration, StartError for what it needs of the system
 */
export async function runFelix({ config: file, signal }: RunOptions): Promise<void> {
  const startedAt = Date.now();
  const surroundings = { node: process.env.NODE_NAME };
  const config = readConfig(file, surroundings);
  const log = openLog('felix', config.log.level);
  const lock = lockState(config);
  const dataplane = openDataplane(config, log);
  const receiver = new PolicyReceiver({
    source: policySource(config),
    node: config.node,
    programs: dataplane.programs,
    log,
  });
  // Before the first policies come: what is in the kernel for these pods is not to be taken for a leftover.
  const pods = openPods(config, dataplane, log, () => receiver.fault);
  const server = new RpcServer({
    onFault: (method, error) => log.error({ method, error: describe(error) }, 'a request failed'),
  });
  server.add(
    felixService,
    felixHandlers({
      version: readVersion(),
      startedAt,
      node: config.node,
      policyAddress: config.policy.address,
      memory: () => process.memoryUsage.rss(),
      dataplane,
      receiver,
    }),
  );
  server.add(ipamService, ipamHandlers(pods));
  let cni: CniServer | undefined;
  const reload = (): void => reloadConfig(file, surroundings, config, log);
  process.on('SIGHUP', reload);
  try {
    await listen(server, config.api.socket);
    cni = await serveCni(config, pods, log);
    log.info(
      { node: config.node, socket: config.api.socket, policy: config.policy.address },
      'node agent started',
    );
    await receiver.run(signal);
    log.info('node agent stops; the ruleset stays');
  } finally {
    process.off('SIGHUP', reload);
    await cni?.stop();
    await pods?.close();
    dataplane.close();
    await server.stop();
    lock?.release();
  }
}

/** Before anything is touched: a second agent would take pods that the first one is about to make for leftovers. */
function lockState({ pods }: FelixConfig): StateLock | undefined {
  if (pods === undefined) return undefined;
  try {
    return StateLock.take(pods.stateFolder);
  } catch (error) {
    throw new StartError('state of pods', error);
  }
}

function openDataplane(config: FelixConfig, log: DaemonLog): NftablesDataplane {
  try {
    const dataplane = new NftablesDataplane({ settings: config.dataplane, log });
    dataplane.start();
    return dataplane;
  } catch (error) {
    throw new StartError('nf_tables', error);
  }
}

function openPods(
  { pods }: FelixConfig,
  dataplane: NftablesDataplane,
  log: DaemonLog,
  engineFault: () => string | undefined,
): PodNetwork | undefined {
  if (pods === undefined) return undefined;
  try {
    prepareHost(pods, log);
    const network = PodNetwork.open({ settings: pods, dataplane, log, engineFault });
    log.info(network.taken, 'pods of this node taken over');
    return network;
  } catch (error) {
    dataplane.close();
    throw new StartError('pods', error);
  }
}

async function serveCni(
  { pods: settings }: FelixConfig,
  pods: PodNetwork | undefined,
  log: DaemonLog,
): Promise<CniServer | undefined> {
  if (settings === undefined || pods === undefined) return undefined;
  try {
    return await listenForCni(settings.cniSocket, pods, log);
  } catch (error) {
    throw new StartError('CNI socket', error);
  }
}

/** A connection of its own for each attempt: certificates are read anew, and nothing is left of one that broke. */
function policySource({ policy: { address, tls } }: FelixConfig): PolicySource {
  return {
    async *watch(request, options) {
      const engine = connect(policyService, address, tls && clientTls(readTls(tls)));
      try {
        yield* engine.watch(request, options);
      } finally {
        engine.close();
      }
    },
  };
}

async function listen(server: RpcServer, socket: string): Promise<void> {
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
    await server.listenUnix(socket);
  } catch (error) {
    throw new StartError(`API socket ${socket}`, error);
  }
}

/** Only the level of the log can change while the agent runs. */
function reloadConfig(
  file: string,
  surroundings: { readonly node: string | undefined },
  running: FelixConfig,
  log: DaemonLog,
): void {
  try {
    const config = readConfig(file, surroundings);
    log.level = config.log.level;
    const parts = (['node', 'policy', 'api', 'dataplane', 'pods'] as const).filter(
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
