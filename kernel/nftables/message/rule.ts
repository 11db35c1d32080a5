import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { putExpression, type SetNames, takeExpressions } from '../expression/expression.ts';
import { NFTA_LIST_ELEM } from '../expression/frame.ts';
import type { Rule, TableRef } from '../model.ts';
import { putComment, takeComment } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_rule_attributes
const TABLE = 1;
const CHAIN = 2;
const HANDLE = 3;
export const NFTA_RULE_EXPRESSIONS = 4;
const POSITION = 6;
const USERDATA = 7;

/** Where a rule goes, by the handle of another. */
export interface RulePlace {
  /** The rule that it takes the place of. */
  readonly handle?: number | undefined;
  /** The rule that it comes before or after, by the message's flags. */
  readonly position?: number | undefined;
}

/** Writes the attributes of a new or changed rule. */
export function putRule(
  writer: MessageWriter,
  table: TableRef,
  rule: Rule,
  place: RulePlace,
  sets: SetNames,
): void {
  writer.string(TABLE, table.name);
  writer.string(CHAIN, rule.chain);
  if (place.handle !== undefined) writer.be64(HANDLE, BigInt(place.handle));
  if (place.position !== undefined) writer.be64(POSITION, BigInt(place.position));
  const list = writer.nest(NFTA_RULE_EXPRESSIONS);
  for (const e of rule.expressions) putExpression(writer, NFTA_LIST_ELEM, e, sets);
  writer.nestEnd(list);
  putComment(writer, USERDATA, rule.comment);
}

/** Names a rule, or all rules of a chain, or of a table, in a request about them. */
export function putRuleRef(writer: MessageWriter, table: TableRef, chain?: string, handle?: number): void {
  writer.string(TABLE, table.name);
  if (chain !== undefined) writer.string(CHAIN, chain);
  if (handle !== undefined) writer.be64(HANDLE, BigInt(handle));
}

/**
 * A set without a name is still called by the one that the kernel gave it (`__set0`).
 *
 * @throws DecodeError
 */
export function takeRule(message: Message): { table: TableRef; rule: Rule; handle: number } {
  return decode('rule', USERDATA, message, (attributes, family) => ({
    table: { family, name: attributes.string(TABLE) },
    rule: {
      chain: attributes.string(CHAIN),
      expressions: takeExpressions(attributes, NFTA_RULE_EXPRESSIONS),
      ...takeComment(attributes, USERDATA),
    },
    handle: Number(attributes.be64(HANDLE, 0n)),
  }));
}
