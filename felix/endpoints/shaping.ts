import type { TokenBucket } from '#kernel/rtnetlink/queueing.ts';
import type { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { INTERFACE_PREFIX } from '../endpoint.ts';
import type { BandwidthLimit, Endpoint } from './model.ts';

/** How the names of the blocks begin that what comes from pods goes through. */
const BLOCK_PREFIX = 'mgb';

/** How long a packet may wait, in seconds; what would wait longer is dropped. */
const LATENCY = 0.05;
/** What may go at once when nobody says: so many seconds' worth, but not less than a packet of segments (64 KiB) and some. */
const BURST = 0.1;
const LEAST_BURST = 128 << 10;
/** Runtimes that have no burst to say send the largest number there is, which would be no limit at all. */
const NO_BURST = 0x7fffffff;

/** The block that what a pod sends goes through. */
export function blockOf(hostInterface: string): string {
  return BLOCK_PREFIX + hostInterface.slice(INTERFACE_PREFIX.length);
}

/** The node's end of the pair that a block belongs to. */
export function endOf(block: string): string {
  return INTERFACE_PREFIX + block.slice(BLOCK_PREFIX.length);
}

export function isBlock(name: string): boolean {
  return name.startsWith(BLOCK_PREFIX);
}

/** The token bucket of a limit: bytes in the place of bits. */
export function bucketOf({ rate, burst }: BandwidthLimit): TokenBucket {
  const bytes = Math.max(1, Math.round(rate / 8));
  const asked = burst === 0 || burst >= NO_BURST ? Math.max(LEAST_BURST, bytes * BURST) : burst / 8;
  const whole = Math.min(Math.max(2048, Math.round(asked)), NO_BURST);
  return { rate: bytes, burst: whole, limit: Math.min(whole + Math.round(bytes * LATENCY), 0xffffffff) };
}

/**
 * Limits a pod's traffic on the node's side, where the pod can not change it: what goes to the pod by a token bucket on the
 * node's end of the pair, what comes from it by one on a block that it is redirected to.
 *
 * @param link index of the node's end, without limits so far
 * @throws NetlinkError ENOENT or EOPNOTSUPP when the kernel lacks something; `margay felix --check` says what
 */
export function limitTraffic({ links, queueing }: Rtnetlink, endpoint: Endpoint, link: number): void {
  const { ingress, egress } = endpoint.bandwidth ?? {};
  if (ingress !== undefined) queueing.limit(link, bucketOf(ingress));
  if (egress === undefined) return;
  const name = blockOf(endpoint.hostInterface);
  if (links.get(name) !== undefined) links.delete(name);
  links.create({ kind: 'ifb', name, mtu: endpoint.mtu });
  const block = links.indexOf(name);
  queueing.limit(block, bucketOf(egress));
  links.set(block, { up: true });
  queueing.redirectIncoming(link, block);
}

/** Whether the limits of an endpoint are in the kernel as they should be. */
export function limitsAreRight({ links, queueing }: Rtnetlink, endpoint: Endpoint, link: number): boolean {
  const { ingress, egress } = endpoint.bandwidth ?? {};
  const at = queueing.list(link);
  if (ingress !== undefined && !same(at.find((each) => each.place === 'root')?.tokenBucket, ingress))
    return false;
  if (egress === undefined) return true;
  const block = links.get(blockOf(endpoint.hostInterface));
  if (block === undefined || !block.up || !at.some((each) => each.kind === 'ingress')) return false;
  const led = queueing.redirections(link);
  if (led.length !== 1 || led[0] !== block.index) return false;
  return same(queueing.list(block.index).find((each) => each.place === 'root')?.tokenBucket, egress);
}

/** Takes away what is left of limits, so that they can be made anew. */
export function unlimitTraffic({ queueing }: Rtnetlink, link: number): void {
  queueing.remove(link, 'root');
  queueing.remove(link, 'ingress');
}

/** The burst is kept by the kernel as a time, and is not quite what it was. */
function same(found: TokenBucket | undefined, limit: BandwidthLimit): boolean {
  const { rate } = bucketOf(limit);
  return found !== undefined && found.rate === rate;
}
