import { type AddressKey, familyOf, formatAddress } from '#datastore/address.ts';
import type { Route } from '#kernel/rtnetlink/route.ts';
import type { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';

/** `boot` and `static` of /etc/iproute2/rt_protos: what people and scripts set, which nobody sets again by himself. */
const BY_HAND: ReadonlySet<number> = new Set([3, 4]);
const MAIN_TABLE = 254;

/** A route of somebody's that takes the packets to a pod's address, beside ours to the pod. */
export interface Shadow {
  readonly what: string;
  /** Where it is to be removed: undefined for what a routing daemon or the kernel would set again, or what is about more. */
  readonly route: Route | undefined;
}

/** What leads packets to an address elsewhere than to this link; nothing does where there is no such route at all. */
export function shadowOf(rtnetlink: Rtnetlink, address: AddressKey, link: number): Shadow | undefined {
  const text = formatAddress(address);
  const found = rtnetlink.routes.match(text);
  if (found === undefined || isTo(found, link)) return undefined;
  const own = `${text}/${familyOf(address) === 4 ? 32 : 128}`;
  const route = (found.table === 0 ? droppingRoute(rtnetlink, own) : undefined) ?? found;
  // A shorter one counts only while ours is missing, which is told in other words.
  if (route.destination !== own && route.table === MAIN_TABLE) return undefined;
  const [hop] = route.nextHops;
  const name = hop?.link === undefined ? undefined : (rtnetlink.links.get(hop.link)?.name ?? hop.link);
  const where = [hop?.gateway && `via ${hop.gateway}`, name && `dev ${name}`].filter(Boolean).join(' ');
  const path = route.type === 'unicast' ? where : `${route.type} ${where}`.trim();
  const what = `found ${text} to be led elsewhere: ${route.destination} ${path} proto ${route.protocol} metric ${route.metric} table ${route.table}`;
  const isByHand = route.table === MAIN_TABLE && route.destination === own && BY_HAND.has(route.protocol);
  return { what, route: isByHand ? route : undefined };
}

/** Of IPv6 routes that drop packets the kernel tells what they do, and not which they are. */
function droppingRoute(rtnetlink: Rtnetlink, destination: string): Route | undefined {
  return rtnetlink.routes
    .list({ family: 6, table: MAIN_TABLE })
    .filter((each) => each.destination === destination && each.type !== 'unicast')
    .sort((a, b) => a.metric - b.metric)[0];
}

function isTo(route: Route, link: number): boolean {
  return route.nextHops.some((hop) => hop.link === link);
}
