import type { Log } from '#daemon/log.ts';
import type { AddressPrefix } from '#datastore/address.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import type { Dataplane } from '../endpoint.ts';
import { Ipam } from '../ipam/ipam.ts';
import { type Files, systemFiles } from '../state/files.ts';
import { Endpoints, openPodNamespace } from './endpoints.ts';
import { type Endpoint, type EndpointRequest, hostInterfaceOf } from './model.ts';
import { UplinkMtu } from './mtu.ts';
import { EndpointRecords } from './records.ts';
import { Repair } from './repair.ts';
import type { EndpointSettings } from './settings.ts';
import { type Takeover, takeOver } from './takeover.ts';
import { Wires } from './wires.ts';

export interface PodNetworkOptions {
  readonly settings: EndpointSettings;
  readonly dataplane: Dataplane;
  readonly log: Log;
  /** The node's; the thread's own when undefined. */
  readonly namespace?: NetworkNamespace;
  readonly files?: Files;
  /** Why nobody tells policies now, in words; undefined while somebody does. */
  readonly engineFault?: () => string | undefined;
}

/** The pods of this node: their addresses, their interfaces, and who keeps both as they should be. */
export class PodNetwork {
  readonly ipam: Ipam;
  readonly endpoints: Endpoints;
  readonly repair: Repair;
  readonly taken: Takeover;
  readonly #wires: Wires;
  readonly #log: Log;
  readonly #options: PodNetworkOptions;
  #stopped = false;

  private constructor(
    ipam: Ipam,
    endpoints: Endpoints,
    repair: Repair,
    taken: Takeover,
    wires: Wires,
    options: PodNetworkOptions,
  ) {
    this.ipam = ipam;
    this.endpoints = endpoints;
    this.repair = repair;
    this.taken = taken;
    this.#wires = wires;
    this.#log = options.log;
    this.#options = options;
  }

  /**
   * Takes over what an earlier felix left, and tells the dataplane of it; when this returns pods can come. What is not as it
   * should be in the kernel is put right from here on.
   *
   * @throws Node's errors for files, NetlinkError and SyscallError for the kernel
   */
  static open(options: PodNetworkOptions): PodNetwork {
    const { settings, dataplane, log, namespace, files = systemFiles, engineFault } = options;
    const { podCidrs, reserved, stateFolder } = settings;
    const folder = `${stateFolder}/endpoints`;
    files.makeFolder(folder);
    const ipam = Ipam.open({ files, path: `${stateFolder}/ipam`, podCidrs, reserved });
    const records = new EndpointRecords(files, folder);
    const wires = new Wires(namespace);
    const mtu = new UplinkMtu(wires.rtnetlink);
    const endpoints = new Endpoints({ settings, ipam, records, wires, dataplane, mtu, log, engineFault });
    const repair = new Repair({ endpoints, ipam, wires, mtu, log });
    const taken = takeOver({ ipam, records, wires, log }, endpoints);
    if (taken.leaks > 0 || taken.rebuilt > 0)
      ipam
        .commit()
        .catch((error: unknown) => log.warn({ error: String(error) }, 'the addresses are not on disk yet'));
    repair.start();
    return new PodNetwork(ipam, endpoints, repair, taken, wires, options);
  }

  /** The node has other pod CIDRs now: new pods get addresses of these, and those that are there keep theirs. */
  setPodCidrs(podCidrs: readonly AddressPrefix[]): void {
    this.ipam.allocator.setPodCidrs(podCidrs);
    this.ipam
      .commit()
      .catch((error: unknown) =>
        this.#log.warn({ error: String(error) }, 'the addresses are not on disk yet'),
      );
  }

  get notReady(): string | undefined {
    return this.#stopped ? 'felix is stopping' : undefined;
  }

  /**
   * Why a pod that came now would be refused; those that are there can go all the same. That policies have not been told yet counts
   * on a node without pods only: from one that is not ready Kubernetes drives away the pods that it has, and they run.
   */
  get noNewPods(): string | undefined {
    const { dataplane, settings, engineFault } = this.#options;
    if (this.notReady !== undefined) return this.notReady;
    if (dataplane.refusal !== undefined)
      return `policies can not be put into the kernel: ${dataplane.refusal}`;
    if (dataplane.inSync || settings.policyUnknown === 'close' || this.endpoints.all.size > 0)
      return undefined;
    return `no policies have been told yet: ${engineFault?.() ?? 'the policy engine is about to'}`;
  }

  add(request: EndpointRequest, signal: AbortSignal): Promise<Endpoint> {
    return this.endpoints.add(request, signal);
  }

  remove(containerId: string, interfaceName: string): Promise<void> {
    return this.endpoints.remove(containerId, interfaceName);
  }

  find(containerId: string, interfaceName: string): Endpoint | undefined {
    return this.endpoints.find(containerId, interfaceName);
  }

  /** What of an endpoint is not as it should be, in words. */
  check(endpoint: Endpoint): string[] {
    const view = this.#wires.viewOf(endpoint.hostInterface);
    if (!view.links.has(endpoint.hostInterface))
      return [`${endpoint.hostInterface}: found no such interface on the node`];
    const fixes = this.#wires.hostFixes(endpoint, view);
    using pod = openPodNamespace(endpoint);
    if (pod === undefined)
      return [...fixes.map((fix) => fix.what), `${endpoint.netns}: it is not the pod's namespace any more`];
    using inside = Rtnetlink.open(pod);
    return [...fixes, ...this.#wires.podFixes(endpoint, pod, inside)].map((fix) => fix.what);
  }

  /** Whether nothing is left of an endpoint's pod: neither interface nor namespace. */
  isGone(endpoint: Endpoint): boolean {
    if (this.#wires.rtnetlink.links.get(endpoint.hostInterface) !== undefined) return false;
    using pod = openPodNamespace(endpoint);
    return pod === undefined;
  }

  /** Removes what a network has besides these. @throws NetlinkError StateError */
  async keepOnly(
    network: string,
    attachments: readonly { readonly containerId: string; readonly interfaceName: string }[],
  ): Promise<void> {
    const kept = new Set(attachments.map((each) => hostInterfaceOf(each.containerId, each.interfaceName)));
    // Of one whose record was lost the network is not known; it is most likely the only one there is.
    const gone = [...this.endpoints.all.values()].filter(
      (endpoint) =>
        !kept.has(endpoint.hostInterface) && (endpoint.network === network || endpoint.network === ''),
    );
    for (const { pod, containerId, hostInterface } of gone)
      this.#log.info(
        { pod, containerId, interface: hostInterface },
        'the runtime does not know this endpoint any more; it is removed',
      );
    // And what a DEL that failed has left: the endpoint is forgotten, its addresses are not free yet.
    const left = [...this.ipam.allocator.allocations.keys()].filter(
      (owner) => !kept.has(owner) && !this.endpoints.all.has(owner),
    );
    const owners = [...gone.map(({ hostInterface }) => hostInterface), ...left];
    await Promise.all(owners.map((owner) => this.endpoints.removeOwner(owner)));
  }

  /** Stops watching, when what is under way is done. Everything stays in the kernel. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.repair.close();
    await this.endpoints.close();
    await this.ipam
      .commit()
      .catch((error: unknown) => this.#log.warn({ error: String(error) }, 'the addresses are not on disk'));
    this.#wires.close();
  }
}
