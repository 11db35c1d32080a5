/**
 * Two state machines with a network and a clock between them that exist only here: connections that take time, lose their
 * ends, or go silent, and speakers that restart.
 */

import type { ConnectionTimer, Input, NeighborTimer, Output, Side } from '#bgp/session/events.ts';
import { Fsm } from '#bgp/session/fsm.ts';
import type { SessionSettings } from '#bgp/session/settings.ts';

type Entry = { readonly at: number; readonly order: number; readonly run: () => void; cancelled: boolean };

export class World {
  now = 0;
  readonly speakers: readonly Speaker[];
  readonly random: () => number;
  #queue: Entry[] = [];
  #order = 0;

  constructor(settings: readonly [SessionSettings, SessionSettings], random: () => number) {
    this.random = random;
    this.speakers = settings.map((each) => new Speaker(this, each));
    this.speakers[0]!.other = this.speakers[1]!;
    this.speakers[1]!.other = this.speakers[0]!;
  }

  after(ms: number, run: () => void): { cancel: () => void } {
    const entry = { at: this.now + ms, order: this.#order++, run, cancelled: false };
    this.#queue.push(entry);
    return {
      cancel: () => {
        entry.cancelled = true;
      },
    };
  }

  /** Lets time pass until the given moment. */
  runUntil(end: number): void {
    for (;;) {
      let next: Entry | undefined;
      for (const entry of this.#queue) {
        if (next === undefined || entry.at < next.at || (entry.at === next.at && entry.order < next.order))
          next = entry;
      }
      if (next === undefined || next.at > end) break;
      this.#queue.splice(this.#queue.indexOf(next), 1);
      this.now = next.at;
      if (!next.cancelled) next.run();
    }
    this.now = end;
  }
}

/** A TCP connection: two ends, bytes as inputs in order, each way with a delay of its own. */
class Tcp {
  readonly ends: [End, End];
  /** Nothing arrives any more, and nobody is told. */
  silent = false;

  constructor(world: World, client: Speaker, server: Speaker) {
    const delay = () => 0.1 + 10 ** (3 * world.random()) / 5; // 0.3 to 200 ms, most of them short
    this.ends = [
      new End(this, world, client, 'outgoing', delay()),
      new End(this, world, server, 'incoming', delay()),
    ];
    this.ends[0].peer = this.ends[1];
    this.ends[1].peer = this.ends[0];
  }
}

class End {
  readonly speaker: Speaker;
  readonly side: Side;
  readonly tcp: Tcp;
  peer!: End;
  /** The application has closed it, or it never came to be. */
  closed = false;
  readonly #world: World;
  readonly #delay: number;

  constructor(tcp: Tcp, world: World, speaker: Speaker, side: Side, delay: number) {
    this.tcp = tcp;
    this.#world = world;
    this.speaker = speaker;
    this.side = side;
    this.#delay = delay;
  }

  /** After the delay, at the other end, if that still wants it. */
  deliver(run: (end: End) => void): void {
    this.#world.after(this.#delay, () => {
      if (this.tcp.silent) return;
      if (!this.peer.closed) run(this.peer);
    });
  }

  send(input: (side: Side) => Input): void {
    this.#world.after(this.#delay, () => {
      if (this.tcp.silent) return;
      if (this.peer.closed) {
        // Data for a connection that is not there any more is answered by a reset.
        this.peer.deliver((end) => end.lost('reset'));
        return;
      }
      this.peer.speaker.step(input(this.peer.side));
      if (!this.closed) this.speaker.step({ type: 'progress', side: this.side });
    });
  }

  lost(error: string): void {
    if (this.closed) return;
    this.closed = true;
    this.speaker.detach(this);
    this.speaker.step({ type: 'lost', side: this.side, error });
  }
}

export class Speaker {
  fsm: Fsm;
  other!: Speaker;
  /** The connection that an `up` came for. */
  session: Tcp | undefined;
  ups = 0;
  readonly #world: World;
  readonly #settings: SessionSettings;
  readonly #ends = new Map<Side, End>();
  readonly #timers = new Map<string, { cancel: () => void }>();
  #offered: End | undefined;

  constructor(world: World, settings: SessionSettings) {
    this.#world = world;
    this.#settings = settings;
    this.fsm = new Fsm(settings, world.random);
  }

  get connections(): readonly Tcp[] {
    return [...this.#ends.values()].map((end) => end.tcp);
  }

  step(input: Input): void {
    for (const output of this.fsm.step(input)) this.#do(output);
  }

  /** Forgets everything at once, and starts anew. */
  restart(): void {
    for (const end of this.#ends.values()) end.closed = true;
    this.#ends.clear();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.session = undefined;
    this.fsm = new Fsm(this.#settings, this.#world.random);
    this.step({ type: 'start' });
  }

  detach(end: End): void {
    if (this.#ends.get(end.side) === end) this.#ends.delete(end.side);
  }

  #do(output: Output): void {
    switch (output.do) {
      case 'connect':
        this.#connect();
        break;
      case 'adopt':
        this.#ends.set('incoming', this.#offered!);
        break;
      case 'refuse':
        this.#offered!.closed = true;
        this.#offered!.deliver((end) => end.lost('closed by the neighbour'));
        break;
      case 'send': {
        const end = this.#ends.get(output.side)!;
        const { message } = output;
        end.send((side) => ({ ...message, side }));
        break;
      }
      case 'close': {
        const end = this.#ends.get(output.side);
        if (end === undefined) break;
        end.closed = true;
        this.detach(end);
        end.deliver((peer) => peer.lost('closed by the neighbour'));
        break;
      }
      case 'startTimer':
        this.#startTimer(output.timer, output.ms, 'side' in output ? output.side : undefined);
        break;
      case 'stopTimer':
        this.#timers.get('side' in output ? `${output.side} ${output.timer}` : output.timer)!.cancel();
        break;
      case 'up':
        this.session = this.#ends.get(output.side)!.tcp;
        this.ups++;
        break;
      case 'down':
        this.session = undefined;
        break;
    }
  }

  #connect(): void {
    const tcp = new Tcp(this.#world, this, this.other);
    const [client, server] = tcp.ends;
    this.#ends.set('outgoing', client);
    client.deliver(() => {
      // Its kernel has taken the connection, whether or not the speaker wants it.
      server.deliver((end) => end.speaker.step({ type: 'connected' }));
      server.speaker.#offered = server;
      server.speaker.step({ type: 'incoming' });
    });
  }

  #startTimer(timer: NeighborTimer | ConnectionTimer, ms: number, side: Side | undefined): void {
    const key = side === undefined ? timer : `${side} ${timer}`;
    this.#timers.get(key)?.cancel();
    this.#timers.set(
      key,
      this.#world.after(ms, () => {
        this.#timers.delete(key);
        this.step(
          side === undefined
            ? ({ type: 'timer', timer } as Input)
            : ({ type: 'timer', timer, side } as Input),
        );
      }),
    );
  }
}
