/**
 * The kinds of resources that Margay reads, and how a plain value (from YAML or JSON) becomes one of them.
 */

import type { z } from 'zod';
import { type EndpointSlice, endpointSlice } from './kinds/endpoint-slice.ts';
import { type Namespace, namespace } from './kinds/namespace.ts';
import { type NetworkPolicy, networkPolicy } from './kinds/network-policy.ts';
import { type Node, node } from './kinds/node.ts';
import { type Pod, pod } from './kinds/pod.ts';
import { type Service, service } from './kinds/service.ts';
import { describeValue, formatPath, type PathPart } from './problem.ts';
import { type LocatedFault, read } from './schema.ts';

export type Resource = Node | Namespace | Pod | Service | EndpointSlice | NetworkPolicy;
export type Kind = Resource['kind'];

/** `Kind/namespace/name`; the namespace is empty for kinds that have none. */
export type ResourceKey = string;

export function keyOf(resource: {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
}): ResourceKey {
  return `${resource.kind}/${resource.namespace}/${resource.name}`;
}

/** `Pod default/web`, `Node n1`: for people. */
export function describeKey(key: ResourceKey): string {
  const [kind, namespace, name] = key.split('/');
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** What became of a value that should be a resource. */
export type Reading =
  | { readonly outcome: 'resource'; readonly key: ResourceKey; readonly resource: Resource }
  /** It can be told which object it is, if `key` is there, but the object is not valid. */
  | {
      readonly outcome: 'invalid';
      readonly key: ResourceKey | undefined;
      readonly faults: readonly LocatedFault[];
    }
  /** An object of a kind that is not read. */
  | { readonly outcome: 'foreign'; readonly harmless: boolean; readonly faults: readonly LocatedFault[] };

/**
 * Reads one object.
 *
 * @param base stands before the paths of faults, for an object inside a list
 * @param type `apiVersion` and `kind` of an object that does not say them itself, as in a typed list
 */
export function readResource(
  value: unknown,
  base: readonly PathPart[] = [],
  type: Partial<ApiType> = {},
): Reading {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid(undefined, base, describeValue(value), 'an object with apiVersion, kind and metadata');
  }
  const object = value as Record<string, unknown>;
  const apiVersion = object.apiVersion ?? type.apiVersion;
  const kind = object.kind ?? type.kind;
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    return invalid(
      undefined,
      [...base, 'apiVersion'],
      describeValue(apiVersion),
      'an API version such as v1',
    );
  }
  if (typeof kind !== 'string' || kind === '') {
    return invalid(undefined, [...base, 'kind'], describeValue(kind), 'a kind such as Pod');
  }
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind as Kind] : undefined;
  if (reader === undefined || reader.apiVersion !== apiVersion) return foreign(apiVersion, kind, base);
  const result = read(reader.schema, value, base);
  if (!result.ok)
    return {
      outcome: 'invalid',
      key: identify(kind as Kind, object, reader.namespaced),
      faults: result.faults,
    };
  return { outcome: 'resource', key: keyOf(result.value), resource: result.value };
}

export interface ApiType {
  readonly apiVersion: string;
  readonly kind: string;
}

interface Reader {
  readonly apiVersion: string;
  readonly namespaced: boolean;
  readonly schema: z.ZodType<Resource>;
}

const READERS: Readonly<Record<Kind, Reader>> = {
  Node: { apiVersion: 'v1', namespaced: false, schema: node },
  Namespace: { apiVersion: 'v1', namespaced: false, schema: namespace },
  Pod: { apiVersion: 'v1', namespaced: true, schema: pod },
  Service: { apiVersion: 'v1', namespaced: true, schema: service },
  EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', namespaced: true, schema: endpointSlice },
  NetworkPolicy: { apiVersion: 'networking.k8s.io/v1', namespaced: true, schema: networkPolicy },
};

/** API groups whose objects tell the network what to do: not to know one of them is an error. */
const NETWORK_GROUPS = new Set([
  'networking.k8s.io',
  'policy.networking.k8s.io',
  'discovery.k8s.io',
  'projectcalico.org',
  'crd.projectcalico.org',
]);

/** Kinds of those groups that are the business of others. */
const OTHERS_BUSINESS = new Set(['Ingress', 'IngressClass', 'IPAddress', 'ServiceCIDR']);

function foreign(apiVersion: string, kind: string, base: readonly PathPart[]): Reading {
  const known = Object.hasOwn(READERS, kind) ? READERS[kind as Kind].apiVersion : undefined;
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const concernsUs = known !== undefined || NETWORK_GROUPS.has(group);
  return {
    outcome: 'foreign',
    harmless: !concernsUs || OTHERS_BUSINESS.has(kind),
    faults: [
      {
        parts: [...base, 'kind'],
        path: '',
        found: `${kind} of ${apiVersion}`,
        expected: known === undefined ? `one of ${Object.keys(READERS).join(', ')}` : `${kind} of ${known}`,
      },
    ],
  };
}

/** Which object it is meant to be, if as much as its name is legible. */
function identify(
  kind: Kind,
  object: Record<string, unknown>,
  isNamespaced: boolean,
): ResourceKey | undefined {
  const { name, namespace } = (object.metadata ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || name === '') return undefined;
  if (!isNamespaced) return keyOf({ kind, namespace: '', name });
  const isText = typeof namespace === 'string' && namespace !== '';
  if (!isText && namespace !== undefined && namespace !== null) return undefined;
  return keyOf({ kind, namespace: isText ? namespace : 'default', name });
}

function invalid(
  key: ResourceKey | undefined,
  parts: readonly PathPart[],
  found: string,
  expected: string,
): Reading {
  return { outcome: 'invalid', key, faults: [{ parts, path: formatPath(parts), found, expected }] };
}
