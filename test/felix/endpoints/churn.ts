/*
 * ADD and DEL in random order, many at once, with felix killed at random, as runtimes call then: an ADD that failed is followed by a
 * DEL, a DEL that failed by another.
 */
import { expect } from 'vitest';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import type { PluginOutcome } from '../node.ts';

export interface Container {
  readonly id: string;
  readonly netns: Netns;
  addresses: string[] | undefined;
}

/** Named c0, c1... */
export function makeContainers(count: number): Container[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `c${i}`,
    netns: createNetns(),
    addresses: undefined,
  }));
}

export interface ChurnOptions {
  readonly calls: number;
  readonly containers: readonly Container[];
  readonly call: (command: 'ADD' | 'DEL', container: Container) => Promise<PluginOutcome>;
  /** Kills felix and starts it again. */
  readonly restart: () => Promise<void>;
}

export interface Churned {
  /** Who has an address, as the answers say. */
  readonly held: ReadonlyMap<string, string>;
  readonly kills: number;
  /** Calls that failed, to be tried again. */
  readonly refused: number;
  /** Takes a container away, however often it has to be asked. */
  readonly remove: (container: Container) => Promise<void>;
}

const AT_ONCE = 30;

/** No address is given twice meanwhile. */
export async function churn({ calls: wanted, containers, call, restart }: ChurnOptions): Promise<Churned> {
  const random = generator(20261126);
  const held = new Map<string, string>();
  let calls = 0;
  let refused = 0;
  let kills = 0;
  const remove = async (container: Container): Promise<void> => {
    for (const address of container.addresses ?? []) held.delete(address);
    container.addresses = undefined;
    for (;;) {
      calls++;
      const done = await call('DEL', container);
      if (done.status === 0) return;
      refused++;
      expect(done.result.code).toBe(11);
    }
  };
  const step = async (container: Container): Promise<void> => {
    if (container.addresses !== undefined) return remove(container);
    calls++;
    const done = await call('ADD', container);
    if (done.status !== 0) {
      refused++;
      expect(done.result).toMatchObject({ code: 11 });
      return remove(container);
    }
    const addresses: string[] = done.result.ips.map((ip: { address: string }) => ip.address);
    for (const address of addresses) {
      expect([address, held.get(address)]).toEqual([address, undefined]);
      held.set(address, container.id);
    }
    container.addresses = addresses;
  };
  const busy = new Set<Container>();
  const worker = async (): Promise<void> => {
    while (calls < wanted) {
      const free = containers.filter((each) => !busy.has(each));
      const container = free[Math.floor(random() * free.length)]!;
      busy.add(container);
      try {
        await step(container);
      } finally {
        busy.delete(container);
      }
    }
  };
  let over = false;
  let next = wanted / 20;
  const killer = async (): Promise<void> => {
    while (!over && calls < wanted - 20) {
      if (calls >= next) {
        await restart();
        kills++;
        next = calls + 20 + Math.floor(random() * 60);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const workers = Promise.all(Array.from({ length: AT_ONCE }, worker)).finally(() => {
    over = true;
  });
  await Promise.all([workers, killer()]);
  return { held, kills, refused, remove };
}

/** A sequence of numbers from 0 to 1 that is the same each time (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
