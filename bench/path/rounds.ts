import { runCommand } from '#test/helpers/command.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { Turns } from './turns.ts';

const PROGRAM = new URL('../../build/bench-rounds', import.meta.url).pathname;
const LONGEST = 300_000;

/** What is timed; the head of rounds.c says what each is. */
export type Mode = 'same' | 'new' | 'echo' | 'talk' | 'connect' | 'stream';

/** A way of packets. */
export interface Way {
  readonly client: Netns;
  readonly server: Netns;
}

export interface RoundsOptions {
  /** Of the client and the server, the same on all ways. */
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly rounds: number;
  /** How many a burst has, by way. */
  readonly count: (way: number) => number;
  /** The rounds are done in so many parts, with `before` ahead of each. */
  readonly parts?: number;
  readonly before?: () => void;
}

/**
 * Times packets on several ways, by bursts on all of them in each round: see rounds.c. Needs root.
 *
 * @returns ns
 * @throws CommandError, when a connection is not let through for one
 */
export async function timePackets(
  mode: Mode,
  ways: readonly Way[],
  { source, destination, port, rounds, count, parts = 1, before }: RoundsOptions,
): Promise<Turns> {
  const lanes = ways.map(({ client, server }, i) => `${client.path},${server.path},${count(i)}`);
  const each = String(Math.ceil(rounds / parts));
  const taken: number[][] = [];
  for (let part = 0; part < parts; part++) {
    before?.();
    const text = await runCommand(PROGRAM, [mode, source, destination, String(port), each, ...lanes], {
      timeout: LONGEST,
    });
    for (const line of text.trim().split('\n')) taken.push(line.split(' ').map(Number));
  }
  return new Turns(taken);
}
