/**
 * A daemon that is kept running in a namespace: one that ends is started again, as a DaemonSet would.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { toolEnvironment } from './command.ts';
import { NETNS_FOLDER, startTime } from './leftovers.ts';

export interface DaemonSpec {
  /** For people: `margay bgp of n1`. */
  readonly title: string;
  /** Name of the namespace. */
  readonly netns: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** The file that its output goes to, all of it, up to {@link MOST_LOG}. */
  readonly log: string;
  /** Called before each start, the first included. */
  readonly prepare?: () => void;
  /** Called after each start, the first included. */
  readonly onStart?: () => void;
  /** Called whenever {@link Daemon.status} has changed. */
  readonly onChange?: () => void;
}

export interface DaemonStatus {
  readonly pid: number | undefined;
  /** Start time in clock ticks since boot, so that a number used again is not taken for it. */
  readonly start: string | undefined;
  /** When it was started last, in ms since 1970. */
  readonly since: number;
  /** How often it was started again. */
  readonly restarts: number;
  /** How it ended the last time: `exit status 1`, `SIGKILL`. */
  readonly lastEnd: string | undefined;
}

export class Daemon {
  readonly spec: DaemonSpec;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #again: NodeJS.Timeout | undefined;
  #trim: NodeJS.Timeout | undefined;
  #wanted = false;
  #pause = FIRST_PAUSE;
  #status: DaemonStatus = { pid: undefined, start: undefined, since: 0, restarts: 0, lastEnd: undefined };

  constructor(spec: DaemonSpec) {
    this.spec = spec;
  }

  get status(): DaemonStatus {
    return this.#status;
  }

  /** Starts it and keeps it running until {@link stop}. */
  start(): void {
    this.#wanted = true;
    this.#trim ??= setInterval(() => trimLog(this.spec.log), 5000).unref();
    this.#run();
  }

  /** Ends it in good order, or after `grace` ms at once. */
  async stop(grace = 2000): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#again);
    clearInterval(this.#trim);
    this.#child?.kill('SIGTERM');
    const force = setTimeout(() => this.#child?.kill('SIGKILL'), grace);
    await this.#ended;
    clearTimeout(force);
  }

  /** The last lines of its log. */
  lastLines(count: number): string[] {
    return lastLines(this.spec.log, count);
  }

  #run(): void {
    const since = Date.now();
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // No memory, no disk: it may be better the next time.
      this.#onEnd(error instanceof Error ? error.message : String(error), 0);
      return;
    }
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const finish = (end: string): void => {
        resolve();
        if (this.#child === child) this.#onEnd(end, Date.now() - since);
      };
      child.once('exit', (status, signal) => finish(signal ?? `exit status ${status}`));
      child.once('error', (error) => finish(error.message));
    });
    const start = child.pid === undefined ? undefined : startTime(child.pid);
    this.#set({ pid: child.pid, start, since });
    this.spec.onStart?.();
  }

  #spawn(): ChildProcess {
    const { netns, command, args, cwd, log, prepare } = this.spec;
    prepare?.();
    const output = openSync(log, 'a', 0o600);
    const child = spawn('nsenter', [`--net=${NETNS_FOLDER}/${netns}`, '--', command, ...args], {
      stdio: ['ignore', output, output],
      // A session of its own: Ctrl-C in the terminal is for the lab, which ends its daemons in order.
      detached: true,
      env: toolEnvironment(),
      ...(cwd === undefined ? {} : { cwd }),
    });
    closeSync(output);
    return child;
  }

  #onEnd(end: string, ran: number): void {
    this.#child = undefined;
    this.#set({ pid: undefined, start: undefined, lastEnd: end });
    if (!this.#wanted) return;
    if (ran > STEADY) this.#pause = FIRST_PAUSE;
    this.#again = setTimeout(() => {
      this.#set({ restarts: this.#status.restarts + 1 });
      this.#run();
    }, this.#pause);
    this.#pause = Math.min(this.#pause * 2, LAST_PAUSE);
  }

  #set(change: Partial<DaemonStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.spec.onChange?.();
  }
}

/** The last lines of a log; none if there is no such file. */
export function lastLines(log: string, count: number): string[] {
  try {
    return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-count);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Bytes that a log may have before it starts anew. */
export const MOST_LOG = 8 * 1024 * 1024;

/** Pauses before a start, in ms: doubled each time until it ran for a while. */
const FIRST_PAUSE = 100;
const LAST_PAUSE = 5000;
const STEADY = 10_000;

/** The daemon appends, so it goes on at the start of the file. */
function trimLog(log: string): void {
  const size = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MOST_LOG) truncateSync(log);
}
