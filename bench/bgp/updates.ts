/**
 * UPDATE messages for benchmarks: a table of IPv4 prefixes in which a number of neighbours in a row share their attributes.
 */

import { encodeAttributes } from '#bgp/wire/attributes.ts';
import { putU16 } from '#bgp/wire/bytes.ts';
import { HEADER_LENGTH, MAX_MESSAGE, UPDATE } from '#bgp/wire/constants.ts';
import { putHeader } from '#bgp/wire/header.ts';
import { putPrefix4 } from '#bgp/wire/nlri.ts';
import type { CodecContext } from '#bgp/wire/types.ts';

export type TableShape = {
  readonly prefixes: number;
  /** Prefixes that share an attribute set; they come in one message. */
  readonly perSet: number;
  /** AS of the neighbour that sends them, and its address as next hop. */
  readonly asn: number;
  readonly nextHop: Uint8Array;
  /** ASes of a path; 3 to 6 unless told. */
  readonly pathLength?: number;
};

export const EXTERNAL: CodecContext = { as4: true, ebgp: true };

/** Messages one after the other, as they would come from a socket. */
export function announcements({ prefixes, perSet, asn, nextHop, pathLength }: TableShape): Uint8Array {
  const out = new Writer(prefixes * 6 + Math.ceil(prefixes / perSet) * (100 + 4 * (pathLength ?? 0)));
  for (let first = 0; first < prefixes; first += perSet) {
    const set = first / perSet;
    const random = mix(set);
    // The last ones are different for each set.
    const hops = pathLength === undefined ? 1 + (random & 3) : pathLength - 2;
    const middle = Array.from({ length: hops }, (_, i) => 1000 + (mix(random + i) % 60000));
    const asns = [asn, ...middle, 100000 + set];
    out.message(UPDATE, (bytes, at) => {
      putU16(bytes, at, 0);
      const end = encodeAttributes(
        {
          origin: 0,
          asPath: [{ type: 2, asns }],
          nextHop: { family: 4, bytes: nextHop, linkLocal: undefined },
          med: random & 64 ? random % 100 : undefined,
          localPref: undefined,
          atomicAggregate: false,
          aggregator: undefined,
          communities: Uint32Array.from({ length: (random >>> 8) & 3 }, (_, i) => (64512 << 16) | i),
          extendedCommunities: new Uint8Array(0),
          largeCommunities: new Uint32Array(0),
          originatorId: undefined,
          clusterList: new Uint32Array(0),
          unknown: [],
          partial: undefined,
        },
        EXTERNAL,
        bytes,
        at + 4,
      );
      putU16(bytes, at + 2, end - at - 4);
      at = end;
      for (let i = first; i < Math.min(prefixes, first + perSet); i++) at = putPrefix(bytes, at, i);
      return at;
    });
  }
  return out.bytes();
}

/** The withdrawal of the same prefixes, as many in a message as fit. */
export function withdrawals(prefixes: number): Uint8Array {
  const out = new Writer(prefixes * 5);
  const fit = Math.floor((MAX_MESSAGE - HEADER_LENGTH - 4) / 4);
  for (let first = 0; first < prefixes; first += fit) {
    out.message(UPDATE, (bytes, at) => {
      const start = at + 2;
      at = start;
      for (let i = first; i < Math.min(prefixes, first + fit); i++) at = putPrefix(bytes, at, i);
      putU16(bytes, start - 2, at - start);
      putU16(bytes, at, 0);
      return at + 2;
    });
  }
  return out.bytes();
}

/** /24s from 1.0.0.0 on, without 10/8 and 127/8. */
function putPrefix(bytes: Uint8Array, at: number, i: number): number {
  let number = i + 0x010000;
  if (number >= 0x0a0000) number += 0x010000;
  if (number >= 0x7f0000) number += 0x010000;
  return putPrefix4(bytes, at, (number << 8) >>> 0, 24);
}

function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
  return (value ^ (value >>> 15)) >>> 0;
}

class Writer {
  #bytes: Uint8Array;
  #at = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size + 65536);
  }

  message(type: number, body: (bytes: Uint8Array, at: number) => number): void {
    if (this.#at + 65536 > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    const end = body(this.#bytes, this.#at + HEADER_LENGTH);
    putHeader(this.#bytes, this.#at, end - this.#at, type);
    this.#at = end;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}
