import { errnoName, errnoText } from '../sys/errno.ts';
import {
  NETLINK_NETFILTER,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_HEADER,
  NLMSGERR_ATTR_MISS_NEST,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from './constants.ts';
import { Attributes, eachAttribute } from './reader.ts';

/** Where in the refused request the kernel saw the fault. */
export interface OffendingAttribute {
  /** Offset from the start of the request's netlink header, in bytes. */
  readonly offset: number;
  /** Attribute types from the outermost to the one at fault. */
  readonly path: readonly number[];
}

/** What the kernel's refusal says, before it is tied to an object. */
export interface Refusal {
  /** Positive errno; 0 is an acknowledgement. */
  readonly errno: number;
  /** The kernel's own words (extended ACK), or '' when it gave none. */
  readonly text: string;
  readonly attribute?: OffendingAttribute;
  /** The attribute type that the kernel missed (extended ACK, since Linux 6.1). */
  readonly missing?: number;
}

/** Thrown when the kernel refuses a netlink request. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  /** The errno.h name, e.g. `EEXIST`. */
  readonly code: string;
  readonly errno: number;
  /** What the request was about, in words, e.g. `add route 10.0.0.0/24`. */
  readonly object: string;
  /** The kernel's own words, or '' when it gave none. */
  readonly kernelText: string;
  readonly attribute: OffendingAttribute | undefined;
  readonly missing: number | undefined;

  constructor(object: string, refusal: Refusal) {
    const code = errnoName(refusal.errno);
    const where =
      refusal.attribute && refusal.attribute.path.length > 0
        ? ` (attribute ${refusal.attribute.path.join('.')})`
        : refusal.missing !== undefined
          ? ` (attribute ${refusal.missing} is missing)`
          : '';
    super(`${object}: ${code}: ${refusal.text || errnoText(refusal.errno)}${where}`);
    this.code = code;
    this.errno = refusal.errno;
    this.object = object;
    this.kernelText = refusal.text;
    this.attribute = refusal.attribute;
    this.missing = refusal.missing;
  }
}

const tlvs = new Attributes(NLMSGERR_ATTR_MISS_NEST);

/**
 * Reads an NLMSG_ERROR, or the error in an NLMSG_DONE, that starts at `at` (struct nlmsgerr, linux/netlink.h).
 *
 * @param request the message that it answers, for the path of the offending attribute; none when it is not at hand
 */
export function readRefusal(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  done: boolean,
  request?: { protocol: number; view: DataView; start: number },
): Refusal {
  if (end - at < NLMSG_HEADER + 4) return { errno: 71, text: 'answer cut short' };
  const flags = view.getUint16(at + 6, true);
  const errno = -view.getInt32(at + NLMSG_HEADER, true);
  if (!(flags & NLM_F_ACK_TLVS)) return { errno, text: '' };
  let from = at + NLMSG_HEADER + 4;
  if (!done && end - from >= NLMSG_HEADER) {
    // The request's header is echoed, and with it the whole request unless the answer is capped.
    const echoed = flags & NLM_F_CAPPED ? NLMSG_HEADER : view.getUint32(from, true);
    if (echoed > end - from) return { errno, text: '' };
    from += (echoed + 3) & ~3;
  }
  tlvs.parse(bytes, view, from, end);
  const refusal: { -readonly [K in keyof Refusal]: Refusal[K] } = {
    errno,
    text: tlvs.string(NLMSGERR_ATTR_MSG, ''),
  };
  if (tlvs.has(NLMSGERR_ATTR_OFFS)) {
    const offset = tlvs.u32(NLMSGERR_ATTR_OFFS);
    refusal.attribute = { offset, path: request ? attributePath(request, offset) : [] };
  }
  if (tlvs.has(NLMSGERR_ATTR_MISS_TYPE)) refusal.missing = tlvs.u32(NLMSGERR_ATTR_MISS_TYPE);
  return refusal;
}

/** The refusal with the path of the offending attribute, read from the request that starts at `start` of `view`. */
export function locateRefusal(refusal: Refusal, protocol: number, view: DataView, start: number): Refusal {
  if (refusal.attribute === undefined) return refusal;
  const { offset } = refusal.attribute;
  return { ...refusal, attribute: { offset, path: attributePath({ protocol, view, start }, offset) } };
}

function attributePath(
  request: { protocol: number; view: DataView; start: number },
  offset: number,
): number[] {
  const { view, start } = request;
  const path: number[] = [];
  const target = start + offset;
  const end = Math.min(view.byteLength, start + view.getUint32(start, true));
  if (target >= end) return path;
  let from = start + NLMSG_HEADER + fixedHeaderSize(request.protocol, view.getUint16(start + 4, true));
  let to = end;
  while (from < to) {
    let inner: [number, number] | undefined;
    let hit = false;
    eachAttribute(view, from, to, (type, valueStart, valueEnd) => {
      if (target < valueStart - 4 || target >= valueEnd || hit || inner) return;
      path.push(type);
      if (target < valueStart) hit = true;
      else inner = [valueStart, valueEnd];
    });
    if (hit || !inner) return path;
    [from, to] = inner;
  }
  return path;
}

/** Bytes between the netlink header and the first attribute (linux/rtnetlink.h, linux/netfilter/nfnetlink.h). */
function fixedHeaderSize(protocol: number, type: number): number {
  if (protocol === NETLINK_NETFILTER) return 4; // struct nfgenmsg
  if (type < 16) return 0;
  switch ((type - 16) >> 2) {
    case 0:
      return 16; // struct ifinfomsg: links
    case 1:
      return 8; // struct ifaddrmsg: addresses
    case 5:
    case 6:
    case 7:
      return 20; // struct tcmsg: qdiscs, classes, filters
    default:
      return 12; // struct rtmsg, ndmsg, fib_rule_hdr: routes, neighbours, rules
  }
}
