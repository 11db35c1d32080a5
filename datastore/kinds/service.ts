import { z } from 'zod';
import { type Metadata, namespaced } from '../metadata.ts';
import {
  address,
  type Labels,
  lenient,
  listOf,
  type Protocol,
  portName,
  portNumber,
  protocol,
  text,
  withDefault,
} from '../schema.ts';

/** A service (`v1`). */
export interface Service extends Metadata {
  readonly kind: 'Service';
  readonly type: ServiceType;
  /** Canonical; empty for a headless one and before addresses are assigned. */
  readonly clusterAddresses: readonly string[];
  readonly headless: boolean;
  /** `spec.externalIPs`. */
  readonly externalAddresses: readonly string[];
  /** Addresses that a load balancer has been given. */
  readonly loadBalancerAddresses: readonly string[];
  readonly loadBalancerClass: string;
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly internalTrafficPolicy: TrafficPolicy;
  readonly selector: Labels;
  readonly ports: readonly ServicePort[];
}

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ServicePort {
  /** Empty for a single port without a name. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Number or name of the pod's port. */
  readonly targetPort: number | string;
  /** 0 when there is none. */
  readonly nodePort: number;
}

const trafficPolicy = withDefault(z.enum(['Cluster', 'Local'], { error: 'Cluster or Local' }), 'Cluster');

const TARGET_PORT = 'a port number from 1 to 65535 or a port name';

const port = lenient({
  name: text,
  protocol: withDefault(protocol, 'TCP'),
  port: portNumber,
  targetPort: z.union([portNumber, portName], { error: TARGET_PORT }).nullish(),
  nodePort: withDefault(z.number({ error: 'a port number' }), 0),
}).transform((port): ServicePort => ({ ...port, targetPort: port.targetPort ?? port.port }));

const clusterAddress = z.enum(['', 'None']).or(address);

const spec = lenient({
  type: withDefault(
    z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'], {
      error: 'ClusterIP, NodePort, LoadBalancer or ExternalName',
    }),
    'ClusterIP',
  ),
  clusterIP: clusterAddress.nullish(),
  clusterIPs: listOf(clusterAddress),
  externalIPs: listOf(address),
  loadBalancerClass: text,
  externalTrafficPolicy: trafficPolicy,
  internalTrafficPolicy: trafficPolicy,
  selector: withDefault(z.record(z.string(), z.string(), { error: 'a mapping of labels' }), {}),
  ports: listOf(port),
});

const status = lenient({
  loadBalancer: lenient({ ingress: listOf(lenient({ ip: address.nullish() })) }).nullish(),
}).nullish();

export const service = lenient({ metadata: namespaced, spec, status }).transform(
  ({ metadata, spec, status }): Service => {
    const { clusterIP, clusterIPs, externalIPs, ...rest } = spec;
    const all = clusterIPs.length > 0 ? clusterIPs : clusterIP ? [clusterIP] : [];
    return {
      kind: 'Service',
      ...metadata,
      ...rest,
      clusterAddresses: all.filter((address) => address !== 'None' && address !== ''),
      headless: all.includes('None'),
      externalAddresses: externalIPs,
      loadBalancerAddresses: (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : [])),
    };
  },
);
