import { describe, expect, it } from 'vitest';
import {
  AttributeStore,
  KEY_CLUSTERS,
  KEY_LENGTH_ORIGIN,
  KEY_LOCAL_PREF,
  KEY_MED,
  KEY_NEIGHBOUR_AS,
  KEY_NEXT_HOP,
  KEY_ORIGINATOR,
  UNSPECIFIED4,
} from '#bgp/rib/attribute-store.ts';
import { NextHopTable } from '#bgp/rib/next-hops.ts';
import { encodeAttributes } from '#bgp/wire/attributes.ts';
import { AS_SEQUENCE, AS_SET, ATTR_MED, ORIGIN_EGP } from '#bgp/wire/constants.ts';
import type { CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf } from './fixtures.ts';

const INTERNAL: CodecContext = { as4: true, ebgp: false };
const NONE = new Uint8Array(0);

function makeStore() {
  const nextHops = new NextHopTable({ reachable: true, metric: 0 });
  return { nextHops, store: new AttributeStore(1, nextHops, { localPref: 100, med: 0 }) };
}

function encoded(attributes: PathAttributes, context: CodecContext): Uint8Array {
  const out = new Uint8Array(4096);
  return out.subarray(0, encodeAttributes(attributes, context, out, 0));
}

function key(store: AttributeStore, id: number, field: number): number {
  return store.keys.chunk(id)[store.keys.at(id) + field]! >>> 0;
}

describe('attribute store', () => {
  it('gives the same id for the same bytes, and what they say', () => {
    const { store } = makeStore();
    const attributes = attributesOf({
      asPath: [
        { type: AS_SEQUENCE, asns: [65001, 65002] },
        { type: AS_SET, asns: [1, 2, 3] },
      ],
      origin: ORIGIN_EGP,
      med: 4_000_000_000,
      localPref: 3_000_000_000,
      originatorId: 0xffffffff,
      clusterList: Uint32Array.of(1, 2),
      communities: Uint32Array.of(0xffff0001),
    });
    const context = store.context(INTERNAL, 0);
    const block = encoded(attributes, INTERNAL);
    const id = store.intern(context, block, 0, block.length, NONE, 0, 0);
    store.addReferences(id, 1);
    expect(store.intern(context, Uint8Array.of(0, ...block), 1, 1 + block.length, NONE, 0, 0)).toBe(id);
    expect(store.size).toBe(1);
    expect(store.attributes(id)).toEqual(attributes);
    expect(key(store, id, KEY_LOCAL_PREF)).toBe(3_000_000_000);
    expect(key(store, id, KEY_LENGTH_ORIGIN)).toBe((3 << 2) | ORIGIN_EGP);
    expect(key(store, id, KEY_MED)).toBe(4_000_000_000);
    expect(key(store, id, KEY_NEIGHBOUR_AS)).toBe(65001);
    expect(key(store, id, KEY_ORIGINATOR)).toBe(0xffffffff);
    expect(key(store, id, KEY_CLUSTERS)).toBe(2);
  });

  it('tells apart what different sessions mean by the same bytes', () => {
    const { store } = makeStore();
    const block = encoded(attributesOf({ asPath: [], localPref: 200 }), INTERNAL);
    const inside = store.intern(store.context(INTERNAL, 0), block, 0, block.length, NONE, 0, 0);
    const external = store.context({ as4: true, ebgp: true }, 0);
    expect(external).not.toBe(store.context(INTERNAL, 0));
    expect(external).toBe(store.context({ as4: true, ebgp: true }, 0));
    const outside = store.intern(external, block, 0, block.length, NONE, 0, 0);
    expect(outside).not.toBe(inside);
    expect(key(store, inside, KEY_LOCAL_PREF)).toBe(200);
    expect(key(store, outside, KEY_LOCAL_PREF)).toBe(100);
    expect(store.problem?.errors).toHaveLength(1);
  });

  it('takes the next hop of MP_REACH_NLRI as part of the set', () => {
    const { store, nextHops } = makeStore();
    const block = encoded(attributesOf({}), INTERNAL);
    const context = store.context(INTERNAL, 0);
    const address = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);
    const id = store.intern(context, block, 0, block.length, address, 0, 16);
    const other = store.intern(
      context,
      block,
      0,
      block.length,
      Uint8Array.of(...address.subarray(0, 15), 8),
      0,
      16,
    );
    expect(other).not.toBe(id);
    expect(store.attributes(id).nextHop).toEqual({ family: 6, bytes: address, linkLocal: undefined });
    expect(nextHops.size).toBe(2);
  });

  it('refuses malformed attributes, keeps nothing of them and says why', () => {
    const { store, nextHops } = makeStore();
    const block = encoded(attributesOf({}), INTERNAL);
    block[3] = 7; // ORIGIN
    expect(store.intern(store.context(INTERNAL, 0), block, 0, block.length, NONE, 0, 0)).toBe(0);
    expect(store.problem?.kind).toBe('treat-as-withdraw');
    expect([store.size, nextHops.size]).toEqual([0, 0]);
  });

  it('drops a set with its last reference, with its next hop and what was derived from it', () => {
    const { store, nextHops } = makeStore();
    const block = encoded(attributesOf({}), INTERNAL);
    const context = store.context(INTERNAL, 0);
    const forgotten: number[] = [];
    store.derived.add({ forget: (id) => forgotten.push(id) });
    const id = store.intern(context, block, 0, block.length, NONE, 0, 0);
    store.addReferences(id, 3);
    store.dropReferences(id, 2);
    expect([store.size, forgotten]).toEqual([1, []]);
    store.dropReferences(id, 1);
    expect([store.size, nextHops.size, store.bytesInUse, forgotten]).toEqual([0, 0, 0, [id]]);
  });

  it('does not show what an id stood for before', () => {
    const { store } = makeStore();
    const context = store.context(INTERNAL, 0);
    const intern = (med: number) => {
      const block = encoded(attributesOf({ med }), INTERNAL);
      return store.intern(context, block, 0, block.length, NONE, 0, 0);
    };
    const first = intern(1);
    expect(store.attributes(first).med).toBe(1);
    store.dropUnused(first);
    expect(intern(2)).toBe(first);
    expect(store.attributes(first).med).toBe(2);
  });

  it('does not take new attributes for the plain ones that had their id before', () => {
    const { store } = makeStore();
    const context = store.context(INTERNAL, 0);
    const block = encoded(attributesOf({ med: 1 }), INTERNAL);
    const first = store.intern(context, block, 0, block.length, NONE, 0, 0);
    expect(store.plain(first)?.number(ATTR_MED)).toBe(1);
    store.dropUnused(first);
    expect(store.internAttributes(attributesOf({ localPref: 7, med: 2 }))).toBe(first);
    expect(store.plain(first)?.number(ATTR_MED)).toBe(2);
  });

  it('takes attributes that were made here, even with a next hop that nobody may send', () => {
    const { store, nextHops } = makeStore();
    const attributes = attributesOf({ nextHop: UNSPECIFIED4, med: 5 });
    const id = store.internAttributes(attributes);
    expect(store.internAttributes({ ...attributes })).toBe(id);
    // Past what is kept decoded.
    for (let i = 0; i < 3000; i++) {
      const other = store.internAttributes(attributesOf({ med: 1000 + i }));
      store.addReferences(other, 1);
    }
    expect(store.attributes(id)).toEqual(attributes);
    expect(nextHops.reachable[key(store, id, KEY_NEXT_HOP)]).toBe(1);
  });

  it('keeps the scope of a link-local next hop', () => {
    const { store } = makeStore();
    const bytes = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    const attributes = attributesOf({ nextHop: { family: 6, bytes, linkLocal: undefined } });
    const one = store.internAttributes(attributes, 1);
    const two = store.internAttributes(attributes, 2);
    expect([one === two, store.scope(one), store.scope(two)]).toEqual([false, 1, 2]);
    expect(key(store, one, KEY_NEXT_HOP)).not.toBe(key(store, two, KEY_NEXT_HOP));
  });
});
