/**
 * Time, as sessions need it. Tests bring one of their own.
 */

export type Clock = {
  /** ms from some moment on, only ever growing. */
  readonly now: () => number;
  /** ms since 1970, for people. */
  readonly date: () => number;
  /** Calls the function after so many ms, unless the returned one is called before. */
  readonly after: (ms: number, run: () => void) => () => void;
  /** Calls the function once the event loop has looked at timers and sockets again. */
  readonly defer: (run: () => void) => void;
};

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  defer: (run) => {
    setImmediate(run);
  },
};
