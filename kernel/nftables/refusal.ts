import type { Refusal } from '../netlink/error.ts';
import { Attributes, eachAttribute } from '../netlink/reader.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { NFGENMSG, NFT_MSG_DELSETELEM, NFT_MSG_NEWRULE, NFT_MSG_NEWSETELEM } from './constants.ts';
import { takeValue } from './expression/data.ts';
import { NFTA_EXPR_NAME } from './expression/frame.ts';
import type { Hex } from './hex.ts';
import { NFTA_SET_ELEM_LIST_ELEMENTS } from './message/element.ts';
import { NFTA_RULE_EXPRESSIONS } from './message/rule.ts';

const NLMSG_HEADER = 16;
/** NFTA_SET_ELEM_KEY */
const KEY = 1;

/** The part of a refused message that the kernel points at. */
export interface RefusedPart {
  /** ` element 0a000001`, or ` expression 3 (lookup)`; empty when it points at nothing, or at something else. */
  readonly text: string;
  /** Of an element. */
  readonly key?: Hex;
}

/**
 * Finds the part of a refused message that the kernel points at.
 *
 * @param start where the message starts in what was sent
 */
export function explainRefusal(writer: MessageWriter, start: number, refusal: Refusal): RefusedPart {
  if (!refusal.attribute) return { text: '' };
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
  let found: RefusedPart = { text: '' };
  eachAttribute(view, start + NLMSG_HEADER + NFGENMSG, end, (outer, from, to) => {
    if (outer !== list) return;
    let number = 0;
    eachAttribute(view, from, to, (_type, itemStart, itemEnd) => {
      number++;
      if (target < itemStart - 4 || target >= itemEnd) return;
      const item = new Attributes(KEY).parse(bytes, view, itemStart, itemEnd);
      if (type === NFT_MSG_NEWRULE) {
        found = { text: ` expression ${number} (${item.string(NFTA_EXPR_NAME, '?')})` };
      } else if (item.has(KEY)) {
        const key = takeValue(item, KEY);
        found = { text: ` element ${key}`, key };
      }
    });
  });
  return found;
}
