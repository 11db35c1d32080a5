/**
 * What one step of the state machine has decided so far, and which timers run because of it.
 */

import type { ConnectionTimer, Message, NeighborTimer, Output, Side } from './events.ts';

export class Actions {
  /** Running timers: the name, with the side before it for those of a connection. */
  readonly running = new Set<string>();
  readonly #random: () => number;
  #outputs: Output[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Hands over what was gathered. */
  take(): Output[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  add(output: Output): void {
    this.#outputs.push(output);
  }

  send(side: Side, message: Message): void {
    this.#outputs.push({ do: 'send', side, message });
  }

  startTimer(timer: NeighborTimer, ms: number): void {
    this.running.add(timer);
    this.#outputs.push({ do: 'startTimer', timer, ms });
  }

  stopTimer(timer: NeighborTimer): void {
    if (this.running.delete(timer)) this.#outputs.push({ do: 'stopTimer', timer });
  }

  isRunning(side: Side, timer: ConnectionTimer): boolean {
    return this.running.has(`${side} ${timer}`);
  }

  startConnectionTimer(side: Side, timer: ConnectionTimer, ms: number): void {
    this.running.add(`${side} ${timer}`);
    this.#outputs.push({ do: 'startTimer', side, timer, ms });
  }

  stopConnectionTimer(side: Side, timer: ConnectionTimer): void {
    if (this.running.delete(`${side} ${timer}`)) this.#outputs.push({ do: 'stopTimer', side, timer });
  }

  /** Notes that a timer has fired. False if it does not run: it was stopped while its event was on the way. */
  expired(timer: NeighborTimer | ConnectionTimer, side?: Side): boolean {
    return this.running.delete(side === undefined ? timer : `${side} ${timer}`);
  }

  /** RFC 4271 section 10: between 0.75 and 1.0 of the time, chosen anew each time. */
  jitter(ms: number): number {
    return Math.round(ms * (0.75 + 0.25 * this.#random()));
  }
}
