import type { AddressKey } from '#datastore/address.ts';
import type { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { type Flow, FlowStatus } from '#kernel/conntrack/flow.ts';
import type { FlowChanges } from '#kernel/conntrack/flow-changes.ts';
import { type FlowChange, labelChange } from '#kernel/conntrack/flow-message.ts';
import type { FlowView } from '#kernel/conntrack/flow-view.ts';
import { PROTOCOL_NUMBERS, PROTOCOLS, type Protocol } from '#proto/ports.ts';
import type { Programs } from '../policy/programs.ts';
import type { ChangeScope } from '../policy/scope.ts';
import { DENIED_LABEL, MARKED_STATUS } from './chains.ts';

export interface FlowCounters {
  /** Connections that were ended because policy forbids them now. */
  ended: number;
  /** Ended ones that are allowed again. */
  revived: number;
}

export interface FlowJudgeOptions {
  readonly conntrack: Conntrack;
  /** What the programs say of a connection of a pod of this node. */
  readonly lookUp: Programs['lookUp'];
  /** The pod of this node that has an address. */
  readonly podAt: (address: AddressKey) => string | undefined;
  /** Of the node itself; asked for once in a judgement at most. @throws NetlinkError */
  readonly nodeAddresses: () => ReadonlySet<AddressKey>;
}

/** ms of work at a time. */
const STEP_MS = 1;
/** How long an entry without packets stays where the kernel does not tell. */
const DENIED_SECONDS = 600;

const DENIED_LABELS = labelChange([DENIED_LABEL]);
const ALLOW = { labels: labelChange([], [DENIED_LABEL]) };

/** Flows of pods, which have begun: ends those that the programs forbid, and lets those go on that they allow again. */
export class FlowJudge {
  readonly counters: FlowCounters = { ended: 0, revived: 0 };
  /** Whether some flow may bear the label: then it matters too what may only allow more. */
  #someDenied = true;
  readonly #options: FlowJudgeOptions;

  constructor(options: FlowJudgeOptions) {
    this.#options = options;
  }

  /** Whether changes of programs can be about a flow that there may be. */
  concerns(scope: ChangeScope): boolean {
    return !scope.isEmpty && (!scope.forbidsNothing || this.#someDenied);
  }

  /**
   * Judges the flows that changes of programs may be about, by what they really connect: the source as it was, the
   * destination as it came to be. That is right for both directions, and after translation. It is done in steps of some
   * hundred flows, and others have their turn between them.
   *
   * @returns ms of work
   * @throws NetlinkError
   */
  async judge(scope: ChangeScope): Promise<number> {
    const { conntrack, podAt, nodeAddresses } = this.#options;
    let own: ReadonlySet<AddressKey> | undefined;
    const isOwn = (address: AddressKey): boolean => {
      own ??= nodeAddresses();
      return own.has(address);
    };
    const changes = conntrack.changes();
    const denied = new Map<number, Flow>();
    let someDenied = !scope.all && this.#someDenied;
    const visit = (view: FlowView): void => {
      const isDenied = view.hasLabel(DENIED_LABEL);
      if (scope.forbidsNothing && !isDenied) return;
      const source = addressAt(view, view.original.source);
      const destination = addressAt(view, view.reply.source);
      if (!scope.concerns(source, destination, podAt)) return;
      let allowed = this.#allows(view, source, destination);
      if (allowed === undefined) return;
      // What is between the node and its own pods is never forwarded, and policies are not about it.
      allowed ||= isOwn(source) || isOwn(destination);
      if (!allowed) someDenied = true;
      if (allowed ? !isDenied : isDenied && (view.status & MARKED_STATUS) !== 0) return;
      if (allowed) {
        this.counters.revived++;
      } else {
        this.counters.ended++;
        denied.set(changes.count, view.toFlow());
      }
      changes.update(view, allowed ? ALLOW : deny(view.status));
    };
    let work = 0;
    let start = performance.now();
    for (const _ of conntrack.visitSteps({}, visit)) {
      if (performance.now() - start < STEP_MS) continue;
      work += performance.now() - start;
      await new Promise((resolve) => setImmediate(resolve));
      start = performance.now();
    }
    this.#someDenied = someDenied;
    this.#finish(changes, denied);
    return work + performance.now() - start;
  }

  /**
   * Gives the bit of the status to what bears the label alone, as an earlier version left it. To be done before a ruleset is in force
   * that lets pass what has not got the bit; in one go, so that nothing comes between.
   *
   * @throws NetlinkError
   */
  markDenied(): void {
    const { conntrack } = this.#options;
    const changes = conntrack.changes();
    const denied = new Map<number, Flow>();
    conntrack.visit({ label: DENIED_LABEL }, (view) => {
      if ((view.status & MARKED_STATUS) !== 0) return;
      denied.set(changes.count, view.toFlow());
      changes.update(view, deny(view.status));
    });
    this.#finish(changes, denied);
  }

  /** What the kernel did not take at once. @throws NetlinkError for the first that it does not take at all, when all have been tried */
  #finish(changes: FlowChanges, denied: ReadonlyMap<number, Flow>): void {
    let refused: unknown;
    for (const { index, error } of changes.finish()) {
      const flow = denied.get(index);
      try {
        // It has just ended by itself.
        if (error.code === 'ENOENT') continue;
        if (flow && error.code === 'EBUSY') this.#denyAgain(flow);
        else if (flow && error.code === 'ENOSPC') this.#replace(flow);
        else throw error;
      } catch (fault) {
        refused ??= fault;
      }
    }
    if (refused !== undefined) throw refused;
  }

  /** Packets have made more of its status since it was read. */
  #denyAgain(flow: Flow): void {
    const changes = this.#options.conntrack.changes();
    changes.update(flow, deny(flow.status | WHAT_PACKETS_ADD));
    for (const failure of changes.finish()) {
      if (failure.error.code === 'ENOSPC') this.#replace(flow);
      // Busy still: it is about to go.
      else if (failure.error.code !== 'ENOENT' && failure.error.code !== 'EBUSY') throw failure.error;
    }
  }

  /**
   * An entry from before our table has no room for labels, and were it only deleted, the next packet of the other direction would be
   * taken for the first of a new connection. One with the label takes its place.
   */
  #replace({ family, original, reply, zone, timeout = DENIED_SECONDS, state, status }: Flow): void {
    const { conntrack } = this.#options;
    const changes = conntrack.changes();
    changes.delete({ family, original, zone });
    changes.create({
      family,
      original,
      reply,
      zone,
      timeout,
      status: (status & WHAT_PACKETS_ADD) | MARKED_STATUS,
      ...(state !== undefined && { state }),
      labels: [DENIED_LABEL],
    });
    // Where a packet came between the two, its entry has room.
    changes.update({ family, original, zone }, deny(WHAT_PACKETS_ADD));
    const failures = new Map(changes.finish().map(({ index, error }) => [index, error]));
    const updated = failures.get(2);
    // There is none: it has ended by itself, or was not made (for want of room in the kernel's table), which is to be told.
    const refused = updated?.code === 'ENOENT' ? failures.get(1) : updated;
    if (refused !== undefined && refused.code !== 'EEXIST') throw refused;
  }

  /** undefined for a flow that no pod of this node is an end of. */
  #allows(view: FlowView, source: AddressKey, destination: AddressKey): boolean | undefined {
    const { lookUp, podAt } = this.#options;
    const from = podAt(source);
    const to = podAt(destination);
    if (from === undefined && to === undefined) return undefined;
    if (from === to) return true;
    const protocol = PROTOCOL_NAMES.get(view.original.protocol) ?? 'other';
    const port = protocol === 'other' ? 0 : view.reply.sourcePort;
    if (from !== undefined && lookUp('egress', from, destination, protocol, port) === 'drop') return false;
    return to === undefined || lookUp('ingress', to, source, protocol, port) === 'accept';
  }
}

const WHAT_PACKETS_ADD = FlowStatus.seenReply | FlowStatus.assured;

/** @param status what it is now */
function deny(status: number): FlowChange {
  const kept = status & (WHAT_PACKETS_ADD | FlowStatus.expected);
  return { labels: DENIED_LABELS, status: kept | FlowStatus.confirmed | MARKED_STATUS };
}

const PROTOCOL_NAMES = new Map<number, Protocol>(PROTOCOLS.map((name) => [PROTOCOL_NUMBERS[name], name]));

function addressAt({ bytes, addressSize }: FlowView, at: number): AddressKey {
  const unit = (i: number): number => (bytes[at + i]! << 8) | bytes[at + i + 1]!;
  if (addressSize === 4) return String.fromCharCode(unit(0), unit(2)) as AddressKey;
  return String.fromCharCode(
    unit(0),
    unit(2),
    unit(4),
    unit(6),
    unit(8),
    unit(10),
    unit(12),
    unit(14),
  ) as AddressKey;
}
