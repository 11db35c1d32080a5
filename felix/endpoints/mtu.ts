import type { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';

/** What is taken when the node has no default route. */
const WITHOUT_UPLINK = 1500;

/**
 * The MTU for pods: the smallest of the interfaces that the node's default routes lead out of, so that what a pod sends
 * leaves the node whole. Bytes.
 */
export function uplinkMtu(rtnetlink: Rtnetlink): number {
  const links = new Set<number>();
  for (const route of rtnetlink.routes.list({ table: 254, type: 'unicast' })) {
    if (route.destination !== '0.0.0.0/0' && route.destination !== '::/0') continue;
    for (const { link } of route.nextHops) if (link !== undefined) links.add(link);
  }
  const found = [...links].map((link) => rtnetlink.links.get(link)?.mtu).filter((mtu) => mtu !== undefined);
  return found.length === 0 ? WITHOUT_UPLINK : Math.min(...found);
}

/** The MTU for pods, looked up anew when something has changed: a node may have a hundred thousand routes. */
export class UplinkMtu {
  readonly #rtnetlink: Rtnetlink;
  #known: number | undefined;

  constructor(rtnetlink: Rtnetlink) {
    this.#rtnetlink = rtnetlink;
  }

  get bytes(): number {
    this.#known ??= uplinkMtu(this.#rtnetlink);
    return this.#known;
  }

  /** A default route or an interface that is no pod's has changed. */
  forget(): void {
    this.#known = undefined;
  }
}
