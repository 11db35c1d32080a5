/**
 * From best paths to what a prefix should have in the kernel.
 */

import type { Guard } from '#bgp/kernel/guard.ts';
import type { Target, TargetFeed } from '#bgp/kernel/kernel-routes.ts';
import type { Way } from '#bgp/kernel/next-hop-resolver.ts';
import { KEY_NEXT_HOP } from '#bgp/rib/attribute-store.ts';
import type { ChangeFeed } from '#bgp/rib/change-feed.ts';
import type { FamilyRib } from '#bgp/rib/family-rib.ts';
import { PATH_MULTI, PATH_NEXT, PATH_PEER, PATH_POST } from '#bgp/rib/paths.ts';
import { FROM_KERNEL } from '#bgp/rib/peer.ts';
import { PrefixTable4, type PrefixTable6 } from '#bgp/rib/prefix-table.ts';
import type { Rib } from '#bgp/rib/rib.ts';
import { maskBits, type Prefix } from '#bgp/wire/address.ts';
import { equalBytes } from '#bgp/wire/bytes.ts';

export type KernelFeedOptions = {
  readonly guard: Guard;
  /** Whether a blackhole route is to stand behind a route of our own. */
  readonly blackhole: (prefix: Prefix) => boolean;
  /** A prefix that was learned and does not go into the kernel. */
  readonly onRefused: (prefix: Prefix, reason: string) => void;
};

export class KernelFeed implements TargetFeed {
  readonly #rib: Rib;
  readonly #family: FamilyRib;
  readonly #feed: ChangeFeed;
  readonly #options: KernelFeedOptions;

  constructor(rib: Rib, family: FamilyRib, options: KernelFeedOptions) {
    this.#rib = rib;
    this.#family = family;
    this.#options = options;
    this.#feed = family.subscribe();
  }

  /** Prefixes that wait. */
  get size(): number {
    return this.#feed.size;
  }

  /** Called when there was nothing to take and there is something. */
  set onReady(run: () => void) {
    this.#feed.onReady = run;
  }

  take(limit: number, visit: Parameters<TargetFeed['take']>[1]): number {
    const { table } = this.#family;
    if (table instanceof PrefixTable4) {
      return this.#feed.take(limit, (net) =>
        visit(table.address(net), 0, 0, 0, table.lengthOf(net), this.#target(net)),
      );
    }
    const six = table as PrefixTable6;
    return this.#feed.take(limit, (net) =>
      visit(
        six.word(net, 0),
        six.word(net, 1),
        six.word(net, 2),
        six.word(net, 3),
        six.lengthOf(net),
        this.#target(net),
      ),
    );
  }

  /** Has everything within these prefixes looked at again: what is our own, and so what may come from others, has changed. */
  again(prefixes: readonly Prefix[]): void {
    const { table } = this.#family;
    const within = prefixes.filter(({ bytes }) => 8 * bytes.length === table.addressBits);
    if (within.length === 0) return;
    for (let net = 1; net < table.limit; net++) {
      if (!table.inUse(net)) continue;
      const address = table.addressOf(net);
      const length = table.lengthOf(net);
      if (within.some((prefix) => contains(prefix, address, length))) this.#feed.mark(net);
    }
  }

  /** Has all there is looked at: for one who comes in later. */
  everything(): void {
    for (const net of this.#family.table.netsInUse()) this.#feed.mark(net);
  }

  /** Has these prefixes looked at again, and none within them. */
  exactly(prefixes: readonly Prefix[]): void {
    const { table } = this.#family;
    for (const { bytes, length } of prefixes) {
      const net = 8 * bytes.length === table.addressBits ? table.findBytes(bytes, length) : 0;
      if (net !== 0) this.#feed.mark(net);
    }
  }

  close(): void {
    this.#family.unsubscribe(this.#feed);
  }

  #target(net: number): Target {
    const { table, paths } = this.#family;
    const best = this.#family.best(net);
    if (best === 0) return undefined;
    const bytes = table.addressOf(net);
    const length = table.lengthOf(net);
    const family = bytes.length === 4 ? 4 : 6;
    const source = this.#rib.peers[paths.peer(best)]!.source;
    if (source <= FROM_KERNEL) {
      return this.#options.blackhole({ family, bytes, length }) ? 'blackhole' : undefined;
    }
    const reason = this.#options.guard.refuses(bytes, length);
    if (reason !== undefined) {
      this.#options.onRefused({ family, bytes, length }, reason);
      return undefined;
    }
    const first = this.#wayOf(best);
    if ((paths.get(best, PATH_PEER) & PATH_MULTI) === 0) return first && [first];
    const ways = new Set<Way>();
    if (first !== undefined) ways.add(first);
    for (let row = this.#family.firstPath(net); row !== 0; row = paths.get(row, PATH_NEXT)) {
      const way = (paths.get(row, PATH_PEER) & PATH_MULTI) === 0 ? undefined : this.#wayOf(row);
      if (way !== undefined) ways.add(way);
    }
    return [...ways];
  }

  #wayOf(row: number): Way | undefined {
    const { attributes, nextHops } = this.#rib;
    const post = this.#family.paths.get(row, PATH_POST);
    // A path that is being rejected is still in use until its net is decided again.
    if (post === 0) return undefined;
    const id = attributes.keys.chunk(post)[attributes.keys.at(post) + KEY_NEXT_HOP]!;
    return nextHops.resolution(id).gateway as Way | undefined;
  }
}

function contains(outer: Prefix, address: Uint8Array, length: number): boolean {
  if (length < outer.length) return false;
  const masked = address.slice();
  maskBits(masked, outer.length);
  return equalBytes(masked, outer.bytes);
}
