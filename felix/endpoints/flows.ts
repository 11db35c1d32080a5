import { type AddressKey, familyOf } from '#datastore/address.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import type { FlowView } from '#kernel/conntrack/flow-view.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';

/**
 * Deletes connection tracking entries of addresses whose pods are gone. A table has to be read as a whole for it, so
 * addresses that come within one turn of the event loop share a reading.
 */
export class FlowRemoval {
  readonly #conntrack: Conntrack;
  #waiting: Promise<number> | undefined;
  readonly #addresses = new Set<AddressKey>();

  constructor(namespace: NetworkNamespace | undefined) {
    this.#conntrack = Conntrack.open(namespace);
  }

  close(): void {
    this.#conntrack.close();
  }

  /** Resolves to the number of entries that were deleted, for all that were asked for at the time. @throws NetlinkError */
  remove(addresses: readonly AddressKey[]): Promise<number> {
    for (const address of addresses) this.#addresses.add(address);
    this.#waiting ??= new Promise<number>((resolve, reject) => {
      setImmediate(() => {
        this.#waiting = undefined;
        try {
          resolve(this.#removeNow());
        } catch (error) {
          reject(error);
        }
      });
    });
    return this.#waiting;
  }

  #removeNow(): number {
    const changes = this.#conntrack.changes();
    for (const family of [4, 6] as const) {
      const wanted = new Set([...this.#addresses].filter((address) => familyOf(address) === family));
      if (wanted.size === 0) continue;
      this.#conntrack.visit({ family }, (flow) => {
        if (isOf(flow, wanted)) changes.delete(flow);
      });
    }
    this.#addresses.clear();
    const { count } = changes;
    const failures = changes.finish();
    const refused = failures.find((failure) => failure.error.code !== 'ENOENT');
    if (refused !== undefined) throw refused.error;
    return count - failures.length;
  }
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
