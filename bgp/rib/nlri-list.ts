/**
 * One list of prefixes of an UPDATE: read as a whole first, so that a list with an error changes nothing, and then turned
 * into net indexes.
 */

import { type Family, IPV4_UNICAST } from '#bgp/wire/constants.ts';
import { Ipv4Batch, Ipv6Batch } from '#bgp/wire/nlri.ts';
import { type PrefixTable, PrefixTable4, type PrefixTable6 } from './prefix-table.ts';

export class NlriList {
  /** Prefixes that `read` found. */
  count = 0;
  /** After `intern` or `find`: a net for each; 0 for those that `find` did not find. */
  nets = new Int32Array(4096);
  /** After a `read` that returned false: what is wrong. */
  reason = '';
  #ipv4: Ipv4Batch | undefined;
  #ipv6: Ipv6Batch | undefined;
  #pathIds: Uint32Array | undefined;

  /** @returns false if the list can not be read to its end. */
  read(bytes: Uint8Array, start: number, end: number, family: Family, addPath: boolean): boolean {
    let batch: Ipv4Batch | Ipv6Batch;
    if (family === IPV4_UNICAST) {
      this.#ipv4 ??= new Ipv4Batch();
      batch = this.#ipv4;
    } else {
      this.#ipv6 ??= new Ipv6Batch();
      batch = this.#ipv6;
    }
    const good = batch.read(bytes, start, end, addPath);
    this.count = batch.count;
    this.#pathIds = addPath ? batch.pathIds : undefined;
    if (!good) this.reason = batch.reason;
    return good;
  }

  /** Makes the list one of this single net. */
  single(net: number): void {
    this.nets[0] = net;
    this.count = 1;
    this.#pathIds = undefined;
  }

  /** Path identifier of the prefix in a row, 0 if they come without. */
  pathId(row: number): number {
    return this.#pathIds === undefined ? 0 : this.#pathIds[row]!;
  }

  /** Finds or makes a net for each prefix. */
  intern(table: PrefixTable): void {
    this.#reserve();
    const { nets, count } = this;
    if (table instanceof PrefixTable4) {
      const { addresses, lengths } = this.#ipv4!;
      for (let i = 0; i < count; i++) nets[i] = table.intern(addresses[i]! | 0, lengths[i]!);
    } else {
      const { words, lengths } = this.#ipv6!;
      const table6 = table as PrefixTable6;
      for (let i = 0; i < count; i++) {
        const at = 4 * i;
        nets[i] = table6.intern(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, lengths[i]!);
      }
    }
  }

  /** Finds the net of each prefix. */
  find(table: PrefixTable): void {
    this.#reserve();
    const { nets, count } = this;
    if (table instanceof PrefixTable4) {
      const { addresses, lengths } = this.#ipv4!;
      for (let i = 0; i < count; i++) nets[i] = table.find(addresses[i]! | 0, lengths[i]!);
    } else {
      const { words, lengths } = this.#ipv6!;
      const table6 = table as PrefixTable6;
      for (let i = 0; i < count; i++) {
        const at = 4 * i;
        nets[i] = table6.find(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, lengths[i]!);
      }
    }
  }

  #reserve(): void {
    if (this.nets.length >= this.count) return;
    this.nets = new Int32Array(Math.max(this.count, this.nets.length * 2));
  }
}
