/**
 * A resource as the manifest that it could have been read from: with the fields that count here, and no others.
 */

import type { EndpointSlice } from './kinds/endpoint-slice.ts';
import { SERVICE_NAME_LABEL } from './kinds/endpoint-slice.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule } from './kinds/network-policy.ts';
import type { Node } from './kinds/node.ts';
import type { Pod } from './kinds/pod.ts';
import type { Service } from './kinds/service.ts';
import type { LabelSelector } from './label-selector.ts';
import type { Resource } from './resource.ts';

export type Manifest = Readonly<Record<string, unknown>>;

/** Reading the manifest gives the same resource again. */
export function manifestOf(resource: Resource): Manifest {
  const { kind } = resource;
  return { apiVersion: API_VERSIONS[kind], kind, metadata: metadataOf(resource), ...bodyOf(resource) };
}

const API_VERSIONS: Readonly<Record<Resource['kind'], string>> = {
  Node: 'v1',
  Namespace: 'v1',
  Pod: 'v1',
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
};

function metadataOf(resource: Resource): Manifest {
  const { namespace, name, uid } = resource;
  const labels =
    resource.kind === 'EndpointSlice' && resource.service !== ''
      ? { ...resource.labels, [SERVICE_NAME_LABEL]: resource.service }
      : resource.labels;
  return {
    ...(namespace !== '' && { namespace }),
    name,
    ...(uid !== '' && { uid }),
    ...(Object.keys(labels).length > 0 && { labels }),
  };
}

function bodyOf(resource: Resource): Manifest {
  switch (resource.kind) {
    case 'Namespace':
      return {};
    case 'Node':
      return ofNode(resource);
    case 'Pod':
      return ofPod(resource);
    case 'Service':
      return ofService(resource);
    case 'EndpointSlice':
      return ofEndpointSlice(resource);
    case 'NetworkPolicy':
      return ofNetworkPolicy(resource);
  }
}

function ofNode({ podCidrs, addresses }: Node): Manifest {
  return { spec: { podCIDRs: podCidrs }, status: { addresses } };
}

function ofPod({ nodeName, hostNetwork, finished, addresses, ports }: Pod): Manifest {
  const containerPorts = ports.map(({ name, protocol, port }) => ({
    ...(name !== '' && { name }),
    containerPort: port,
    protocol,
  }));
  return {
    spec: {
      ...(nodeName !== '' && { nodeName }),
      ...(hostNetwork && { hostNetwork }),
      containers: ports.length === 0 ? [] : [{ ports: containerPorts }],
    },
    status: { phase: finished ? 'Succeeded' : 'Running', podIPs: addresses.map((ip) => ({ ip })) },
  };
}

function ofService(service: Service): Manifest {
  const { kind: _, namespace: _n, name: _m, uid: _u, labels: _l, ...rest } = service;
  const { clusterAddresses, headless, externalAddresses, loadBalancerAddresses, ...spec } = rest;
  return {
    spec: {
      ...spec,
      clusterIPs: headless ? ['None', ...clusterAddresses] : clusterAddresses,
      externalIPs: externalAddresses,
    },
    status: { loadBalancer: { ingress: loadBalancerAddresses.map((ip) => ({ ip })) } },
  };
}

function ofEndpointSlice({ addressType, endpoints, ports }: EndpointSlice): Manifest {
  return {
    addressType,
    endpoints: endpoints.map(({ addresses, ready, serving, terminating, nodeName, pod }) => ({
      addresses,
      conditions: { ready, serving, terminating },
      ...(nodeName !== '' && { nodeName }),
      ...(pod !== '' && { targetRef: { kind: 'Pod', name: pod } }),
    })),
    ports: ports.map(({ name, protocol, port }) => ({ name, protocol, ...(port !== undefined && { port }) })),
  };
}

function ofNetworkPolicy({ podSelector, policyTypes, ingress, egress }: NetworkPolicy): Manifest {
  const rules = (list: 'from' | 'to', rules: readonly NetworkPolicyRule[]) =>
    rules.map(({ peers, ports }) => ({
      ...(peers.length > 0 && { [list]: peers.map(ofPeer) }),
      ...(ports.length > 0 && { ports: ports.map(withoutUndefined) }),
    }));
  return {
    spec: {
      podSelector: ofSelector(podSelector),
      policyTypes,
      ...(ingress.length > 0 && { ingress: rules('from', ingress) }),
      ...(egress.length > 0 && { egress: rules('to', egress) }),
    },
  };
}

function ofPeer(peer: NetworkPolicyPeer): Manifest {
  if (peer.kind === 'block') {
    const { cidr, except } = peer;
    return { ipBlock: { cidr, ...(except.length > 0 && { except }) } };
  }
  const { podSelector, namespaceSelector } = peer;
  return {
    ...(podSelector !== undefined && { podSelector: ofSelector(podSelector) }),
    ...(namespaceSelector !== undefined && { namespaceSelector: ofSelector(namespaceSelector) }),
  };
}

function ofSelector({ matchLabels, matchExpressions }: LabelSelector): Manifest {
  return {
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
    ...(matchExpressions.length > 0 && {
      matchExpressions: matchExpressions.map(({ key, operator, values }) => ({
        key,
        operator,
        ...(values.length > 0 && { values }),
      })),
    }),
  };
}

function withoutUndefined(value: object): Manifest {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined));
}
