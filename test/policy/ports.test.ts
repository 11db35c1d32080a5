import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { acceptedPorts, type DecisionTier, surelyAcceptedPorts } from '#policy/compiler/decide.ts';
import {
  ALL_PORTS,
  boxesOf,
  includes,
  isSubset,
  NO_PORTS,
  type PortSet,
  PROTOCOL_NUMBERS,
  PROTOCOLS,
  portSet,
  portsOf,
  unionOf,
  without,
} from '#proto/ports.ts';
import { runs } from '#test/helpers/runs.ts';

const PLACES = [0, 1, 2, 3, 4, 5, 6, 65534, 65535];

const onePort = fc
  .record({
    protocol: fc.constantFrom(...PROTOCOLS),
    ends: fc.tuple(fc.constantFrom(...PLACES), fc.constantFrom(...PLACES)),
  })
  .map(({ protocol, ends: [a, b] }) => portsOf(protocol, [{ first: Math.min(a, b), last: Math.max(a, b) }]));
const other = fc.constantFrom(portSet(NO_PORTS.lanes, true), ALL_PORTS);
const anyPorts = fc
  .array(fc.oneof({ weight: 5, arbitrary: onePort }, { weight: 1, arbitrary: other }), { maxLength: 5 })
  .map(unionOf);

/** All that can be asked of a set. */
const QUESTIONS = [
  ...PROTOCOLS.flatMap((protocol) => PLACES.map((port) => [protocol, port] as const)),
  ['other', 0] as const,
];
const answers = (set: PortSet) => QUESTIONS.map(([protocol, port]) => includes(set, protocol, port));

describe('sets of ports', () => {
  test.each([
    [NO_PORTS, 'none'],
    [ALL_PORTS, 'all'],
    [portsOf('TCP'), 'TCP/all'],
    [portsOf('UDP', [{ first: 53, last: 53 }]), 'UDP/53'],
    [
      unionOf([
        portsOf('SCTP', [{ first: 5, last: 7 }]),
        portsOf('TCP', [
          { first: 80, last: 80 },
          { first: 82, last: 90 },
        ]),
      ]),
      'TCP/80,82-90 SCTP/5-7',
    ],
    [
      unionOf([portsOf('TCP', [{ first: 80, last: 80 }]), portsOf('TCP', [{ first: 81, last: 81 }])]),
      'TCP/80-81',
    ],
    [unionOf([portsOf('TCP'), portsOf('UDP'), portsOf('SCTP')]), 'TCP/all UDP/all SCTP/all'],
    [portSet(NO_PORTS.lanes, true), 'other'],
  ])('%# are written %s', (set, text) => {
    expect(set.text).toBe(text);
  });

  test('union, difference and subset are what they are for each port, and the same sets have the same text', () => {
    fc.assert(
      fc.property(anyPorts, anyPorts, (a, b) => {
        const [inA, inB] = [answers(a), answers(b)];
        expect(answers(unionOf([a, b]))).toEqual(inA.map((is, i) => is || inB[i]));
        expect(answers(without(a, b))).toEqual(inA.map((is, i) => is && !inB[i]));
        expect(isSubset(a, b)).toBe(without(a, b).text === 'none');
        expect(unionOf([without(a, b), a, b]).text).toBe(unionOf([b, a]).text);
        expect(without(unionOf([a, b]), b).text).toBe(without(a, b).text);
      }),
      { numRuns: runs(1_000) },
    );
  });

  test('boxes do not overlap and hold just the set', () => {
    fc.assert(
      fc.property(anyPorts, (set) => {
        const boxes = boxesOf(set);
        for (const number of [0, 1, 5, 6, 7, 16, 17, 18, 131, 132, 133, 255]) {
          const protocol = PROTOCOLS.find((name) => PROTOCOL_NUMBERS[name] === number) ?? 'other';
          for (const port of PLACES) {
            const holding = boxes.filter(
              ({ protocols, ports }) =>
                protocols.first <= number &&
                number <= protocols.last &&
                ports.first <= port &&
                port <= ports.last,
            );
            expect(holding.length).toBe(includes(set, protocol, port) ? 1 : 0);
          }
        }
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('tiers of rules', () => {
  const rule = fc.record({
    action: fc.constantFrom('accept' as const, 'deny' as const, 'pass' as const),
    ports: anyPorts,
    conditional: fc.boolean(),
  });
  const tiers = fc.array(
    fc.record({
      unmatched: fc.constantFrom('deny' as const, 'pass' as const),
      rules: fc.array(rule, { maxLength: 4 }),
    }),
    { maxLength: 3 },
  );

  /** The first rule of a tier that is about the traffic counts; what passes all tiers is accepted. */
  function naive(tiers: readonly DecisionTier[], [protocol, port]: (typeof QUESTIONS)[number]): boolean {
    for (const { rules, unmatched } of tiers) {
      const action = rules.find(({ ports }) => includes(ports, protocol, port))?.action ?? unmatched;
      if (action === 'accept') return true;
      if (action === 'deny') return false;
    }
    return true;
  }

  test('the first rule that is about the traffic decides, tier after tier', () => {
    fc.assert(
      fc.property(tiers, (tiers) => {
        expect(answers(acceptedPorts(tiers))).toEqual(QUESTIONS.map((question) => naive(tiers, question)));
      }),
      { numRuns: runs(1_000) },
    );
  });

  test('what is surely accepted is accepted whichever conditional rules apply', () => {
    fc.assert(
      fc.property(tiers, fc.func(fc.boolean()), (tiers, applies) => {
        const some = tiers.map(({ rules, unmatched }, t) => ({
          unmatched,
          rules: rules.filter(({ conditional }, r) => !conditional || applies(t, r)),
        }));
        expect(isSubset(surelyAcceptedPorts(tiers), acceptedPorts(some))).toBe(true);
      }),
      { numRuns: runs(1_000) },
    );
  });

  test('where all rules accept and the rest is denied, it is exactly what the unconditional ones accept', () => {
    const additive = fc.array(
      fc.record({ action: fc.constant('accept' as const), ports: anyPorts, conditional: fc.boolean() }),
    );
    fc.assert(
      fc.property(additive, (rules) => {
        const sure = rules.filter(({ conditional }) => !conditional).map(({ ports }) => ports);
        expect(surelyAcceptedPorts([{ unmatched: 'deny', rules }]).text).toBe(unionOf(sure).text);
      }),
    );
  });
});
