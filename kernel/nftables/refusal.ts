import type { Refusal } from '../netlink/error.ts';
import { Attributes, eachAttribute } from '../netlink/reader.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { NFGENMSG, NFT_MSG_DELSETELEM, NFT_MSG_NEWRULE, NFT_MSG_NEWSETELEM } from './constants.ts';
import { takeValue } from './expression/data.ts';
import { NFTA_EXPR_NAME } from './expression/frame.ts';
import { NFTA_SET_ELEM_LIST_ELEMENTS } from './message/element.ts';
import { NFTA_RULE_EXPRESSIONS } from './message/rule.ts';

const NLMSG_HEADER = 16;
/** NFTA_SET_ELEM_KEY */
const KEY = 1;

/**
 * Finds the part of a refused message that the kernel points at: ` element 0a000001`, or ` expression 3 (lookup)`.
 * Empty when it points at nothing, or at something else.
 *
 * @param start where the message starts in what was sent
 */
export function explainRefusal(writer: MessageWriter, start: number, refusal: Refusal): string {
  if (!refusal.attribute) return '';
  const { bytes, view } = writer;
  const type = view.getUint16(start + 4, true);
  const target = start + refusal.attribute.offset;
  const end = start + view.getUint32(start, true);
  const list =
    type === NFT_MSG_NEWRULE
      ? NFTA_RULE_EXPRESSIONS
      : type === NFT_MSG_NEWSETELEM || type === NFT_MSG_DELSETELEM
        ? NFTA_SET_ELEM_LIST_ELEMENTS
        : undefined;
  let found = '';
  eachAttribute(view, start + NLMSG_HEADER + NFGENMSG, end, (outer, from, to) => {
    if (outer !== list) return;
    let number = 0;
    eachAttribute(view, from, to, (_type, itemStart, itemEnd) => {
      number++;
      if (target < itemStart - 4 || target >= itemEnd) return;
      const item = new Attributes(KEY).parse(bytes, view, itemStart, itemEnd);
      if (type === NFT_MSG_NEWRULE) found = ` expression ${number} (${item.string(NFTA_EXPR_NAME, '?')})`;
      else if (item.has(KEY)) found = ` element ${takeValue(item, KEY)}`;
    });
  });
  return found;
}
