import { createHash } from 'node:crypto';
import type { AddressKey } from '#datastore/address.ts';
import { type HostPort, INTERFACE_PREFIX, NO_POD } from '../endpoint.ts';

/** A limit of a pod's traffic in one direction. */
export interface BandwidthLimit {
  /** Bits a second. */
  readonly rate: number;
  /** Bits that may go at once; 0 leaves it to us. */
  readonly burst: number;
}

/** Limits of a pod's traffic: ingress to the pod, egress from it. */
export interface Bandwidth {
  readonly ingress: BandwidthLimit | undefined;
  readonly egress: BandwidthLimit | undefined;
}

/** A pod's interface as somebody wants it. */
export interface EndpointRequest {
  /** Name of the network, as the configuration list of the runtime has it. */
  readonly network: string;
  readonly containerId: string;
  /** In the pod. */
  readonly interfaceName: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** `namespace/name`; undefined for a container that is no pod of Kubernetes. */
  readonly pod: string | undefined;
  /** Of the pod; undefined where the runtime does not say it. */
  readonly podUid?: string | undefined;
  /** Addresses that it has to have; the others are chosen. */
  readonly addresses: readonly AddressKey[];
  /** Of the pod's end; chosen when undefined. */
  readonly mac: string | undefined;
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth | undefined;
}

/** A pod's interface as it is to be in the kernel. It is kept on disk. */
export interface Endpoint extends EndpointRequest {
  /** Inode of the namespace: a path may lead to another one later (`/proc/PID/ns/net`). */
  readonly netnsInode: number;
  /** The node's end of the veth pair. */
  readonly hostInterface: string;
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
}

/**
 * The name of the node's end: always the same for an interface of a container, and another for every other. It stands for the
 * endpoint wherever a short name is needed: its addresses are this owner's, its record is called so.
 */
export function hostInterfaceOf(containerId: string, interfaceName: string): string {
  return INTERFACE_PREFIX + digest(containerId, interfaceName).toString('hex', 0, 6);
}

/** The hardware address of a pod's end, unless one is asked for: locally administered, and always the same. */
export function macOf(containerId: string, interfaceName: string): string {
  const bytes = digest(containerId, interfaceName).subarray(6, 12);
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** What the dataplane and the policies call it. A container that is no pod is in no namespace of Kubernetes. */
export function podOf(endpoint: Pick<EndpointRequest, 'pod' | 'containerId'>): string {
  return endpoint.pod ?? NO_POD + endpoint.containerId;
}

/** The hardware address of the node's end of every pair: what a pod has learned stays true when its pair is made anew. */
export const HOST_MAC = 'ee:ee:ee:ee:ee:ee';

/** Where a pod sends its packets: addresses of the node's end of its pair. */
export const GATEWAY4 = '169.254.1.1';
export const GATEWAY6 = 'fe80::1';

function digest(containerId: string, interfaceName: string): Buffer {
  return createHash('sha256').update(`${containerId}/${interfaceName}`).digest();
}
