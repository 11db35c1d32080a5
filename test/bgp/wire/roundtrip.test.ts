import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeAttributes, encodeAttributes } from '#bgp/wire/attributes.ts';
import { fromHex } from '#bgp/wire/bytes.ts';
import { AS_TRANS, type Family, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { decodeUpdate, encodeUpdate, type Update, type WirePrefix } from '#bgp/wire/message.ts';
import { decodeOpen, encodeOpen } from '#bgp/wire/open.ts';
import type { CodecContext } from '#bgp/wire/types.ts';
import { asn, attributes, capability, nextHop4, nextHop6, prefixes, u32 } from './arbitrary.ts';
import { SESSIONS } from './vector.ts';

const ATTRIBUTE_SESSIONS = ['as4', 'as2', 'ibgp', 'ibgp2'] as const;

describe('attributes come back as they were sent', () => {
  test.each(ATTRIBUTE_SESSIONS)('in session %s', (name) => {
    const context = SESSIONS[name];
    fc.assert(
      fc.property(attributes(context, nextHop4), fc.integer({ min: 0, max: 9 }), (sent, at) => {
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, context, out, at);
        expect(end).toBeGreaterThan(at);
        expect(out.subarray(0, at).every((byte) => byte === 0)).toBe(true);
        const decoded = decodeAttributes(out.subarray(at, end), context);
        out.fill(0); // what was decoded does not hang on the bytes
        expect(decoded).toEqual({ kind: 'attributes', attributes: sent, errors: [] });
      }),
    );
  });

  test('with an IPv6 next hop, which is not among them', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.ibgp, nextHop6), (sent) => {
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, SESSIONS.ibgp, out, 0);
        const decoded = decodeAttributes(out.subarray(0, end), SESSIONS.ibgp, sent.nextHop);
        expect(decoded).toEqual({ kind: 'attributes', attributes: sent, errors: [] });
        expect(decodeAttributes(out.subarray(0, end), SESSIONS.ibgp)).toMatchObject({
          kind: 'treat-as-withdraw',
          errors: [{ rule: 'RFC 7606 3(d)' }],
        });
      }),
    );
  });

  test('within a confederation', () => {
    const context: CodecContext = { as4: true, ebgp: false, confederation: 'own-member' };
    fc.assert(
      fc.property(attributes(context, nextHop4), (sent) => {
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, context, out, 0);
        expect(decodeAttributes(out.subarray(0, end), context)).toMatchObject({
          kind: 'attributes',
          attributes: sent,
        });
      }),
    );
  });

  test('and an external neighbour never gets what it would have to discard', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.ibgp, nextHop4), (sent) => {
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, SESSIONS.as4, out, 0);
        const none = { localPref: undefined, originatorId: undefined, clusterList: new Uint32Array(0) };
        expect(decodeAttributes(out.subarray(0, end), SESSIONS.as4)).toEqual({
          kind: 'attributes',
          attributes: { ...sent, ...none },
          errors: [],
        });
      }),
    );
  });

  test('the Partial bit stays on what it came on', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.as4, nextHop4), (some) => {
        const sent = {
          ...some,
          communities: Uint32Array.of(1),
          largeCommunities: Uint32Array.of(1, 2, 3),
          partial: [8, 32],
        };
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, SESSIONS.as4, out, 0);
        expect(decodeAttributes(out.subarray(0, end), SESSIONS.as4)).toMatchObject({
          attributes: { partial: [8, 32] },
        });
      }),
      { numRuns: 20 },
    );
  });

  test('in ascending order of their codes, unknown ones in between: RFC 4271 5', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.ibgp2, nextHop4), (sent) => {
        const out = new Uint8Array(8192);
        const end = encodeAttributes(sent, SESSIONS.ibgp2, out, 0);
        const codes: number[] = [];
        for (let at = 0; at < end; ) {
          codes.push(out[at + 1]!);
          at += (out[at]! & 0x10) !== 0 ? 4 + ((out[at + 2]! << 8) | out[at + 3]!) : 3 + out[at + 2]!;
        }
        expect(codes).toEqual([...codes].sort((a, b) => a - b));
      }),
    );
  });

  test('unknown ones are in ascending order however they came', () => {
    const block = fromHex('c0 64 00  c0 63 01 aa  40 01 01 00  40 02 00  40 03 04 c0000201');
    const decoded = decodeAttributes(block, SESSIONS.as4);
    expect(decoded).toMatchObject({ attributes: { unknown: [{ code: 99 }, { code: 100 }] } });
  });

  test.each([0, 1, 255, 256, 257, 4000])(
    'with a value of %i bytes, where the length field changes',
    (length) => {
      fc.assert(
        fc.property(attributes(SESSIONS.as4, nextHop4), (some) => {
          const value = new Uint8Array(length).fill(7);
          const sent = { ...some, unknown: [{ flags: 0xe0, code: 99, value }] };
          const out = new Uint8Array(16384);
          const end = encodeAttributes(sent, SESSIONS.as4, out, 0);
          expect(decodeAttributes(out.subarray(0, end), SESSIONS.as4)).toMatchObject({
            kind: 'attributes',
            attributes: { unknown: sent.unknown },
          });
        }),
        { numRuns: 5 },
      );
    },
  );

  test('where the room ends, nothing is written past it and -1 says so', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.as2, nextHop4), fc.nat(), (sent, cut) => {
        const whole = new Uint8Array(8192);
        const end = encodeAttributes(sent, SESSIONS.as2, whole, 0);
        const short = new Uint8Array(8192);
        expect(encodeAttributes(sent, SESSIONS.as2, short.subarray(0, cut % end), 0)).toBe(-1);
        expect(short.subarray(cut % end).every((byte) => byte === 0)).toBe(true);
        expect(encodeAttributes(sent, SESSIONS.as2, new Uint8Array(end), 0)).toBe(end);
      }),
    );
  });

  test('an unknown attribute gets the Partial bit on its way: RFC 4271 9', () => {
    fc.assert(
      fc.property(attributes(SESSIONS.as4, nextHop4), fc.uint8Array({ maxLength: 300 }), (some, value) => {
        const out = new Uint8Array(8192);
        const sent = { ...some, unknown: [{ flags: 0xc0, code: 99, value }] };
        const end = encodeAttributes(sent, SESSIONS.as4, out, 0);
        expect(decodeAttributes(out.subarray(0, end), SESSIONS.as4)).toMatchObject({
          attributes: { unknown: [{ flags: 0xe0, code: 99, value }] },
        });
      }),
      { numRuns: 20 },
    );
  });
});

describe('packed UPDATEs hold all prefixes in their order, and as many to a message as fit', () => {
  const cases: readonly (readonly [string, Family, CodecContext, 4 | 6])[] = [
    ['IPv4', IPV4_UNICAST, SESSIONS.as4, 4],
    ['IPv4 with path identifiers', IPV4_UNICAST, SESSIONS.rich, 4],
    ['IPv4 with IPv6 next hops', IPV4_UNICAST, SESSIONS.v6, 6],
    ['IPv6', IPV6_UNICAST, SESSIONS.as4, 6],
    ['IPv6 with path identifiers', IPV6_UNICAST, SESSIONS.rich, 6],
  ];
  test.each(cases)('%s', (_, family, context, nextHopFamily) => {
    const addPath = context.addPathSend?.includes(family) === true;
    const announcement = fc.record({
      family: fc.constant(family),
      prefixes: prefixes(family === IPV4_UNICAST ? 4 : 6, addPath, 700),
      attributes: attributes(context, nextHopFamily === 4 ? nextHop4 : nextHop6),
    });
    fc.assert(
      fc.property(announcement, fc.boolean(), fc.constantFrom(2500, 4096, 65535), (list, withdraw, limit) => {
        const sent: Update = {
          kind: 'update',
          withdrawn: withdraw ? [{ family, prefixes: list.prefixes }] : [],
          announced: withdraw ? [] : [list],
          errors: [],
        };
        let messages: Uint8Array[];
        try {
          messages = encodeUpdate(sent, context, limit);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          return;
        }
        const got: WirePrefix[] = [];
        messages.forEach((message, i) => {
          expect(message.length).toBeLessThanOrEqual(limit);
          const update = decodeUpdate(message.subarray(19), context);
          if (update.kind === 'fault') throw new Error(update.reason);
          expect(update.errors).toEqual([]);
          const [one, ...more] = [...update.withdrawn, ...update.announced];
          expect(more).toEqual([]);
          expect(one!.family).toBe(family);
          if (!withdraw) expect(update.announced[0]!.attributes).toEqual(list.attributes);
          got.push(...one!.prefixes);
          const next = list.prefixes[got.length];
          if (next === undefined) expect(i).toBe(messages.length - 1);
          else
            expect(message.length + 1 + Math.ceil(next.length / 8) + (addPath ? 4 : 0)).toBeGreaterThan(
              limit,
            );
        });
        expect(got).toEqual(list.prefixes);
      }),
      { numRuns: 60 },
    );
  });
});

test('an OPEN comes back as it was sent, in the short form and the long one', () => {
  const open = fc.record({
    kind: fc.constant('open' as const),
    asn,
    holdTime: fc.oneof(fc.constant(0), fc.integer({ min: 3, max: 0xffff })),
    identifier: u32.filter((id) => id !== 0),
    capabilities: fc.array(capability, { maxLength: 20 }),
  });
  fc.assert(
    fc.property(open, fc.boolean(), (value, extended) => {
      const needsCapability = value.asn > 0xffff || value.asn === AS_TRANS;
      const sent = needsCapability
        ? {
            ...value,
            capabilities: [...value.capabilities, { kind: 'four-octet-as' as const, asn: value.asn }],
          }
        : value;
      expect(decodeOpen(encodeOpen(sent, extended).subarray(19))).toEqual(sent);
    }),
  );
});
