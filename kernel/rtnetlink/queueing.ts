import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import { Attributes } from '../netlink/reader.ts';
import type { Message, NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { AF_UNSPEC } from './constants.ts';
import { checkInteger, needHeader, ValueError } from './value.ts';

/** A queueing discipline (qdisc) of an interface (tc(8)). */
export interface QueueingDiscipline {
  /** Index of the interface. */
  readonly link: number;
  /** E.g. `noqueue`, `tbf`, `ingress`. */
  readonly kind: string;
  /** The number before the colon in `tc qdisc show`. */
  readonly handle: number;
  /** Where it hangs: on the interface itself, where packets come in, or in another one. */
  readonly place: 'root' | 'ingress' | 'inner';
  /** Of `tbf`. */
  readonly tokenBucket?: TokenBucket;
}

/** A token bucket (tc-tbf(8)). */
export interface TokenBucket {
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes that may go at once; more than the largest packet. */
  readonly burst: number;
  /** Bytes that may wait, those that may go at once included. */
  readonly limit: number;
}

/** Queueing disciplines and redirection of the namespace that the socket is in: what limits of traffic are made of. */
export class Queueing {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All, or those of one interface (index). */
  list(link?: number): QueueingDiscipline[] {
    const all = this.#socket.dumpAll(
      'list queueing disciplines',
      RTM_GETQDISC,
      (writer) => void header(writer, link ?? 0, 0, 0),
      readDiscipline,
    );
    // The kernel looks at the index only since Linux 5.x with strict checking; it is compared here again.
    return link === undefined ? all : all.filter((each) => each.link === link);
  }

  /**
   * Limits what goes out of an interface to a token bucket, in the place of what was there.
   *
   * @throws ValueError
   * @throws NetlinkError ENOENT when the kernel has no such discipline (CONFIG_NET_SCH_TBF)
   */
  limit(link: number, bucket: TokenBucket): void {
    const object = `limit of link ${link}`;
    const rate = checkInteger(object, 'rate', bucket.rate, 1, Number.MAX_SAFE_INTEGER);
    const burst = checkInteger(object, 'burst', bucket.burst, 1, 0xffffffff);
    const limit = checkInteger(object, 'limit', bucket.limit, 1, 0xffffffff);
    if (limit < burst) throw new ValueError(object, 'limit', limit, `at least the burst, ${burst}`);
    this.#socket.request(object, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
      header(writer, link, 1 << 16, TC_H_ROOT);
      writer.string(TCA_KIND, 'tbf');
      const options = writer.nest(TCA_OPTIONS);
      const parameters = new Uint8Array(TC_TBF_QOPT);
      const view = new DataView(parameters.buffer);
      parameters[1] = TC_LINKLAYER_ETHERNET;
      view.setUint32(8, Math.min(rate, 0xffffffff), true);
      view.setUint32(24, limit, true);
      writer.raw(TCA_TBF_PARMS, parameters);
      if (rate > 0xffffffff) writer.u64(TCA_TBF_RATE64, BigInt(rate));
      writer.u32(TCA_TBF_BURST, burst);
      writer.nestEnd(options);
    });
  }

  /**
   * Sends all that comes in by an interface out of another one, e.g. an `ifb` that limits it and hands it back.
   *
   * @param link index of the interface, which must not have an ingress discipline yet
   * @param to index of the other
   * @throws NetlinkError ENOENT when the kernel has not all that it takes (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32,
   *   CONFIG_NET_ACT_MIRRED)
   */
  redirectIncoming(link: number, to: number): void {
    const object = `redirection of link ${link}`;
    this.#socket.request(object, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, (writer) => {
      header(writer, link, TC_H_INGRESS_HANDLE, TC_H_INGRESS);
      writer.string(TCA_KIND, 'ingress');
    });
    this.#socket.request(object, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, (writer) => {
      const at = header(writer, link, 0, TC_H_INGRESS_HANDLE);
      // Priority 1, all protocols (ETH_P_ALL in network order).
      writer.view.setUint32(at + 16, (1 << 16) | 0x0300, true);
      writer.string(TCA_KIND, 'u32');
      const options = writer.nest(TCA_OPTIONS);
      // One key without a mask: everything matches.
      const selector = new Uint8Array(TC_U32_SEL + TC_U32_KEY);
      selector[0] = TC_U32_TERMINAL;
      selector[2] = 1;
      writer.raw(TCA_U32_SEL, selector);
      const actions = writer.nest(TCA_U32_ACT);
      const action = writer.nest(1);
      writer.string(TCA_ACT_KIND, 'mirred');
      const inner = writer.nest(TCA_ACT_OPTIONS);
      const parameters = new Uint8Array(TC_MIRRED);
      const view = new DataView(parameters.buffer);
      view.setInt32(8, TC_ACT_STOLEN, true);
      view.setInt32(20, TCA_EGRESS_REDIR, true);
      view.setUint32(24, to, true);
      writer.raw(TCA_MIRRED_PARMS, parameters);
      writer.nestEnd(inner);
      writer.nestEnd(action);
      writer.nestEnd(actions);
      writer.nestEnd(options);
    });
  }

  /** Where what comes in by an interface is sent by {@link redirectIncoming}: indices of the others. */
  redirections(link: number): number[] {
    const found = this.#socket.dumpAll(
      `list redirections of link ${link}`,
      RTM_GETTFILTER,
      (writer) => void header(writer, link, 0, TC_H_INGRESS_HANDLE),
      readRedirection,
    );
    return found.filter((to) => to !== undefined);
  }

  /** Removes what hangs on an interface, in one of the two places, with its filters. Returns whether there was any. */
  remove(link: number, place: 'root' | 'ingress'): boolean {
    try {
      this.#socket.request(`${place} discipline of link ${link}`, RTM_DELQDISC, 0, (writer) => {
        if (place === 'root') header(writer, link, 0, TC_H_ROOT);
        else header(writer, link, TC_H_INGRESS_HANDLE, TC_H_INGRESS);
      });
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EINVAL')) return false;
      throw error;
    }
  }
}

/** linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h */
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44;
const RTM_GETTFILTER = 46;
/** struct tcmsg: family u8, pad 3, ifindex i32, handle u32, parent u32, info u32 */
const TCMSG = 20;
const TC_H_ROOT = 0xffffffff;
const TC_H_INGRESS = 0xfffffff1;
const TC_H_INGRESS_HANDLE = 0xffff0000;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
/** struct tc_tbf_qopt: rate and peak rate (struct tc_ratespec, 12 bytes each), limit u32, buffer u32, mtu u32 */
const TC_TBF_QOPT = 36;
const TC_LINKLAYER_ETHERNET = 1;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
/** Bytes of struct tc_u32_sel and struct tc_u32_key. */
const TC_U32_SEL = 16;
const TC_U32_KEY = 16;
const TC_U32_TERMINAL = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
/** struct tc_mirred: index u32, capab u32, action i32, refcnt i32, bindcnt i32, eaction i32, ifindex u32 */
const TC_MIRRED = 28;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
/** Ticks of the packet scheduler a second: PSCHED_SHIFT is 6, so 64 ns each. */
const TICKS = 1e9 / 64;

const attributes = new Attributes(TCA_OPTIONS);
const options = new Attributes(TCA_TBF_BURST);
const filter = new Attributes(TCA_U32_ACT);
const actions = new Attributes(1);
const action = new Attributes(TCA_ACT_OPTIONS);
const redirection = new Attributes(TCA_MIRRED_PARMS);

function header(writer: MessageWriter, link: number, handle: number, parent: number): number {
  const at = writer.fixed(TCMSG);
  writer.bytes[at] = AF_UNSPEC;
  writer.view.setInt32(at + 4, link, true);
  writer.view.setUint32(at + 8, handle, true);
  writer.view.setUint32(at + 12, parent, true);
  return at;
}

function readDiscipline(message: Message): QueueingDiscipline {
  const { bytes, view, start, end } = message;
  needHeader('queueing discipline', end - start, TCMSG);
  attributes.parse(bytes, view, start + TCMSG, end);
  const parent = view.getUint32(start + 12, true);
  const kind = attributes.string(TCA_KIND, '');
  const discipline: QueueingDiscipline = {
    link: view.getInt32(start + 4, true),
    kind,
    handle: view.getUint32(start + 8, true) >>> 16,
    place: parent === TC_H_ROOT ? 'root' : parent === TC_H_INGRESS ? 'ingress' : 'inner',
  };
  if (kind !== 'tbf' || !attributes.has(TCA_OPTIONS)) return discipline;
  options.parseNested(attributes, TCA_OPTIONS);
  if (!options.has(TCA_TBF_PARMS) || options.size(TCA_TBF_PARMS) < TC_TBF_QOPT) return discipline;
  const at = options.offset(TCA_TBF_PARMS);
  const rate = options.has(TCA_TBF_RATE64)
    ? Number(options.u64(TCA_TBF_RATE64))
    : view.getUint32(at + 8, true);
  // The kernel keeps the burst as the time that it takes.
  const burst = Math.round((view.getUint32(at + 28, true) / TICKS) * rate);
  return { ...discipline, tokenBucket: { rate, burst, limit: view.getUint32(at + 24, true) } };
}

/** undefined for another kind of filter, and for the tables that the kernel keeps them in. */
function readRedirection(message: Message): number | undefined {
  const { bytes, view, start, end } = message;
  needHeader('filter', end - start, TCMSG);
  attributes.parse(bytes, view, start + TCMSG, end);
  if (attributes.string(TCA_KIND, '') !== 'u32') return undefined;
  filter.parseNested(attributes, TCA_OPTIONS);
  actions.parseNested(filter, TCA_U32_ACT);
  action.parseNested(actions, 1);
  if (action.string(TCA_ACT_KIND, '') !== 'mirred') return undefined;
  redirection.parseNested(action, TCA_ACT_OPTIONS);
  if (!redirection.has(TCA_MIRRED_PARMS) || redirection.size(TCA_MIRRED_PARMS) < TC_MIRRED) return undefined;
  return redirection.view.getUint32(redirection.offset(TCA_MIRRED_PARMS) + 24, true);
}
