/** Error codes of the CNI specification 1.1.0 (section 5, "Error"), and from 100 on our own (docs/cni.md). */
export const CNI = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidConfiguration: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  /** No address is left in the node's pod CIDRs. */
  addressesUsedUp: 100,
  /** An address that was asked for can not be had. */
  addressNotToBeHad: 101,
  /** The kernel refused what the pod needs. */
  kernelRefused: 102,
  /** The container has another interface of ours, or one of this name. */
  interfaceTaken: 103,
  /** CHECK found the pod to be wired in another way than it should be. */
  checkFailed: 104,
  /** A port of the node leads to another pod. */
  hostPortTaken: 105,
  /** A fault of ours. */
  internal: 999,
} as const;

/** Thrown to answer with an error result. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string;

  /** @param message what is wrong, in a few words; `details` what was found and what was expected */
  constructor(code: number, message: string, details = '', options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
