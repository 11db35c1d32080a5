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

/** What a container that is no pod of Kubernetes is called: no policy will ever be about it. */
export const NO_POD = '/';

/** How the names of the node's ends of veth pairs begin; what is called so and is no known pod's is closed. */
export const INTERFACE_PREFIX = 'mgy';

/** What the makers of endpoints know of the dataplane. */
export interface Dataplane {
  /** Why the kernel takes no changes now, in words; undefined when it took the last ones. */
  readonly refusal?: string | undefined;
  /** Whether policies have been told since this process started. */
  readonly inSync: boolean;
  /** Takes the place of what was set before for the pod. Nothing is in force before `applied` says so. */
  setEndpoint(endpoint: WorkloadEndpoint): void;
  removeEndpoint(pod: string): void;
  /** Why the policy of a pod that was set is not known, in words; undefined when it is, and for what is no pod. */
  whyUnknown(pod: string): string | undefined;
  /**
   * Resolves when the policy of a pod that was set is known.
   *
   * @throws the signal's reason
   */
  known(pod: string, signal: AbortSignal): Promise<void>;
  /**
   * Resolves when everything set so far is in the kernel, the policy of these pods included; a pod whose policy is not
   * known is closed.
   *
   * @throws what the kernel refused of these pods, or the signal's reason
   */
  applied(pods: readonly string[], signal: AbortSignal): Promise<void>;
}
