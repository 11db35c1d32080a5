import { parseAddress } from '../ip.ts';
import { NLA_F_NESTED } from '../netlink/constants.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import * as c from './constants.ts';
import { type FlowKey, FlowStatus, LABELS, mirror, type NewFlow, stateNumber, type Tuple } from './flow.ts';
import type { FlowView } from './flow-view.ts';

/** What to change of a flow; what is absent stays. */
export interface FlowChange {
  /** The bits of `mask` become those of `value`; all bits without a mask. */
  readonly mark?: { readonly value: number; readonly mask?: number };
  /** Made by {@link labelChange}. */
  readonly labels?: LabelChange;
  /** Seconds. */
  readonly timeout?: number;
  /**
   * Bits of {@link FlowStatus}: those that it has not yet are added, and none can be taken away. It must bear `confirmed`, `expected`,
   * `seenReply` and `assured` where the flow does, else the kernel refuses it (EBUSY; nf_ct_change_status_common).
   */
  readonly status?: number;
}

/** Labels to set and to clear, as the kernel wants them: 16 bytes each. */
export interface LabelChange {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

/** Labels by number, 0 to 127; those in neither list stay as they are. @throws RangeError */
export function labelChange(set: readonly number[], clear: readonly number[] = []): LabelChange {
  const value = labelBits(set);
  const mask = labelBits([...set, ...clear]);
  return { value, mask };
}

/** Writes the fixed header of a netfilter message. */
export function writeHeader(writer: MessageWriter, family: 0 | 4 | 6): void {
  const at = writer.fixed(c.NFGENMSG);
  writer.bytes[at] = family === 6 ? 10 : family === 4 ? 2 : 0;
}

/** Writes what names a flow: header, tuple, zone and id. */
export function writeKey(writer: MessageWriter, key: FlowKey): void {
  writeHeader(writer, key.family);
  writeTuple(writer, c.CTA_TUPLE_ORIG, key.family, key.original);
  if (key.zone) writer.be16(c.CTA_ZONE, key.zone);
  if (key.id !== undefined) writer.be32(c.CTA_ID, key.id);
}

/** Writes what names the flow that a view stands on, without decoding it. */
export function writeViewKey(writer: MessageWriter, view: FlowView): void {
  writeHeader(writer, view.family);
  const { start, end } = view.original;
  writer.raw(c.CTA_TUPLE_ORIG | NLA_F_NESTED, view.bytes, start, end - start);
  if (view.zone !== 0) writer.be16(c.CTA_ZONE, view.zone);
  writer.be32(c.CTA_ID, view.id);
}

/** Writes a change. */
export function writeChange(writer: MessageWriter, change: FlowChange): void {
  if (change.mark) {
    const { value, mask = 0xffffffff } = change.mark;
    // The kernel would flip bits of the value that are not under the mask.
    writer.be32(c.CTA_MARK, value & mask);
    writer.be32(c.CTA_MARK_MASK, mask);
  }
  if (change.labels) {
    writer.raw(c.CTA_LABELS, change.labels.value);
    writer.raw(c.CTA_LABELS_MASK, change.labels.mask);
  }
  if (change.timeout !== undefined) writer.be32(c.CTA_TIMEOUT, change.timeout);
  if (change.status !== undefined) writer.be32(c.CTA_STATUS, change.status);
}

/** Writes a flow that is to be made. @throws AddressError, RangeError */
export function writeNewFlow(writer: MessageWriter, flow: NewFlow): void {
  writeHeader(writer, flow.family);
  writeTuple(writer, c.CTA_TUPLE_ORIG, flow.family, flow.original);
  writeTuple(writer, c.CTA_TUPLE_REPLY, flow.family, flow.reply ?? mirror(flow.original));
  if (flow.zone) writer.be16(c.CTA_ZONE, flow.zone);
  writer.be32(c.CTA_TIMEOUT, flow.timeout);
  // An entry that is made so is confirmed from the start, and the kernel refuses a status that says otherwise (EBUSY).
  if (flow.status !== undefined) writer.be32(c.CTA_STATUS, flow.status | FlowStatus.confirmed);
  if (flow.mark) writer.be32(c.CTA_MARK, flow.mark);
  if (flow.labels && flow.labels.length > 0) writer.raw(c.CTA_LABELS, labelBits(flow.labels));
  writeProtocolInfo(writer, flow);
}

/** Writes a tuple. @throws AddressError, RangeError */
export function writeTuple(writer: MessageWriter, type: number, family: 4 | 6, tuple: Tuple): void {
  const whole = writer.nest(type);
  const addresses = writer.nest(c.CTA_TUPLE_IP);
  writer.raw(family === 4 ? c.CTA_IP_V4_SRC : c.CTA_IP_V6_SRC, addressBytes(family, tuple.source));
  writer.raw(family === 4 ? c.CTA_IP_V4_DST : c.CTA_IP_V6_DST, addressBytes(family, tuple.destination));
  writer.nestEnd(addresses);
  const protocol = writer.nest(c.CTA_TUPLE_PROTO);
  writer.u8(c.CTA_PROTO_NUM, tuple.protocol);
  if (tuple.sourcePort !== undefined) writer.be16(c.CTA_PROTO_SRC_PORT, tuple.sourcePort);
  if (tuple.destinationPort !== undefined) writer.be16(c.CTA_PROTO_DST_PORT, tuple.destinationPort);
  if (tuple.icmp) {
    const six = tuple.protocol === c.IPPROTO_ICMPV6;
    writer.be16(six ? c.CTA_PROTO_ICMPV6_ID : c.CTA_PROTO_ICMP_ID, tuple.icmp.id);
    writer.u8(six ? c.CTA_PROTO_ICMPV6_TYPE : c.CTA_PROTO_ICMP_TYPE, tuple.icmp.type);
    writer.u8(six ? c.CTA_PROTO_ICMPV6_CODE : c.CTA_PROTO_ICMP_CODE, tuple.icmp.code);
  }
  writer.nestEnd(protocol);
  if (tuple.zone !== undefined) writer.be16(c.CTA_TUPLE_ZONE, tuple.zone);
  writer.nestEnd(whole);
}

/** The bytes of an address that must be of `family`. @throws AddressError, RangeError */
export function addressBytes(family: 4 | 6, text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes.length !== (family === 4 ? 4 : 16))
    throw new RangeError(`address ${text} in an IPv${family} flow`);
  return bytes;
}

function writeProtocolInfo(writer: MessageWriter, flow: NewFlow): void {
  const { protocol } = flow.original;
  if (flow.state === undefined) return;
  const state = stateNumber(protocol, flow.state);
  const info = writer.nest(c.CTA_PROTOINFO);
  const inner = writer.nest(protocol === c.IPPROTO_SCTP ? c.CTA_PROTOINFO_SCTP : c.CTA_PROTOINFO_TCP);
  writer.u8(c.CTA_PROTOINFO_STATE, state);
  if (protocol === c.IPPROTO_SCTP) {
    // The kernel takes no state without the tags; 0 is one not seen yet.
    writer.be32(c.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, 0);
    writer.be32(c.CTA_PROTOINFO_SCTP_VTAG_REPLY, 0);
  }
  writer.nestEnd(inner);
  writer.nestEnd(info);
}

function labelBits(numbers: readonly number[]): Uint8Array {
  const bits = new Uint8Array(LABELS / 8);
  for (const number of numbers) {
    if (!Number.isInteger(number) || number < 0 || number >= LABELS)
      throw new RangeError(`conntrack label ${number}, expected 0 to ${LABELS - 1}`);
    // Words in host order, which is little-endian.
    bits[number >> 3]! |= 1 << (number & 7);
  }
  return bits;
}
