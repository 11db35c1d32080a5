import type { AddressKey } from '#datastore/address.ts';
import type { Protocol } from '#proto/ports.ts';

/** A port of the node that leads to a port of a pod. */
export interface HostPort {
  readonly protocol: Protocol;
  readonly hostPort: number;
  readonly containerPort: number;
  /** The address of the node that it is of; all of them when undefined. */
  readonly hostIp: AddressKey | undefined;
}

/** A pod of this node, as it is wired to it. */
export interface WorkloadEndpoint {
  /** `namespace/name`. */
  readonly pod: string;
  /** Tells the pod from an earlier or later one of its name; undefined where the runtime does not say it. */
  readonly uid?: string | undefined;
  /** The node's end of the veth pair: {@link INTERFACE_PREFIX} and more, at most 15 bytes. */
  readonly interface: string;
  /** At most one of each family. */
  readonly addresses: readonly AddressKey[];
  readonly hostPorts: readonly HostPort[];
}

/** How the names of the node's ends of veth pairs begin; what is called so and is no known pod's is closed. */
export const INTERFACE_PREFIX = 'mgy';

/** What the makers of endpoints know of the dataplane. */
export interface Dataplane {
  /** Why the kernel takes no changes now, in words; undefined when it took the last ones. */
  readonly refusal?: string | undefined;
  /** Takes the place of what was set before for the pod. Nothing is in force before `applied` says so. */
  setEndpoint(endpoint: WorkloadEndpoint): void;
  removeEndpoint(pod: string): void;
  /**
   * Resolves when everything set so far is in the kernel, the policy of these pods included; a pod whose policy is not
   * known is closed.
   *
   * @throws what the kernel refused of these pods, or the signal's reason
   */
  applied(pods: readonly string[], signal: AbortSignal): Promise<void>;
}
