/**
 * NetworkPolicy of `networking.k8s.io/v1`, checked as the API server checks it. A field of the spec that is not known
 * is refused: a policy that says more than is enforced would be a hole.
 */

import { z } from 'zod';
import { contains, parsePrefix, rangeOf } from '../address.ts';
import { type LabelSelector, labelSelector } from '../label-selector.ts';
import { type Metadata, namespaced } from '../metadata.ts';
import {
  cidr,
  exactly,
  lenient,
  listOf,
  type Protocol,
  portName,
  portNumber,
  protocol,
  withDefault,
} from '../schema.ts';

export interface NetworkPolicy extends Metadata {
  readonly kind: 'NetworkPolicy';
  /** Pods of the policy's namespace that it applies to. */
  readonly podSelector: LabelSelector;
  /** Directions in which it isolates the pods that it selects, after defaulting. */
  readonly policyTypes: readonly PolicyDirection[];
  readonly ingress: readonly NetworkPolicyRule[];
  readonly egress: readonly NetworkPolicyRule[];
}

export type PolicyDirection = 'Ingress' | 'Egress';

/** Allows traffic with one of the peers on one of the ports. */
export interface NetworkPolicyRule {
  /** `from` or `to`. None: any peer. */
  readonly peers: readonly NetworkPolicyPeer[];
  /** None: all traffic, of any protocol. */
  readonly ports: readonly NetworkPolicyPort[];
}

export type NetworkPolicyPeer = PodPeer | BlockPeer;

/** Pods by their labels, by those of their namespace, or both; at least one of the two. */
export interface PodPeer {
  readonly kind: 'pods';
  /** `undefined`: all pods. */
  readonly podSelector: LabelSelector | undefined;
  /** `undefined`: the namespace of the policy. */
  readonly namespaceSelector: LabelSelector | undefined;
}

/** Addresses. */
export interface BlockPeer {
  readonly kind: 'block';
  /** Canonical, bits after the length cleared. */
  readonly cidr: string;
  /** Canonical, each inside `cidr` and smaller. They may overlap. */
  readonly except: readonly string[];
}

export interface NetworkPolicyPort {
  readonly protocol: Protocol;
  /** Number, name of a port of the destination pod, or `undefined` for all ports of the protocol. */
  readonly port: number | string | undefined;
  /** Last port of a range that begins with the number `port`. */
  readonly endPort: number | undefined;
}

const PORT = 'a port number from 1 to 65535, or a port name';

const port = exactly({
  protocol: withDefault(protocol, 'TCP'),
  port: z.union([portNumber, portName], { error: PORT }).nullish(),
  endPort: portNumber.nullish(),
})
  .check((ctx) => {
    const { port, endPort } = ctx.value;
    if (endPort === undefined || endPort === null) return;
    const message =
      typeof port !== 'number'
        ? 'no endPort unless port is a number'
        : endPort < port
          ? `a port that is not before port ${port}`
          : undefined;
    if (message !== undefined)
      ctx.issues.push({ code: 'custom', input: endPort, path: ['endPort'], message });
  })
  .transform(
    ({ protocol, port, endPort }): NetworkPolicyPort => ({
      protocol,
      port: port ?? undefined,
      endPort: endPort ?? undefined,
    }),
  );

const ipBlock = exactly({ cidr, except: listOf(cidr) }).check((ctx) => {
  const block = parsePrefix(ctx.value.cidr)!;
  for (const [i, text] of ctx.value.except.entries()) {
    const except = parsePrefix(text)!;
    if (except.length > block.length && contains(rangeOf(block), except.address)) continue;
    const message = `a smaller block inside ${ctx.value.cidr}`;
    ctx.issues.push({ code: 'custom', input: text, path: ['except', i], message });
  }
});

const PEER = 'podSelector, namespaceSelector or both, or ipBlock alone';

const peer = exactly({
  podSelector: labelSelector.nullish(),
  namespaceSelector: labelSelector.nullish(),
  ipBlock: ipBlock.nullish(),
}).transform((peer, ctx): NetworkPolicyPeer => {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  const byLabels = podSelector || namespaceSelector;
  if (ipBlock && !byLabels) return { kind: 'block', ...ipBlock };
  if (byLabels && !ipBlock) {
    return {
      kind: 'pods',
      podSelector: podSelector ?? undefined,
      namespaceSelector: namespaceSelector ?? undefined,
    };
  }
  ctx.addIssue({
    code: 'custom',
    message: PEER,
    params: { found: ipBlock ? 'ipBlock beside a selector' : 'none of them' },
  });
  return z.NEVER;
});

const ingressRule = exactly({ from: listOf(peer), ports: listOf(port) }).transform(
  ({ from, ports }): NetworkPolicyRule => ({ peers: from, ports }),
);

const egressRule = exactly({ to: listOf(peer), ports: listOf(port) }).transform(
  ({ to, ports }): NetworkPolicyRule => ({ peers: to, ports }),
);

const policyTypes = listOf(z.enum(['Ingress', 'Egress'], { error: 'Ingress or Egress' })).refine(
  (types) => types.length <= 2,
  { error: 'at most two policy types' },
);

const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };

const spec = exactly({
  podSelector: withDefault(labelSelector, EVERYTHING),
  policyTypes,
  ingress: listOf(ingressRule),
  egress: listOf(egressRule),
});

export const networkPolicy = lenient({
  metadata: namespaced,
  spec: withDefault(spec, { podSelector: EVERYTHING, policyTypes: [], ingress: [], egress: [] }),
}).transform(
  ({ metadata, spec }): NetworkPolicy => ({
    kind: 'NetworkPolicy',
    ...metadata,
    ...spec,
    policyTypes: effectiveTypes(spec.policyTypes, spec.egress.length > 0),
  }),
);

/** Without types a policy is about ingress, and about egress too if it has rules for that. */
function effectiveTypes(given: readonly PolicyDirection[], hasEgress: boolean): readonly PolicyDirection[] {
  if (given.length === 0) return hasEgress ? ['Ingress', 'Egress'] : ['Ingress'];
  return (['Ingress', 'Egress'] as const).filter((type) => given.includes(type));
}
