/** Keeps the packet out of connection tracking; only ahead of it (priority below -200). It has no attributes. */
export interface NotrackExpression {
  readonly kind: 'notrack';
}
