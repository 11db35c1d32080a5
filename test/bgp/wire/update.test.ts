import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '#bgp/wire/address.ts';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { nextHopProblem } from '#bgp/wire/next-hop.ts';
import { Ipv4Batch, Ipv6Batch } from '#bgp/wire/nlri.ts';
import { encodeEndOfRib, UpdatePacker } from '#bgp/wire/pack.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import { nextHop6 } from './arbitrary.ts';

const ORIGIN = '40010100';
const AS_PATH = '4002060201 0000fde9';
const REACH6 = '800e16 0002 01 10 20010db8000000000000000000000001 00 00';
const UNREACH6 = '800f0a 0002 01 30 20010db80001';

describe('the scanner', () => {
  test('finds every part of an UPDATE', () => {
    const scanner = scan('0005 08 0a 10 0a01  0029', `${ORIGIN} ${AS_PATH} ${REACH6}`, '18 0a0203');
    const part = (start: number, end: number): string => toHex(scanner.bytes.subarray(start, end));
    expect(part(scanner.withdrawnStart, scanner.withdrawnEnd)).toBe('080a100a01');
    expect(part(scanner.attributesStart, scanner.attributesEnd)).toMatch(/^40010100.*0000$/);
    expect(part(scanner.nlriStart, scanner.nlriEnd)).toBe('180a0203');
    expect(scanner.reachFamily).toBe(IPV6_UNICAST);
    expect(part(scanner.reachNextHopStart, scanner.reachNextHopEnd)).toBe('20010db8000000000000000000000001');
    expect(part(scanner.reachStart, scanner.reachEnd)).toBe('00');
    expect(scanner.unreachFamily).toBe(0);
    expect(toHex(scanner.key())).toBe(ORIGIN + AS_PATH.replace(' ', ''));
    expect(scanner.announces).toBe(true);
    expect(scanner.endOfRib).toBe(0);
  });

  test('forgets the message before', () => {
    const scanner = new UpdateScanner();
    const full = fromHex(`0000 0026 ${REACH6} ${UNREACH6}`);
    expect(scanner.scan(full, 0, full.length, false)).toBe(true);
    expect([scanner.reachFamily, scanner.unreachFamily]).toEqual([IPV6_UNICAST, IPV6_UNICAST]);
    const empty = fromHex('0000 0000');
    expect(scanner.scan(empty, 0, empty.length, false)).toBe(true);
    expect([scanner.reachFamily, scanner.unreachFamily]).toEqual([0, 0]);
    expect([scanner.announces, scanner.key().length, scanner.endOfRib]).toEqual([false, 0, IPV4_UNICAST]);
    expect(scanner.scan(full, 0, full.length, false)).toBe(true);
    expect([scanner.announces, scanner.endOfRib]).toEqual([true, 0]);
    expect(scanner.scan(fromHex('0000 0009'), 0, 4, false)).toBe(false);
    expect(scanner.error).toBeDefined();
    expect(scanner.scan(full, 0, full.length, false)).toBe(true);
    expect(scanner.error).toBeUndefined();
  });

  test('reads a body anywhere in a larger array', () => {
    const body = fromHex(`0000 0026 ${REACH6} ${UNREACH6}`);
    const around = new Uint8Array(body.length + 100).fill(0xff);
    around.set(body, 50);
    const scanner = new UpdateScanner();
    expect(scanner.scan(around, 50, 50 + body.length, false)).toBe(true);
    expect(toHex(around.subarray(scanner.unreachStart, scanner.unreachEnd))).toBe('3020010db80001');
  });

  test('gives the key in place, without copying, where MP attributes stand at an end', () => {
    for (const attributes of [
      `${ORIGIN}${AS_PATH}`,
      `${REACH6}${ORIGIN}${AS_PATH}`,
      `${ORIGIN}${AS_PATH}${REACH6}`,
      `${REACH6}${UNREACH6}${ORIGIN}${AS_PATH}`,
      `${UNREACH6}${REACH6}${ORIGIN}${AS_PATH}`,
      `${UNREACH6}${ORIGIN}${AS_PATH}${REACH6}`,
      `${REACH6}${ORIGIN}${AS_PATH}${UNREACH6}`,
      `${ORIGIN}${AS_PATH}${UNREACH6}${REACH6}`,
    ]) {
      const scanner = scanAttributes(attributes);
      expect(scanner.keyBytes, attributes).toBe(scanner.bytes);
      expect(toHex(scanner.key())).toBe(ORIGIN + AS_PATH.replace(' ', ''));
    }
  });

  test('the key is all that is not MP_REACH_NLRI or MP_UNREACH_NLRI, in its order, wherever these stand', () => {
    const other = fc
      .tuple(fc.constantFrom(1, 2, 3, 8, 99), fc.uint8Array({ maxLength: 300, size: 'max' }))
      .map(([code, value]) => attribute(code, value));
    const order = fc.array(other, { maxLength: 6 });
    fc.assert(
      fc.property(
        order,
        order,
        order,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (a, b, c, first, reach, unreach) => {
          const mp = [reach ? REACH6 : '', unreach ? UNREACH6 : ''];
          if (!first) mp.reverse();
          const scanner = scanAttributes([...a, mp[0], ...b, mp[1], ...c].join(''));
          expect(toHex(scanner.key())).toBe([...a, ...b, ...c].join(''));
          expect(scanner.reachFamily).toBe(reach ? IPV6_UNICAST : 0);
          expect(scanner.unreachFamily).toBe(unreach ? IPV6_UNICAST : 0);
        },
      ),
    );
  });

  test('an attribute that runs over the end is part of the key, so that decoding it says so', () => {
    const scanner = scanAttributes(`${REACH6}${ORIGIN}${AS_PATH}800405 00000001`);
    expect(toHex(scanner.key())).toMatch(/80040500000001$/);
    expect(scanner.announces).toBe(true);
  });

  test('the next hop is copied out of the message', () => {
    fc.assert(
      fc.property(nextHop6, (nextHop) => {
        const bytes = [...nextHop.bytes, ...(nextHop.linkLocal ?? [])];
        const hex = `${toHex(Uint8Array.of(bytes.length))}${toHex(Uint8Array.from(bytes))}`;
        const scanner = scanAttributes(attribute(14, fromHex(`0002 01 ${hex} 00`), 0x80));
        const got = scanner.reachNextHop();
        scanner.bytes.fill(0);
        expect(got).toEqual(nextHop);
      }),
    );
  });

  test.each([
    ['0000 0000', IPV4_UNICAST],
    ['0000 0006 800f03 0002 01', IPV6_UNICAST],
    ['0000 0007 900f0003 0002 01', IPV6_UNICAST],
    ['0000 0006 800f03 0001 01', IPV4_UNICAST],
    ['0000 0007 800f04 0002 01 00', 0],
    ['0002 080a 0000', 0],
    ['0000 000a 800f03 0002 01 40010100', 0],
    ['0000 0006 800f03 0002 01 00', 0],
  ])('%s ends family %i', (hex, family) => {
    const body = fromHex(hex);
    const scanner = new UpdateScanner();
    expect(scanner.scan(body, 0, body.length, false)).toBe(true);
    expect(scanner.endOfRib).toBe(family);
  });

  test('an End-of-RIB that we write is one', () => {
    for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
      const message = encodeEndOfRib(family);
      const scanner = new UpdateScanner();
      expect(scanner.scan(message, 19, message.length, false)).toBe(true);
      expect(scanner.endOfRib).toBe(family);
    }
  });
});

describe('a next hop', () => {
  test.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['1.0.0.1', undefined],
    ['126.255.255.255', undefined],
    ['127.0.0.1', 'loopback'],
    ['128.0.0.1', undefined],
    ['223.255.255.255', undefined],
    ['224.0.0.0', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.0', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::2', undefined],
    ['ff02::1', 'multicast'],
    ['fe80::1', undefined],
    ['2001:db8::1', undefined],
    ['::ffff:192.0.2.1', undefined],
  ] as const)('%s: %s', (text, problem) => {
    const bytes = parseAddress(text);
    expect(nextHopProblem({ family: bytes.length === 4 ? 4 : 6, bytes })).toBe(problem);
  });
});

describe('lists of prefixes', () => {
  test('IPv4: any bytes are read as a slow reader reads them, or refused as it refuses them', () => {
    const batch = new Ipv4Batch(1);
    const bytes = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 34 }), fc.uint8Array({ minLength: 4, maxLength: 4 })),
      { maxLength: 30, size: 'max' },
    );
    fc.assert(
      fc.property(bytes, fc.boolean(), fc.nat(6), fc.nat(3), (parts, addPath, cut, offset) => {
        const list = parts.flatMap(([length, address]) => [
          ...(addPath ? [1, 2, 3, length] : []),
          length,
          ...address.subarray(0, Math.ceil(length / 8)),
        ]);
        const whole = Uint8Array.from([...new Array(offset).fill(9), ...list]);
        const end = Math.max(offset, whole.length - cut);
        const expected = slowly(whole.subarray(offset, end), 32, addPath);
        const well = batch.read(whole, offset, end, addPath);
        expect(well ? rows4(batch, addPath) : undefined).toEqual(expected);
        if (!well) expect([batch.count, batch.reason]).toEqual([0, expect.stringMatching(/^prefix \d+/)]);
      }),
      { numRuns: 500 },
    );
  });

  test('IPv6: the same', () => {
    const batch = new Ipv6Batch(1);
    const bytes = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 130 }), fc.uint8Array({ minLength: 17, maxLength: 17 })),
      { maxLength: 30, size: 'max' },
    );
    fc.assert(
      fc.property(bytes, fc.boolean(), fc.nat(6), fc.nat(3), (parts, addPath, cut, offset) => {
        const list = parts.flatMap(([length, address]) => [
          ...(addPath ? [0xff, 2, 3, length] : []),
          length,
          ...address.subarray(0, Math.ceil(length / 8)),
        ]);
        const whole = Uint8Array.from([...new Array(offset).fill(9), ...list]);
        const end = Math.max(offset, whole.length - cut);
        const expected = slowly(whole.subarray(offset, end), 128, addPath);
        const well = batch.read(whole, offset, end, addPath);
        expect(well ? rows6(batch, addPath) : undefined).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('every length is masked to the bit', () => {
    const four = new Ipv4Batch();
    for (let length = 0; length <= 32; length++) {
      const bytes = Uint8Array.from([length, ...new Array(Math.ceil(length / 8)).fill(0xff)]);
      expect(four.read(bytes, 0, bytes.length, false)).toBe(true);
      expect(four.addresses[0]!.toString(2).padStart(32, '0')).toBe('1'.repeat(length).padEnd(32, '0'));
    }
    const six = new Ipv6Batch();
    for (let length = 0; length <= 128; length++) {
      six.words.fill(0xffffffff);
      const bytes = Uint8Array.from([length, ...new Array(Math.ceil(length / 8)).fill(0xff)]);
      expect(six.read(bytes, 0, bytes.length, false)).toBe(true);
      const bits = Array.from(six.words.subarray(0, 4), (word) => word.toString(2).padStart(32, '0')).join(
        '',
      );
      expect(bits).toBe('1'.repeat(length).padEnd(128, '0'));
    }
  });

  test('a batch grows to the longest list and is then not made anew', () => {
    const batch = new Ipv4Batch();
    const list = new Uint8Array(65000);
    expect(batch.read(list, 0, list.length, false)).toBe(true);
    expect(batch.count).toBe(65000);
    const { addresses } = batch;
    expect(batch.read(list, 0, list.length, false)).toBe(true);
    expect(batch.addresses).toBe(addresses);
  });
});

describe('the packer', () => {
  const columns = { addresses: Uint32Array.of(0x0a000000, 0xc0000200, 0), lengths: Uint8Array.of(8, 24, 0) };

  test('writes the rows it is given, of a table it does not copy', () => {
    const out = new Uint8Array(4096);
    const packer = new UpdatePacker();
    const end = packer.withdraw4(out, 0, columns, Uint32Array.of(2, 1, 0, 1), 1, 3);
    expect(toHex(out.subarray(19, end))).toBe('0006' + '18c00002' + '080a' + '0000');
    expect(packer.next).toBe(3);
  });

  test('writes behind what is there', () => {
    const out = new Uint8Array(4096);
    const packer = new UpdatePacker();
    const rows = Uint32Array.of(0);
    const first = packer.withdraw4(out, 100, columns, rows, 0, 1);
    expect(out.subarray(0, 100).every((byte) => byte === 0)).toBe(true);
    expect(toHex(out.subarray(100, first))).toBe(`${'ff'.repeat(16)}0019020002080a0000`);
  });

  test('says so when attributes leave no room for a prefix', () => {
    const out = new Uint8Array(8192);
    const packer = new UpdatePacker(4096);
    const rows = Uint32Array.of(1);
    for (const size of [4096 - 23 - 3, 4096, 5000]) {
      expect(packer.announce4(out, 7, new Uint8Array(size), columns, rows, 0, 1)).toBe(7);
      expect(packer.next).toBe(0);
    }
    expect(packer.announce4(out, 7, new Uint8Array(4096 - 23 - 4), columns, rows, 0, 1)).toBe(7 + 4096);
    expect(packer.next).toBe(1);
    const nextHop = new Uint8Array(16);
    expect(
      packer.announceMp4(out, 7, nextHop, new Uint8Array(4096 - 23 - 4 - 21 - 3), columns, rows, 0, 1),
    ).toBe(7);
    expect(
      packer.announceMp4(out, 7, nextHop, new Uint8Array(4096 - 23 - 4 - 21 - 4), columns, rows, 0, 1),
    ).toBe(4103);
  });

  test('keeps within the room that is left', () => {
    const out = new Uint8Array(19 + 2 + 2 + 4);
    const packer = new UpdatePacker();
    const rows = Uint32Array.of(1, 1);
    expect(packer.withdraw4(out, 0, columns, rows, 0, 2)).toBe(out.length);
    expect(packer.next).toBe(1);
    for (let room = 0; room < out.length; room++) {
      expect(packer.withdraw4(out.subarray(0, room), 0, columns, rows, 0, 2)).toBe(0);
      expect(packer.withdrawMp4(out.subarray(0, room), 0, columns, rows, 0, 2)).toBe(0);
      expect(
        packer.announce4(out.subarray(0, room), 0, new Uint8Array(0), columns, Uint32Array.of(1), 0, 1),
      ).toBe(0);
    }
  });

  test('withdraws IPv4 in MP_UNREACH_NLRI where that is wanted', () => {
    const out = new Uint8Array(4096);
    const end = new UpdatePacker().withdrawMp4(out, 0, columns, Uint32Array.of(0), 0, 1);
    expect(toHex(out.subarray(19, end))).toBe('0000' + '0009' + '900f0005' + '000101' + '080a');
  });
});

function scan(head: string, attributes: string, nlri: string): UpdateScanner {
  const block = toHex(fromHex(attributes));
  const fixed = head.replace(/\s/g, '').slice(0, -4) + (block.length / 2).toString(16).padStart(4, '0');
  const body = fromHex(fixed + block + nlri);
  const scanner = new UpdateScanner();
  expect(scanner.scan(body, 0, body.length, false), scanner.error?.reason).toBe(true);
  return scanner;
}

function scanAttributes(attributes: string): UpdateScanner {
  return scan('0000 0000', attributes, '');
}

function attribute(code: number, value: Uint8Array, flags = 0xc0): string {
  const long = value.length > 255;
  const length = value.length.toString(16).padStart(long ? 4 : 2, '0');
  return `${(flags | (long ? 0x10 : 0)).toString(16)}${code.toString(16).padStart(2, '0')}${length}${toHex(value)}`;
}

type SlowRow = { bits: string; length: number; pathId: number | undefined };

/** Bit by bit, after RFC 4271 section 4.3 and RFC 7911 section 3. */
function slowly(list: Uint8Array, longest: number, addPath: boolean): SlowRow[] | undefined {
  const result: SlowRow[] = [];
  const rest = [...list];
  while (rest.length > 0) {
    let pathId: number | undefined;
    if (addPath) {
      if (rest.length < 5) return undefined;
      pathId = Number.parseInt(toHex(Uint8Array.from(rest.splice(0, 4))), 16);
    }
    const length = rest.shift()!;
    if (length > longest) return undefined;
    const octets = rest.splice(0, Math.ceil(length / 8));
    if (octets.length < Math.ceil(length / 8)) return undefined;
    const bits = octets.map((octet) => octet.toString(2).padStart(8, '0')).join('');
    result.push({ bits: bits.slice(0, length).padEnd(longest, '0'), length, pathId });
  }
  return result;
}

function rows4(batch: Ipv4Batch, addPath: boolean): SlowRow[] {
  return Array.from({ length: batch.count }, (_, row) => ({
    bits: batch.addresses[row]!.toString(2).padStart(32, '0'),
    length: batch.lengths[row]!,
    pathId: addPath ? batch.pathIds[row] : undefined,
  }));
}

function rows6(batch: Ipv6Batch, addPath: boolean): SlowRow[] {
  return Array.from({ length: batch.count }, (_, row) => ({
    bits: Array.from(batch.words.subarray(4 * row, 4 * row + 4), (word) =>
      word.toString(2).padStart(32, '0'),
    ).join(''),
    length: batch.lengths[row]!,
    pathId: addPath ? batch.pathIds[row] : undefined,
  }));
}
