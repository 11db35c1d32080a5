import { NLM_F_REQUEST } from './constants.ts';
import { NetlinkError } from './error.ts';
import type { NetlinkSocket } from './socket.ts';
import { MessageWriter } from './writer.ts';

const DATAGRAM_BYTES = 1 << 16;

/** A message of a batch that the kernel refused. */
export interface BatchFailure {
  /** Position of the message in the batch, from 0. */
  readonly index: number;
  readonly error: NetlinkError;
}

/**
 * Independent requests sent many to a datagram: each takes effect or is refused by itself (an nftables transaction,
 * which is all or nothing, is something else). Only the last message of a datagram asks for an acknowledgement, so that
 * what goes well costs no answer. Memory does not depend on the number of messages: a full datagram is sent off.
 *
 *     batch.begin(RTM_NEWROUTE, flags); ...fill batch.writer...; batch.end();
 *     for (const failure of batch.finish()) ...
 */
export class Batch {
  readonly writer = new MessageWriter(DATAGRAM_BYTES + 4096);
  readonly #socket: NetlinkSocket;
  readonly #describe: (index: number) => string;
  readonly #failures: BatchFailure[] = [];
  #firstSequence = 0;
  #firstIndex = 0;
  #inDatagram = 0;

  /** @param describe says in words what the message at an index is about; called only for refused ones */
  constructor(socket: NetlinkSocket, describe: (index: number) => string) {
    this.#socket = socket;
    this.#describe = describe;
  }

  /** Messages closed so far. */
  get count(): number {
    return this.#firstIndex + this.#inDatagram;
  }

  /** Opens a message. */
  begin(type: number, flags: number): void {
    const sequence = this.#socket.takeSequence();
    // The numbers of a datagram are consecutive: that is how an answer finds its message.
    if (this.#inDatagram > 0 && sequence !== this.#firstSequence + this.#inDatagram) this.#flush();
    if (this.#inDatagram === 0) this.#firstSequence = sequence;
    this.writer.begin(type, flags | NLM_F_REQUEST, sequence);
  }

  /** Closes the open message. */
  end(): void {
    this.writer.end();
    this.#inDatagram++;
    if (this.writer.length >= DATAGRAM_BYTES) this.#flush();
  }

  /** Sends what is left and returns the refused messages of the whole batch; the batch starts over from index 0. */
  finish(): BatchFailure[] {
    this.#flush();
    this.#firstIndex = 0;
    return this.#failures.splice(0);
  }

  #flush(): void {
    const count = this.#inDatagram;
    if (count === 0) return;
    const first = this.#firstSequence;
    const firstIndex = this.#firstIndex;
    this.#firstIndex += count;
    this.#inDatagram = 0;
    this.writer.acknowledgeLast();
    const length = this.writer.length;
    this.writer.reset();
    this.#socket.exchange('batch', this.writer.bytes, length, first + count - 1, (sequence, refusal) => {
      const index = firstIndex + (sequence - first);
      if (sequence < first || sequence >= first + count) return;
      this.#failures.push({ index, error: new NetlinkError(this.#describe(index), refusal) });
    });
  }
}
