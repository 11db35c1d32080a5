/**
 * Session and best-path events as a stream. What a slow reader costs is bounded: session events by the queue, best-path
 * changes by the number of prefixes, since a prefix that changes often before it is read is there once.
 */

import type { ChangeFeed } from '#bgp/rib/change-feed.ts';
import type { FamilyRib } from '#bgp/rib/family-rib.ts';
import { viewRoute } from '#bgp/rib/queries.ts';
import type { Speaker } from '#bgp/speaker.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import type { Family } from '#bgp/wire/constants.ts';
import type { margay } from '#proto/generated/bgp.js';
import { toPath } from './routes.ts';
import { toState } from './text.ts';

/** Best-path events at a time. */
const AT_ONCE = 256;

export async function* watchEvents(
  speaker: Speaker,
  families: readonly Family[],
  now: () => number,
  signal: AbortSignal,
): AsyncGenerator<margay.bgp.v1.IEvent> {
  const sessions = speaker.events.watch();
  const feeds = families.map((family) => {
    const rib = speaker.rib.families.get(family)!;
    return { rib, feed: rib.subscribe() };
  });
  const bell = new Bell(signal);
  sessions.onReady = () => bell.ring();
  for (const { feed } of feeds) feed.onReady = () => bell.ring();
  try {
    while (!signal.aborted) {
      const { changes, lost } = sessions.take();
      for (const { at, neighbor, from, to, reason } of changes) {
        const session = { neighbor, from: toState(from), to: toState(to), reason };
        yield { at: at / 1000, session };
      }
      if (lost > 0) yield { at: now() / 1000, lost };
      let waiting = 0;
      for (const { rib, feed } of feeds) {
        for (const route of takeRoutes(speaker, rib, feed)) yield { at: now() / 1000, route };
        waiting += feed.size;
      }
      // Prefixes that are just being decided stay in the feed: a moment later they can be taken.
      if (waiting > 0) await new Promise((resolve) => setImmediate(resolve));
      else await bell.rung();
    }
  } finally {
    sessions.close();
    for (const { rib, feed } of feeds) rib.unsubscribe(feed);
  }
}

function takeRoutes(speaker: Speaker, rib: FamilyRib, feed: ChangeFeed): margay.bgp.v1.IRouteEvent[] {
  const events: margay.bgp.v1.IRouteEvent[] = [];
  feed.take(AT_ONCE, (net) => {
    const { address, length, paths } = viewRoute(speaker.rib, rib, net);
    const prefix = formatPrefix({ family: address.length === 4 ? 4 : 6, bytes: address, length });
    const best = paths.find((path) => path.best);
    events.push({
      prefix,
      ...(best && { best: toPath(speaker, best, 'accepted', paths.length > 1) }),
      multipaths: paths.filter(({ multipath }) => multipath).length,
    });
  });
  return events;
}

/** Lets one wait until somebody rings, also if that was before; or until the signal. */
class Bell {
  #rang = false;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.ring(), { once: true });
  }

  ring(): void {
    this.#rang = true;
    this.#wake();
  }

  async rung(): Promise<void> {
    if (!this.#rang) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#rang = false;
    this.#wake = () => {};
  }
}
