import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlainAttributes } from '#bgp/rib/plain-attributes.ts';
import { MOST_ADDED, Rewrite, rewritePlain } from '#bgp/rib/plain-rewrite.ts';
import { asPathLength, neighbourAs, prependAsPath } from '#bgp/wire/as-path.ts';
import { decodeAttributes, encodeAttributes } from '#bgp/wire/attributes.ts';
import {
  AS_SEQUENCE,
  AS_SET,
  ATTR_CLUSTER_LIST,
  ATTR_COMMUNITIES,
  ATTR_LOCAL_PREF,
  ATTR_MED,
  ATTR_NEXT_HOP,
  ATTR_ORIGINATOR_ID,
  FLAG_OPTIONAL,
  FLAG_TRANSITIVE,
} from '#bgp/wire/constants.ts';
import type { CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf, sequence } from './fixtures.ts';

const number = fc.oneof(fc.constantFrom(0, 1, 255, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat());
const asn = fc.oneof(fc.constantFrom(1, 65001, 0xffffffff), fc.integer({ min: 1, max: 70000 }));
const numbers = (most: number) => fc.array(number, { maxLength: most }).map((list) => Uint32Array.from(list));

const attributes: fc.Arbitrary<PathAttributes> = fc
  .record({
    origin: fc.integer({ min: 0, max: 2 }),
    path: fc.array(asn, { maxLength: 6 }),
    long: fc.constantFrom(0, 0, 0, 0, 260),
    set: fc.constantFrom(false, false, false, true),
    nextHop: fc.constantFrom([10, 0, 0, 1], [192, 0, 2, 255]),
    med: fc.option(number, { nil: undefined }),
    localPref: fc.option(number, { nil: undefined }),
    atomicAggregate: fc.boolean(),
    aggregator: fc.option(fc.record({ asn, address: number }), { nil: undefined }),
    communities: fc.oneof(numbers(4), fc.constant(new Uint32Array(80).fill(5))),
    extendedCommunities: fc
      .array(fc.constantFrom([0, 2, 1, 1, 1, 1, 1, 1], [0x40, 2, 1, 1, 1, 1, 1, 1]), { maxLength: 2 })
      .map((list) => Uint8Array.from(list.flat())),
    largeCommunities: fc
      .constantFrom([], [], [1, 2, 3], [1, 2, 3, 4, 5, 6])
      .map((list) => Uint32Array.from(list)),
    originatorId: fc.option(number, { nil: undefined }),
    clusterList: numbers(3),
    unknown: fc.constantFrom(
      [],
      [],
      [],
      [{ flags: FLAG_OPTIONAL | FLAG_TRANSITIVE, code: 29, value: Uint8Array.of(1) }],
    ),
  })
  .map(({ path, long, set, nextHop, ...rest }) => {
    const asns = long > 0 ? new Array<number>(long).fill(7) : path;
    return attributesOf({
      ...rest,
      asPath: set ? [...sequence(...asns), { type: AS_SET, asns: [1, 2] }] : sequence(...asns),
      nextHop: { family: 4, bytes: Uint8Array.from(nextHop), linkLocal: undefined },
    });
  });

const CONTEXTS: readonly CodecContext[] = [
  { as4: true, ebgp: false },
  { as4: true, ebgp: true },
  { as4: true, ebgp: true, firstAs: 65001 },
  { as4: false, ebgp: true },
  { as4: true, ebgp: false, rejectAsSets: true },
];

function encoded(given: PathAttributes, context: CodecContext): Uint8Array {
  const out = new Uint8Array(8192);
  return out.slice(0, encodeAttributes(given, context, out, 0));
}

/** Byte changes that hit headers as often as values; often none. */
const mutations = fc.oneof(
  fc.constant([]),
  fc.array(fc.record({ at: fc.nat({ max: 120 }), to: fc.oneof(fc.nat({ max: 255 }), fc.nat({ max: 35 })) }), {
    maxLength: 3,
  }),
);

describe('plain attributes', () => {
  it('are never found where the codec finds an error, and mean what the codec reads', () => {
    const plain = new PlainAttributes();
    let found = 0;
    fc.assert(
      fc.property(
        attributes,
        fc.constantFrom(...CONTEXTS),
        fc.oneof(fc.constant(undefined), fc.constantFrom(...CONTEXTS)),
        mutations,
        fc.boolean(),
        (given, writtenBy, other, changes, apart) => {
          const readBy = other ?? writtenBy;
          const block = encoded(given, writtenBy);
          for (const { at, to } of changes) if (at < block.length) block[at] = to;
          const shifted = Uint8Array.of(9, 9, ...block, 9);
          const isPlain = plain.scan(shifted, 2, 2 + block.length, readBy, apart);
          const mpNextHop = { family: 4 as const, bytes: Uint8Array.of(1, 2, 3, 4), linkLocal: undefined };
          const decoded = decodeAttributes(block, readBy, apart ? mpNextHop : undefined);
          if (!isPlain) return;
          found++;
          expect(decoded.errors).toEqual([]);
          if (decoded.kind !== 'attributes') throw new Error(decoded.kind);
          const { attributes: read } = decoded;
          expect(plain.origin).toBe(read.origin);
          expect(plain.pathLength).toBe(asPathLength(read.asPath));
          expect(plain.firstAs).toBe(neighbourAs(read.asPath));
          expect(plain.countInPath(7)).toBe(
            read.asPath.flatMap(({ asns }) => asns).filter((each) => each === 7).length,
          );
          expect(plain.has(ATTR_MED) ? plain.number(ATTR_MED) : undefined).toBe(read.med);
          expect(plain.has(ATTR_LOCAL_PREF) ? plain.number(ATTR_LOCAL_PREF) : undefined).toBe(read.localPref);
          expect(plain.has(ATTR_ORIGINATOR_ID) ? plain.number(ATTR_ORIGINATOR_ID) : undefined).toBe(
            read.originatorId,
          );
          if (!apart)
            expect(plain.number(ATTR_NEXT_HOP)).toBe(
              new DataView(read.nextHop.bytes.buffer, read.nextHop.bytes.byteOffset).getUint32(0),
            );
          for (const each of [0, 1, 5, 0xffffffff]) {
            expect(plain.listHas(ATTR_COMMUNITIES, each)).toBe(read.communities.includes(each));
            expect(plain.listHas(ATTR_CLUSTER_LIST, each)).toBe(read.clusterList.includes(each));
          }
        },
      ),
      { numRuns: 5000 },
    );
    expect(found).toBeGreaterThan(250);
  });

  it('are found in what an ordinary neighbour sends', () => {
    const plain = new PlainAttributes();
    const given = attributesOf({
      asPath: sequence(65001, 5, 6),
      med: 7,
      communities: Uint32Array.of(1, 2),
      largeCommunities: Uint32Array.of(1, 2, 3),
    });
    const block = encoded(given, CONTEXTS[1]!);
    expect(plain.scan(block, 0, block.length, CONTEXTS[2]!, false)).toBe(true);
  });

  it('are rewritten to what the codec writes', () => {
    const plain = new PlainAttributes();
    let rewritten = 0;
    const settings = fc.record({
      external: fc.boolean(),
      reflected: fc.boolean(),
      keepMed: fc.boolean(),
      nextHop: fc.boolean(),
    });
    fc.assert(
      fc.property(attributes, settings, (given, { external, reflected, keepMed, nextHop }) => {
        const context = CONTEXTS[0]!;
        const block = encoded(given, context);
        if (!plain.scan(block, 0, block.length, context, false)) return;
        const rewrite = Object.assign(new Rewrite(), {
          external,
          reflected: reflected && !external,
          keepMed,
          prependAs: 4_200_000_000,
          nextHop: nextHop ? Uint8Array.of(10, 9, 8, 7) : undefined,
          defaultLocalPref: 100,
          originatorId: 0xfffffff0,
          clusterId: 0xfffffff1,
        });
        const out = new Uint8Array(8192).fill(0xee);
        const end = rewritePlain(plain, rewrite, out, 5);
        if (end < 0) return;
        rewritten++;
        expect(end - 5).toBeLessThanOrEqual(block.length + MOST_ADDED);
        const wanted: PathAttributes = {
          ...given,
          asPath: external ? prependAsPath(given.asPath, 4_200_000_000) : given.asPath,
          nextHop: nextHop
            ? { family: 4, bytes: Uint8Array.of(10, 9, 8, 7), linkLocal: undefined }
            : { family: 6, bytes: new Uint8Array(16), linkLocal: undefined },
          med: keepMed ? given.med : undefined,
          localPref: given.localPref ?? 100,
          originatorId: reflected ? (given.originatorId ?? 0xfffffff0) : given.originatorId,
          clusterList: reflected ? Uint32Array.of(0xfffffff1, ...given.clusterList) : given.clusterList,
        };
        expect([...out.slice(5, end)]).toEqual([...encoded(wanted, { as4: true, ebgp: external })]);
      }),
      { numRuns: 3000 },
    );
    expect(rewritten).toBeGreaterThan(300);
  });

  it('are not rewritten where that takes more than copying', () => {
    const plain = new PlainAttributes();
    const context = CONTEXTS[0]!;
    const rewrite = Object.assign(new Rewrite(), { external: true, prependAs: 5 });
    const out = new Uint8Array(4096);
    for (const given of [
      { asPath: [{ type: AS_SEQUENCE, asns: new Array<number>(255).fill(7) }] },
      { extendedCommunities: Uint8Array.of(0x40, 2, 1, 1, 1, 1, 1, 1) },
    ]) {
      const block = encoded(attributesOf(given), context);
      expect(plain.scan(block, 0, block.length, context, false)).toBe(true);
      expect(rewritePlain(plain, rewrite, out, 0)).toBe(-1);
    }
  });
});
