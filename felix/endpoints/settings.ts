import type { AddressPrefix, AddressRange } from '#datastore/address.ts';

/** What an operator decides about pods' interfaces and addresses. */
export interface EndpointSettings {
  /** The node's pod CIDRs, at least one. */
  readonly podCidrs: readonly AddressPrefix[];
  /** Addresses in them that are given only to who asks for one by name. */
  readonly reserved: readonly AddressRange[];
  /** Bytes; that of the uplink when undefined. */
  readonly mtu: number | undefined;
  /** Folder that the state is kept in. */
  readonly stateFolder: string;
  /** Longest wait for the policy of a new pod to be known and in the kernel, in ms. */
  readonly policyWait: number;
  /** What becomes of a pod whose policy is not known then: it is refused, to be tried again, or it comes and is closed. */
  readonly policyUnknown: 'refuse' | 'close';
}
