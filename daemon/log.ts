/**
 * The log: one JSON object a line on standard error.
 */

import { type Logger, pino } from 'pino';
import { LogOutput, standardError } from './log-output.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type Log = Pick<Logger, 'error' | 'warn' | 'info' | 'debug'>;

export type DaemonLog = Log & { level: string };

/**
 * Written before the call returns, as what a process says last is what one wants to read; and whatever becomes of standard error, the
 * daemon goes on.
 *
 * @param target with a `writable` that knows, it is never waited for
 */
export function openLog(daemon: string, level: LogLevel, target = standardError()): DaemonLog {
  const base = { daemon, pid: process.pid };
  const output = new LogOutput(target, (lines) => {
    const time = new Date().toISOString();
    return `${JSON.stringify({ level: 'warn', time, ...base, lines, msg: 'lines of the log were lost' })}\n`;
  });
  return pino(
    {
      level,
      base,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
}

/** Lines of one kind that are let through in a row, and how long until the next row, in ms. */
const BURST = 10;
const WINDOW_MS = 10_000;
const MAX_KINDS = 1000;

/**
 * Keeps lines that somebody outside can cause from filling the log: so many of each kind in a while, and the next one that is let
 * through says how many were not.
 */
export class LogLimit {
  readonly #now: () => number;
  readonly #kinds = new Map<string, { until: number; count: number }>();

  /** @param now ms, only ever growing */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Calls `write` with the number of lines of this kind that were left out before it, unless this one is left out too. */
  run(kind: string, write: (leftOut: number) => void): void {
    const now = this.#now();
    const seen = this.#kinds.get(kind);
    if (seen !== undefined && now < seen.until) {
      seen.count++;
      if (seen.count <= BURST) write(0);
      return;
    }
    if (seen === undefined && this.#kinds.size >= MAX_KINDS) this.#kinds.clear();
    this.#kinds.set(kind, { until: now + WINDOW_MS, count: 1 });
    write(Math.max(0, (seen?.count ?? 0) - BURST));
  }
}
