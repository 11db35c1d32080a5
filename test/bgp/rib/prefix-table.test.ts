import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HashIndex } from '#bgp/rib/hash-index.ts';
import { type PrefixTable, PrefixTable4, PrefixTable6 } from '#bgp/rib/prefix-table.ts';

type Prefix = { readonly bytes: Uint8Array; readonly length: number };

/** Few enough different addresses that prefixes meet, hold each other, and come again. */
function prefixes(octets: 4 | 16): fc.Arbitrary<Prefix> {
  const byte = fc.constantFrom(0, 1, 10, 127, 128, 255);
  return fc
    .record({
      bytes: fc
        .uint8Array({ minLength: octets, maxLength: octets })
        .chain((random) =>
          fc
            .array(byte, { minLength: octets, maxLength: octets })
            .map((few) => (random[0]! < 64 ? random : few)),
        ),
      length: fc.integer({ min: 0, max: 8 * octets }),
    })
    .map(({ bytes, length }) => ({ bytes: cut(Uint8Array.from(bytes), length), length }));
}

function cut(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff);
}

function name({ bytes, length }: Prefix): string {
  return `${bytes.join('.')}/${length}`;
}

describe.each([
  ['IPv4', 4, () => new PrefixTable4(7)],
  ['IPv6', 16, () => new PrefixTable6(7)],
] as const)('prefix table of %s', (_family, octets, make) => {
  it('is a map from prefixes to indexes', () => {
    const step = fc.record({ add: fc.boolean(), prefix: prefixes(octets) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table: PrefixTable = make();
        const model = new Map<string, { net: number; prefix: Prefix }>();
        for (const { add, prefix } of steps) {
          const known = model.get(name(prefix));
          expect(table.findBytes(prefix.bytes, prefix.length)).toBe(known?.net ?? 0);
          if (add) {
            const net = table.internBytes(prefix.bytes, prefix.length);
            if (known !== undefined) expect(net).toBe(known.net);
            else expect([...model.values()].some((each) => each.net === net)).toBe(false);
            model.set(name(prefix), { net, prefix });
          } else if (known !== undefined) {
            table.remove(known.net);
            model.delete(name(prefix));
          }
          expect(table.size).toBe(model.size);
        }
        for (const { net, prefix } of model.values()) {
          expect(table.inUse(net)).toBe(true);
          expect(table.lengthOf(net)).toBe(prefix.length);
          expect([...table.addressOf(net)]).toEqual([...prefix.bytes]);
          const out = new Uint8Array(20);
          const end = table.writeNlri(net, out, 1);
          const octetsUsed = (prefix.length + 7) >> 3;
          expect([...out.subarray(1, end)]).toEqual([prefix.length, ...prefix.bytes.subarray(0, octetsUsed)]);
        }
      }),
    );
  });

  it('finds the longest prefix that holds an address', () => {
    const address = prefixes(octets).map(({ bytes }) => bytes);
    fc.assert(
      fc.property(fc.array(prefixes(octets), { maxLength: 60 }), address, fc.nat(), (list, wanted, skip) => {
        const table: PrefixTable = make();
        for (const { bytes, length } of list) table.internBytes(bytes, length);
        const holding = list
          .filter(
            ({ bytes, length }) => name({ bytes: cut(wanted, length), length }) === name({ bytes, length }),
          )
          .map(({ bytes, length }) => ({ net: table.findBytes(bytes, length), length }))
          .filter(({ net }) => net % 3 !== skip % 3)
          .sort((a, b) => b.length - a.length);
        expect(table.longestMatch(wanted, (net) => net % 3 !== skip % 3)).toBe(holding[0]?.net ?? 0);
      }),
    );
  });

  it('uses the indexes of removed prefixes again', () => {
    const table: PrefixTable = make();
    const bytes = new Uint8Array(octets);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 5000; i++) {
        bytes[1] = i >> 8;
        bytes[2] = i;
        table.internBytes(bytes, 24);
      }
      for (let i = 0; i < 5000; i++) {
        bytes[1] = i >> 8;
        bytes[2] = i;
        table.remove(table.findBytes(bytes, 24));
      }
    }
    expect([table.size, table.limit]).toEqual([0, 5001]);
    expect(table.lengthCounts[24]).toBe(0);
  });

  it('gives a prefix that comes back the row it had, and takes rows of others only when it needs them', () => {
    const table: PrefixTable = make();
    const at = (i: number): Uint8Array => Uint8Array.from({ length: octets }, (_, k) => (k === 1 ? i : 0));
    const nets = Array.from({ length: 200 }, (_, i) => table.internBytes(at(i), 16));
    for (const net of nets) table.remove(net);
    expect([table.findBytes(at(3), 16), table.inUse(nets[3]!), table.releasable(nets[3]!)]).toEqual([
      0,
      false,
      false,
    ]);
    // The first hundred come back, then as many others as there is room for.
    for (let i = 0; i < 100; i++) expect(table.internBytes(at(i), 16)).toBe(nets[i]);
    const others = Array.from({ length: 100 }, (_, i) => table.internBytes(at(i), 17));
    expect(new Set([...nets.slice(0, 100), ...others]).size).toBe(200);
    expect([table.size, table.limit, table.lengthCounts[16], table.lengthCounts[17]]).toEqual([
      200, 201, 100, 100,
    ]);
    for (let i = 100; i < 200; i++) expect(table.findBytes(at(i), 16)).toBe(0);
    expect(table.internBytes(at(150), 16)).toBe(201);
  });

  it('finds everything while it grows to 100,000 prefixes, and after half of them are gone', () => {
    const table: PrefixTable = make();
    const bytes = new Uint8Array(octets);
    const set = (i: number) => {
      bytes[0] = i >> 16;
      bytes[1] = i >> 8;
      bytes[2] = i;
      bytes[octets - 1] = octets === 16 ? i : 0;
      return octets === 16 ? 128 : 24;
    };
    const nets: number[] = [];
    for (let i = 0; i < 100_000; i++) nets.push(table.internBytes(bytes, set(i)));
    for (let i = 0; i < 100_000; i += 2) table.remove(nets[i]!);
    let wrong = 0;
    for (let i = 0; i < 100_000; i++) {
      if (table.findBytes(bytes, set(i)) !== (i % 2 === 0 ? 0 : nets[i])) wrong++;
    }
    expect(wrong).toBe(0);
    expect(table.size).toBe(50_000);
  });
});

describe('rows of removed prefixes', () => {
  it('leave nothing in the index when others take them', () => {
    class Open extends PrefixTable4 {
      get entries(): number {
        return this.index.size;
      }
    }
    const table = new Open(7);
    for (let round = 0; round < 4; round++) {
      const nets = Array.from({ length: 100 }, (_, i) => table.intern((round << 24) | (i << 16), 16));
      for (const net of nets) table.remove(net);
    }
    expect([table.size, table.limit, table.entries]).toEqual([0, 101, 100]);
  });
});

describe('holders of a net', () => {
  it('keep a net without paths from being released', () => {
    const table = new PrefixTable4(1);
    const net = table.intern(0x0a000000, 8);
    table.hold(net, 2);
    expect([table.releasable(net), table.lengthOf(net)]).toEqual([false, 8]);
    table.hold(net, -1);
    expect(table.releasable(net)).toBe(false);
    table.hold(net, -1);
    expect(table.releasable(net)).toBe(true);
  });
});

describe('hash index', () => {
  it('keeps ids with equal hashes apart', () => {
    const index = new HashIndex();
    for (let id = 1; id <= 50; id++) index.insert(12345, id);
    const found: number[] = [];
    for (let id = index.first(12345); id !== 0; id = index.after(12345, id)) found.push(id);
    expect(found).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    index.remove(12345, 20);
    expect([index.after(12345, 19), index.size]).toEqual([21, 49]);
  });

  it('says that it is too full of one hash instead of looking for ever', () => {
    const index = new HashIndex();
    expect(() => {
      for (let id = 1; id <= 3000; id++) index.insert(99, id);
    }).toThrow(RangeError);
  });

  it('finds ids whose hashes differ only in their upper or only in their lower bits', () => {
    const index = new HashIndex();
    const hashes = Array.from({ length: 1600 }, (_, i) => (i % 2 === 0 ? i << 20 : i) | 0);
    const first = new Map<number, number>();
    for (const [i, hash] of hashes.entries()) {
      index.insert(hash, i + 1);
      if (!first.has(hash)) first.set(hash, i + 1);
    }
    for (const [hash, id] of first) expect(index.first(hash)).toBe(id);
    expect(() => index.remove(-1, 1)).toThrow(RangeError);
  });
});
