import { z } from 'zod';
import { type Metadata, namespaced } from '../metadata.ts';
import {
  address,
  flag,
  lenient,
  listOf,
  type Protocol,
  portNumber,
  protocol,
  text,
  withDefault,
} from '../schema.ts';

/**
 * A pod (`v1`). Its `uid` is the one that its node knows it by, which for a pod that the node runs by itself (a static pod) is not
 * that of the API's copy of it.
 */
export interface Pod extends Metadata {
  readonly kind: 'Pod';
  /** Empty until it is scheduled. */
  readonly nodeName: string;
  /** Whether it uses the node's own network, so that it has no address that is only its own. */
  readonly hostNetwork: boolean;
  /** Whether all its containers have ended for good: its address may already be another pod's. */
  readonly finished: boolean;
  /** Canonical, at most one of each family; none until the node has set it up. */
  readonly addresses: readonly string[];
  /** Ports of its containers and of its restartable init containers, in their order. */
  readonly ports: readonly ContainerPort[];
}

export interface ContainerPort {
  /** Empty for one without a name. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** Annotation of the API's copy of a static pod: the uid that the node gave it (a digest of its file). */
const MIRROR = 'kubernetes.io/config.mirror';

const metadata = namespaced
  .extend({ annotations: lenient({ [MIRROR]: z.string().optional().catch(undefined) }).nullish() })
  .transform(({ annotations, ...rest }): Metadata => ({ ...rest, uid: annotations?.[MIRROR] || rest.uid }));

const port = lenient({
  name: text,
  protocol: withDefault(protocol, 'TCP'),
  containerPort: portNumber,
}).transform(({ name, protocol, containerPort }): ContainerPort => ({ name, protocol, port: containerPort }));

const container = lenient({ ports: listOf(port), restartPolicy: text });

const spec = lenient({
  nodeName: text,
  hostNetwork: flag,
  containers: listOf(container),
  initContainers: listOf(container),
}).nullish();

const status = lenient({
  phase: text,
  podIP: z.literal('').or(address).nullish(),
  podIPs: listOf(lenient({ ip: address })),
}).nullish();

export const pod = lenient({ metadata, spec, status }).transform(
  ({ metadata, spec, status }): Pod => ({
    kind: 'Pod',
    ...metadata,
    nodeName: spec?.nodeName ?? '',
    hostNetwork: spec?.hostNetwork ?? false,
    finished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    addresses: status?.podIPs.length
      ? [...new Set(status.podIPs.map(({ ip }) => ip))]
      : status?.podIP
        ? [status.podIP]
        : [],
    ports: [
      ...(spec?.containers ?? []),
      // An init container that is restarted runs beside the others (a sidecar); any other has ended before they start.
      ...(spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
    ].flatMap(({ ports }) => ports),
  }),
);
