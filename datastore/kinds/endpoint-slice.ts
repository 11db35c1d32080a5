import { z } from 'zod';
import { type Metadata, namespaced } from '../metadata.ts';
import { lenient, listOf, type Protocol, protocol, text, withDefault } from '../schema.ts';

/** Some of the endpoints of a service (`discovery.k8s.io/v1`). */
export interface EndpointSlice extends Metadata {
  readonly kind: 'EndpointSlice';
  /** Name of the service in the same namespace; empty if the slice belongs to none. */
  readonly service: string;
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly EndpointPort[];
}

export interface Endpoint {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName: string;
  /** Name of the pod behind it, in the same namespace; empty if it is something else. */
  readonly pod: string;
}

export interface EndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  /** `undefined` for all ports. */
  readonly port: number | undefined;
}

/** The label that names the service of a slice. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

const condition = z.boolean({ error: 'true or false' }).nullish();

const endpoint = lenient({
  addresses: listOf(z.string({ error: 'an address' })),
  conditions: lenient({ ready: condition, serving: condition, terminating: condition }).nullish(),
  nodeName: text,
  targetRef: lenient({ kind: text, name: text }).nullish(),
}).transform(({ addresses, conditions, nodeName, targetRef }): Endpoint => {
  // Unknown is to be taken as ready, and serving is ready but for terminating endpoints.
  const ready = conditions?.ready ?? true;
  return {
    addresses,
    ready,
    serving: conditions?.serving ?? ready,
    terminating: conditions?.terminating ?? false,
    nodeName,
    pod: targetRef?.kind === 'Pod' ? targetRef.name : '',
  };
});

const port = lenient({
  name: text,
  protocol: withDefault(protocol, 'TCP'),
  port: z.number({ error: 'a port number' }).nullish(),
}).transform(({ name, protocol, port }): EndpointPort => ({ name, protocol, port: port ?? undefined }));

export const endpointSlice = lenient({
  metadata: namespaced,
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN'], { error: 'IPv4, IPv6 or FQDN' }),
  endpoints: listOf(endpoint),
  ports: listOf(port),
}).transform(
  ({ metadata, ...rest }): EndpointSlice => ({
    kind: 'EndpointSlice',
    ...metadata,
    ...rest,
    service: metadata.labels[SERVICE_NAME_LABEL] ?? '',
  }),
);
