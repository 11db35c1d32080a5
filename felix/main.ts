/**
 * The daemon: `margay felix --config FILE`. Wires the parts by hand and runs until it is told to stop.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ConfigFileError } from '#daemon/config-file.ts';
import type { DatastoreSettings } from '#daemon/datastore-section.ts';
import { type DaemonLog, openLog } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';
import { readVersion } from '#daemon/version.ts';
import { type AddressPrefix, formatPrefix } from '#datastore/address.ts';
import { openSource } from '#datastore/open.ts';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { ipamService } from '#proto/ipam.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { clientTls, readTls } from '#proto/tls.ts';
import { ConflistKeeper } from './cni/conflist.ts';
import { LateWiring } from './cni/late-wiring.ts';
import { listenForCni } from './cni/listen.ts';
import type { CniServer } from './cni/server.ts';
import { readConfig } from './config/load.ts';
import type { FelixConfig, PodSettings } from './config/model.ts';
import { NftablesDataplane } from './dataplane/dataplane.ts';
import { PodNetwork } from './endpoints/pod-network.ts';
import { felixHandlers, type PodsStatus } from './handlers.ts';
import { prepareHost } from './host/prepare.ts';
import { NodeCidrs } from './ipam/node-cidrs.ts';
import { ipamHandlers } from './ipam-handlers.ts';
import { PolicyReceiver, type PolicySource } from './policy/receiver.ts';
import { systemFiles } from './state/files.ts';
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
  const pods = config.pods && (await preparePods(config, config.pods, log));
  /** Wires pods from now on, unless that is done already. */
  const openWith = (cidrs: readonly AddressPrefix[]): void => {
    if (pods === undefined) return;
    if (pods.wiring.network === undefined)
      pods.wiring.network = openPods(pods.settings, cidrs, dataplane, log, () => receiver.fault);
    else {
      const found = cidrs.map(formatPrefix);
      log.warn(
        { podCidrs: found },
        'the node has other pod CIDRs now; pods that are there keep their addresses',
      );
      prepareHost({ podCidrs: cidrs }, log);
      pods.wiring.network.setPodCidrs(cidrs);
    }
  };
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
      pods: () => podsStatus(pods),
    }),
  );
  server.add(
    ipamService,
    ipamHandlers(
      pods && (() => ({ network: pods.wiring.network, waitsFor: pods.nodeCidrs?.waitsFor ?? '' })),
    ),
  );
  let cni: CniServer | undefined;
  const reload = (): void => reloadConfig(file, surroundings, config, log);
  process.on('SIGHUP', reload);
  const stop = new AbortController();
  const onStop = (): void => stop.abort(signal.reason);
  signal.addEventListener('abort', onStop);
  if (signal.aborted) onStop();
  try {
    // Before the first policies come: what is in the kernel for these pods is not to be taken for a leftover.
    const known = pods?.settings.podCidrs ?? pods?.nodeCidrs?.current;
    if (known !== undefined) openWith(known);
    await listen(server, config.api.socket);
    cni = pods && (await serveCni(pods, log));
    pods?.keeper?.start();
    log.info(
      { node: config.node, socket: config.api.socket, policy: config.policy.address },
      'node agent started',
    );
    const opened = Promise.withResolvers<void>();
    if (pods === undefined || known !== undefined) opened.resolve();
    else log.info({ waitsFor: pods.nodeCidrs?.waitsFor }, 'pods can not come yet');
    const followed = pods?.nodeCidrs?.run(stop.signal, (cidrs) => {
      openWith(cidrs);
      opened.resolve();
    });
    const received = untilAborted(opened.promise, stop.signal).then(() => receiver.run(stop.signal));
    await Promise.race([received, ...(followed === undefined ? [] : [followed])]);
    stop.abort();
    await Promise.all([received, followed]);
    log.info('node agent stops; the ruleset stays');
  } finally {
    stop.abort();
    signal.removeEventListener('abort', onStop);
    process.off('SIGHUP', reload);
    pods?.keeper?.stop();
    await cni?.stop();
    await pods?.wiring.network?.close();
    dataplane.close();
    await server.stop();
    lock?.release();
  }
}

/** What there is of pods before it is known which addresses they get. */
interface Pods {
  readonly settings: PodSettings;
  readonly wiring: LateWiring;
  /** Where the pod CIDRs come from the Node object. */
  readonly nodeCidrs: NodeCidrs | undefined;
  readonly keeper: ConflistKeeper | undefined;
}

async function preparePods(config: FelixConfig, settings: PodSettings, log: DaemonLog): Promise<Pods> {
  const nodeCidrs = config.datastore && (await openNodeCidrs(config, settings, config.datastore, log));
  const wiring = new LateWiring(() => nodeCidrs?.waitsFor ?? 'felix is starting');
  const { cniConfig } = settings;
  // With what the runtime is then told, the first pod is not refused.
  const ready = (): boolean => wiring.noNewPods === undefined;
  return {
    settings,
    wiring,
    nodeCidrs,
    keeper: cniConfig === undefined ? undefined : new ConflistKeeper(cniConfig, ready, log),
  };
}

async function openNodeCidrs(
  { node }: FelixConfig,
  { stateFolder }: PodSettings,
  datastore: DatastoreSettings,
  log: DaemonLog,
): Promise<NodeCidrs> {
  // The node may read its own object, and needs no other.
  const fieldSelectors = { Node: `metadata.name=${node}` };
  const { source, description } = await openSource(datastore, { kinds: ['Node'], fieldSelectors });
  const cidrs = new NodeCidrs({ node, source, datastore: description, stateFolder, files: systemFiles, log });
  cidrs.load();
  return cidrs;
}

function podsStatus(pods: Pods | undefined): PodsStatus {
  if (pods === undefined) return { cidrs: [], waitsFor: '', problems: [], foreign: [] };
  const { wiring, nodeCidrs, keeper } = pods;
  return {
    cidrs: (wiring.network?.ipam.allocator.pools ?? []).map(({ text }) => text),
    waitsFor: nodeCidrs?.waitsFor ?? '',
    problems: [...(nodeCidrs?.problems ?? []), ...(keeper?.problem ? [keeper.problem] : [])],
    foreign: wiring.network?.repair.foreign ?? [],
  };
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
  settings: PodSettings,
  podCidrs: readonly AddressPrefix[],
  dataplane: NftablesDataplane,
  log: DaemonLog,
  engineFault: () => string | undefined,
): PodNetwork {
  const all = { ...settings, podCidrs };
  try {
    prepareHost(all, log);
    const network = PodNetwork.open({ settings: all, dataplane, log, engineFault });
    log.info(network.taken, 'pods of this node taken over');
    return network;
  } catch (error) {
    throw new StartError('pods', error);
  }
}

async function serveCni({ settings, wiring }: Pods, log: DaemonLog): Promise<CniServer> {
  try {
    return await listenForCni(settings.cniSocket, wiring, log);
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
    const parts = (['node', 'policy', 'datastore', 'api', 'dataplane', 'pods'] as const).filter(
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

/** Resolves when the promise does, or at the signal. */
function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return Promise.race([promise, aborted]);
}
