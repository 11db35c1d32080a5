/**
 * Mutated UPDATEs into the tables: whatever comes, the RIB answers what the decoder says, holds what a plain map holds, and lets go of
 * all of it. `FUZZ_SEED` and `FUZZ_COUNT` run one seed again.
 */

import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { listReceived } from '#bgp/rib/queries.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import { toHex } from '#bgp/wire/bytes.ts';
import { type Family, HEADER_LENGTH, IPV4_UNICAST, IPV6_UNICAST, UPDATE } from '#bgp/wire/constants.ts';
import { decodeMessage } from '#bgp/wire/message.ts';
import type { CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import { Mutator, Random } from '../wire/mutate.ts';
import { VECTORS as BIRD } from '../wire/recorded/bird.ts';
import { VECTORS as FRR } from '../wire/recorded/frr.ts';
import { VECTORS as GOBGP } from '../wire/recorded/gobgp.ts';
import { messageBytes, SESSIONS } from '../wire/vector.ts';
import { VECTORS as ATTRIBUTES } from '../wire/vectors/attributes.ts';
import { VECTORS as MESSAGES } from '../wire/vectors/messages.ts';
import { type Neighbour, OUR_AS, Speaker } from './harness.ts';

const FIXED_SEED = 7606;
const FIXED_COUNT = 100_000;
const FRESH_COUNT = 50_000;
const CARRIED: readonly Family[] = [0, IPV4_UNICAST, IPV6_UNICAST];

const CORPUS = [...MESSAGES, ...ATTRIBUTES, ...BIRD, ...FRR, ...GOBGP]
  .map(messageBytes)
  .filter((bytes) => bytes[18] === UPDATE);

describe('mutated UPDATEs leave the tables as the RFCs say, and nothing behind', () => {
  test('with the seed that is always the same', { timeout: 600_000 }, () => {
    const seen = run(FIXED_SEED, FIXED_COUNT);
    for (const what of ['taken', 'withdraw', 'discard', 'session ended']) {
      expect(seen.get(what) ?? 0, what).toBeGreaterThan(1000);
    }
  });

  test('with a fresh seed', { timeout: 600_000 }, () => {
    const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
    const count = Number(process.env.FUZZ_COUNT ?? FRESH_COUNT);
    console.log(`fuzz of the RIB: FUZZ_SEED=${seed} FUZZ_COUNT=${count}`);
    run(seed, count);
  });
});

type Side = {
  readonly neighbour: Neighbour;
  readonly context: CodecContext;
  readonly routes: Map<string, PathAttributes>;
};

function run(seed: number, count: number): Map<string, number> {
  const random = new Random(seed);
  const mutator = new Mutator(random, CORPUS);
  const seen = new Map<string, number>();
  const speaker = new Speaker();
  // Nobody listens with small messages only: attributes of any size have to find their way out, or not.
  const sides: Side[] = [SESSIONS.as4, SESSIONS.as2, SESSIONS.ibgp, SESSIONS.rich].map((context) => ({
    neighbour: speaker.neighbour({ codec: context, ...(context.ebgp ? {} : { asn: OUR_AS }) }),
    context,
    routes: new Map(),
  }));
  for (let i = 0; i < count; i++) {
    const bytes = mutator.next();
    const side = random.pick(sides);
    if (bytes.length < HEADER_LENGTH) continue;
    const body = bytes.slice(HEADER_LENGTH);
    try {
      const scanner = new UpdateScanner();
      const readable = scanner.scan(body, 0, body.length, side.context.extendedNextHop === true);
      // What belongs to families that are not carried is passed over unread.
      if (readable && !(CARRIED.includes(scanner.reachFamily) && CARRIED.includes(scanner.unreachFamily))) {
        side.neighbour.send(body);
        restart(side);
      } else {
        for (const what of feed(side, body)) seen.set(what, (seen.get(what) ?? 0) + 1);
      }
      if (i % 64 === 0) speaker.rib.process(200);
      if (i % 10_000 === 0) {
        speaker.settle();
        for (const each of sides) compare(speaker, each);
      }
    } catch (cause) {
      throw new Error(`seed ${seed}, message ${i}, ${JSON.stringify(side.context)}: ${toHex(body)}`, {
        cause,
      });
    }
  }
  speaker.settle();
  for (const each of sides) compare(speaker, each);
  for (const { neighbour } of sides) neighbour.down();
  speaker.settle();
  const { rib } = speaker;
  expect([rib.attributes.size, rib.nextHops.size, rib.out.size]).toEqual([0, 0, 0]);
  for (const of of rib.families.values()) expect([of.routes, of.paths.size]).toEqual([0, 0]);
  return seen;
}

/** Tells the RIB and the map, and compares what they say. */
function feed(side: Side, body: Uint8Array): string[] {
  const decoded = decodeMessage(UPDATE, body, side.context);
  const result = side.neighbour.send(body);
  if (decoded.kind === 'fault') {
    expect(result?.notification).toEqual(decoded.notification);
    restart(side);
    return ['session ended'];
  }
  if (decoded.kind !== 'update') throw new Error(`decoded as ${decoded.kind}`);
  if (result?.notification !== undefined) throw new Error(`ends the session: ${JSON.stringify(result)}`);
  const facts = (errors: readonly { action: string; code: number; rule: string }[]) =>
    errors.map(({ action, code, rule }) => `${action} ${code} ${rule}`).join();
  // Of attributes that it has already, the RIB does not tell again which of them it left out.
  const told = result?.errors ?? [];
  const again = told.length === 0 && decoded.errors.every(({ action }) => action === 'discard');
  if (!again && facts(told) !== facts(decoded.errors)) {
    throw new Error(`errors ${facts(result?.errors ?? [])}, expected ${facts(decoded.errors)}`);
  }
  for (const { prefixes } of decoded.withdrawn) for (const each of prefixes) side.routes.delete(nameOf(each));
  for (const { prefixes, attributes } of decoded.announced) {
    for (const each of prefixes) side.routes.set(nameOf(each), attributes);
  }
  return ['taken', ...decoded.errors.map(({ action }) => action)];
}

/** The session ends and comes up again, as it does after a NOTIFICATION. */
function restart({ neighbour, routes }: Side): void {
  neighbour.down();
  neighbour.up();
  routes.clear();
}

function compare(speaker: Speaker, { neighbour, routes }: Side): void {
  const held = new Map<string, PathAttributes>();
  for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
    for (let cursor = 0; ; ) {
      const page = listReceived(speaker.rib, neighbour.index, family, cursor, 1000);
      for (const { address, length, paths } of page.entries) {
        for (const { pathId, received } of paths)
          held.set(nameOf({ bytes: address, length, pathId }), received);
      }
      cursor = page.next;
      if (cursor === 0) break;
    }
  }
  expect([...held.keys()].sort()).toEqual([...routes.keys()].sort());
  for (const [name, attributes] of held) expect(attributes, name).toEqual(routes.get(name));
}

function nameOf({
  bytes,
  length,
  pathId,
}: {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly pathId?: number | undefined;
}): string {
  return `${formatPrefix({ family: bytes.length === 4 ? 4 : 6, bytes, length })} ${pathId ?? 0}`;
}
