/**
 * What programs are made of, as `policy.proto` means it, for those who compile them and those who load them. What is about
 * addresses is theirs.
 */

import type { PortSet } from './ports.ts';

/** `namespace/name`. */
export type PodKey = string;

/** Names an address class: 32 hexadecimal digits, the same for the same meaning in every process and on every node. */
export type ClassId = string;

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** One direction of an endpoint. */
export interface EndpointRules {
  /** Whether anything is to be looked up; if not, everything is accepted. */
  readonly isolated: boolean;
  /** Accepted whoever the peer is. */
  readonly anyPeer: PortSet;
  /** Accepted where the class of the peer says nothing. The rest is dropped. */
  readonly otherwise: PortSet;
}
