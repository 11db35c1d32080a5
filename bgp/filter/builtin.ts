/**
 * Filters that need no configuration.
 */

import type { Filter } from './types.ts';

export const ACCEPT_ALL: Filter = { name: 'accept', statements: [], otherwise: 'accept' };

/** What an external neighbour without a filter gets: RFC 8212. */
export const REJECT_ALL: Filter = { name: 'reject', statements: [], otherwise: 'reject' };

/** Export of this node's own prefixes and of nothing that it has learned from others. */
export const OWN_PREFIXES: Filter = {
  name: 'own-prefixes',
  statements: [{ match: { sources: ['local'] }, action: 'accept' }],
  otherwise: 'reject',
};

/** Name of the filter that accepts the pod CIDRs of the cluster's nodes and nothing else; it is there where there is a cluster. */
export const POD_CIDRS = 'pod-cidrs';
