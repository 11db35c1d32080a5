import { formatAddress } from '../ip.ts';
import { Attributes } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
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
} from './constants.ts';
import { addressStart, type IpFamily, ipFamily, Names, needHeader } from './value.ts';

/** A routing rule: which table is asked for which packets. Optional fields are absent where the rule does not look. */
export interface Rule {
  readonly family: IpFamily;
  /** Rules are asked in this order, the lowest first. */
  readonly priority: number;
  readonly action: RuleAction;
  /** For the action `table`. */
  readonly table?: number;
  /** For the action `goto`: priority of the rule to go on with. */
  readonly goto?: number;
  /** Packets from a source in this prefix. */
  readonly from?: string;
  /** Packets to a destination in this prefix. */
  readonly to?: string;
  /** Packets whose mark, after `markMask`, is this. */
  readonly mark?: number;
  /** Absent: all 32 bits. */
  readonly markMask?: number;
  /** Packets that came in by the interface of this name; `lo` for those of this host. */
  readonly incomingLink?: string;
  /** Packets of a socket that is bound to the interface of this name. */
  readonly outgoingLink?: string;
  /** Packets that do not match all this. */
  readonly inverted?: boolean;
  /** Routes of the table with a prefix of at most this length do not count: 0 leaves out the default route. */
  readonly suppressPrefixLength?: number;
  /** DSCP byte of IPv4, or traffic class of IPv6. */
  readonly tos?: number;
  /** Who set it (`ip rule show proto`), 0 to 255. */
  readonly protocol: number;
}

/** linux/fib_rules.h, FR_ACT_*. */
export type RuleAction = 'none' | 'table' | 'goto' | 'nop' | 'blackhole' | 'unreachable' | 'prohibit';

export const ruleActions: Names<RuleAction> = new Names({
  none: 0,
  table: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
});

const attributes = new Attributes(FRA_PROTOCOL);

/**
 * Reads an RTM_NEWRULE or RTM_DELRULE. Undefined for those of other families than IPv4 and IPv6.
 *
 * @throws RangeError for a message that is cut short
 */
export function readRule(message: Message): Rule | undefined {
  const { bytes, view, start, end } = message;
  needHeader('rule', end - start, FIB_RULE_HDR);
  const family = ipFamily(bytes[start]!);
  if (family === undefined) return undefined;
  attributes.parse(bytes, view, start + FIB_RULE_HDR, end);
  const rule: { -readonly [K in keyof Rule]: Rule[K] } = {
    family,
    priority: attributes.u32(FRA_PRIORITY, 0),
    action: ruleActions.name(bytes[start + 7]!) ?? 'none',
    protocol: attributes.u8(FRA_PROTOCOL, 0),
  };
  if (rule.action === 'table') rule.table = attributes.u32(FRA_TABLE, bytes[start + 4]!);
  if (attributes.has(FRA_GOTO)) rule.goto = attributes.u32(FRA_GOTO);
  if (attributes.has(FRA_SRC)) rule.from = prefix(FRA_SRC, family, bytes[start + 2]!);
  if (attributes.has(FRA_DST)) rule.to = prefix(FRA_DST, family, bytes[start + 1]!);
  const mask = attributes.u32(FRA_FWMASK, 0);
  if (mask !== 0) {
    rule.mark = attributes.u32(FRA_FWMARK, 0);
    if (mask !== 0xffffffff) rule.markMask = mask;
  }
  if (attributes.has(FRA_IIFNAME)) rule.incomingLink = attributes.string(FRA_IIFNAME);
  if (attributes.has(FRA_OIFNAME)) rule.outgoingLink = attributes.string(FRA_OIFNAME);
  if (view.getUint32(start + 8, true) & FIB_RULE_INVERT) rule.inverted = true;
  const suppress = attributes.i32(FRA_SUPPRESS_PREFIXLEN, -1);
  if (suppress >= 0) rule.suppressPrefixLength = suppress;
  if (bytes[start + 3] !== 0) rule.tos = bytes[start + 3]!;
  return rule;
}

function prefix(type: number, family: IpFamily, length: number): string {
  const at = addressStart(attributes, type, family);
  return `${formatAddress(attributes.bytes, at, family === 4 ? 4 : 16)}/${length}`;
}
