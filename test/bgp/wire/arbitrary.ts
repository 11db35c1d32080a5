/**
 * Generators of values that a message can carry.
 */

import fc from 'fast-check';
import { maskBits } from '#bgp/wire/address.ts';
import type { Capability } from '#bgp/wire/capabilities.ts';
import {
  AS_CONFED_SEQUENCE,
  AS_CONFED_SET,
  AS_SEQUENCE,
  AS_SET,
  FLAG_OPTIONAL,
  FLAG_PARTIAL,
  FLAG_TRANSITIVE,
  IPV4_UNICAST,
  IPV6_UNICAST,
} from '#bgp/wire/constants.ts';
import { DESCRIPTOR_BY_CODE } from '#bgp/wire/descriptors.ts';
import type { WirePrefix } from '#bgp/wire/message.ts';
import { nextHopProblem } from '#bgp/wire/next-hop.ts';
import type { AsPath, CodecContext, NextHop, PathAttributes } from '#bgp/wire/types.ts';

export const u8: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xff });
export const u16: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff });
export const u32: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);
export const asn: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 0xffff }),
  fc.integer({ min: 1, max: 0xffffffff }),
);

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

/** Sequences never stand next to one of their kind: the decoder makes one of them. */
export function asPath(confederation: boolean): fc.Arbitrary<AsPath> {
  const types = confederation
    ? [AS_SEQUENCE, AS_SET, AS_CONFED_SEQUENCE, AS_CONFED_SET]
    : [AS_SEQUENCE, AS_SET];
  const segment = fc.record({
    type: fc.constantFrom(...types),
    asns: fc.oneof(
      { weight: 20, arbitrary: fc.array(asn, { minLength: 1, maxLength: 8 }) },
      fc.array(asn, { minLength: 250, maxLength: 255, size: 'max' }),
    ),
  });
  return fc
    .array(segment, { maxLength: 4 })
    .map((segments) =>
      segments.filter(
        ({ type }, i) => type === AS_SET || type === AS_CONFED_SET || segments[i - 1]?.type !== type,
      ),
    )
    .filter((segments) =>
      segments.every(
        ({ type }, i) => type === AS_SET || type === AS_CONFED_SET || segments[i - 1]?.type !== type,
      ),
    );
}

export const nextHop4: fc.Arbitrary<NextHop> = bytesOf(4)
  .map((bytes) => ({ family: 4 as const, bytes, linkLocal: undefined }))
  .filter((value) => nextHopProblem(value) === undefined);

export const nextHop6: fc.Arbitrary<NextHop> = fc
  .tuple(bytesOf(16), fc.option(bytesOf(14), { nil: undefined }))
  .map(([bytes, rest]) => {
    bytes[0] = 0x20 | (bytes[0]! & 0x1f); // global unicast: 2000::/3
    return {
      family: 6 as const,
      bytes,
      linkLocal: rest === undefined ? undefined : Uint8Array.from([0xfe, 0x80, ...rest]),
    };
  });

/** Attributes that this session can carry: what is for internal neighbours only is left out for an external one. */
export function attributes(
  context: CodecContext,
  nextHop: fc.Arbitrary<NextHop>,
): fc.Arbitrary<PathAttributes> {
  const option = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
    fc.option(value, { nil: undefined });
  const internal = <T>(value: fc.Arbitrary<T>, none: T): fc.Arbitrary<T> =>
    context.ebgp ? fc.constant(none) : value;
  const numbers = fc.array(u32, { maxLength: 70, size: 'max' }).map((values) => Uint32Array.from(values));
  const unknown = fc.uniqueArray(
    fc.record({
      flags: fc.constant(FLAG_OPTIONAL | FLAG_TRANSITIVE | FLAG_PARTIAL),
      code: u8.filter((code) => DESCRIPTOR_BY_CODE[code] === undefined && code !== 14 && code !== 15),
      value: fc.uint8Array({ maxLength: 300, size: 'max' }),
    }),
    { maxLength: 4, selector: ({ code }) => code },
  );
  return fc.record({
    origin: fc.integer({ min: 0, max: 2 }),
    asPath: asPath(context.confederation !== undefined),
    nextHop,
    med: option(u32),
    localPref: internal(option(u32), undefined),
    atomicAggregate: fc.boolean(),
    aggregator: option(fc.record({ asn, address: u32 })),
    communities: numbers,
    extendedCommunities: fc
      .array(bytesOf(8), { maxLength: 40 })
      .map((each) => Uint8Array.from(each.flatMap((value) => [...value]))),
    largeCommunities: fc
      .uniqueArray(fc.tuple(u32, u32, u32), { maxLength: 30, size: 'max', selector: String })
      .map((each) => Uint32Array.from(each.flat())),
    originatorId: internal(option(u32), undefined),
    clusterList: internal(numbers, new Uint32Array(0)),
    unknown: unknown.map((each) => each.sort((a, b) => a.code - b.code)),
    partial: fc.constant(undefined),
  });
}

export function prefixes(family: 4 | 6, addPath: boolean, maxLength: number): fc.Arbitrary<WirePrefix[]> {
  const size = family === 4 ? 4 : 16;
  const prefix = fc
    .tuple(bytesOf(size), fc.integer({ min: 0, max: 8 * size }), u32)
    .map(([bytes, length, pathId]) => {
      maskBits(bytes, length);
      return addPath ? { family, bytes, length, pathId } : { family, bytes, length };
    });
  return fc.array(prefix, { minLength: 1, maxLength, size: 'max' });
}

const family = fc.oneof(fc.constantFrom(IPV4_UNICAST, IPV6_UNICAST), fc.integer({ min: 1, max: 0xffffff }));

export const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc.record({ kind: fc.constant('multiprotocol' as const), family }),
  fc.constantFrom(
    { kind: 'route-refresh' as const },
    { kind: 'extended-message' as const },
    { kind: 'enhanced-route-refresh' as const },
  ),
  fc.record({
    kind: fc.constant('extended-next-hop' as const),
    entries: fc.array(fc.record({ family, nextHopAfi: u16 }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('graceful-restart' as const),
    restarting: fc.boolean(),
    notification: fc.boolean(),
    restartTime: fc.integer({ min: 0, max: 4095 }),
    families: fc.array(fc.record({ family, forwarding: fc.boolean() }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('add-path' as const),
    families: fc.array(
      fc
        .record({ family, receive: fc.boolean(), send: fc.boolean() })
        .filter(({ receive, send }) => receive || send),
      { maxLength: 5 },
    ),
  }),
  fc.record({
    kind: fc.constant('fqdn' as const),
    host: fc.string({ unit: 'grapheme', maxLength: 20 }),
    domain: fc.string({ unit: 'grapheme', maxLength: 20 }),
  }),
  fc.record({
    kind: fc.constant('unknown' as const),
    code: fc.constantFrom(0, 3, 9, 67, 71, 128, 255),
    value: fc.uint8Array({ maxLength: 100 }),
  }),
);
