import { parsePrefix } from '#kernel/ip.ts';
import type { Route } from '#kernel/rtnetlink/route.ts';

/**
 * The routes that others have put into some tables, by prefix, for longest match. Made for the routes of a node (connected,
 * static, of an IGP), thousands at the most; not for a full table.
 */
export class RouteMirror {
  /** By family, then by prefix length, then by masked address in hexadecimal: routes, the lowest metric first. */
  readonly #byLength: Record<4 | 6, Map<number, Map<string, Route[]>>> = { 4: new Map(), 6: new Map() };
  /** Prefix lengths there are, the longest first. */
  readonly #lengths: Record<4 | 6, number[]> = { 4: [], 6: [] };
  size = 0;

  clear(): void {
    for (const family of [4, 6] as const) {
      this.#byLength[family].clear();
      this.#lengths[family] = [];
    }
    this.size = 0;
  }

  /** Takes a route in; the one it replaces (same prefix, table, metric, protocol) goes. */
  set(route: Route): void {
    this.remove(route);
    const { address, length } = parsePrefix(route.destination);
    let entries = this.#byLength[route.family].get(length);
    if (entries === undefined) {
      entries = new Map();
      this.#byLength[route.family].set(length, entries);
      this.#lengths[route.family] = [...this.#byLength[route.family].keys()].sort((a, b) => b - a);
    }
    const key = masked(address, length);
    const routes = entries.get(key) ?? [];
    routes.push(route);
    routes.sort((a, b) => a.metric - b.metric);
    entries.set(key, routes);
    this.size++;
  }

  remove(route: Route): void {
    const { address, length } = parsePrefix(route.destination);
    const entries = this.#byLength[route.family].get(length);
    const key = masked(address, length);
    const routes = entries?.get(key);
    if (entries === undefined || routes === undefined) return;
    const at = routes.findIndex((each) => isSame(each, route));
    if (at < 0) return;
    routes.splice(at, 1);
    this.size--;
    if (routes.length > 0) return;
    entries.delete(key);
    if (entries.size > 0) return;
    this.#byLength[route.family].delete(length);
    this.#lengths[route.family] = this.#lengths[route.family].filter((each) => each !== length);
  }

  /**
   * The route that a packet to `address` takes: of the longest prefix with a route that `usable` accepts the one with the
   * lowest metric. As in the kernel, a route that is not usable hands over to the next shorter prefix.
   */
  match(address: Uint8Array, usable: (route: Route) => boolean): Route | undefined {
    const family = address.length === 4 ? 4 : 6;
    for (const length of this.#lengths[family]) {
      const routes = this.#byLength[family].get(length)!.get(masked(address, length));
      const found = routes?.find(usable);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** All of them, in no particular order. */
  *routes(): Iterable<Route> {
    for (const family of [4, 6] as const) {
      for (const entries of this.#byLength[family].values()) {
        for (const routes of entries.values()) yield* routes;
      }
    }
  }

  /** Routes for exactly this prefix. */
  exact(address: Uint8Array, length: number): readonly Route[] {
    return this.#byLength[address.length === 4 ? 4 : 6].get(length)?.get(masked(address, length)) ?? [];
  }
}

function isSame(a: Route, b: Route): boolean {
  return a.metric === b.metric && a.protocol === b.protocol && a.table === b.table;
}

function masked(address: Uint8Array, length: number): string {
  let key = '';
  for (let i = 0; i < address.length && i * 8 < length; i++) {
    const bits = length - i * 8;
    const byte = bits >= 8 ? address[i]! : address[i]! & (0xff00 >>> bits);
    key += byte.toString(16).padStart(2, '0');
  }
  return key;
}
