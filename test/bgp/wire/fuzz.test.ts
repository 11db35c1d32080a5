/**
 * A million mutated messages with a fixed seed, and more with a fresh one that is printed. `FUZZ_SEED` and
 * `FUZZ_COUNT` run one seed again.
 */

import { randomInt } from 'node:crypto';
import v8 from 'node:v8';
import vm from 'node:vm';
import { describe, expect, test } from 'vitest';
import { decodeAttributes, encodeAttributes } from '#bgp/wire/attributes.ts';
import { equalBytes, toHex } from '#bgp/wire/bytes.ts';
import { Framer } from '#bgp/wire/framer.ts';
import { decodeMessage, type Message, type UpdateFault } from '#bgp/wire/message.ts';
import { nextHopProblem } from '#bgp/wire/next-hop.ts';
import {
  describeNotification,
  type Fault,
  type Notification,
  notificationName,
} from '#bgp/wire/notification.ts';
import { decodeOpen, encodeOpen } from '#bgp/wire/open.ts';
import type { AttributeError, CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { Mutator, Random } from './mutate.ts';
import { VECTORS as BIRD } from './recorded/bird.ts';
import { VECTORS as FRR } from './recorded/frr.ts';
import { VECTORS as GOBGP } from './recorded/gobgp.ts';
import { contextOf, messageBytes, SESSIONS } from './vector.ts';
import { VECTORS as ATTRIBUTES } from './vectors/attributes.ts';
import { VECTORS as CAPABILITIES } from './vectors/capabilities.ts';
import { VECTORS as MESSAGES } from './vectors/messages.ts';

const FIXED_SEED = 4271;
const FIXED_COUNT = 1_000_000;
const FRESH_COUNT = 1_000_000;

const VECTORS = [...MESSAGES, ...CAPABILITIES, ...ATTRIBUTES, ...BIRD, ...FRR, ...GOBGP];
const CORPUS = VECTORS.map(messageBytes);
const CONTEXTS: readonly CodecContext[] = [
  ...Object.values(SESSIONS),
  { as4: true, ebgp: true, firstAs: 65001, rejectAsSets: true },
];

describe('mutated messages: no exception, no hang, no growth, and every answer is one that the RFCs know', () => {
  test('with the seed that is always the same', { timeout: 600_000 }, () => {
    const counts = run(FIXED_SEED, FIXED_COUNT);
    // All kinds of answers were met, so that the run means something.
    for (const kind of [
      'header',
      'open',
      'update',
      'keepalive',
      'notification',
      'route-refresh',
      'withdraw',
      'discard',
      'disable',
      'reset',
      'attributes',
    ]) {
      expect(counts.get(kind) ?? 0, kind).toBeGreaterThan(kind === 'keepalive' ? 1000 : 5000);
    }
  });

  test('with a fresh seed', { timeout: 600_000 }, () => {
    const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
    const count = Number(process.env.FUZZ_COUNT ?? FRESH_COUNT);
    console.log(`fuzz: FUZZ_SEED=${seed} FUZZ_COUNT=${count}`);
    run(seed, count);
  });
});

function run(seed: number, count: number): Map<string, number> {
  const random = new Random(seed);
  const mutator = new Mutator(random, CORPUS);
  const counts = new Map<string, number>();
  const warm = Math.floor(count / 4);
  let heap = 0;
  for (let i = 0; i < count; i++) {
    if (i === warm) heap = heapUsed();
    const bytes = mutator.next();
    const own = random.below(4) !== 0;
    const context = own ? contextOf(VECTORS[mutator.origin]!) : random.pick(CONTEXTS);
    try {
      for (const kind of feed(bytes, context, random)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    } catch (cause) {
      throw new Error(`seed ${seed}, message ${i}, ${JSON.stringify(context)}: ${toHex(bytes)}`, { cause });
    }
  }
  expect(heapUsed() - heap).toBeLessThan(4_000_000);
  return counts;
}

/** Through the framer, now and then in two pieces, and through the decoder. Names what came out. */
function feed(bytes: Uint8Array, context: CodecContext, random: Random): string[] {
  const kinds: string[] = [];
  const framer = new Framer();
  const cut = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length;
  for (const chunk of cut === bytes.length ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)]) {
    framer.push(chunk);
    while (framer.next()) {
      const body = framer.bytes.subarray(framer.start, framer.end);
      const result = decodeMessage(framer.type, body, context);
      kinds.push(result.kind);
      check(result, body, context, random, kinds);
    }
  }
  if (framer.fault !== undefined) {
    kinds.push('header');
    assert(framer.fault.notification.code === 1, 'header error of another code');
    checkNotification(framer.fault.notification);
  }
  return kinds;
}

function check(
  result: Message | Fault | UpdateFault,
  body: Uint8Array,
  context: CodecContext,
  random: Random,
  kinds: string[],
): void {
  switch (result.kind) {
    case 'fault':
      checkNotification(result.notification);
      assert(result.reason !== '', 'no reason');
      if (!('errors' in result)) {
        assert([2, 7].includes(result.notification.code), 'code of another message');
        return;
      }
      assert(result.notification.code === 3, 'UPDATE error of another code');
      checkErrors(result.errors, body, kinds);
      kinds.push(result.errors.some(({ action }) => action === 'disable') ? 'disable' : 'reset');
      return;
    case 'open':
      if (random.below(16) === 0) {
        const again = decodeOpen(encodeOpen(result).subarray(19));
        assert(JSON.stringify(again) === JSON.stringify(result), 'OPEN does not come back');
      }
      return;
    case 'notification': {
      const text = describeNotification(result.notification);
      assert(text.length > 0 && text.length < 3000, 'description');
      assert(!/\p{Cc}/u.test(text), 'control character');
      return;
    }
    case 'route-refresh':
      assert(result.family >= 0 && result.family <= 0xffffff, 'family');
      return;
    case 'update':
      checkErrors(result.errors, body, kinds);
      for (const { family, prefixes } of [...result.withdrawn, ...result.announced]) {
        for (const { bytes, length } of prefixes) {
          assert(
            length <= 8 * bytes.length && bytes.length === (family === 0x0101 ? 4 : 16),
            'prefix length',
          );
          for (let bit = length; bit < 8 * bytes.length; bit++) {
            if (bit % 8 === 0 && bytes[bit >>> 3] === 0) bit += 7;
            else assert((bytes[bit >>> 3]! & (0x80 >>> (bit & 7))) === 0, 'bit behind the length');
          }
        }
      }
      for (const { attributes } of result.announced) {
        kinds.push('attributes');
        checkAttributes(attributes, context, random);
      }
  }
}

function checkErrors(errors: readonly AttributeError[], body: Uint8Array, kinds: string[]): void {
  for (const { action, rule, reason, bytes, subcode, code } of errors) {
    kinds.push(action);
    assert(/^RFC \d{4} \d[\d.]*(\([a-j]\))?$/.test(rule), `rule ${rule}`);
    assert(reason !== '' && bytes.length <= body.length + 32, 'facts of an error');
    assert(code >= 0 && code <= 255, 'attribute code');
    assert(!/\d/.test(notificationName({ code: 3, subcode })), `subcode ${subcode}`);
  }
}

/** A NOTIFICATION that the RFCs know has a name. */
function checkNotification(value: Notification): void {
  const name = notificationName(value);
  assert(!/\d/.test(name) && (value.code === 2 || name.includes(' / ')), `notification ${name}`);
  assert(value.data.length <= 4096, 'data');
}

function checkAttributes(attributes: PathAttributes, context: CodecContext, random: Random): void {
  const { origin, asPath, nextHop } = attributes;
  assert(origin >= 0 && origin <= 2, 'ORIGIN');
  for (const { type, asns } of asPath) {
    assert(type >= 1 && type <= 4 && asns.length > 0, 'segment');
    for (const asn of asns) assert(asn > 0 && asn <= 0xffffffff, 'AS');
    if (type > 2) assert(context.confederation !== undefined, 'confederation');
  }
  assert(nextHop.bytes.length === (nextHop.family === 4 ? 4 : 16), 'next hop');
  assert(nextHopProblem(nextHop) === undefined, 'address of a next hop');
  if (context.ebgp) {
    const { localPref, originatorId, clusterList } = attributes;
    assert(
      localPref === undefined && originatorId === undefined && clusterList.length === 0,
      'internal attribute',
    );
  }
  if (random.below(8) === 0) {
    // What is passed on to such a neighbour is read there as the same, down to the byte.
    const end = encodeAttributes(attributes, context, first, 0);
    assert(end > 0, 'attributes can not be written');
    const again = decodeAttributes(
      first.subarray(0, end),
      context,
      nextHop.family === 6 ? nextHop : undefined,
    );
    assert(again.kind === 'attributes' && again.errors.length === 0, 'attributes can not be read again');
    if (again.kind !== 'attributes') return;
    assert(encodeAttributes(again.attributes, context, second, 0) === end, 'length');
    assert(equalBytes(first.subarray(0, end), second.subarray(0, end)), 'attributes change on the way');
  }
}

const first = new Uint8Array(2 * 65535);
const second = new Uint8Array(2 * 65535);

/** Faster than `expect`, which is called too often here. */
function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function heapUsed(): number {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}
