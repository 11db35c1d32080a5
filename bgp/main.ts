/**
 * The daemon: `margay bgp --config FILE`. Wires the parts by hand and runs until it is told to stop.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { KernelConfig } from '#bgp/config/model.ts';
import { type KernelEvent, KernelRoutes } from '#bgp/kernel/kernel-routes.ts';
import { systemClock } from '#bgp/session/clock.ts';
import { kernelSockets } from '#bgp/session/transport/sockets.ts';
import { IPV4_UNICAST } from '#bgp/wire/constants.ts';
import { type DaemonLog, type Log, LogLimit, openLog } from '#daemon/log.ts';
import { standardError } from '#daemon/log-output.ts';
import { readVersion } from '#daemon/version.ts';
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
  const config = readConfigFile(configFile);
  const log = openLog(
    'bgp',
    config.log.level,
    standardError(() => pollWritable(2)),
  );
  const netlink = Rtnetlink.open();
  const speaker = new Speaker(config, {
    clock: systemClock,
    random: Math.random,
    sockets: kernelSockets(),
    log,
    openKernel: (kernel) => openKernel(kernel, log),
    addresses: () => usableAddresses(netlink.addresses.list()),
  });
  const file = new ConfigFile(configFile, speaker, log, systemClock.date, (changed) => {
    log.level = changed.log.level;
  });
  const server = await openApi(speaker, file, log);
  try {
    speaker.start();
  } catch (error) {
    await Promise.all([server.stop(), speaker.stop('')]);
    throw new StartError("the kernel's routes", error);
  }
  log.info({ routerId: config.routerId, as: config.as, socket: config.api.socket }, 'speaker started');

  const onHangup = (): void => {
    try {
      file.reload();
    } catch (error) {
      // It has been logged, and stands in the status.
      if (!isFault(error)) throw error;
    }
  };
  process.on('SIGHUP', onHangup);
  await aborted(signal);
  process.off('SIGHUP', onHangup);
  log.info('speaker stops');
  await Promise.all([speaker.stop(''), server.stop()]);
  netlink.close();
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

async function openApi(speaker: Speaker, configFile: ConfigFile, log: DaemonLog): Promise<RpcServer> {
  const { socket } = speaker.config.api;
  const server = new RpcServer({
    onFault: (method, error) => log.error({ method, error: describe(error) }, 'a request failed'),
  });
  server.add(
    bgpService,
    bgpHandlers({
      speaker,
      configFile,
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
