/**
 * The service of felix.proto.
 */

import { formatAddress } from '#datastore/address.ts';
import type { felixService } from '#proto/felix.ts';
import type { margay } from '#proto/generated/felix.js';
import type { Handlers } from '#proto/server.ts';
import type { NftablesDataplane } from './dataplane/dataplane.ts';
import type { Problem } from './dataplane/driver.ts';
import { describePart } from './dataplane/part.ts';
import type { WorkloadEndpoint } from './endpoint.ts';
import type { Foreign } from './endpoints/repair.ts';
import type { PolicyReceiver } from './policy/receiver.ts';

export interface HandlerOptions {
  readonly version: string;
  /** ms since 1970 */
  readonly startedAt: number;
  readonly node: string;
  readonly policyAddress: string;
  /** Bytes. */
  readonly memory: () => number;
  readonly dataplane: NftablesDataplane;
  readonly receiver: PolicyReceiver;
  readonly pods: () => PodsStatus;
}

/** What is known of the pods of the node. */
export interface PodsStatus {
  /** Canonical; none where the agent does not wire pods, or as long as they are not known. */
  readonly cidrs: readonly string[];
  /** What it waits for before pods can come, '' for nothing. */
  readonly waitsFor: string;
  /** What is wrong with the Node object or the files of the node, in words. */
  readonly problems: readonly string[];
  /** What others have set against pods. */
  readonly foreign: readonly Foreign[];
}

export function felixHandlers(options: HandlerOptions): Handlers<typeof felixService> {
  return {
    getStatus: () => statusOf(options),
    listEndpoints: () => ({ endpoints: endpointsOf(options.dataplane) }),
  };
}

function statusOf({ dataplane, receiver, ...options }: HandlerOptions): margay.felix.v1.IStatus {
  const { cidrs, waitsFor, problems, foreign } = options.pods();
  const { connected, inSyncSince, commits, connections, lastError } = receiver.status;
  const { transactions, operations, refused, repairs, repairedAt } = dataplane.driver.counters;
  const { ended, revived } = dataplane.flows.counters;
  return {
    version: options.version,
    startedAt: options.startedAt / 1000,
    node: options.node,
    policy: {
      address: options.policyAddress,
      connected,
      inSyncSince: inSyncSince / 1000,
      commits,
      connections,
      lastError: lastError ?? '',
    },
    dataplane: {
      inSync: dataplane.inSync,
      transactions,
      operations,
      refused,
      repairs,
      repairedAt: repairedAt / 1000,
      flowsEnded: ended,
      flowsRevived: revived,
      ...dataplane.ruleset.desired.count(),
    },
    problems: [
      ...dataplane.problems.map(describeProblem),
      ...problems.map((text) => ({ object: 'node', text, since: 0 })),
      ...foreign.map(({ pod, text, since }) => ({ object: `pod ${pod}`, text, since: since / 1000 })),
    ],
    podCidrs: [...cidrs],
    waitsFor,
    endpoints: dataplane.ruleset.workloads().length,
    memory: options.memory(),
  };
}

function describeProblem({ part, text, since }: Problem): margay.felix.v1.IProblem {
  return { object: part ? describePart(part) : 'ruleset', text, since: since / 1000 };
}

function endpointsOf(dataplane: NftablesDataplane): margay.felix.v1.IEndpoint[] {
  return [...dataplane.ruleset.workloads()]
    .sort((a, b) => (a.pod < b.pod ? -1 : 1))
    .map((workload) => endpointOf(dataplane, workload));
}

function endpointOf(
  { programs, ruleset, driver }: NftablesDataplane,
  { pod, interface: name, addresses, hostPorts }: WorkloadEndpoint,
): margay.felix.v1.IEndpoint {
  const program = ruleset.knows(pod) ? programs.endpoints.get(pod) : undefined;
  return {
    pod,
    interface: name,
    addresses: addresses.map(formatAddress),
    hostPorts: hostPorts.map(({ protocol, hostPort, containerPort, hostIp }) => ({
      protocol,
      hostPort,
      containerPort,
      hostIp: hostIp === undefined ? '' : formatAddress(hostIp),
    })),
    ingressIsolated: program?.ingress.isolated ?? false,
    egressIsolated: program?.egress.isolated ?? false,
    known: program !== undefined,
    problem: driver.problemOf({ kind: 'pod', pod })?.text ?? '',
  };
}
