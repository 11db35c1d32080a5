import type { Prefix } from '../ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import {
  FIB_RULE_HDR,
  FIB_RULE_INVERT,
  FRA_DST,
  FRA_FWMARK,
  FRA_FWMASK,
  FRA_GOTO,
  FRA_IIFNAME,
  FRA_OIFNAME,
  FRA_PRIORITY,
  FRA_PROTOCOL,
  FRA_SRC,
  FRA_SUPPRESS_PREFIXLEN,
  FRA_TABLE,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
} from './constants.ts';
import { type Rule, type RuleAction, readRule, ruleActions } from './rule.ts';
import { addressFamily, checkInteger, type IpFamily, interfaceName, prefixOf, ValueError } from './value.ts';

/** A rule to be set or removed. A {@link Rule} that was read is one, too. `action` is `table` unless told. */
export type RuleSpec = Omit<Rule, 'action'> & { readonly action?: RuleAction };

/** Routing rules of the namespace that the socket is in. */
export class Rules {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** All rules in the order in which they are asked, IPv4's first, or those of one family. */
  list(family?: IpFamily): Rule[] {
    const families: readonly IpFamily[] = family === undefined ? [4, 6] : [family];
    return families.flatMap((each) =>
      this.#socket.dumpAll(
        `list IPv${each} rules`,
        RTM_GETRULE,
        (writer) => {
          writer.bytes[writer.fixed(FIB_RULE_HDR)] = addressFamily(each);
        },
        readRule,
      ),
    );
  }

  /**
   * Sets a rule.
   *
   * @throws ValueError
   * @throws NetlinkError EEXIST when there is the same one
   */
  add(spec: RuleSpec): void {
    const object = `add ${describe(spec)}`;
    this.#socket.request(object, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, (w) => write(w, object, spec));
  }

  /**
   * Removes the rule that is like this in all that is given here, protocol included.
   *
   * @throws ValueError
   * @throws NetlinkError ENOENT when there is none
   */
  delete(spec: RuleSpec): void {
    const object = `delete ${describe(spec)}`;
    this.#socket.request(object, RTM_DELRULE, 0, (writer) => write(writer, object, spec));
  }
}

function describe(spec: RuleSpec): string {
  return `IPv${spec.family} rule ${spec.priority}`;
}

function write(writer: MessageWriter, object: string, spec: RuleSpec): void {
  const action = spec.action ?? 'table';
  const at = writer.fixed(FIB_RULE_HDR);
  writer.bytes[at] = addressFamily(spec.family);
  writer.bytes[at + 3] = checkInteger(object, 'tos', spec.tos ?? 0, 0, 255);
  writer.bytes[at + 7] = ruleActions.number(object, 'action', action);
  writer.view.setUint32(at + 8, spec.inverted ? FIB_RULE_INVERT : 0, true);
  writer.u32(FRA_PRIORITY, checkInteger(object, 'priority', spec.priority, 0, 0xffffffff));
  writer.u8(FRA_PROTOCOL, checkInteger(object, 'protocol', spec.protocol, 0, 255));
  if (action === 'table') {
    if (spec.table === undefined) throw new ValueError(object, 'table', undefined, 'the number of a table');
    writer.u32(FRA_TABLE, checkInteger(object, 'table', spec.table, 1, 0xffffffff));
  }
  if (action === 'goto') {
    if (spec.goto === undefined) throw new ValueError(object, 'goto', undefined, 'the priority of a rule');
    writer.u32(FRA_GOTO, checkInteger(object, 'goto', spec.goto, 0, 0xffffffff));
  }
  if (spec.from !== undefined) {
    const { address, length } = match(object, 'from', spec.from, spec.family);
    writer.bytes[at + 2] = length;
    writer.raw(FRA_SRC, address);
  }
  if (spec.to !== undefined) {
    const { address, length } = match(object, 'to', spec.to, spec.family);
    writer.bytes[at + 1] = length;
    writer.raw(FRA_DST, address);
  }
  if (spec.mark !== undefined) {
    writer.u32(FRA_FWMARK, checkInteger(object, 'mark', spec.mark, 0, 0xffffffff));
    writer.u32(FRA_FWMASK, checkInteger(object, 'markMask', spec.markMask ?? 0xffffffff, 1, 0xffffffff));
  }
  if (spec.incomingLink !== undefined) {
    writer.string(FRA_IIFNAME, interfaceName(object, 'incomingLink', spec.incomingLink));
  }
  if (spec.outgoingLink !== undefined) {
    writer.string(FRA_OIFNAME, interfaceName(object, 'outgoingLink', spec.outgoingLink));
  }
  if (spec.suppressPrefixLength !== undefined) {
    const most = spec.family === 4 ? 32 : 128;
    writer.u32(
      FRA_SUPPRESS_PREFIXLEN,
      checkInteger(object, 'suppressPrefixLength', spec.suppressPrefixLength, 0, most),
    );
  }
}

/** A prefix to match. The kernel does not keep one of length 0, which matches all: such a rule would read back without. */
function match(object: string, field: string, text: string, family: IpFamily): Prefix {
  const prefix = prefixOf(object, field, text, family);
  if (prefix.length > 0) return prefix;
  throw new ValueError(object, field, text, 'a prefix longer than /0, or none for all packets');
}
