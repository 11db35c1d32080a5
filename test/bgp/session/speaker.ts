/**
 * A speaker without a RIB, in a namespace: it keeps what happens for a test to look at.
 */

import type { SpeakerConfig } from '#bgp/config/model.ts';
import { systemClock } from '#bgp/session/clock.ts';
import { describeFailure, type State } from '#bgp/session/events.ts';
import type { Session, SessionEvent, SessionHandler } from '#bgp/session/handler.ts';
import { Sessions } from '#bgp/session/manager.ts';
import type { Peer } from '#bgp/session/peer.ts';
import { kernelSockets, type Sockets } from '#bgp/session/transport/sockets.ts';
import type { Fault } from '#bgp/wire/notification.ts';
import type { RouteRefresh } from '#bgp/wire/refresh.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { load } from '../config/config.ts';

export class Speaker implements SessionHandler, Disposable {
  readonly sessions: Sessions;
  /** The configuration that it runs with. */
  current: SpeakerConfig;
  readonly ups: { peer: string; session: Session }[] = [];
  readonly downs: string[] = [];
  /** Bodies of UPDATEs, copied. */
  readonly updates: Uint8Array[] = [];
  readonly refreshes: RouteRefresh[] = [];
  readonly events: SessionEvent[] = [];
  /** What to answer to an UPDATE; looked at for each one. */
  onUpdate: (body: Uint8Array) => Fault | undefined = () => undefined;
  /** What is to be sent, by the address of the neighbour. */
  readonly outgoing = new Map<string, Uint8Array[]>();
  /** Keep no copies of UPDATEs, only count them. */
  countOnly = false;
  updateCount = 0;

  /** @param source the configuration file */
  constructor(source: string, namespace: NetworkNamespace, sockets: Sockets = kernelSockets(namespace)) {
    this.current = load(source);
    this.sessions = new Sessions(this.current, {
      clock: systemClock,
      random: Math.random,
      sockets,
      handler: this,
    });
    this.sessions.start();
  }

  peer(address: string): Peer {
    const peer = this.sessions.peer(address);
    if (peer === undefined) throw new Error(`no neighbour ${address}`);
    return peer;
  }

  /** Waits until a neighbour is in a state. */
  async reaches(address: string, state: State, timeout = 10_000): Promise<Peer> {
    await waitFor(() => this.sessions.peer(address)?.state === state, {
      what: `${address} to be ${state}`,
      timeout,
      details: () =>
        `${this.sessions.peer(address)?.state}, ${JSON.stringify(this.sessions.peer(address)?.lastError)}`,
    });
    return this.peer(address);
  }

  /** Waits until a connection of a neighbour has ended for a reason that has this text in it. */
  async fails(address: string, text: string, timeout = 10_000): Promise<void> {
    await waitFor(() => this.failures(address).some((failure) => failure.includes(text)), {
      what: `a failure of ${address} with "${text}"`,
      timeout,
      details: () => this.failures(address).join('\n'),
    });
  }

  /** Why connections of a neighbour ended so far. */
  failures(address: string): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'failure' && event.peer.name === address ? [describeFailure(event.failure)] : [],
    );
  }

  up(peer: Peer, session: Session): void {
    this.ups.push({ peer: peer.name, session });
  }

  down(peer: Peer): void {
    this.downs.push(peer.name);
  }

  update(_peer: Peer, bytes: Uint8Array, start: number, end: number): Fault | undefined {
    this.updateCount++;
    const body = bytes.subarray(start, end);
    if (!this.countOnly) this.updates.push(body.slice());
    return this.onUpdate(body);
  }

  refresh(_peer: Peer, refresh: RouteRefresh): void {
    this.refreshes.push(refresh);
  }

  take(peer: Peer): readonly Uint8Array[] {
    const part = this.outgoing.get(peer.name)?.shift();
    return part === undefined ? [] : [part];
  }

  event(event: SessionEvent): void {
    this.events.push(event);
  }

  [Symbol.dispose](): void {
    void this.sessions.close('silent');
  }
}
