import { formatIpv4, formatIpv6, ipv6Bytes } from '#kernel/ip.ts';
import { NextHopSets } from '#kernel/rtnetlink/next-hop-sets.ts';
import type { RouteTable } from '#kernel/rtnetlink/route-table.ts';
import { RouteTable4 } from '#kernel/rtnetlink/route-table4.ts';
import { RouteTable6 } from '#kernel/rtnetlink/route-table6.ts';

/** Routes in each family. */
export const COUNT = 100_000;
export const PROTOCOL = 80;
export const METRIC = 32;
/** The kernel's table `main`. */
const TABLE = 254;
/** Routers that the routes are spread over. */
const ROUTERS = 4;

/** The routes that are measured: /24 and /64 prefixes, by way of a few routers on one link. */
export class RouteSet {
  readonly family: 4 | 6;
  readonly table: RouteTable;
  readonly #ids: readonly number[];
  readonly #routers: readonly string[];

  /** @param link index of the interface that the routers are on */
  constructor(family: 4 | 6, link: number) {
    const sets = new NextHopSets();
    const options = { sets, table: TABLE, protocol: PROTOCOL, metric: METRIC };
    this.family = family;
    this.table = family === 4 ? new RouteTable4(options) : new RouteTable6(options);
    this.#routers = Array.from({ length: ROUTERS }, (_, n) =>
      family === 4 ? `10.0.0.${n + 2}` : `fd00::${n + 2}`,
    );
    this.#ids = this.#routers.map((gateway) => sets.intern(family, { nextHops: [{ gateway, link }] }));
  }

  /** Gives each route a router; another `turn` another one to each. */
  fill(turn: number): void {
    const { table } = this;
    for (let i = 0; i < COUNT; i++) {
      const id = this.#ids[(i + turn) % ROUTERS]!;
      if (table instanceof RouteTable4) table.set(0x14000000 + i * 256, 24, id);
      else if (table instanceof RouteTable6) table.set(0x20010db8, i, 0, 0, 64, id);
    }
  }

  /** An empty table for as many routes of this kind. */
  empty(): RouteTable {
    const { sets, table, protocol, metric, size } = this.table;
    const options = { sets, table, protocol, metric, capacity: size };
    return this.family === 4 ? new RouteTable4(options) : new RouteTable6(options);
  }

  /** The lines of `ip -batch` for the same routes in the same order. */
  lines(verb: 'add' | 'replace' | 'del', turn: number): string {
    this.fill(turn);
    const { table } = this;
    const lines: string[] = [];
    for (let slot = table.next(-1); slot >= 0; slot = table.next(slot)) {
      const [hop] = table.sets.path(table.id(slot)).nextHops;
      const way = verb === 'del' ? '' : ` via ${hop!.gateway} dev v0`;
      lines.push(`route ${verb} ${table.prefix(slot)}${way} proto ${PROTOCOL} metric ${METRIC}\n`);
    }
    return lines.join('');
  }
}

/** The n-th prefix of a family as text, for what is measured with text. */
export function prefixText(family: 4 | 6, n: number): string {
  if (family === 4) return `${formatIpv4(0x14000000 + n * 256)}/24`;
  return `${formatIpv6(ipv6Bytes(0x20010db8, n, 0, 0))}/64`;
}
