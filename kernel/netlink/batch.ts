import { NLM_F_REQUEST, NLMSG_HEADER } from './constants.ts';
import { locateRefusal, NetlinkError } from './error.ts';
import type { Message, NetlinkSocket } from './socket.ts';
import { MessageWriter } from './writer.ts';

const DATAGRAM_BYTES = 1 << 16;

/** What a batch needs of a socket. */
export type BatchSocket = Pick<NetlinkSocket, 'takeSequence' | 'exchange' | 'protocol'>;

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
  readonly #socket: BatchSocket;
  readonly #describe: (index: number, message: Message) => string;
  readonly #failures: BatchFailure[] = [];
  #firstSequence = 0;
  #firstIndex = 0;
  #inDatagram = 0;
  #lastStart = 0;

  /**
   * @param describe says in words what the message at an index is about; called only for refused ones, with the message
   *   as it was sent, so that nobody has to keep what it was made from
   */
  constructor(socket: BatchSocket, describe: (index: number, message: Message) => string) {
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
    if (this.#inDatagram > 0) {
      // The numbers of a datagram are consecutive: that is how an answer finds its message.
      const follows = sequence === this.#firstSequence + this.#inDatagram;
      if (!follows || this.writer.length >= DATAGRAM_BYTES) this.#flush();
    }
    if (this.#inDatagram === 0) this.#firstSequence = sequence;
    this.writer.begin(type, flags | NLM_F_REQUEST, sequence);
  }

  /** Closes the open message. */
  end(): void {
    this.writer.end();
    this.#lastStart = this.writer.start;
    this.#inDatagram++;
  }

  /** Takes the open message back, e.g. because a value for it was wrong. The ones before stay. */
  abandon(): void {
    this.writer.abandon();
    this.writer.start = this.#lastStart;
  }

  /**
   * Begins and ends a message whose payload has `count` 32-bit words, which the caller has to fill in at once. Returns where
   * they start in `writer.words`. Quicker than attribute by attribute.
   */
  message(type: number, flags: number, count: number): number {
    this.begin(type, flags);
    const { writer } = this;
    const at = writer.length;
    writer.ensure(4 * count);
    writer.length = at + 4 * count;
    this.end();
    return at >>> 2;
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
    const { bytes, view, length } = this.writer;
    this.writer.reset();
    // Refusals come in the order of the messages: each is looked for from the one before.
    let at = 0;
    let reached = 0;
    this.#socket.exchange('batch', bytes, length, first + count - 1, (sequence, refusal) => {
      const position = sequence - first;
      if (position < 0 || position >= count) return;
      if (position < reached) at = reached = 0;
      for (; reached < position; reached++) at += (view.getUint32(at, true) + 3) & ~3;
      const message = {
        bytes,
        view,
        type: view.getUint16(at + 4, true),
        flags: view.getUint16(at + 6, true),
        start: at + NLMSG_HEADER,
        end: at + view.getUint32(at, true),
      };
      const index = firstIndex + position;
      const located = locateRefusal(refusal, this.#socket.protocol, view, at);
      const error = withoutStack(() => new NetlinkError(this.#describe(index, message), located));
      this.#failures.push({ index, error });
    });
  }
}

/** A link that goes down refuses each of a million routes: where that was found is the same for all, and dear. */
function withoutStack(make: () => NetlinkError): NetlinkError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}
