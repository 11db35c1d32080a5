/**
 * The daemon: `margay bgp --config FILE`. Wires the parts by hand and runs until it is told to stop.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { NodeFollower } from '#bgp/cluster/follower.ts';
import type { ClusterConfig, KernelConfig, SpeakerConfig } from '#bgp/config/model.ts';
import { type KernelEvent, KernelRoutes } from '#bgp/kernel/kernel-routes.ts';
import { systemClock } from '#bgp/session/clock.ts';
import { kernelSockets } from '#bgp/session/transport/sockets.ts';
import { IPV4_UNICAST } from '#bgp/wire/constants.ts';
import { type DaemonLog, type Log, LogLimit, openLog } from '#daemon/log.ts';
import { standardError } from '#daemon/log-output.ts';
import { readVersion } from '#daemon/version.ts';
import { openSource } from '#datastore/open.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { pollWritable } from '#kernel/sys/libc.ts';
import { bgpService } from '#proto/bgp.ts';
import { RpcServer } from '#proto/server.ts';
import { bgpHandlers } from './api/handlers.ts';
import { ConfigFile, isFault, readConfigFile } from './daemon/config-file.ts';
import { usableAddresses } from './daemon/own-addresses.ts';
import { Speaker } from './speaker.ts';

export type RunOptions = {
  readonly configFile: string;
  /** Ends the speaker: a Cease to all neighbours, the kernel's routes stay. */
  readonly signal: AbortSignal;
};

/** Thrown when the speaker can not start, for a reason that the operator can put right. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly code = 'START_FAILED';

  constructor(what: string, cause: unknown) {
    super(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Whether it is for the operator to put right. Its message has a line for each thing that is wrong. */
export function isOperatorFault(error: unknown): error is Error {
  return error instanceof StartError || isFault(error);
}

/**
 * Runs a speaker until the signal. SIGHUP has the configuration read again.
 *
 * @throws ConfigError ConfigFileError for the configuration, StartError for what it needs of the system
 */
export async function runSpeaker({ configFile, signal }: RunOptions): Promise<void> {
  const loaded = readConfigFile(configFile);
  const log = openLog(
    'bgp',
    loaded.speaker.log.level,
    standardError(() => pollWritable(2)),
  );
  const startedAt = systemClock.date();
  const nodes = loaded.cluster && (await openNodes(loaded.cluster, log));
  const file = new ConfigFile(loaded, {
    file: configFile,
    log,
    date: systemClock.date,
    apply: (changed) => {
      log.level = changed.log.level;
    },
    facts: nodes?.follower.facts,
  });
  const netlink = Rtnetlink.open();
  let speaker: Speaker | undefined;
  const server = await openApi({ speaker: () => speaker, file, nodes, startedAt }, log);
  const start = (): void => {
    const config = file.current();
    if (speaker !== undefined || config === undefined) return;
    const made = newSpeaker(config, netlink, log);
    try {
      made.start();
    } catch (error) {
      void made.stop('');
      throw new StartError("the kernel's routes", error);
    }
    speaker = made;
    file.attach(made);
    log.info({ routerId: config.routerId, as: config.as, socket: config.api.socket }, 'speaker started');
  };
  const onHangup = (): void => {
    try {
      file.reload();
    } catch (error) {
      // It has been logged, and stands in the status.
      if (!isFault(error)) throw error;
    }
  };
  process.on('SIGHUP', onHangup);
  try {
    start();
    const followed = nodes?.follower.run(signal, (facts) => {
      file.nodesChanged(facts);
      start();
    });
    // A follower that ends before the signal has met a fault.
    await Promise.race([aborted(signal), ...(followed === undefined ? [] : [followed])]);
    log.info('speaker stops');
    await followed;
  } finally {
    process.off('SIGHUP', onHangup);
    await Promise.all([speaker?.stop(''), server.stop()]);
    netlink.close();
  }
}

/** Where the neighbours of a mesh come from, and what was last known of them. */
type Nodes = {
  readonly follower: NodeFollower;
  readonly cluster: ClusterConfig;
  readonly description: string;
};

async function openNodes(cluster: ClusterConfig, log: Log): Promise<Nodes> {
  const { source, description } = await openSource(cluster.datastore, { kinds: ['Node'] });
  const follower = new NodeFollower({ cluster, source, log, date: systemClock.date });
  follower.load();
  if (follower.facts === undefined)
    log.info(
      { node: cluster.node, datastore: description },
      'the speaker waits for the Node object of this node',
    );
  return { follower, cluster, description };
}

function newSpeaker(config: SpeakerConfig, netlink: Rtnetlink, log: Log): Speaker {
  return new Speaker(config, {
    clock: systemClock,
    random: Math.random,
    sockets: kernelSockets(),
    log,
    openKernel: (kernel) => openKernel(kernel, log),
    addresses: () => usableAddresses(netlink.addresses.list()),
  });
}

function openKernel(config: KernelConfig, log: Log): KernelRoutes {
  const { families, table, protocol, metric } = config;
  const limit = new LogLimit(systemClock.now);
  try {
    return new KernelRoutes({
      families: families.map((family) => (family === IPV4_UNICAST ? 4 : 6)),
      table,
      protocol,
      metric,
      seed: Math.floor(Math.random() * 2 ** 32),
      onEvent: (event) => limit.run(event.kind, (leftOutBefore) => logKernel(log, event, leftOutBefore)),
    });
  } catch (error) {
    throw new StartError('netlink', error);
  }
}

function logKernel(log: Log, event: KernelEvent, leftOutBefore: number): void {
  switch (event.kind) {
    case 'refused':
      log.error(
        {
          operation: event.failure.operation,
          prefix: event.failure.destination,
          error: event.failure.error.message,
          leftOutBefore,
        },
        event.taken ? "another's route is in the place of ours" : 'the kernel refused a route',
      );
      break;
    case 'repaired':
      log.warn({ routes: event.routes, leftOutBefore }, 'routes that somebody else changed are back');
      break;
    case 'overflow':
      log.warn({ leftOutBefore }, 'notifications of the kernel were lost; all was read again');
      break;
    case 'fault':
      log.error(
        { error: event.error.message, leftOutBefore },
        'the kernel could not be asked; it is tried again',
      );
  }
}

type ApiParts = {
  readonly speaker: () => Speaker | undefined;
  readonly file: ConfigFile;
  readonly nodes: Nodes | undefined;
  readonly startedAt: number;
};

async function openApi({ speaker, file, nodes, startedAt }: ApiParts, log: DaemonLog): Promise<RpcServer> {
  const { socket } = file.loaded.speaker.api;
  const server = new RpcServer({
    onFault: (method, error) => log.error({ method, error: describe(error) }, 'a request failed'),
  });
  server.add(
    bgpService,
    bgpHandlers({
      speaker,
      configFile: file,
      nodes,
      startedAt,
      version: readVersion(),
      date: systemClock.date,
      memory: () => process.memoryUsage.rss(),
    }),
  );
  try {
    mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
    await server.listenUnix(socket);
  } catch (error) {
    await server.stop();
    throw new StartError(`API socket ${socket}`, error);
  }
  return server;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
