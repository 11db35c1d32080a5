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
