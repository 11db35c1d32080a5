import type { Log } from '#daemon/log.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { SyscallError } from '#kernel/sys/errno.ts';
import { NamespaceError } from '#kernel/sys/namespace.ts';
import { SysctlError } from '#kernel/sys/sysctl.ts';
import { EndpointError } from '../endpoints/error.ts';
import type { Endpoint, EndpointRequest } from '../endpoints/model.ts';
import { RemovalError } from '../endpoints/removal.ts';
import { IpamError } from '../ipam/error.ts';
import { StateError } from '../state/commits.ts';
import {
  type Attachment,
  decodeConfiguration,
  readAddress,
  readConfiguration,
  readHardwareAddress,
  versionForError,
  versionOf,
} from './configuration.ts';
import { type Environment, readEnvironment } from './environment.ts';
import { CNI, CniError } from './error.ts';
import type { Fields } from './fields.ts';
import { addResult, differencesTo, errorResult, versionResult } from './result.ts';
import { type CniVersion, isSince, LATEST } from './version.ts';

/** What the protocol needs of who wires the pods. */
export interface Wiring {
  /** Why no pod can be wired now; undefined when all is well. */
  readonly notReady: string | undefined;
  /** Why no pod can come now, although those that are there can go. */
  readonly noNewPods: string | undefined;
  /** Resolves when address, routes and policy are in the kernel. The same request once more gives the same endpoint. */
  add(request: EndpointRequest, signal: AbortSignal): Promise<Endpoint>;
  /** Resolves when nothing is left of it; also when there was nothing. */
  remove(containerId: string, interfaceName: string): Promise<void>;
  find(containerId: string, interfaceName: string): Endpoint | undefined;
  /** What of it in the kernel is not as it should be, in words. */
  check(endpoint: Endpoint): string[];
  /** Removes what the network has besides these. */
  keepOnly(network: string, attachments: readonly Attachment[]): Promise<void>;
}

/** What the plugin handed over. */
export interface Call {
  readonly variables: ReadonlyMap<string, string>;
  readonly input: string;
}

/** What it is to print, and its exit status. */
export interface Answer {
  readonly status: number;
  readonly output: string;
}

/** Answers calls of the plugin (CNI specification, section 2), whatever is in them. */
export class CniHandler {
  readonly #wiring: Wiring;
  readonly #log: Log;

  constructor(wiring: Wiring, log: Log) {
    this.#wiring = wiring;
    this.#log = log;
  }

  async answer(call: Call, signal: AbortSignal): Promise<Answer> {
    const started = performance.now();
    let fields: Fields | undefined;
    let environment: Environment | undefined;
    try {
      environment = readEnvironment(call.variables);
      if (environment.command === 'VERSION' && call.input.trim() === '')
        return success(versionResult(LATEST));
      fields = decodeConfiguration(call.input);
      const output = await this.#run(environment, fields, signal);
      this.#log.debug(described(environment, started), 'CNI call answered');
      return output === undefined ? { status: 0, output: '' } : success(output);
    } catch (error) {
      const told = toCniError(error);
      const about = environment === undefined ? {} : described(environment, started);
      const facts = { ...about, code: told.code, error: told.message, details: told.details };
      if (told.code === CNI.internal) {
        this.#log.error({ ...facts, stack: (error as Error).stack }, 'a CNI call failed by a fault of felix');
      } else this.#log.warn(facts, 'a CNI call failed');
      return { status: 1, output: `${JSON.stringify(errorResult(versionForError(call.input), told))}\n` };
    }
  }

  async #run(environment: Environment, fields: Fields, signal: AbortSignal): Promise<unknown> {
    if (environment.command === 'VERSION') return versionResult(fields.text('cniVersion') ?? LATEST);
    needVersion(environment.command, versionOf(fields));
    switch (environment.command) {
      case 'ADD':
        return this.#add(environment, fields, signal);
      case 'DEL':
        // A configuration that has become wrong must not keep a pod from going.
        this.#needReady();
        await this.#wiring.remove(environment.containerId, environment.interfaceName);
        return undefined;
      case 'CHECK':
        return this.#check(environment, fields);
      case 'STATUS':
        readConfiguration(fields);
        if (this.#wiring.noNewPods !== undefined)
          throw new CniError(CNI.notAvailable, 'felix is not ready', this.#wiring.noNewPods);
        return undefined;
      case 'GC':
        return this.#collect(fields);
    }
  }

  async #add(environment: Environment, fields: Fields, signal: AbortSignal): Promise<unknown> {
    const { containerId, interfaceName, netns, pod, podUid, args } = environment;
    const configuration = readConfiguration(fields);
    const { cniVersion, prevResult, dns } = configuration;
    for (const each of prevResult?.objects('interfaces') ?? []) {
      if (each.text('name') !== interfaceName || each.text('sandbox') !== netns) continue;
      const details = `a plugin before it in the chain has made ${interfaceName} in ${netns}; margay makes the interface itself`;
      throw new CniError(CNI.interfaceTaken, `${interfaceName} is there already`, details);
    }
    this.#needReady();
    const ip = args.get('IP') ?? '';
    const mac = args.get('MAC') ?? '';
    const endpoint = await this.#wiring.add(
      {
        network: configuration.name,
        containerId,
        interfaceName,
        netns,
        pod,
        podUid,
        addresses:
          configuration.addresses.length > 0 || ip === ''
            ? configuration.addresses
            : ip.split(',').map((text) => readAddress('CNI_ARGS.IP', text)),
        mac: configuration.mac ?? (mac === '' ? undefined : readHardwareAddress('CNI_ARGS.MAC', mac)),
        hostPorts: configuration.hostPorts,
        bandwidth: configuration.bandwidth,
      },
      signal,
    );
    return addResult(cniVersion, endpoint, netns, dns, prevResult);
  }

  #check(environment: Environment, fields: Fields): undefined {
    const { containerId, interfaceName, netns } = environment;
    const { prevResult } = readConfiguration(fields);
    if (prevResult === undefined)
      throw new CniError(
        CNI.invalidConfiguration,
        'prevResult is missing',
        'CHECK needs what ADD has answered',
      );
    this.#needReady();
    const endpoint = this.#wiring.find(containerId, interfaceName);
    if (endpoint === undefined) {
      const details = `felix knows no ${interfaceName} of container ${containerId}`;
      throw new CniError(CNI.checkFailed, 'the container is not connected', details);
    }
    const found = [...differencesTo(endpoint, netns, prevResult), ...this.#wiring.check(endpoint)];
    if (found.length > 0)
      throw new CniError(CNI.checkFailed, 'the container is not connected as it should be', found.join('; '));
    return undefined;
  }

  async #collect(fields: Fields): Promise<undefined> {
    const { name, validAttachments } = readConfiguration(fields);
    if (validAttachments === undefined) {
      const details = 'GC needs the list of attachments that are still in use; without it nothing is removed';
      throw new CniError(CNI.invalidConfiguration, 'cni.dev/valid-attachments is missing', details);
    }
    this.#needReady();
    await this.#wiring.keepOnly(name, validAttachments);
    return undefined;
  }

  #needReady(): void {
    const { notReady } = this.#wiring;
    if (notReady !== undefined) throw new CniError(CNI.tryAgainLater, 'felix is not ready', notReady);
  }
}

function needVersion(command: string, version: CniVersion): void {
  const since = command === 'CHECK' ? '0.4.0' : command === 'STATUS' || command === 'GC' ? '1.1.0' : '0.3.1';
  if (isSince(version, since)) return;
  const details = `found cniVersion ${version}, expected ${since} or newer`;
  throw new CniError(CNI.incompatibleVersion, `${command} is not part of that version of CNI`, details);
}

function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const cause = { cause: error };
  if (error instanceof IpamError) {
    return error.code === 'FULL'
      ? new CniError(CNI.addressesUsedUp, 'no address is left', error.message, cause)
      : new CniError(CNI.addressNotToBeHad, 'the address can not be had', error.message, cause);
  }
  if (error instanceof EndpointError)
    return new CniError(CODES[error.code], error.message, error.details, cause);
  if (error instanceof StateError) {
    return new CniError(CNI.tryAgainLater, 'the state of the node can not be written', error.message, cause);
  }
  if (error instanceof NamespaceError) {
    const details = `CNI_NETNS: ${error.message}`;
    return new CniError(CNI.invalidEnvironment, 'invalid CNI_NETNS', details, cause);
  }
  if (
    error instanceof RemovalError ||
    error instanceof NetlinkError ||
    error instanceof SyscallError ||
    error instanceof SysctlError
  )
    return new CniError(CNI.kernelRefused, 'the kernel refused it', error.message, cause);
  if (error instanceof Error && error.name === 'AbortError')
    return new CniError(CNI.tryAgainLater, 'felix is stopping, or who asked has gone', error.message, cause);
  return new CniError(
    CNI.internal,
    'a fault of felix',
    error instanceof Error ? error.message : String(error),
    cause,
  );
}

const CODES = {
  NETNS_OF_HOST: CNI.invalidEnvironment,
  NAME_TAKEN: CNI.interfaceTaken,
  OTHER_INTERFACE: CNI.interfaceTaken,
  HOST_PORT_TAKEN: CNI.hostPortTaken,
  NOT_IN_TIME: CNI.tryAgainLater,
  POLICY_UNKNOWN: CNI.tryAgainLater,
  STOPPING: CNI.tryAgainLater,
  POLICY_REFUSED: CNI.kernelRefused,
} as const;

function described(environment: Environment, started: number): object {
  const { command, containerId, interfaceName, netns, pod } = environment;
  const ms = Math.round((performance.now() - started) * 10) / 10;
  return { command, containerId, interfaceName, netns, pod, ms };
}

function success(value: unknown): Answer {
  return { status: 0, output: `${JSON.stringify(value)}\n` };
}
