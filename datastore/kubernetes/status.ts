import type { Kind } from '../resource.ts';

/** How a kind is followed, for people. Times are ms since 1970; 0 is never. */
export interface KindStatus {
  readonly kind: Kind;
  /**
   * `listing`: everything is being asked for. `watching`: changes come as they happen. `waiting`: something failed, and
   * it is tried again in a moment; what was known before stays in force.
   */
  readonly state: 'listing' | 'watching' | 'waiting';
  /** Objects in force. */
  readonly objects: number;
  /** Since when nothing was missed; 0 while changes do not come. */
  readonly syncedSince: number;
  /** When the server last said anything, if only that there is nothing new. */
  readonly lastEvent: number;
  /** How often everything was read. */
  readonly lists: number;
  /** How often something other than the agreed end of a watch made it begin anew. */
  readonly restarts: number;
  /** How often a connection was open and silent for too long. Each is a restart too. */
  readonly stalls: number;
  /** What last went wrong; empty if nothing ever did. */
  readonly lastError: string;
  readonly lastErrorAt: number;
}
