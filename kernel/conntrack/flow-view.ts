import { formatAddress } from '../ip.ts';
import { NLA_TYPE_MASK } from '../netlink/constants.ts';
import type { Message } from '../netlink/socket.ts';
import * as c from './constants.ts';
import { type Counter, type Flow, type FlowKey, stateName, type Tuple } from './flow.ts';

/** One direction of the flow that a {@link FlowView} stands on. */
export class TupleView {
  /** Where its attributes lie in the view's bytes, for sending them back as they came. */
  start = 0;
  end = 0;
  /** Where the addresses lie in the view's bytes; as many bytes as `addressSize` of the view says. */
  source = 0;
  destination = 0;
  protocol = 0;
  /** -1 for protocols without ports. */
  sourcePort = -1;
  destinationPort = -1;
  /** -1 for all but ICMP and ICMPv6. */
  icmpId = -1;
  icmpType = -1;
  icmpCode = -1;
  /** -1 unless the zone is this direction's alone. */
  zone = -1;
}

/**
 * A conntrack message, read in place: one view is moved over a whole dump and makes no objects. What it shows is that of
 * the message under it, so copy what shall last.
 */
export class FlowView {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  family: 4 | 6 = 4;
  /** 4 or 16. */
  addressSize: 4 | 16 = 4;
  readonly original = new TupleView();
  readonly reply = new TupleView();
  zone = 0;
  id = 0;
  status = 0;
  /** Seconds; -1 when the message tells none. */
  timeout = -1;
  mark = 0;
  /** Number of the protocol's state; -1 for protocols without. */
  state = -1;
  /** Where the labels lie, 16 bytes; 0 when none is set. */
  labels = 0;
  #counters = false;
  readonly #counter = [0, 0, 0, 0]; // packets and bytes, original and reply
  #started = 0n;
  #stopped = 0n;
  #helper = '';

  /** Moves to a message of type IPCTNL_MSG_CT_NEW or IPCTNL_MSG_CT_DELETE. */
  read(message: Message): this {
    const { bytes, view, start, end } = message;
    return this.readAttributes(bytes, view, bytes[start] === 10 ? 6 : 4, start + c.NFGENMSG, end);
  }

  /** Moves to the attributes of a flow inside another message. */
  readAttributes(bytes: Uint8Array, view: DataView, family: 4 | 6, start: number, end: number): this {
    this.bytes = bytes;
    this.view = view;
    this.family = family;
    this.addressSize = this.family === 6 ? 16 : 4;
    this.zone = 0;
    this.id = 0;
    this.status = 0;
    this.timeout = -1;
    this.mark = 0;
    this.state = -1;
    this.labels = 0;
    this.#counters = false;
    this.#counter.fill(0);
    this.#started = 0n;
    this.#stopped = 0n;
    this.#helper = '';
    let at = start;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) break;
      this.#attribute(view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + 4, at + size);
      at += (size + 3) & ~3;
    }
    return this;
  }

  /** Whether label `number`, 0 to 127, is set. */
  hasLabel(number: number): boolean {
    // Labels are an array of words in host order, which is little-endian.
    return this.labels !== 0 && ((this.bytes[this.labels + (number >> 3)]! >> (number & 7)) & 1) === 1;
  }

  /** The value with everything in it. */
  toFlow(): Flow {
    const state = this.state < 0 ? undefined : stateName(this.original.protocol, this.state);
    return {
      ...this.toKey(),
      zone: this.zone,
      id: this.id,
      reply: this.#tuple(this.reply),
      status: this.status,
      ...(state === undefined ? {} : { state }),
      ...(this.timeout < 0 ? {} : { timeout: this.timeout }),
      mark: this.mark,
      labels: this.#labelNumbers(),
      ...(this.#counters
        ? { counters: { original: this.counter('original'), reply: this.counter('reply') } }
        : {}),
      ...(this.#started === 0n ? {} : { started: this.#started }),
      ...(this.#stopped === 0n ? {} : { stopped: this.#stopped }),
      ...(this.#helper === '' ? {} : { helper: this.#helper }),
    };
  }

  /** What names the flow. */
  toKey(): FlowKey {
    return { family: this.family, original: this.#tuple(this.original), zone: this.zone, id: this.id };
  }

  /** Packets and bytes of a direction; zero when they are not counted. */
  counter(direction: 'original' | 'reply'): Counter {
    const at = direction === 'original' ? 0 : 2;
    return { packets: this.#counter[at]!, bytes: this.#counter[at + 1]! };
  }

  /** The text of an address, e.g. `address(view.reply.source)`. */
  address(at: number): string {
    return formatAddress(this.bytes, at, this.addressSize);
  }

  #tuple(tuple: TupleView): Tuple {
    return {
      source: this.address(tuple.source),
      destination: this.address(tuple.destination),
      protocol: tuple.protocol,
      ...(tuple.sourcePort < 0 ? {} : { sourcePort: tuple.sourcePort }),
      ...(tuple.destinationPort < 0 ? {} : { destinationPort: tuple.destinationPort }),
      ...(tuple.icmpType < 0
        ? {}
        : { icmp: { type: tuple.icmpType, code: tuple.icmpCode, id: tuple.icmpId } }),
      ...(tuple.zone < 0 ? {} : { zone: tuple.zone }),
    };
  }

  #labelNumbers(): number[] {
    const found: number[] = [];
    if (this.labels === 0) return found;
    for (let number = 0; number < 128; number++) if (this.hasLabel(number)) found.push(number);
    return found;
  }

  #attribute(type: number, at: number, end: number): void {
    const view = this.view;
    switch (type) {
      case c.CTA_TUPLE_ORIG:
        this.#readTuple(this.original, at, end);
        break;
      case c.CTA_TUPLE_REPLY:
        this.#readTuple(this.reply, at, end);
        break;
      case c.CTA_STATUS:
        this.status = view.getUint32(at);
        break;
      case c.CTA_TIMEOUT:
        this.timeout = view.getUint32(at);
        break;
      case c.CTA_MARK:
        this.mark = view.getUint32(at);
        break;
      case c.CTA_ID:
        this.id = view.getUint32(at);
        break;
      case c.CTA_ZONE:
        this.zone = view.getUint16(at);
        break;
      case c.CTA_LABELS:
        if (end - at >= 16) this.labels = at;
        break;
      case c.CTA_PROTOINFO:
        this.#nested(at, end, this.#protocolInfo);
        break;
      case c.CTA_COUNTERS_ORIG:
        this.#counters = true;
        this.#nested(at, end, this.#originalCounter);
        break;
      case c.CTA_COUNTERS_REPLY:
        this.#counters = true;
        this.#nested(at, end, this.#replyCounter);
        break;
      case c.CTA_TIMESTAMP:
        this.#nested(at, end, this.#timestamp);
        break;
      case c.CTA_HELP:
        this.#nested(at, end, this.#help);
        break;
    }
  }

  #readTuple(tuple: TupleView, start: number, end: number): void {
    tuple.start = start;
    tuple.end = end;
    tuple.source = 0;
    tuple.destination = 0;
    tuple.protocol = 0;
    tuple.sourcePort = -1;
    tuple.destinationPort = -1;
    tuple.icmpId = -1;
    tuple.icmpType = -1;
    tuple.icmpCode = -1;
    tuple.zone = -1;
    const view = this.view;
    let at = start;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) return;
      const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
      if (type === c.CTA_TUPLE_IP) this.#readAddresses(tuple, at + 4, at + size);
      else if (type === c.CTA_TUPLE_PROTO) this.#readProtocol(tuple, at + 4, at + size);
      else if (type === c.CTA_TUPLE_ZONE) tuple.zone = view.getUint16(at + 4);
      at += (size + 3) & ~3;
    }
  }

  #readAddresses(tuple: TupleView, start: number, end: number): void {
    const view = this.view;
    let at = start;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) return;
      const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
      if (type === c.CTA_IP_V4_SRC || type === c.CTA_IP_V6_SRC) tuple.source = at + 4;
      else if (type === c.CTA_IP_V4_DST || type === c.CTA_IP_V6_DST) tuple.destination = at + 4;
      at += (size + 3) & ~3;
    }
  }

  #readProtocol(tuple: TupleView, start: number, end: number): void {
    const view = this.view;
    let at = start;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) return;
      const value = at + 4;
      switch (view.getUint16(at + 2, true) & NLA_TYPE_MASK) {
        case c.CTA_PROTO_NUM:
          tuple.protocol = view.getUint8(value);
          break;
        case c.CTA_PROTO_SRC_PORT:
          tuple.sourcePort = view.getUint16(value);
          break;
        case c.CTA_PROTO_DST_PORT:
          tuple.destinationPort = view.getUint16(value);
          break;
        case c.CTA_PROTO_ICMP_ID:
        case c.CTA_PROTO_ICMPV6_ID:
          tuple.icmpId = view.getUint16(value);
          break;
        case c.CTA_PROTO_ICMP_TYPE:
        case c.CTA_PROTO_ICMPV6_TYPE:
          tuple.icmpType = view.getUint8(value);
          break;
        case c.CTA_PROTO_ICMP_CODE:
        case c.CTA_PROTO_ICMPV6_CODE:
          tuple.icmpCode = view.getUint8(value);
          break;
      }
      at += (size + 3) & ~3;
    }
  }

  #nested(start: number, end: number, take: (type: number, at: number, end: number) => void): void {
    let at = start;
    while (at + 4 <= end) {
      const size = this.view.getUint16(at, true);
      if (size < 4 || at + size > end) return;
      take(this.view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + 4, at + size);
      at += (size + 3) & ~3;
    }
  }

  readonly #protocolInfo = (_protocol: number, at: number, end: number): void =>
    this.#nested(at, end, this.#protocolState);

  readonly #protocolState = (type: number, at: number): void => {
    if (type === c.CTA_PROTOINFO_STATE) this.state = this.view.getUint8(at);
  };

  readonly #originalCounter = (type: number, at: number): void => this.#count(0, type, at);
  readonly #replyCounter = (type: number, at: number): void => this.#count(2, type, at);

  #count(base: number, type: number, at: number): void {
    const value = this.view.getUint32(at) * 0x1_0000_0000 + this.view.getUint32(at + 4);
    if (type === c.CTA_COUNTERS_PACKETS) this.#counter[base] = value;
    else if (type === c.CTA_COUNTERS_BYTES) this.#counter[base + 1] = value;
  }

  readonly #timestamp = (type: number, at: number): void => {
    if (type === c.CTA_TIMESTAMP_START) this.#started = this.view.getBigUint64(at);
    else if (type === c.CTA_TIMESTAMP_STOP) this.#stopped = this.view.getBigUint64(at);
  };

  readonly #help = (type: number, at: number, end: number): void => {
    if (type !== c.CTA_HELP_NAME) return;
    const text = new TextDecoder().decode(this.bytes.subarray(at, end));
    this.#helper = text.replace(/\0.*$/s, '');
  };
}
