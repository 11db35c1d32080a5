/** Why an endpoint can not be made. */
export type EndpointFault =
  /** The namespace is the node's own. */
  | 'NETNS_OF_HOST'
  /** The container has an interface of this name. */
  | 'NAME_TAKEN'
  /** The container is connected by another interface already. */
  | 'OTHER_INTERFACE'
  /** A port of the node that was asked for leads to another pod. */
  | 'HOST_PORT_TAKEN'
  /** The dataplane did not become ready in time. */
  | 'NOT_IN_TIME'
  /** Nobody has told the policy of the pod. */
  | 'POLICY_UNKNOWN'
  /** Who asked has gone, or felix is stopping. */
  | 'STOPPING'
  /** The kernel refused the pod's policy. */
  | 'POLICY_REFUSED';

/** Thrown when an endpoint can not be made. Nothing of it is left then. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  readonly code: EndpointFault;
  readonly details: string;

  constructor(code: EndpointFault, message: string, details: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
