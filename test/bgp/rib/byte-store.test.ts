import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteKey, ByteStore } from '#bgp/rib/byte-store.ts';

function keyOf(tag: number, nextHop: Uint8Array, block: Uint8Array): ByteKey {
  const key = new ByteKey();
  key.tag = tag;
  // Somewhere in a larger buffer, as in a message.
  key.nextHop = Uint8Array.of(9, ...nextHop, 9);
  key.nextHopStart = 1;
  key.nextHopEnd = 1 + nextHop.length;
  key.block = Uint8Array.of(7, 7, ...block, 7);
  key.blockStart = 2;
  key.blockEnd = 2 + block.length;
  return key;
}

describe('byte store', () => {
  it('has nothing of discarded strings in its index once others have taken their places', () => {
    class Open extends ByteStore {
      get entries(): number {
        return this.index.size;
      }
    }
    const store = new Open(7);
    const none = new Uint8Array(0);
    for (let round = 0; round < 4; round++) {
      const ids = Array.from({ length: 100 }, (_, i) =>
        store.intern(keyOf(0, none, Uint8Array.of(round, i, 0))),
      );
      for (const id of ids) store.discard(id);
    }
    expect([store.size, store.limit, store.entries, store.bytesInUse]).toEqual([0, 101, 100, 0]);
    expect(store.find(keyOf(0, none, Uint8Array.of(0, 5, 0)))).toBe(0);
  });

  it('keeps each string once, for as long as there are references', () => {
    const strings = fc.record({
      tag: fc.constantFrom(0, 1, 255, 256, 65535),
      nextHop: fc.constantFrom([], [1, 2, 3, 4], new Array(16).fill(3)),
      block: fc.oneof(
        fc.array(fc.constantFrom(0, 1), { maxLength: 5 }),
        fc.constantFrom(15, 500, 700, 5000, 65535).map((length) => new Array<number>(length).fill(5)),
      ),
    });
    const steps = fc.array(fc.record({ take: fc.boolean(), string: strings }), { maxLength: 120 });
    fc.assert(
      fc.property(steps, (list) => {
        const store = new ByteStore(3);
        const model = new Map<string, { id: number; references: number }>();
        for (const { take, string } of list) {
          const { tag, nextHop, block } = string;
          const name = JSON.stringify(string);
          const key = keyOf(tag, Uint8Array.from(nextHop), Uint8Array.from(block));
          const known = model.get(name);
          expect(store.find(key)).toBe(known?.id ?? 0);
          if (take) {
            const id = store.intern(key);
            store.addReferences(id, 1);
            expect(store.tag(id)).toBe(tag);
            expect([...store.nextHop(id)]).toEqual(nextHop);
            expect(store.blockLength(id)).toBe(block.length);
            const out = new Uint8Array(block.length + 20);
            expect(store.copyBlock(id, out, store.copyNextHop(id, out, 0))).toBe(
              block.length + nextHop.length,
            );
            expect(out.subarray(nextHop.length, nextHop.length + block.length)).toEqual(store.block(id));
            if (known !== undefined) known.references++;
            else {
              expect([...model.values()].some((each) => each.id === id)).toBe(false);
              model.set(name, { id, references: 1 });
            }
          } else if (known !== undefined) {
            known.references--;
            const last = store.dropReferences(known.id, 1);
            expect(last).toBe(known.references === 0);
            if (last) {
              store.discard(known.id);
              model.delete(name);
            }
          }
          expect(store.size).toBe(model.size);
        }
        for (const [name, { id }] of model) expect([...store.block(id)]).toEqual(JSON.parse(name).block);
      }),
    );
  });

  it('does not grow when strings come and go', () => {
    const store = new ByteStore(3);
    const ids: number[] = [];
    const fill = (round: number) => {
      for (let i = 0; i < 2000; i++) {
        const block = Uint8Array.from({ length: 20 + (i % 100) }, (_, j) => i >> (j & 7));
        block[0] = round;
        block[1] = i >> 8;
        block[2] = i;
        const id = store.intern(keyOf(0, new Uint8Array(0), block));
        store.addReferences(id, 1);
        ids.push(id);
      }
    };
    fill(0);
    const { limit, bytesInUse } = store;
    for (let round = 1; round < 10; round++) {
      for (const id of ids.splice(0)) if (store.dropReferences(id, 1)) store.discard(id);
      expect([store.size, store.bytesInUse]).toEqual([0, 0]);
      fill(round);
      expect([store.limit, store.bytesInUse]).toEqual([limit, bytesInUse]);
    }
  });

  it('gives a string that comes back the id it had, without references, and takes places only when it needs them', () => {
    const store = new ByteStore(3);
    const key = (i: number) => keyOf(0, new Uint8Array(0), Uint8Array.of(i, 1, 2, 3));
    const ids = [1, 2, 3].map((i) => store.intern(key(i)));
    for (const id of ids) store.discard(id);
    expect([store.find(key(2)), store.inUse(ids[1]!), store.size, store.bytesInUse]).toEqual([
      0,
      false,
      0,
      0,
    ]);
    expect([store.intern(key(2)), store.isNew, store.references(ids[1]!)]).toEqual([ids[1], true, 0]);
    expect([...store.block(ids[1]!)]).toEqual([2, 1, 2, 3]);
    const others = [4, 5].map((i) => store.intern(key(i)));
    expect(others.sort()).toEqual([ids[0], ids[2]]);
    expect([store.find(key(1)), store.find(key(3)), store.find(key(2))]).toEqual([0, 0, ids[1]]);
    expect([store.intern(key(6)), store.limit, store.size]).toEqual([4, 5, 4]);
  });
});
