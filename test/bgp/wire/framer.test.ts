import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, putU16, toHex } from '#bgp/wire/bytes.ts';
import {
  HEADER_LENGTH,
  KEEPALIVE,
  MAX_EXTENDED_MESSAGE,
  MAX_MESSAGE,
  NOTIFICATION,
  OPEN,
  ROUTE_REFRESH,
  UPDATE,
} from '#bgp/wire/constants.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { encodeKeepalive, putHeader } from '#bgp/wire/header.ts';
import { notificationName } from '#bgp/wire/notification.ts';

const BODY_LENGTHS: Readonly<Record<number, readonly [number, number]>> = {
  [OPEN]: [10, 4077],
  [UPDATE]: [4, 4077],
  [NOTIFICATION]: [2, 4077],
  [KEEPALIVE]: [0, 0],
  [ROUTE_REFRESH]: [4, 40],
};

const aMessage = fc
  .constantFrom(OPEN, UPDATE, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH)
  .chain((type) => {
    const [min, max] = BODY_LENGTHS[type]!;
    // Mostly short ones, so that a chunk holds several.
    const size = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min, max: Math.min(max, min + 30) }) },
      fc.integer({ min, max }),
    );
    return size.chain((length) =>
      fc.tuple(fc.constant(type), fc.integer({ min: 0, max: 255 }), fc.constant(length)),
    );
  })
  .map(([type, filler, length]) => message(type, new Uint8Array(length).fill(filler)));

/** What can stand at the end of a stream that was good so far. */
const anEnd = fc.constantFrom(
  new Uint8Array(0),
  encodeKeepalive().subarray(0, 7),
  encodeKeepalive().subarray(0, 18),
  new Uint8Array(30), // not a marker
  fromHex(`${'ff'.repeat(15)}fe 0013 04 00`),
  fromHex(`${'ff'.repeat(16)} 0012 04 00`),
  fromHex(`${'ff'.repeat(16)} 1001 02 00`),
  fromHex(`${'ff'.repeat(16)} 0013 09`),
);

describe('the framer', () => {
  test('gives the same messages and the same error however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(aMessage, { maxLength: 12, size: 'max' }),
        anEnd,
        fc.infiniteStream(fc.integer({ min: 1, max: 9000 })),
        (messages, end, cuts) => {
          const stream = join([...messages, end]);
          const whole = take([stream]);
          expect(whole.events).toHaveLength(messages.length);
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < stream.length; ) {
            const [size] = cuts.take(1);
            chunks.push(stream.subarray(at, at + size!));
            at += size!;
          }
          expect(take(chunks)).toEqual(whole);
          expect(take(byteByByte(stream))).toEqual(whole);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('does not copy a message that is whole in its chunk', () => {
    const chunk = join([encodeKeepalive(), message(UPDATE, new Uint8Array(4))]);
    const framer = new Framer();
    framer.push(chunk);
    expect(framer.next()).toBe(true);
    expect(framer.bytes).toBe(chunk);
    expect(framer.next()).toBe(true);
    expect(framer.bytes).toBe(chunk);
    expect([framer.start, framer.end]).toEqual([38, 42]);
    expect(framer.next()).toBe(false);
  });

  test('keeps a message that came in pieces as it is until the next push', () => {
    const first = message(UPDATE, new Uint8Array(40).fill(1));
    const third = message(UPDATE, new Uint8Array(60).fill(3));
    const framer = new Framer();
    framer.push(first.subarray(0, 30));
    expect(framer.next()).toBe(false);
    framer.push(join([first.subarray(30), third.subarray(0, 50)]));
    expect(framer.next()).toBe(true);
    const { bytes, start, end } = framer;
    expect(framer.next()).toBe(false);
    expect([...bytes.subarray(start, end)]).toEqual(new Array(40).fill(1));
  });

  test('does not hold on to the chunk once it has been read to its end', () => {
    const reused = new Uint8Array(64);
    const stream = join([
      message(UPDATE, new Uint8Array(50).fill(7)),
      message(UPDATE, new Uint8Array(50).fill(8)),
    ]);
    const framer = new Framer();
    const bodies: string[] = [];
    for (let at = 0; at < stream.length; at += 64) {
      const part = stream.subarray(at, at + 64);
      reused.fill(0);
      reused.set(part);
      framer.push(reused.subarray(0, part.length));
      while (framer.next()) bodies.push(toHex(framer.bytes.subarray(framer.start, framer.end)));
    }
    expect(bodies).toEqual(['07'.repeat(50), '08'.repeat(50)]);
  });

  test('refuses a chunk before the one before is read', () => {
    const framer = new Framer();
    framer.push(encodeKeepalive());
    expect(() => framer.push(encodeKeepalive())).toThrow('push before next() returned false');
  });

  test('takes messages over 4,096 bytes only after extended messages are allowed', () => {
    const long = message(UPDATE, new Uint8Array(5000));
    const strict = new Framer();
    strict.push(long);
    expect(strict.next()).toBe(false);
    expect(strict.fault?.notification).toEqual({ code: 1, subcode: 2, data: fromHex('139b') });

    const framer = new Framer();
    framer.push(encodeKeepalive());
    expect(framer.next()).toBe(true);
    expect(framer.next()).toBe(false);
    framer.allowExtendedMessages();
    framer.push(long);
    expect(framer.next()).toBe(true);
    expect(framer.end - framer.start).toBe(5000);
    expect(framer.next()).toBe(false);
    framer.push(message(UPDATE, new Uint8Array(MAX_EXTENDED_MESSAGE - HEADER_LENGTH)));
    expect(framer.next()).toBe(true);
  });
});

describe('a header error has the NOTIFICATION of RFC 4271 6.1', () => {
  const marker = 'ff'.repeat(16);
  test.each([
    ['a marker that is not all ones', `${'ff'.repeat(15)}fe 0013 04`, 1, ''],
    ['what is not BGP at all', '474554202f20485454502f312e310d0a0d0a0d0a', 1, ''],
    ['a length under 19', `${marker} 0012 04`, 2, '0012'],
    ['a length of 0', `${marker} 0000 02`, 2, '0000'],
    ['a length over 4,096', `${marker} 1001 02`, 2, '1001'],
    ['an OPEN under 29', `${marker} 001c 01`, 2, '001c'],
    ['an UPDATE under 23', `${marker} 0016 02`, 2, '0016'],
    ['a NOTIFICATION under 21', `${marker} 0014 03`, 2, '0014'],
    ['a KEEPALIVE of more than 19', `${marker} 0014 04`, 2, '0014'],
    ['a ROUTE-REFRESH under 23', `${marker} 0016 05`, 2, '0016'],
    ['a type of 0', `${marker} 0013 00`, 3, '00'],
    ['a type that nobody knows', `${marker} 0013 06`, 3, '06'],
    ['a bad type with a bad length: the length counts', `${marker} 0012 06`, 2, '0012'],
  ])('%s', (_, hex, subcode, data) => {
    const framer = new Framer();
    framer.push(join([encodeKeepalive(), fromHex(hex)]));
    expect(framer.next()).toBe(true);
    expect(framer.next()).toBe(false);
    expect(framer.fault?.notification).toEqual({ code: 1, subcode, data: fromHex(data) });
    expect(notificationName(framer.fault!.notification)).toMatch(/^Message Header Error \/ [A-Z]/);
    framer.push(encodeKeepalive());
    expect(framer.next()).toBe(false);
  });

  test.each([
    ['an OPEN', OPEN],
    ['a KEEPALIVE', KEEPALIVE],
  ])('%s is never extended: RFC 8654 4', (_, type) => {
    const framer = new Framer(MAX_EXTENDED_MESSAGE);
    framer.push(message(type, new Uint8Array(MAX_MESSAGE - HEADER_LENGTH + 1)));
    expect(framer.next()).toBe(false);
    expect(framer.fault?.notification).toMatchObject({ code: 1, subcode: 2 });
  });
});

function message(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEADER_LENGTH + body.length);
  putHeader(out, 0, 0, type);
  putU16(out, 16, out.length);
  out.set(body, HEADER_LENGTH);
  return out;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function byteByByte(stream: Uint8Array): Uint8Array[] {
  return Array.from(stream, (_, at) => stream.subarray(at, at + 1));
}

function take(chunks: readonly Uint8Array[]): { events: string[]; fault: unknown } {
  const framer = new Framer();
  const events: string[] = [];
  for (const chunk of chunks) {
    framer.push(chunk);
    while (framer.next())
      events.push(`${framer.type} ${toHex(framer.bytes.subarray(framer.start, framer.end))}`);
  }
  return { events, fault: framer.fault };
}
