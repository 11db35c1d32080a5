import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAddress } from '#datastore/address.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { readChange, StreamError } from '#felix/policy/decode.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { margay } from '#proto/generated/policy.js';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { runs } from '#test/helpers/runs.ts';
import { SILENT } from './world.ts';

/*
 * An engine that says what no engine of ours would. What is legible, the kernel takes and nft lists; the rest changes nothing.
 */

const { Update } = margay.policy.v1;
type Message = margay.policy.v1.IUpdate;

let netns: Netns;
let namespace: NetworkNamespace;
let dataplane: NftablesDataplane;
beforeAll(() => {
  netns = createNetns();
  namespace = NetworkNamespace.open(netns.path);
  dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace });
  PODS.forEach((pod, i) => {
    dataplane.setEndpoint({
      pod,
      interface: `mgy${i}`,
      addresses: [parseAddress(`10.0.0.${i + 1}`)!, parseAddress(`fd00::${i + 1}`)!],
      hostPorts: [],
    });
  });
});
afterAll(() => {
  dataplane.close();
  namespace.close();
  netns.remove();
});

const PODS = ['a/x', 'a/y', 'ä/😀', `a/${'long'.repeat(80)}`, 'a/"quoted" \\', 'a/two\nlines'];
const pod = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...PODS, 'a/not-here') },
  { weight: 1, arbitrary: fc.constantFrom('', 'a', '/', 'a/b/c') },
);
const number = fc.constantFrom(0, 1, 2, 3, 4, 80, 81, 65534, 65535);
const ranges = fc
  .array(fc.tuple(number, number), { maxLength: 4 })
  .map((pairs) => pairs.flatMap(([a, b]) => [Math.min(a, b), Math.max(a, b)]));
const someRanges = fc.oneof(
  { weight: 30, arbitrary: ranges },
  { weight: 1, arbitrary: fc.constantFrom<number[]>([1], [2, 1], [1, 70_000]) },
);
const ports = fc.option(fc.record({ tcp: someRanges, udp: ranges, sctp: ranges, other: fc.boolean() }), {
  nil: null,
});
const rules = fc.option(fc.record({ isolated: fc.boolean(), anyPeer: ports, otherwise: ports }), {
  nil: null,
});
const id = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(1, 2, 3, 255).map((n) => new Uint8Array(16).fill(n)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 17 }) },
);
const direction = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(1, 2) },
  { weight: 1, arbitrary: fc.constantFrom(0, 3) },
);
const address = (size: 4 | 16) =>
  fc.constantFrom(0, 1, 2, 9, 254, 255).map((last) => {
    const bytes = new Uint8Array(size).fill(last === 255 ? 255 : 0);
    bytes[size - 1] = last;
    return bytes;
  });
const addresses = (size: 4 | 16) =>
  fc.array(address(size), { maxLength: 4 }).map((list) => Buffer.concat(list));
const bounds = (size: 4 | 16) =>
  fc.array(address(size), { maxLength: 8 }).map((list) => {
    const sorted = [...new Set(list.map((bytes) => Buffer.from(bytes).toString('hex')))].sort();
    return sorted.slice(0, sorted.length & ~1).map((hex) => Buffer.from(hex, 'hex'));
  });
const blocks = fc
  .tuple(direction, fc.constantFrom(4, 6), fc.boolean(), fc.array(id, { minLength: 4, maxLength: 4 }))
  .chain(([of, family, continued, ids]) =>
    bounds(family === 4 ? 4 : 16).map((list) => ({
      direction: of,
      family,
      continued,
      ranges: Buffer.concat(list),
      classes: Buffer.concat(ids.slice(0, list.length / 2)),
    })),
  );
const update = fc.record({
  snapshot: fc.constantFrom(false, false, true),
  endpoints: fc.array(
    fc.record({ pod, uid: fc.constantFrom('', 'u', 'v\n'), ingress: rules, egress: rules }),
    { maxLength: 5 },
  ),
  removedEndpoints: fc.array(pod, { maxLength: 1 }),
  entries: fc.array(fc.record({ direction, class: id, pod, accept: ports, drop: ports }), { maxLength: 5 }),
  members: fc.array(
    fc.record({
      direction,
      class: fc.oneof(id, fc.constant(new Uint8Array())),
      ipv4: addresses(4),
      ipv6: addresses(16),
    }),
    { maxLength: 3 },
  ),
  blocks: fc.array(blocks, { maxLength: 2 }),
  meanings: fc.array(
    fc.record({
      class: id,
      text: fc.array(fc.constantFrom('', 'plain', '"; drop', 'x\u0000y\n', '😀'.repeat(60)), {
        maxLength: 3,
      }),
    }),
    { maxLength: 2 },
  ),
});

test('the kernel takes all that is legible, and is not asked about the rest', async () => {
  let applied = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(update, async (message) => {
      const sent = Update.decode(Update.encode(message as Message).finish());
      const before = dataplane.programs.endpoints.size;
      let apply: ReturnType<typeof readChange>;
      try {
        apply = readChange({ updates: [sent], snapshot: message.snapshot === true });
      } catch (error) {
        expect(error).toBeInstanceOf(StreamError);
        expect(dataplane.programs.endpoints.size).toBe(before);
        refused++;
        return;
      }
      apply(dataplane.programs);
      await dataplane.applied([], AbortSignal.timeout(10_000));
      const { driver } = dataplane;
      expect({ refused: driver.counters.refused, problems: driver.problems }).toEqual({
        refused: 0,
        problems: [],
      });
      applied++;
      if (applied % 10 > 0) return;
      netns.exec('nft', ['list', 'ruleset']);
      // What the kernel has is what was meant.
      const { transactions } = driver.counters;
      driver.doubt();
      driver.apply();
      expect(driver.counters.transactions).toBe(transactions);
    }),
    { numRuns: runs(300), endOnFailure: true },
  );
  expect(applied).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(20);
}, 240_000);
