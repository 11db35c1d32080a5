/**
 * Where the kinds live in the Kubernetes API, and which permissions reading them takes.
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */

import type { Kind } from '../resource.ts';

/** A collection of the API. */
export interface ApiCollection {
  readonly kind: Kind;
  /** `v1`, `networking.k8s.io/v1`. */
  readonly apiVersion: string;
  /** Empty for the core group. */
  readonly group: string;
  /** As in paths and in RBAC rules. */
  readonly plural: string;
  readonly namespaced: boolean;
}

export const COLLECTIONS: Readonly<Record<Kind, ApiCollection>> = {
  Node: collection('Node', '', 'v1', 'nodes', false),
  Namespace: collection('Namespace', '', 'v1', 'namespaces', false),
  Pod: collection('Pod', '', 'v1', 'pods', true),
  Service: collection('Service', '', 'v1', 'services', true),
  EndpointSlice: collection('EndpointSlice', 'discovery.k8s.io', 'v1', 'endpointslices', true),
  NetworkPolicy: collection('NetworkPolicy', 'networking.k8s.io', 'v1', 'networkpolicies', true),
};

export const ALL_KINDS = Object.keys(COLLECTIONS) as readonly Kind[];

/** `/api/v1/pods`: the objects of all namespaces. */
export function collectionPath({ apiVersion, group, plural }: ApiCollection): string {
  return `${group === '' ? '/api' : '/apis'}/${apiVersion}/${plural}`;
}

/** `/api/v1/namespaces/default/pods/web`. */
export function objectPath(api: ApiCollection, namespace: string, name: string): string {
  const inside = api.namespaced ? `namespaces/${namespace}/` : '';
  return `${api.group === '' ? '/api' : '/apis'}/${api.apiVersion}/${inside}${api.plural}/${name}`;
}

/** The rule of a ClusterRole without which the collection can not be followed. */
export function rbacRule({ group, plural }: ApiCollection): string {
  return `{apiGroups: ["${group}"], resources: ["${plural}"], verbs: ["list", "watch"]}`;
}

function collection(
  kind: Kind,
  group: string,
  version: string,
  plural: string,
  namespaced: boolean,
): ApiCollection {
  return { kind, apiVersion: group === '' ? version : `${group}/${version}`, group, plural, namespaced };
}
