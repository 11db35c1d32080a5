/**
 * From nets with what is to be said of them to UPDATEs: nets are sorted by encoded attributes and audience, and each such bucket
 * is packed into as few messages as it takes.
 */

import { putU16 } from '#bgp/wire/bytes.ts';
import {
  ATTR_MP_REACH,
  ATTR_MP_UNREACH,
  afiOf,
  type Family,
  FLAG_EXTENDED_LENGTH,
  FLAG_OPTIONAL,
  HEADER_LENGTH,
  IPV4_UNICAST,
  safiOf,
  UPDATE,
} from '#bgp/wire/constants.ts';
import type { ByteStore } from './byte-store.ts';
import { MULTIPROTOCOL } from './export-policy.ts';
import type { Audience, OutLog } from './out-log.ts';
import type { PrefixTable } from './prefix-table.ts';

/** One packer serves all groups, one after the other: between `flush`es it holds nothing. */
export class Packer {
  /** Nets that have been added since the last `flush`. */
  size = 0;
  readonly #out: ByteStore;
  /** Entries: net, next entry of the bucket (plus one). */
  #nets = new Int32Array(1024);
  #next = new Int32Array(1024);
  /**
   * Buckets: encoded attributes (0: withdrawal), audience, first and last entry (plus one), next bucket of the attributes (plus one),
   * number of entries.
   */
  #attributes = new Int32Array(256);
  /** An audience has more than 31 bits. */
  #audience = new Float64Array(256);
  #head = new Int32Array(256);
  #tail = new Int32Array(256);
  #sibling = new Int32Array(256);
  #count = new Int32Array(256);
  #buckets = 0;
  /** Encoded attributes -> bucket (plus one). */
  #bucketOf = new Int32Array(1024);
  #last = -1;

  constructor(out: ByteStore) {
    this.#out = out;
  }

  /** Adds a net that is to be announced with these encoded attributes, or withdrawn if they are 0. */
  add(net: number, attributes: number, audience: Audience): void {
    let bucket = this.#last;
    if (bucket < 0 || this.#attributes[bucket] !== attributes || this.#audience[bucket] !== audience) {
      bucket = this.#bucket(attributes, audience);
      this.#last = bucket;
    }
    const entry = this.size++;
    if (entry >= this.#nets.length) this.#growEntries();
    this.#nets[entry] = net;
    this.#next[entry] = 0;
    const tail = this.#tail[bucket]!;
    if (tail === 0) this.#head[bucket] = entry + 1;
    else this.#next[tail - 1] = entry + 1;
    this.#tail[bucket] = entry + 1;
    this.#count[bucket]!++;
  }

  /** Writes messages for everything that was added. */
  flush(log: OutLog, table: PrefixTable, family: Family, maxMessage: number): void {
    for (let bucket = 0; bucket < this.#buckets; bucket++) {
      const attributes = this.#attributes[bucket]!;
      const audience = this.#audience[bucket]!;
      let entry = this.#head[bucket]!;
      // No more than the bucket can need, so that few prefixes do not claim the room of a message of 64 KiB.
      let most = ROOM + this.#count[bucket]! * (1 + (table.addressBits >>> 3));
      if (attributes !== 0) most += this.#out.blockLength(attributes);
      while (entry !== 0) {
        log.reserve(Math.min(most, maxMessage));
        const { bytes, at } = log;
        const limit = at + maxMessage;
        if (attributes === 0) {
          entry =
            family === IPV4_UNICAST
              ? this.#withdraw(bytes, at, limit, entry, table)
              : this.#withdrawMp(bytes, at, limit, entry, table, family);
        } else if (this.#out.tag(attributes) === MULTIPROTOCOL) {
          entry = this.#announceMp(bytes, at, limit, entry, table, family, attributes);
        } else {
          entry = this.#announce(bytes, at, limit, entry, table, attributes);
        }
        putMessageHeader(bytes, at, this.#end - at);
        log.append(this.#end - at, audience);
      }
      this.#bucketOf[attributes] = 0;
    }
    this.size = 0;
    this.#buckets = 0;
    this.#last = -1;
  }

  /** Where the message that was written last ends. */
  #end = 0;

  #announce(
    bytes: Uint8Array,
    at: number,
    limit: number,
    entry: number,
    table: PrefixTable,
    attributes: number,
  ): number {
    const lengths = at + HEADER_LENGTH;
    const end = this.#out.copyBlock(attributes, bytes, lengths + 4);
    putU16(bytes, lengths, 0);
    putU16(bytes, lengths + 2, end - lengths - 4);
    return this.#writeNets(bytes, end, limit, entry, table);
  }

  /** MP_REACH_NLRI comes first (RFC 7606 section 5.1): type, family, next hop, one octet reserved, prefixes. */
  #announceMp(
    bytes: Uint8Array,
    at: number,
    limit: number,
    entry: number,
    table: PrefixTable,
    family: Family,
    attributes: number,
  ): number {
    const lengths = at + HEADER_LENGTH;
    const mp = lengths + 4;
    putU16(bytes, lengths, 0);
    bytes[mp] = FLAG_OPTIONAL | FLAG_EXTENDED_LENGTH;
    bytes[mp + 1] = ATTR_MP_REACH;
    putU16(bytes, mp + 4, afiOf(family));
    bytes[mp + 6] = safiOf(family);
    bytes[mp + 7] = this.#out.nextHopLength(attributes);
    const nextHopEnd = this.#out.copyNextHop(attributes, bytes, mp + 8);
    bytes[nextHopEnd] = 0;
    const rest = this.#writeNets(
      bytes,
      nextHopEnd + 1,
      limit - this.#out.blockLength(attributes),
      entry,
      table,
    );
    putU16(bytes, mp + 2, this.#end - mp - 4);
    this.#end = this.#out.copyBlock(attributes, bytes, this.#end);
    putU16(bytes, lengths + 2, this.#end - mp);
    return rest;
  }

  #withdraw(bytes: Uint8Array, at: number, limit: number, entry: number, table: PrefixTable): number {
    const start = at + HEADER_LENGTH + 2;
    const rest = this.#writeNets(bytes, start, limit - 2, entry, table);
    putU16(bytes, start - 2, this.#end - start);
    putU16(bytes, this.#end, 0);
    this.#end += 2;
    return rest;
  }

  #withdrawMp(
    bytes: Uint8Array,
    at: number,
    limit: number,
    entry: number,
    table: PrefixTable,
    family: Family,
  ): number {
    const mp = at + HEADER_LENGTH + 4;
    putU16(bytes, mp - 4, 0);
    bytes[mp] = FLAG_OPTIONAL | FLAG_EXTENDED_LENGTH;
    bytes[mp + 1] = ATTR_MP_UNREACH;
    putU16(bytes, mp + 4, afiOf(family));
    bytes[mp + 6] = safiOf(family);
    const rest = this.#writeNets(bytes, mp + 7, limit, entry, table);
    putU16(bytes, mp + 2, this.#end - mp - 4);
    putU16(bytes, mp - 2, this.#end - mp);
    return rest;
  }

  /** Writes prefixes while there is room; returns the entry (plus one) to go on with in the next message. */
  #writeNets(bytes: Uint8Array, at: number, limit: number, entry: number, table: PrefixTable): number {
    const last = limit - 1 - (table.addressBits >>> 3);
    while (entry !== 0 && at <= last) {
      at = table.writeNlri(this.#nets[entry - 1]!, bytes, at);
      entry = this.#next[entry - 1]!;
    }
    this.#end = at;
    return entry;
  }

  #bucket(attributes: number, audience: Audience): number {
    if (attributes >= this.#bucketOf.length) {
      const bucketOf = new Int32Array(Math.max(attributes + 1, this.#bucketOf.length * 2));
      bucketOf.set(this.#bucketOf);
      this.#bucketOf = bucketOf;
    }
    const first = this.#bucketOf[attributes]!;
    for (let bucket = first; bucket !== 0; bucket = this.#sibling[bucket - 1]!) {
      if (this.#audience[bucket - 1] === audience) return bucket - 1;
    }
    const bucket = this.#buckets++;
    if (bucket >= this.#head.length) this.#growBuckets();
    this.#attributes[bucket] = attributes;
    this.#audience[bucket] = audience;
    this.#head[bucket] = 0;
    this.#tail[bucket] = 0;
    this.#count[bucket] = 0;
    this.#sibling[bucket] = first;
    this.#bucketOf[attributes] = bucket + 1;
    return bucket;
  }

  #growEntries(): void {
    this.#nets = doubled(this.#nets);
    this.#next = doubled(this.#next);
  }

  #growBuckets(): void {
    this.#attributes = doubled(this.#attributes);
    const audience = new Float64Array(this.#audience.length * 2);
    audience.set(this.#audience);
    this.#audience = audience;
    this.#head = doubled(this.#head);
    this.#tail = doubled(this.#tail);
    this.#sibling = doubled(this.#sibling);
    this.#count = doubled(this.#count);
  }
}

/** More than what an UPDATE takes besides attributes and prefixes: header, lengths, MP_REACH_NLRI with its next hop. */
const ROOM = 80;

/** An UPDATE's marker, length and type. */
function putMessageHeader(bytes: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < 16; i++) bytes[at + i] = 0xff;
  putU16(bytes, at + 16, length);
  bytes[at + 18] = UPDATE;
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
