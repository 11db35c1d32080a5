import { describe, expect, test } from 'vitest';
import { toHex } from '#bgp/wire/bytes.ts';
import { KEEPALIVE } from '#bgp/wire/constants.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { decodeMessage, encodeMessage, type Message } from '#bgp/wire/message.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import { toReadable } from './readable.ts';
import { VECTORS as BIRD } from './recorded/bird.ts';
import { VECTORS as FRR } from './recorded/frr.ts';
import { VECTORS as GOBGP } from './recorded/gobgp.ts';
import { contextOf, messageBytes, messageOf, type Vector } from './vector.ts';
import { VECTORS as ATTRIBUTES } from './vectors/attributes.ts';
import { VECTORS as CAPABILITIES } from './vectors/capabilities.ts';
import { VECTORS as MESSAGES } from './vectors/messages.ts';

describe.each([
  ['of each message', MESSAGES],
  ['of each capability', CAPABILITIES],
  ['of each path attribute', ATTRIBUTES],
  ['recorded from bird', BIRD],
  ['recorded from FRR', FRR],
  ['recorded from gobgpd', GOBGP],
])('vectors %s', (_, vectors) => {
  test.each(vectors.map((vector, i) => [vector.name ?? `${i + 1}: ${vector.session}`, vector] as const))(
    '%s',
    (_name, vector) => {
      const bytes = messageBytes(vector);
      expect(plain(decode(bytes, vector))).toEqual(plain(messageOf(vector), vector));

      const [encoded, ...more] = encodeMessage(
        messageOf(vector),
        contextOf(vector),
        bytes.length > 4096 ? 65535 : 4096,
      );
      expect(more).toEqual([]);
      if (vector.exact) expect(toHex(encoded!)).toBe(toHex(bytes));
      else expect(plain(decode(encoded!, vector), vector)).toEqual(plain(messageOf(vector), vector));
    },
  );
});

function decode(bytes: Uint8Array, vector: Vector): Message | Fault {
  const framer = new Framer(65535);
  framer.push(bytes);
  expect(framer.next(), framer.fault?.reason).toBe(true);
  expect([framer.bytes === bytes, framer.end]).toEqual([true, bytes.length]);
  if (framer.type === KEEPALIVE) expect(framer.start).toBe(framer.end);
  return decodeMessage(framer.type, framer.bytes.subarray(framer.start, framer.end), contextOf(vector));
}

/** UPDATEs are compared in their readable form; of a vector the errors are part of it. */
function plain(message: Message | Fault, vector?: Vector): unknown {
  if (message.kind !== 'update') return message;
  const readable = toReadable(message);
  return vector?.update?.errors === undefined ? readable : { ...readable, errors: vector.update.errors };
}
