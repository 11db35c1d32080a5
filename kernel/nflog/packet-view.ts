import type { Flow } from '../conntrack/flow.ts';
import { FlowView } from '../conntrack/flow-view.ts';
import { NLA_TYPE_MASK } from '../netlink/constants.ts';
import type { Message } from '../netlink/socket.ts';
import * as c from './constants.ts';

/** A hook that packets pass, by its number in linux/netfilter.h. */
export type LogHook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | number;

/** How the packet belongs to its flow: the words of `ct state`, and the direction. */
export interface LoggedFlow {
  /** undefined for a packet that belongs to none: `invalid` or `untracked`. */
  readonly flow: Flow | undefined;
  readonly state: 'established' | 'related' | 'new' | 'untracked';
  readonly direction: 'original' | 'reply';
}

/** A logged packet as a value of its own. */
export interface LoggedPacket {
  readonly group: number;
  readonly prefix: string;
  /** EtherType: 0x0800 is IPv4, 0x86dd IPv6. */
  readonly etherType: number;
  readonly hook: LogHook;
  readonly mark: number;
  /** Index of the interface it came in on; absent for what this machine sent. */
  readonly inDevice?: number;
  readonly outDevice?: number;
  /** Link-layer source, e.g. six bytes of Ethernet; absent for what this machine sent. */
  readonly hardwareAddress?: Uint8Array;
  /** ms since 1970, with a fraction; absent unless the packet was stamped on its way in. */
  readonly time?: number;
  /** User and group of the socket that sent it. */
  readonly user?: number;
  readonly userGroup?: number;
  /** Number among the packets of the group; gaps are losses. */
  readonly sequence?: number;
  /** The packet from its IP header on, as far as the copy range goes. */
  readonly payload: Uint8Array;
  /** Present when it was asked for and the kernel can tell. */
  readonly conntrack?: LoggedFlow;
}

/** A logged packet, read in place: one view serves all packets. What it shows is that of the message under it. */
export class PacketView {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** 4, 6, or 0 for another family. */
  family: 0 | 4 | 6 = 0;
  group = 0;
  etherType = 0;
  /** Number of the hook, see {@link hookName}. */
  hook = 0;
  mark = 0;
  /** 0 for none, as of all devices. */
  inDevice = 0;
  outDevice = 0;
  /** ms since 1970, with a fraction; 0 when it was not stamped. */
  time = 0;
  /** -1 when the kernel does not count. */
  sequence = -1;
  /** Where the packet lies in `bytes`, from its IP header on. */
  payloadStart = 0;
  payloadEnd = 0;
  #prefixStart = 0;
  #prefixEnd = 0;
  #hardwareStart = 0;
  #hardwareEnd = 0;
  #user = -1;
  #userGroup = -1;
  #flowStart = 0;
  #flowEnd = 0;
  #flowInfo = -1;

  /** Moves to a message of type NFULNL_MSG_PACKET. */
  read(message: Message): this {
    const { bytes, view, start, end } = message;
    this.bytes = bytes;
    this.view = view;
    this.family = bytes[start] === 2 ? 4 : bytes[start] === 10 ? 6 : 0;
    this.group = view.getUint16(start + 2);
    this.etherType = 0;
    this.hook = 0;
    this.mark = 0;
    this.inDevice = 0;
    this.outDevice = 0;
    this.time = 0;
    this.sequence = -1;
    this.payloadStart = this.payloadEnd = 0;
    this.#prefixStart = this.#prefixEnd = 0;
    this.#hardwareStart = this.#hardwareEnd = 0;
    this.#user = -1;
    this.#userGroup = -1;
    this.#flowStart = this.#flowEnd = 0;
    this.#flowInfo = -1;
    let at = start + c.NFGENMSG;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) break;
      this.#attribute(view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + 4, at + size);
      at += (size + 3) & ~3;
    }
    return this;
  }

  /** The text that the rule gives its packets. */
  get prefix(): string {
    return this.#prefixEnd === this.#prefixStart
      ? ''
      : textDecoder.decode(this.bytes.subarray(this.#prefixStart, this.#prefixEnd));
  }

  /** The packet, in the message's memory. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /** A value that lasts. */
  toPacket(): LoggedPacket {
    const hardware = this.bytes.slice(this.#hardwareStart, this.#hardwareEnd);
    const conntrack = this.conntrack();
    return {
      group: this.group,
      prefix: this.prefix,
      etherType: this.etherType,
      hook: hookName(this.hook),
      mark: this.mark,
      ...(this.inDevice === 0 ? {} : { inDevice: this.inDevice }),
      ...(this.outDevice === 0 ? {} : { outDevice: this.outDevice }),
      ...(hardware.length === 0 ? {} : { hardwareAddress: hardware }),
      ...(this.time === 0 ? {} : { time: this.time }),
      ...(this.#user < 0 ? {} : { user: this.#user }),
      ...(this.#userGroup < 0 ? {} : { userGroup: this.#userGroup }),
      ...(this.sequence < 0 ? {} : { sequence: this.sequence }),
      payload: this.payload.slice(),
      ...(conntrack === undefined ? {} : { conntrack }),
    };
  }

  /** What connection tracking says of the packet; undefined unless it was asked for and the kernel can tell. */
  conntrack(): LoggedFlow | undefined {
    const info = this.#flowInfo;
    if (info < 0) return undefined;
    const flow =
      this.#flowEnd === 0
        ? undefined
        : new FlowView()
            .readAttributes(this.bytes, this.view, this.family === 6 ? 6 : 4, this.#flowStart, this.#flowEnd)
            .toFlow();
    // enum ip_conntrack_info: established, related, new; the same again for replies; 7 is untracked.
    const state = info === 7 ? 'untracked' : (STATES[info % 3] ?? 'new');
    return { flow, state, direction: info >= 3 && info !== 7 ? 'reply' : 'original' };
  }

  #attribute(type: number, at: number, end: number): void {
    const view = this.view;
    switch (type) {
      case c.NFULA_PACKET_HDR:
        this.etherType = view.getUint16(at);
        this.hook = view.getUint8(at + 2);
        break;
      case c.NFULA_MARK:
        this.mark = view.getUint32(at);
        break;
      case c.NFULA_TIMESTAMP:
        this.time =
          (view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4)) * 1000 +
          view.getUint32(at + 12) / 1000;
        break;
      case c.NFULA_IFINDEX_INDEV:
        this.inDevice = view.getUint32(at);
        break;
      case c.NFULA_IFINDEX_OUTDEV:
        this.outDevice = view.getUint32(at);
        break;
      case c.NFULA_HWADDR:
        this.#hardwareStart = at + 4;
        this.#hardwareEnd = at + 4 + Math.min(8, view.getUint16(at));
        break;
      case c.NFULA_PAYLOAD:
        this.payloadStart = at;
        this.payloadEnd = end;
        break;
      case c.NFULA_PREFIX:
        this.#prefixStart = at;
        this.#prefixEnd = this.bytes[end - 1] === 0 ? end - 1 : end;
        break;
      case c.NFULA_UID:
        this.#user = view.getUint32(at);
        break;
      case c.NFULA_GID:
        this.#userGroup = view.getUint32(at);
        break;
      case c.NFULA_SEQ:
        this.sequence = view.getUint32(at);
        break;
      case c.NFULA_CT:
        this.#flowStart = at;
        this.#flowEnd = end;
        break;
      case c.NFULA_CT_INFO:
        this.#flowInfo = view.getUint32(at);
        break;
    }
  }
}

/** The name of a hook of the IP families, or the number when it has none. */
export function hookName(hook: number): LogHook {
  return HOOKS[hook] ?? hook;
}

const textDecoder = new TextDecoder();
const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;
const STATES = ['established', 'related', 'new'] as const;
