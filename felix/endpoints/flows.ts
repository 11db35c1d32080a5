import { type AddressKey, familyOf } from '#datastore/address.ts';
import type { Conntrack } from '#kernel/conntrack/conntrack.ts';
import type { FlowView } from '#kernel/conntrack/flow-view.ts';

/**
 * Deletes the connection tracking entries of addresses, in one reading of the table: the kernel walks all of its buckets,
 * those of other namespaces too, whatever is asked for.
 *
 * @returns how many
 * @throws NetlinkError the first of those that were refused, after all others were deleted
 */
export function removeFlows(conntrack: Conntrack, addresses: readonly AddressKey[]): number {
  if (conntrack.count().entries === 0) return 0;
  const wanted = new Set(addresses);
  const [family, other] = new Set(addresses.map(familyOf));
  const changes = conntrack.changes();
  conntrack.visit(family === undefined || other !== undefined ? {} : { family }, (flow) => {
    if (isOf(flow, wanted)) changes.delete(flow);
  });
  const { count } = changes;
  const failures = changes.finish();
  const refused = failures.find((failure) => failure.error.code !== 'ENOENT');
  if (refused !== undefined) throw refused.error;
  return count - failures.length;
}

/** Whether one of the four addresses of a flow is among these. */
function isOf(flow: FlowView, wanted: ReadonlySet<AddressKey>): boolean {
  return [flow.original.source, flow.original.destination, flow.reply.source, flow.reply.destination].some(
    (at) => wanted.has(keyAt(flow.bytes, at, flow.addressSize)),
  );
}

function keyAt(bytes: Uint8Array, at: number, size: number): AddressKey {
  let key = '';
  for (let i = at; i < at + size; i += 2) key += String.fromCharCode((bytes[i]! << 8) | bytes[i + 1]!);
  return key as AddressKey;
}
