/**
 * The codec by itself. The tables are what speakers are fed with: prefixes that share their attributes by the ten, AS paths of
 * three to six, so that an UPDATE carries ten prefixes.
 */

import { decodeAttributes, encodeAttributes } from '#bgp/wire/attributes.ts';
import { AS_SEQUENCE } from '#bgp/wire/constants.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { Ipv4Batch, type Ipv4Columns, Ipv6Batch, type Ipv6Columns } from '#bgp/wire/nlri.ts';
import { UpdatePacker } from '#bgp/wire/pack.ts';
import type { CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import { type Figures, SIZES } from './figures.ts';

const PER_SET = 10;
const CHUNK = 65_536;
const CONTEXT: CodecContext = { as4: true, ebgp: true };
const MESSAGE = 4096;
const NEXT_HOP_6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

type Table = {
  readonly size: number;
  readonly four: Ipv4Columns;
  readonly six: Ipv6Columns;
  readonly rows: Uint32Array;
  readonly sets: readonly PathAttributes[];
  readonly encoded: readonly Uint8Array[];
  readonly encodedMp: readonly Uint8Array[];
};

export function measureWire(figures: Figures): void {
  for (const size of SIZES) {
    const table = makeTable(size);
    const stream4 = writeIpv4(table);
    const stream6 = writeIpv6(table);
    const measure = (name: string, run: () => unknown): void =>
      figures.measure(
        name,
        size,
        () => undefined,
        () => run(),
      );
    measure('decode IPv4: frame, scan, prefixes', () => read(stream4, size, false));
    measure('decode IPv4, every attribute block too', () => read(stream4, size, true));
    measure('decode IPv6: frame, scan, prefixes', () => read(stream6, size, false));
    measure('decode IPv6, every attribute block too', () => read(stream6, size, true));
    measure('encode attributes (a set for ten prefixes)', () => encodeSets(table));
    measure('encode IPv4: pack into UPDATEs', () => writeIpv4(table));
    measure('encode IPv6: pack into UPDATEs', () => writeIpv6(table));
    measure('encode IPv4: pack withdrawals', () => withdrawIpv4(table));
  }
}

function makeTable(size: number): Table {
  const addresses = new Uint32Array(size);
  const words = new Uint32Array(4 * size);
  const lengths4 = new Uint8Array(size);
  const lengths6 = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    addresses[i] = 0x01000000 + 256 * i;
    lengths4[i] = 24;
    words[4 * i] = 0x20010000 + (i >>> 16);
    words[4 * i + 1] = i << 16;
    lengths6[i] = 48;
  }
  const sets = Array.from({ length: size / PER_SET }, (_, i) => makeAttributes(i));
  const scratch = new Uint8Array(MESSAGE);
  const encode = (attributes: PathAttributes): Uint8Array =>
    scratch.slice(0, encodeAttributes(attributes, CONTEXT, scratch, 0));
  return {
    size,
    four: { addresses, lengths: lengths4 },
    six: { words, lengths: lengths6 },
    rows: Uint32Array.from({ length: size }, (_, i) => i),
    sets,
    encoded: sets.map(encode),
    encodedMp: sets.map((attributes) => encode({ ...attributes, nextHop: { family: 6, bytes: NEXT_HOP_6 } })),
  };
}

function makeAttributes(i: number): PathAttributes {
  const asns = [65001];
  for (let hop = 0; hop < 2 + (i % 4); hop++) asns.push(100_000 + ((i * 31 + hop * 7919) % 400_000));
  return {
    origin: 0,
    asPath: [{ type: AS_SEQUENCE, asns }],
    nextHop: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) },
    med: i % 3 === 0 ? i % 1000 : undefined,
    localPref: undefined,
    atomicAggregate: false,
    aggregator: undefined,
    communities: Uint32Array.of(0xfde90000 + (i % 500), 0xfde90000 + (i % 77)),
    extendedCommunities: new Uint8Array(0),
    largeCommunities: new Uint32Array(0),
    originatorId: undefined,
    clusterList: new Uint32Array(0),
    unknown: [],
    partial: undefined,
  };
}

/** The whole table as UPDATEs, in chunks as a socket would give them. */
function writeIpv4(table: Table): Uint8Array[] {
  const packer = new UpdatePacker();
  return fill(
    (out, at, set) =>
      packer.announce4(
        out,
        at,
        table.encoded[set]!,
        table.four,
        table.rows,
        set * PER_SET,
        (set + 1) * PER_SET,
      ),
    table,
  );
}

function writeIpv6(table: Table): Uint8Array[] {
  const packer = new UpdatePacker();
  return fill(
    (out, at, set) =>
      packer.announce6(
        out,
        at,
        NEXT_HOP_6,
        table.encodedMp[set]!,
        table.six,
        table.rows,
        set * PER_SET,
        (set + 1) * PER_SET,
      ),
    table,
  );
}

function fill(write: (out: Uint8Array, at: number, set: number) => number, table: Table): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let out = new Uint8Array(CHUNK);
  let at = 0;
  for (let set = 0; set < table.sets.length; set++) {
    if (CHUNK - at < MESSAGE) {
      chunks.push(out.subarray(0, at));
      out = new Uint8Array(CHUNK);
      at = 0;
    }
    at = write(out, at, set);
  }
  chunks.push(out.subarray(0, at));
  return chunks;
}

function withdrawIpv4(table: Table): number {
  const packer = new UpdatePacker();
  const out = new Uint8Array(CHUNK);
  let written = 0;
  for (let row = 0; row < table.size; row = packer.next) {
    written += packer.withdraw4(out, 0, table.four, table.rows, row, table.size);
  }
  return written;
}

function encodeSets(table: Table): number {
  const out = new Uint8Array(MESSAGE);
  let written = 0;
  for (const attributes of table.sets) written += encodeAttributes(attributes, CONTEXT, out, 0);
  return written;
}

/** All that a RIB does with the bytes, short of looking anything up. */
function read(chunks: readonly Uint8Array[], expected: number, decode: boolean): void {
  const framer = new Framer();
  const scanner = new UpdateScanner();
  const batch4 = new Ipv4Batch();
  const batch6 = new Ipv6Batch();
  let prefixes = 0;
  for (const chunk of chunks) {
    framer.push(chunk);
    while (framer.next()) {
      if (!scanner.scan(framer.bytes, framer.start, framer.end, false))
        throw new Error(scanner.error!.reason);
      if (scanner.nlriStart < scanner.nlriEnd) {
        if (!batch4.read(scanner.bytes, scanner.nlriStart, scanner.nlriEnd, false))
          throw new Error(batch4.reason);
        prefixes += batch4.count;
      }
      if (scanner.reachStart < scanner.reachEnd) {
        if (!batch6.read(scanner.bytes, scanner.reachStart, scanner.reachEnd, false))
          throw new Error(batch6.reason);
        prefixes += batch6.count;
      }
      if (decode) {
        const nextHop = scanner.reachFamily === 0 ? undefined : scanner.reachNextHop();
        if (decodeAttributes(scanner.key(), CONTEXT, nextHop).kind !== 'attributes')
          throw new Error('not decoded');
      }
    }
  }
  if (prefixes !== expected) throw new Error(`${prefixes} prefixes, expected ${expected}`);
}
