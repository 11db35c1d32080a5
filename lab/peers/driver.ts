import type { Announcement, Family, NeighbourState, PeerKind, PeerRoute } from './description.ts';

/** What is different between the daemons. All paths lie in one temporary folder. */
export interface Driver {
  readonly kind: PeerKind;
  /** Writes the configuration for the routes to announce from the start. */
  configure(): void;
  /** Command lines to run, in order; each is started once the one before has its `ready` come true. */
  readonly processes: readonly DaemonProcess[];
  neighbours(): Promise<NeighbourState[]>;
  routes(family: Family): Promise<PeerRoute[]>;
  advertised(neighbour: string, family: Family): Promise<string[]>;
  announce(routes: readonly Announcement[]): Promise<void>;
  withdraw(prefixes: readonly string[]): Promise<void>;
  setEnabled(neighbour: string, enabled: boolean, reason?: string): Promise<void>;
  refresh(neighbour: string): Promise<void>;
}

/** One process of a daemon. */
export interface DaemonProcess {
  readonly command: string;
  readonly args: readonly string[];
  /** Called before each start, the first included: removes what a killed one left. */
  prepare?(): void;
  /** Throws or returns false as long as the process does not answer. */
  ready(): Promise<boolean>;
  /** What in the log of a process that runs says that its configuration was not taken. */
  refusal?(log: string): string | undefined;
}
