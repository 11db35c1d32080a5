/** What is wrong with a request for addresses. */
export type IpamFault =
  /** Every address of the family is in use. */
  | 'FULL'
  /** The address is another's. */
  | 'IN_USE'
  /** The address lies in no pod CIDR of the node. */
  | 'OUTSIDE'
  /** The address is one that no interface may have: that of the network, or broadcast. */
  | 'UNUSABLE'
  /** Two addresses of one family were asked for. */
  | 'TWO_OF_A_FAMILY';

/** Thrown when addresses can not be given. Nothing was given then. */
export class IpamError extends Error {
  override readonly name = 'IpamError';
  readonly code: IpamFault;
  /** Who asked. */
  readonly object: string;
  readonly found: string;
  readonly expected: string;

  constructor(code: IpamFault, object: string, found: string, expected: string) {
    super(`${object}: ${found}; expected ${expected}`);
    this.code = code;
    this.object = object;
    this.found = found;
    this.expected = expected;
  }
}
