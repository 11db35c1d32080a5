import { parseAddress, parsePrefix } from '../ip.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import * as c from './constants.ts';
import { writeHeader } from './flow-message.ts';
import type { FlowView, TupleView } from './flow-view.ts';

/** What one direction of a flow must bear. */
export interface TupleFilter {
  /** An address or a prefix. */
  readonly source?: string;
  readonly destination?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** Which flows are meant: those that all of these are true of. */
export interface FlowFilter {
  readonly family?: 4 | 6;
  readonly protocol?: number;
  readonly original?: TupleFilter;
  readonly reply?: TupleFilter;
  /** An address or prefix that any of the four addresses of a flow lies in: all that a pod has to do with. */
  readonly address?: string;
  readonly zone?: number;
  /** The bits of `mask` are those of `value`; all bits without a mask. */
  readonly mark?: { readonly value: number; readonly mask?: number };
  /** As `mark`, on the bits of FlowStatus. */
  readonly status?: { readonly value: number; readonly mask?: number };
  /** Number of a label that is set. */
  readonly label?: number;
  /** Number of a label that is not set. */
  readonly withoutLabel?: number;
}

/**
 * A filter made ready. The kernel is told what it can compare, which narrows the dump; all is compared here again, since
 * older kernels pass over what they do not know, and none knows prefixes or labels, or compares IPv6 addresses rightly.
 */
export class CompiledFilter {
  readonly family: 0 | 4 | 6;
  readonly #filter: FlowFilter;
  readonly #original: CompiledTuple;
  readonly #reply: CompiledTuple;
  readonly #address: Range | undefined;

  /** @throws AddressError, RangeError for addresses of two families */
  constructor(filter: FlowFilter) {
    this.#filter = filter;
    this.#original = compileTuple(filter.original);
    this.#reply = compileTuple(filter.reply);
    this.#address = compileRange(filter.address);
    this.family = filter.family ?? 0;
    const ranges = [
      this.#original.source,
      this.#original.destination,
      this.#reply.source,
      this.#reply.destination,
      this.#address,
    ];
    for (const range of ranges) {
      if (range === undefined) continue;
      const family = range.bytes.length === 4 ? 4 : 6;
      if (this.family !== 0 && this.family !== family)
        throw new RangeError(`${range.text} in a filter for IPv${this.family}`);
      this.family = family;
    }
  }

  /** Writes header and attributes of a dump request. */
  write(writer: MessageWriter): void {
    const { zone, mark, status } = this.#filter;
    writeHeader(writer, this.family);
    if (zone) writer.be16(c.CTA_ZONE, zone);
    if (mark) writeBits(writer, c.CTA_MARK, c.CTA_MARK_MASK, mark);
    if (status) writeBits(writer, c.CTA_STATUS, c.CTA_STATUS_MASK, status);
    if (this.family === 0) return;
    const original = this.#writeTuple(writer, c.CTA_TUPLE_ORIG, this.#original);
    const reply = this.#writeTuple(writer, c.CTA_TUPLE_REPLY, this.#reply);
    if (original === 0 && reply === 0) return;
    const nest = writer.nest(c.CTA_FILTER);
    writer.u32(c.CTA_FILTER_ORIG_FLAGS, original);
    writer.u32(c.CTA_FILTER_REPLY_FLAGS, reply);
    writer.nestEnd(nest);
  }

  /** Whether a flow is meant. */
  matches(view: FlowView): boolean {
    const filter = this.#filter;
    if (this.family !== 0 && view.family !== this.family) return false;
    if (filter.protocol !== undefined && view.original.protocol !== filter.protocol) return false;
    if (filter.zone !== undefined && view.zone !== filter.zone) return false;
    if (filter.mark && !bitsEqual(view.mark, filter.mark)) return false;
    if (filter.status && !bitsEqual(view.status, filter.status)) return false;
    if (filter.label !== undefined && !view.hasLabel(filter.label)) return false;
    if (filter.withoutLabel !== undefined && view.hasLabel(filter.withoutLabel)) return false;
    if (!matchesTuple(this.#original, view, view.original)) return false;
    if (!matchesTuple(this.#reply, view, view.reply)) return false;
    const range = this.#address;
    return (
      range === undefined ||
      inRange(range, view, view.original.source) ||
      inRange(range, view, view.original.destination) ||
      inRange(range, view, view.reply.source) ||
      inRange(range, view, view.reply.destination)
    );
  }

  /** Writes what of a tuple the kernel shall compare. Returns the flags that say what. */
  #writeTuple(writer: MessageWriter, type: number, tuple: CompiledTuple): number {
    const { protocol } = this.#filter;
    // Of IPv6 addresses the kernel (6.18 still) tells the flows that have any other: there it is not to be asked.
    const narrow = (range: Range | undefined) => (range?.whole && this.family === 4 ? range : undefined);
    const source = narrow(tuple.source);
    const destination = narrow(tuple.destination);
    // Ports mean something to the kernel only beside a protocol; one direction is enough to compare that in.
    const byProtocol = protocol !== undefined && type === c.CTA_TUPLE_ORIG;
    const byPorts =
      protocol !== undefined && (tuple.sourcePort !== undefined || tuple.destinationPort !== undefined);
    if (!source && !destination && !byProtocol && !byPorts) return 0;
    let flags = 0;
    const whole = writer.nest(type);
    if (source || destination) {
      const nest = writer.nest(c.CTA_TUPLE_IP);
      if (source) {
        writer.raw(c.CTA_IP_V4_SRC, source.bytes);
        flags |= c.FILTER_SOURCE;
      }
      if (destination) {
        writer.raw(c.CTA_IP_V4_DST, destination.bytes);
        flags |= c.FILTER_DESTINATION;
      }
      writer.nestEnd(nest);
    }
    if (byProtocol || byPorts) {
      const nest = writer.nest(c.CTA_TUPLE_PROTO);
      writer.u8(c.CTA_PROTO_NUM, protocol!);
      flags |= c.FILTER_PROTOCOL;
      if (tuple.sourcePort !== undefined) {
        writer.be16(c.CTA_PROTO_SRC_PORT, tuple.sourcePort);
        flags |= c.FILTER_SOURCE_PORT;
      }
      if (tuple.destinationPort !== undefined) {
        writer.be16(c.CTA_PROTO_DST_PORT, tuple.destinationPort);
        flags |= c.FILTER_DESTINATION_PORT;
      }
      writer.nestEnd(nest);
    }
    writer.nestEnd(whole);
    return flags;
  }
}

interface Range {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly length: number;
  /** One address alone. */
  readonly whole: boolean;
}

interface CompiledTuple {
  readonly source: Range | undefined;
  readonly destination: Range | undefined;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
}

function compileTuple(filter: TupleFilter = {}): CompiledTuple {
  return {
    source: compileRange(filter.source),
    destination: compileRange(filter.destination),
    sourcePort: filter.sourcePort,
    destinationPort: filter.destinationPort,
  };
}

function compileRange(text: string | undefined): Range | undefined {
  if (text === undefined) return undefined;
  if (!text.includes('/')) {
    const bytes = parseAddress(text);
    return { text, bytes, length: bytes.length * 8, whole: true };
  }
  const { address, length } = parsePrefix(text);
  return { text, bytes: address, length, whole: length === address.length * 8 };
}

interface Bits {
  readonly value: number;
  readonly mask?: number;
}

/** The kernel compares all of the value with what is left under the mask. */
function writeBits(writer: MessageWriter, type: number, maskType: number, bits: Bits): void {
  const { value, mask = 0xffffffff } = bits;
  writer.be32(type, value & mask);
  writer.be32(maskType, mask);
}

function bitsEqual(found: number, wanted: Bits): boolean {
  return ((found ^ wanted.value) & (wanted.mask ?? 0xffffffff)) === 0;
}

function matchesTuple(filter: CompiledTuple, view: FlowView, tuple: TupleView): boolean {
  return (
    (filter.sourcePort === undefined || tuple.sourcePort === filter.sourcePort) &&
    (filter.destinationPort === undefined || tuple.destinationPort === filter.destinationPort) &&
    (filter.source === undefined || inRange(filter.source, view, tuple.source)) &&
    (filter.destination === undefined || inRange(filter.destination, view, tuple.destination))
  );
}

function inRange(range: Range, view: FlowView, at: number): boolean {
  if (range.bytes.length !== view.addressSize) return false;
  const wholeBytes = range.length >> 3;
  for (let i = 0; i < wholeBytes; i++) if (view.bytes[at + i] !== range.bytes[i]) return false;
  const rest = range.length & 7;
  return (
    rest === 0 || ((view.bytes[at + wholeBytes]! ^ range.bytes[wholeBytes]!) & (0xff00 >> rest) & 0xff) === 0
  );
}
