import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionSettings } from '#bgp/session/settings.ts';
import { randomFrom } from './random.ts';
import { settings } from './settings.ts';
import { World } from './two-speakers.ts';

const MINUTE = 60_000;

function pair(changes: Partial<SessionSettings>): [SessionSettings, SessionSettings] {
  return [
    settings({ ...changes, passive: false }),
    settings({
      ...changes,
      localAs: 64513,
      identifier: 0x0a000002,
      peerAs: [{ first: 64512, last: 64512 }],
    }),
  ];
}

function expectOneSession(world: World): void {
  const [a, b] = world.speakers;
  expect([a!.fsm.state, b!.fsm.state]).toEqual(['Established', 'Established']);
  expect(a!.session).toBe(b!.session);
  expect(a!.connections).toHaveLength(1);
  expect(b!.connections).toHaveLength(1);
}

/** What happens to the network and to the speakers before it calms down. */
const disturbances = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 2 * MINUTE }),
    what: fc.constantFrom('restart', 'cut', 'silence', 'reset'),
    who: fc.constantFrom(0, 1),
  }),
  { maxLength: 8 },
);

describe('two speakers', () => {
  it('come to exactly one session and keep it, whatever happened before', () => {
    fc.assert(
      fc.property(
        fc.record({
          passive: fc.boolean(),
          collisionDetectEstablished: fc.boolean(),
          delayOpenMs: fc.constantFrom(0, 2000),
          holdTime: fc.constantFrom(90, 9, 3),
        }),
        fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300 })),
        disturbances,
        fc.integer(),
        (changes, starts, events, seed) => {
          const world = new World(pair(changes), randomFrom(seed));
          for (const [i, speaker] of world.speakers.entries()) {
            world.after(starts[i]!, () => speaker.step({ type: 'start' }));
          }
          for (const { at, what, who } of events) {
            const speaker = world.speakers[who]!;
            world.after(at, () => {
              if (what === 'restart') speaker.restart();
              else if (what === 'reset')
                speaker.step({
                  type: 'reset',
                  notification: { code: 6, subcode: 4, data: new Uint8Array() },
                });
              else {
                for (const tcp of speaker.connections) {
                  if (what === 'silence') tcp.silent = true;
                  else for (const end of tcp.ends) end.lost('cut');
                }
              }
            });
          }
          // Silence in OpenSent lasts four minutes, in Established the hold time; the idle hold is a minute at most.
          world.runUntil(15 * MINUTE);
          expectOneSession(world);
          const ups = world.speakers.map((speaker) => speaker.ups);
          world.runUntil(45 * MINUTE);
          expectOneSession(world);
          expect(world.speakers.map((speaker) => speaker.ups)).toEqual(ups);
        },
      ),
      { numRuns: 150 },
    );
  }, 600_000);

  it('that open at the same moment, or nearly so, come to a session at the first attempt', () => {
    for (let run = 0; run < 300; run++) {
      const random = randomFrom(run);
      const world = new World(pair({}), random);
      const [a, b] = world.speakers;
      a!.step({ type: 'start' });
      world.after(random() * 50, () => b!.step({ type: 'start' }));
      world.runUntil(MINUTE);
      expectOneSession(world);
      expect(world.speakers.map((speaker) => speaker.ups)).toEqual([1, 1]);
    }
  });

  it('meet again soon when one of them restarted without a word', () => {
    const world = new World(pair({}), () => 0.5);
    for (const speaker of world.speakers) speaker.step({ type: 'start' });
    world.runUntil(5 * MINUTE);
    world.speakers[1]!.restart();
    // The KEEPALIVE after the refused connection is answered by a reset; the hold time would be 90 s.
    world.runUntil(5 * MINUTE + 15_000);
    expectOneSession(world);
  });
});
