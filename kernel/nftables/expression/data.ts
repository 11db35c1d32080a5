import { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Hex, hexFrom, writeHex } from '../hex.ts';
import type { Verdict } from '../model.ts';

// enum nft_data_attributes, nft_verdict_attributes
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

/** NFT_DATA_VALUE_MAXLEN */
const MAX_BYTES = 64;

const codes = new Enumeration<Verdict['verdict']>('verdict', {
  drop: 0,
  accept: 1,
  continue: -1,
  break: -2,
  jump: -3,
  goto: -4,
  return: -5,
});

const scratch = new Uint8Array(MAX_BYTES);
const data = new Attributes(NFTA_DATA_VERDICT);
const verdict = new Attributes(NFTA_VERDICT_CHAIN);

/** Writes a value inside an attribute of `type`. */
export function putValue(writer: MessageWriter, type: number, value: Hex): void {
  const outer = writer.nest(type);
  writer.raw(NFTA_DATA_VALUE, scratch, 0, writeHex(value, scratch));
  writer.nestEnd(outer);
}

/** Writes a verdict inside an attribute of `type`. */
export function putVerdict(writer: MessageWriter, type: number, value: Verdict): void {
  const outer = writer.nest(type);
  const inner = writer.nest(NFTA_DATA_VERDICT);
  writer.be32(NFTA_VERDICT_CODE, codes.number(value.verdict));
  if ('chain' in value) writer.string(NFTA_VERDICT_CHAIN, value.chain);
  writer.nestEnd(inner);
  writer.nestEnd(outer);
}

/** Writes what an element leads to or an immediate holds. */
export function putData(writer: MessageWriter, type: number, value: Hex | Verdict): void {
  if (typeof value === 'string') putValue(writer, type, value);
  else putVerdict(writer, type, value);
}

/** Reads the value nested in attribute `type` of `outer`. */
export function takeValue(outer: Attributes, type: number): Hex {
  outer.size(type);
  data.parseNested(outer, type);
  const at = data.offset(NFTA_DATA_VALUE);
  return hexFrom(data.bytes, at, at + data.size(NFTA_DATA_VALUE));
}

/** Reads the value or verdict nested in attribute `type` of `outer`. */
export function takeData(outer: Attributes, type: number): Hex | Verdict {
  outer.size(type);
  data.parseNested(outer, type);
  if (!data.has(NFTA_DATA_VERDICT)) return takeValue(outer, type);
  verdict.parseNested(data, NFTA_DATA_VERDICT);
  const name = codes.name(verdict.be32(NFTA_VERDICT_CODE) | 0);
  if (name === 'jump' || name === 'goto') return { verdict: name, chain: verdict.string(NFTA_VERDICT_CHAIN) };
  return { verdict: name };
}
