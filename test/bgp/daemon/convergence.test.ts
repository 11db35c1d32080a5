import { expect, it } from 'vitest';
import { Convergence } from '#bgp/daemon/convergence.ts';
import type { Rib } from '#bgp/rib/rib.ts';
import type { Peer } from '#bgp/session/peer.ts';
import { IPV4_UNICAST } from '#bgp/wire/constants.ts';

type Neighbour = { up: boolean; endOfRib: boolean; updates: number };

/** A speaker with these neighbours, at a time that is set. */
function speaker(...neighbours: Neighbour[]) {
  const state = { now: 0, runnable: false };
  const rib = {
    get runnable() {
      return state.runnable;
    },
    peers: neighbours.map((each) => ({
      families: new Map([[IPV4_UNICAST, { endOfRibReceived: each.endOfRib }]]),
    })),
  } as unknown as Rib;
  const peers = neighbours.map((each, index): [Peer, number] => {
    const session = each.up ? { negotiated: { families: [IPV4_UNICAST] } } : undefined;
    return [{ session, received: { update: each.updates } } as unknown as Peer, index];
  });
  const convergence = new Convergence(rib, () => state.now);
  return { state, reached: (othersMayCome = false) => convergence.reached(peers, othersMayCome) };
}

const DONE: Neighbour = { up: true, endOfRib: true, updates: 9 };

it('the tables have converged when all neighbours have sent their End-of-RIB and nothing is left to do', () => {
  const { state, reached } = speaker(DONE, DONE);
  state.runnable = true;
  expect(reached()).toBe(false);
  state.runnable = false;
  expect(reached()).toBe(true);
});

it('a neighbour without End-of-RIB has said everything after five seconds of quiet', () => {
  const { state, reached } = speaker(DONE, { up: true, endOfRib: false, updates: 3 });
  expect(reached()).toBe(false);
  state.now = 4999;
  expect(reached()).toBe(false);
  state.now = 5000;
  expect(reached()).toBe(true);
});

it('a neighbour that is not there, or nobody at all, is waited for up to two minutes', () => {
  for (const neighbours of [[DONE, { up: false, endOfRib: false, updates: 0 }], []]) {
    const { state, reached } = speaker(...neighbours);
    state.now = 119_999;
    expect(reached()).toBe(false);
    state.now = 120_000;
    expect(reached()).toBe(true);
  }
});

it('where neighbours come that are not known before, the first of them is not taken for all', () => {
  const { state, reached } = speaker(DONE);
  expect(reached(true)).toBe(false);
  state.now = 119_999;
  expect(reached(true)).toBe(false);
  state.now = 120_000;
  expect(reached(true)).toBe(true);
});
