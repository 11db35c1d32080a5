/**
 * A cluster to measure with: namespaces of teams, applications with replicas, and policies as people write them.
 */

import { NAMESPACE_NAME_LABEL, type Namespace } from '#datastore/kinds/namespace.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule } from '#datastore/kinds/network-policy.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { LabelSelector } from '#datastore/label-selector.ts';
import type { Labels } from '#datastore/schema.ts';

export const NAMESPACES = 500;
export const PODS_PER_NODE = 30;
const TEAMS = 25;
export const APPS = 20;

/** The same for the same arguments. */
export class BenchCluster {
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
  readonly policies: readonly NetworkPolicy[];

  constructor(pods: number, policies: number) {
    this.namespaces = Array.from({ length: NAMESPACES }, (_, i) => namespace(i));
    this.pods = Array.from({ length: pods }, (_, i) => pod(i, Math.ceil(pods / PODS_PER_NODE)));
    this.policies = Array.from({ length: policies }, (_, i) => policy(i));
  }

  get nodes(): string[] {
    return [...new Set(this.pods.map(({ nodeName }) => nodeName))];
  }
}

export function namespace(i: number, extra: Labels = {}): Namespace {
  const name = `ns-${i}`;
  const labels = { [NAMESPACE_NAME_LABEL]: name, team: `team-${i % TEAMS}`, ...extra };
  return { kind: 'Namespace', namespace: '', name, uid: '', labels };
}

/** Pods go round the namespaces, so that each application is on many nodes. Every tenth has a label of its own. */
export function pod(i: number, nodes: number, extra: Labels = {}): Pod {
  const name = `pod-${i}`;
  const app = Math.floor(i / NAMESPACES) % APPS;
  const labels: Record<string, string> = { app: `app-${app}`, 'pod-template-hash': `h${app}`, ...extra };
  if (i % 10 === 3) labels['statefulset.kubernetes.io/pod-name'] = name;
  return {
    kind: 'Pod',
    namespace: `ns-${i % NAMESPACES}`,
    name,
    uid: `uid-${i}`,
    labels,
    nodeName: `node-${i % nodes}`,
    hostNetwork: false,
    finished: false,
    addresses: [
      `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
      `fd00::${(i >> 16).toString(16)}:${(i & 65535).toString(16)}`,
    ],
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 + (app % 3) }],
  };
}

/** Six kinds in turn, over all namespaces and then again for the next applications. */
export function policy(i: number): NetworkPolicy {
  const home = i % NAMESPACES;
  const round = Math.floor(i / NAMESPACES);
  const app = `app-${round % APPS}`;
  const next = `app-${(round + 1) % APPS}`;
  const base = {
    kind: 'NetworkPolicy',
    namespace: `ns-${home}`,
    name: `policy-${i}`,
    uid: '',
    labels: {},
  } as const;
  const both = ['Ingress', 'Egress'] as const;
  switch (round % 6) {
    case 0: // The namespace is closed but for itself and DNS.
      return {
        ...base,
        podSelector: select({}),
        policyTypes: both,
        ingress: [rule([pods({})], [])],
        egress: [
          rule([pods({})], []),
          rule([pods({ app: 'app-0' }, { [NAMESPACE_NAME_LABEL]: 'ns-0' })], [['UDP', 53]]),
        ],
      };
    case 1: // One application may call another one.
      return {
        ...base,
        podSelector: select({ app }),
        policyTypes: ['Ingress'],
        ingress: [rule([pods({ app: next })], [['TCP', 8080]])],
        egress: [],
      };
    case 2: // From the namespaces of the team, by the name of a port.
      return {
        ...base,
        podSelector: select({ app }),
        policyTypes: ['Ingress'],
        ingress: [rule([pods({ app: next }, { team: `team-${home % TEAMS}` })], [['TCP', 'http']])],
        egress: [],
      };
    case 3: // From outside, but not from all of it.
      return {
        ...base,
        podSelector: select({ app }),
        policyTypes: ['Ingress'],
        ingress: [
          rule(
            [
              {
                kind: 'block',
                cidr: `172.${16 + (round % 16)}.0.0/16`,
                except: [`172.${16 + (round % 16)}.${home % 256}.0/24`],
              },
            ],
            [['TCP', 443]],
          ),
        ],
        egress: [],
      };
    case 4: // To a service of another team, by the name of its port.
      return {
        ...base,
        podSelector: select({ app }),
        policyTypes: ['Egress'],
        ingress: [],
        egress: [rule([pods({ app: next }, { team: `team-${(home + 1) % TEAMS}` })], [['TCP', 'http']])],
      };
    default: // Open to everybody on one port.
      return {
        ...base,
        podSelector: select({ app }),
        policyTypes: ['Ingress'],
        ingress: [rule([], [['TCP', 9090]])],
        egress: [],
      };
  }
}

function select(matchLabels: Labels): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

function pods(labels: Labels, namespaces?: Labels): NetworkPolicyPeer {
  return {
    kind: 'pods',
    podSelector: select(labels),
    namespaceSelector: namespaces && select(namespaces),
  };
}

function rule(
  peers: readonly NetworkPolicyPeer[],
  ports: readonly (readonly ['TCP' | 'UDP', number | string])[],
): NetworkPolicyRule {
  return { peers, ports: ports.map(([protocol, port]) => ({ protocol, port, endPort: undefined })) };
}
