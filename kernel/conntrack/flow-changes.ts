import { Batch, type BatchFailure } from '../netlink/batch.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import type { Message, NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_NEW } from './constants.ts';
import { describeTuple, type FlowKey, type NewFlow } from './flow.ts';
import { type FlowChange, writeChange, writeKey, writeNewFlow, writeViewKey } from './flow-message.ts';
import { FlowView } from './flow-view.ts';

/**
 * Changes to flows, sent many to a datagram; each takes effect or is refused by itself. Flows are named by their key, or
 * by the view that a visit stands on, which costs no object. Nothing is sent for sure before `finish`.
 */
export class FlowChanges {
  readonly #batch: Batch;

  constructor(socket: NetlinkSocket) {
    this.#batch = new Batch(socket, (_index, message) => describe(message));
  }

  /** Changes asked for since the last `finish`. */
  get count(): number {
    return this.#batch.count;
  }

  /** Makes an entry; EEXIST when there is one of either tuple. @throws AddressError, RangeError */
  create(flow: NewFlow): void {
    this.#message(IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, (writer) => writeNewFlow(writer, flow));
  }

  /** Changes an entry; ENOENT when there is none, ENOSPC for labels when it has no room for them (see the README). */
  update(flow: FlowKey | FlowView, change: FlowChange): void {
    this.#message(IPCTNL_MSG_CT_NEW, 0, (writer) => {
      writeName(writer, flow);
      writeChange(writer, change);
    });
  }

  /** Deletes an entry; ENOENT when there is none (any more). */
  delete(flow: FlowKey | FlowView): void {
    this.#message(IPCTNL_MSG_CT_DELETE, 0, (writer) => writeName(writer, flow));
  }

  /** Sends what is left and returns what was refused, each with its index in the order of the calls. */
  finish(): BatchFailure[] {
    return this.#batch.finish();
  }

  #message(type: number, flags: number, fill: (writer: MessageWriter) => void): void {
    this.#batch.begin(type, flags);
    try {
      fill(this.#batch.writer);
    } catch (error) {
      this.#batch.abandon();
      throw error;
    }
    this.#batch.end();
  }
}

function writeName(writer: MessageWriter, flow: FlowKey | FlowView): void {
  if (flow instanceof FlowView) writeViewKey(writer, flow);
  else writeKey(writer, flow);
}

function describe(message: Message): string {
  const kind =
    message.type === IPCTNL_MSG_CT_DELETE ? 'delete' : message.flags & NLM_F_CREATE ? 'create' : 'update';
  return `${kind} flow ${describeTuple(new FlowView().read(message).toKey().original)}`;
}
