import { setTimeout as delay } from 'node:timers/promises';
import { type Log, LogLimit } from '#daemon/log.ts';
import type { margay } from '#proto/generated/policy.js';
import { readChange, StreamError } from './decode.ts';
import type { Programs } from './programs.ts';

/** What the receiver needs of the policy engine: `connect(policyService, address)` has it. */
export interface PolicySource {
  watch(
    request: { readonly node: string },
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<margay.policy.v1.IUpdate>;
}

export interface ReceiverOptions {
  readonly source: PolicySource;
  readonly node: string;
  readonly programs: Programs;
  readonly log: Log;
  /** 0 to 1. */
  readonly random?: () => number;
}

export interface ReceiverStatus {
  readonly connected: boolean;
  /** ms since 1970 when this connection, or the last one, had told everything; 0 before the first did. */
  readonly inSyncSince: number;
  /** Commits of all connections. */
  readonly commits: number;
  readonly connections: number;
  /** Why the last connection ended. */
  readonly lastError: string | undefined;
}

const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 5000;
/** A change that is larger is none: the engine sends parts of 256 KiB, so that this is a GiB. */
const MAX_PARTS = 4_000;

/**
 * Follows the policy engine for as long as the signal lets it: connects, takes the snapshot, compares, takes the changes, and
 * connects anew when the connection breaks. What was in force stays so meanwhile.
 */
export class PolicyReceiver {
  readonly #options: ReceiverOptions;
  #connected = false;
  #inSyncSince = 0;
  #commits = 0;
  #connections = 0;
  #lastError: string | undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  get status(): ReceiverStatus {
    return {
      connected: this.#connected,
      inSyncSince: this.#inSyncSince,
      commits: this.#commits,
      connections: this.#connections,
      lastError: this.#lastError,
    };
  }

  /** Why the policy engine tells nothing now; undefined while it does. */
  get fault(): string | undefined {
    return this.#connected ? undefined : (this.#lastError ?? 'it has not answered yet');
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log, random = Math.random } = this.#options;
    const limit = new LogLimit(() => performance.now());
    let wait = FIRST_DELAY_MS;
    while (!signal.aborted) {
      const commits = this.#commits;
      let malformed = false;
      try {
        await this.#follow(signal);
        this.#lastError = 'the policy engine ended the connection';
      } catch (error) {
        this.#lastError = error instanceof Error ? error.message : String(error);
        malformed = error instanceof StreamError;
      }
      const was = this.#connected;
      this.#connected = false;
      if (signal.aborted) return;
      // What can not be read now can not be a moment later, however well the snapshot before it can.
      if (this.#commits > commits && !malformed) wait = FIRST_DELAY_MS;
      const pause = Math.round(wait * (0.5 + random() / 2));
      // An engine that stays away is said once.
      if (was || this.#connections === 1) {
        limit.run('connection', (leftOut) =>
          log.warn(
            { error: this.#lastError, ...(leftOut > 0 && { leftOut }) },
            'no connection to the policy engine; what was in force stays so',
          ),
        );
      }
      await delay(pause, undefined, { signal }).catch(() => {});
      wait = Math.min(wait * 2, LAST_DELAY_MS);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { source, node, programs, log } = this.#options;
    this.#connections++;
    let parts: margay.policy.v1.IUpdate[] = [];
    let first = true;
    for await (const update of source.watch({ node }, { signal })) {
      parts.push(update);
      if (!update.commit) {
        if (parts.length > MAX_PARTS)
          throw new StreamError('parts of a change', `more than ${MAX_PARTS}`, 'a commit');
        continue;
      }
      const snapshot = parts.some((part) => part.snapshot === true);
      if (first && !snapshot)
        throw new StreamError('snapshot', 'a change of what was not told', 'everything, first');
      const apply = readChange({ updates: parts, snapshot });
      parts = [];
      apply(programs);
      this.#commits++;
      if (!first) continue;
      first = false;
      this.#connected = true;
      this.#inSyncSince = Date.now();
      log.info({ node, endpoints: programs.endpoints.size }, 'in sync with the policy engine');
    }
  }
}
