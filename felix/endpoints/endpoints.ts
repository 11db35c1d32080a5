import type { Log } from '#daemon/log.ts';
import { type AddressKey, formatAddress } from '#datastore/address.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NamespaceError, NetworkNamespace } from '#kernel/sys/namespace.ts';
import type { Dataplane, HostPort } from '../endpoint.ts';
import type { Ipam } from '../ipam/ipam.ts';
import { EndpointError } from './error.ts';
import { type Endpoint, type EndpointRequest, hostInterfaceOf, macOf, podOf } from './model.ts';
import type { UplinkMtu } from './mtu.ts';
import { KeyedQueue } from './queue.ts';
import type { EndpointRecords } from './records.ts';
import { Removal } from './removal.ts';
import type { EndpointSettings } from './settings.ts';
import type { Wires } from './wires.ts';

/** Somewhat more than the kernel takes at most to make a link usable. */
const LINK_WATCH_MS = 1200;
/** Longest wait for a pod without policy to be closed, in ms. */
const CLOSED_MS = 5000;

/** What endpoints are made of. */
export interface EndpointParts {
  readonly settings: EndpointSettings;
  readonly ipam: Ipam;
  readonly records: EndpointRecords;
  readonly wires: Wires;
  readonly dataplane: Dataplane;
  readonly mtu: UplinkMtu;
  readonly log: Log;
  /** Why nobody tells policies now, in words; undefined while somebody does. */
  readonly engineFault?: (() => string | undefined) | undefined;
}

/**
 * The endpoints of the node. What is here is on disk and in the kernel; an ADD that fails half-way leaves neither. Work on
 * one container is done one piece after another, on several at the same time.
 */
export class Endpoints {
  readonly #parts: EndpointParts;
  readonly #queue = new KeyedQueue();
  readonly #removal: Removal;
  /** By the node's end of the pair, which owns the addresses. */
  readonly #byOwner = new Map<string, Endpoint>();
  /** When those that were made by this process were done, by owner. */
  readonly #madeAt = new Map<string, number>();
  /** Of each pod the owners of its endpoints, the latest last: for a moment an old sandbox is there beside the new one. */
  readonly #ofPod = new Map<string, Set<string>>();

  constructor(parts: EndpointParts) {
    this.#parts = parts;
    this.#removal = new Removal(parts.wires.namespace);
  }

  get all(): ReadonlyMap<string, Endpoint> {
    return this.#byOwner;
  }

  /** Ms since an endpoint was made; a very long time for one that was taken over. */
  ageOf(owner: string): number {
    return performance.now() - (this.#madeAt.get(owner) ?? Number.NEGATIVE_INFINITY);
  }

  find(containerId: string, interfaceName: string): Endpoint | undefined {
    return this.#byOwner.get(hostInterfaceOf(containerId, interfaceName));
  }

  /** Takes over an endpoint that is in the kernel already; the dataplane is told. */
  adopt(endpoint: Endpoint): void {
    this.#note(endpoint);
  }

  /** Deletes the connections of addresses that an earlier felix gave to pods that are gone. */
  forgetFlows(addresses: readonly AddressKey[]): void {
    const told = (error: unknown): void =>
      this.#parts.log.warn(
        { error: String(error) },
        'connections of a pod that is gone could not be deleted',
      );
    this.#removal.removeFlows(addresses).then((left) => left !== undefined && told(left), told);
  }

  /** Waits for what is under way, and lets go of the kernel. Endpoints stay. */
  async close(): Promise<void> {
    await this.#queue.idle();
    await this.#removal.close();
  }

  /**
   * Makes an endpoint: its address is on disk, its interface, routes and policy are in the kernel when it resolves. Asked
   * once more for the same it answers with what is there.
   *
   * @throws IpamError EndpointError NamespaceError NetlinkError SysctlError StateError; nothing is left then
   */
  add(request: EndpointRequest, signal: AbortSignal): Promise<Endpoint> {
    const owner = hostInterfaceOf(request.containerId, request.interfaceName);
    return this.#queue.run(owner, () => this.#add(owner, request, signal));
  }

  /**
   * Removes an endpoint with its connections; there need not be one.
   *
   * @throws NetlinkError StateError
   */
  remove(containerId: string, interfaceName: string): Promise<void> {
    return this.removeOwner(hostInterfaceOf(containerId, interfaceName));
  }

  /** As {@link remove}, by the name of the node's end. */
  removeOwner(owner: string): Promise<void> {
    return this.#queue.run(owner, () => this.#remove(owner));
  }

  /** Whether something is done to an endpoint now, which may take as long as its policy is waited for. */
  isBusy(owner: string): boolean {
    return this.#queue.has(owner);
  }

  /** Runs `work` on an endpoint while nobody else does, unless it is gone by then. */
  async exclusively(owner: string, work: (endpoint: Endpoint) => void): Promise<void> {
    await this.#queue.run(owner, async () => {
      const endpoint = this.#byOwner.get(owner);
      if (endpoint !== undefined) work(endpoint);
    });
  }

  async #add(owner: string, request: EndpointRequest, signal: AbortSignal): Promise<Endpoint> {
    if (signal.aborted) throw stopping();
    const { containerId } = request;
    using pod = NetworkNamespace.open(request.netns);
    if (this.#parts.wires.isNode(pod)) {
      const details = `CNI_NETNS: ${request.netns} is the namespace of the node itself`;
      throw new EndpointError('NETNS_OF_HOST', 'invalid CNI_NETNS', details);
    }
    for (const other of this.#byOwner.values()) {
      if (other.containerId !== containerId || other.hostInterface === owner) continue;
      const details = `container ${containerId} has ${other.interfaceName}; a pod has one interface of this network`;
      throw new EndpointError('OTHER_INTERFACE', 'the container is connected already', details);
    }
    this.#checkHostPorts(owner, request);
    const known = this.#byOwner.get(owner);
    if (known !== undefined && this.#isIntact(known, request, pod))
      return this.#again(known, request, signal);
    if (known !== undefined) await this.#remove(owner);
    // Awaited here: the namespace has to be open until then.
    return await this.#make(owner, request, pod, signal);
  }

  /** A port of the node leads to one pod. A sandbox that is made anew takes over what that before it had. */
  #checkHostPorts(owner: string, request: EndpointRequest): void {
    if (request.hostPorts.length === 0) return;
    const pod = podOf(request);
    for (const other of this.#byOwner.values()) {
      if (other.hostInterface === owner || podOf(other) === pod) continue;
      for (const { protocol, hostPort, hostIp } of request.hostPorts) {
        const same = (port: HostPort): boolean =>
          port.protocol === protocol && port.hostPort === hostPort && port.hostIp === hostIp;
        if (!other.hostPorts.some(same)) continue;
        const where = hostIp === undefined ? '' : ` of ${formatAddress(hostIp)}`;
        const details = `found ${protocol} ${hostPort}${where} to lead to ${podOf(other)} (${other.hostInterface}), expected a port that no other pod has`;
        throw new EndpointError('HOST_PORT_TAKEN', 'the host port is in use', details);
      }
    }
  }

  async #make(
    owner: string,
    request: EndpointRequest,
    pod: NetworkNamespace,
    signal: AbortSignal,
  ): Promise<Endpoint> {
    const { settings, ipam, records, wires, mtu, log } = this.#parts;
    const { containerId, interfaceName } = request;
    const endpoint: Endpoint = {
      ...request,
      addresses: ipam.allocate(owner, request.addresses, (address) => wires.holderOf(address)),
      netnsInode: pod.inode,
      hostInterface: owner,
      mac: request.mac ?? macOf(containerId, interfaceName),
      mtu: settings.mtu ?? mtu.bytes,
    };
    using inside = Rtnetlink.open(pod);
    try {
      // The record says whose the address is to whoever comes after a kill; the file of the addresses may come later.
      records.write(endpoint);
      this.#commit();
      // What is left of an earlier one by this name is nobody's.
      wires.remove(endpoint.hostInterface);
      this.#note(endpoint);
      this.#madeAt.set(owner, performance.now());
      const failed = new AbortController();
      const inForce = this.#inForce(endpoint, AbortSignal.any([signal, failed.signal]));
      try {
        wires.create(endpoint, pod, inside);
      } catch (error) {
        // Nobody waits for a policy that is not needed any more, and nothing is under way when this function ends.
        failed.abort();
        await Promise.allSettled([inForce]);
        throw error;
      }
      await inForce;
      wires.connect(endpoint, inside);
      await this.#passable(endpoint, inside);
      this.#madeAt.set(owner, performance.now());
    } catch (error) {
      await this.#undo(endpoint).catch((fault: unknown) =>
        log.error(
          { containerId, interface: endpoint.hostInterface, error: String(fault) },
          'a failed endpoint could not be taken back',
        ),
      );
      throw error;
    }
    return endpoint;
  }

  /**
   * Until packets go. The kernel makes both ends usable a moment after the second of them came up, from a work queue
   * (net/core/link_watch.c); what the node sends before is dropped, and the pod has no link-local address before. It takes its
   * time, up to a second, where both ends happen to have the same index.
   */
  async #passable({ hostInterface, interfaceName }: Endpoint, inside: Rtnetlink): Promise<void> {
    const { links } = this.#parts.wires.rtnetlink;
    const ready = (): boolean =>
      links.get(hostInterface)?.operationalState === 'up' &&
      inside.links.get(interfaceName)?.operationalState === 'up';
    const end = performance.now() + LINK_WATCH_MS;
    while (!ready() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** The same ADD once more, by a runtime that did not see the answer to the first. */
  async #again(known: Endpoint, request: EndpointRequest, signal: AbortSignal): Promise<Endpoint> {
    const endpoint: Endpoint = { ...known, ...request, addresses: known.addresses, mac: known.mac };
    this.#parts.records.write(endpoint);
    this.#note(endpoint);
    await this.#inForce(endpoint, signal);
    // What else it asks for than before, such as ports of the node.
    const { wires } = this.#parts;
    for (const fix of wires.hostFixes(endpoint, wires.viewOf(endpoint.hostInterface))) fix.apply();
    return endpoint;
  }

  #isIntact(known: Endpoint, request: EndpointRequest, pod: NetworkNamespace): boolean {
    const { wires } = this.#parts;
    if (known.netnsInode !== pod.inode || known.network !== request.network) return false;
    if (request.addresses.some((address) => !known.addresses.includes(address))) return false;
    if (request.mac !== undefined && request.mac !== known.mac) return false;
    if (JSON.stringify(request.bandwidth) !== JSON.stringify(known.bandwidth)) return false;
    const view = wires.viewOf(known.hostInterface);
    if (!view.links.has(known.hostInterface)) return false;
    using inside = Rtnetlink.open(pod);
    if (inside.links.get(known.interfaceName) === undefined) return false;
    for (const fix of [...wires.hostFixes(known, view), ...wires.podFixes(known, pod, inside)]) fix.apply();
    return true;
  }

  /** Until the policy of a pod is known and in the kernel; it may be heard of later than the pod. */
  async #inForce(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    const { dataplane, settings, log } = this.#parts;
    const pod = podOf(endpoint);
    const deadline = AbortSignal.timeout(settings.policyWait);
    try {
      await dataplane.known(pod, AbortSignal.any([signal, deadline]));
    } catch (error) {
      if (signal.aborted) throw stopping(error);
      if (!deadline.aborted) throw error;
      const why = this.#whyUnknown(pod);
      if (settings.policyUnknown === 'refuse') {
        const details = `${why}; waited for ${settings.policyWait / 1000} s`;
        throw new EndpointError('POLICY_UNKNOWN', `the policy of ${pod} is not known`, details, {
          cause: error,
        });
      }
      log.warn({ pod, why }, 'a pod comes whose policy is not known; it is closed until it is');
      return this.#applied(pod, signal, AbortSignal.timeout(CLOSED_MS));
    }
    await this.#applied(pod, signal, deadline);
  }

  #whyUnknown(pod: string): string {
    const { dataplane, engineFault } = this.#parts;
    const why = dataplane.whyUnknown(pod) ?? 'it was told a moment ago';
    const fault = engineFault?.();
    return fault === undefined ? why : `${why}; the policy engine can not be asked: ${fault}`;
  }

  async #applied(pod: string, signal: AbortSignal, deadline: AbortSignal): Promise<void> {
    const { dataplane, settings } = this.#parts;
    try {
      await dataplane.applied([pod], AbortSignal.any([signal, deadline]));
    } catch (error) {
      if (signal.aborted) throw stopping(error);
      if (deadline.aborted) {
        const details = `the policy of ${pod} was not in the kernel after ${settings.policyWait} ms`;
        throw new EndpointError('NOT_IN_TIME', 'the dataplane is not ready', details, { cause: error });
      }
      const details = error instanceof Error ? error.message : String(error);
      throw new EndpointError('POLICY_REFUSED', 'the policy of the pod can not be put in force', details, {
        cause: error,
      });
    }
  }

  async #undo(endpoint: Endpoint): Promise<void> {
    const { ipam, records, wires } = this.#parts;
    this.#drop(endpoint);
    wires.remove(endpoint.hostInterface);
    records.remove(endpoint.hostInterface);
    ipam.release(endpoint.hostInterface);
    this.#commit();
  }

  async #remove(owner: string): Promise<void> {
    const { ipam, records, log } = this.#parts;
    const known = this.#byOwner.get(owner);
    if (known !== undefined) this.#drop(known);
    const settled = known === undefined ? undefined : this.#settled();
    const addresses = known?.addresses ?? ipam.allocator.allocations.get(owner) ?? [];
    // Also what nobody knows of any more: the name follows from that of the container.
    const [left] = await Promise.all([this.#removal.remove(owner, addresses), settled]);
    if (left !== undefined)
      log.warn({ error: left }, 'connections of a pod that is gone could not be deleted');
    records.remove(owner);
    ipam.release(owner);
    if (addresses.length > 0) this.#commit();
  }

  /** Until the dataplane has forgotten what it was told to forget; a pod's end does not hang on it. */
  async #settled(): Promise<void> {
    const { dataplane, settings, log } = this.#parts;
    try {
      await dataplane.applied([], AbortSignal.timeout(settings.policyWait));
    } catch (error) {
      log.warn({ error: String(error) }, 'the policy of a pod that is gone is still in the kernel');
    }
  }

  /** Writes the addresses to disk. Should that fail, the records of the endpoints still say which are in use. */
  #commit(): void {
    const { ipam, log } = this.#parts;
    ipam
      .commit()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'the addresses are not on disk yet'));
  }

  #note(endpoint: Endpoint): void {
    const owner = endpoint.hostInterface;
    const pod = podOf(endpoint);
    this.#byOwner.set(owner, endpoint);
    const owners = this.#ofPod.get(pod) ?? new Set();
    owners.delete(owner);
    this.#ofPod.set(pod, owners.add(owner));
    this.#tell(endpoint);
  }

  #tell(endpoint: Endpoint): void {
    this.#parts.dataplane.setEndpoint({
      pod: podOf(endpoint),
      uid: endpoint.podUid,
      interface: endpoint.hostInterface,
      addresses: endpoint.addresses,
      hostPorts: endpoint.hostPorts,
    });
  }

  #drop(endpoint: Endpoint): void {
    const owner = endpoint.hostInterface;
    const pod = podOf(endpoint);
    this.#byOwner.delete(owner);
    this.#madeAt.delete(owner);
    const owners = this.#ofPod.get(pod);
    const wasLatest = owners !== undefined && [...owners].at(-1) === owner;
    owners?.delete(owner);
    const latest = owners === undefined ? undefined : [...owners].at(-1);
    if (latest === undefined) {
      this.#ofPod.delete(pod);
      this.#parts.dataplane.removeEndpoint(pod);
    } else if (wasLatest) this.#tell(this.#byOwner.get(latest)!);
  }
}

function stopping(cause?: unknown): EndpointError {
  return new EndpointError('STOPPING', 'given up', 'felix is stopping, or who asked has gone', { cause });
}

/** Opens the namespace of an endpoint if it is still the same one. */
export function openPodNamespace(endpoint: Endpoint): NetworkNamespace | undefined {
  let pod: NetworkNamespace;
  try {
    pod = NetworkNamespace.open(endpoint.netns);
  } catch (error) {
    if (error instanceof NamespaceError) return undefined;
    throw error;
  }
  if (pod.inode === endpoint.netnsInode) return pod;
  pod.close();
  return undefined;
}
