import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';

// enum nft_counter_attributes
const BYTES = 1;
const PACKETS = 2;

/** Counts packets and bytes. The numbers are those it starts from, and in a dump those it has come to. */
export interface CounterExpression {
  readonly kind: 'counter';
  readonly packets: number;
  readonly bytes: number;
}

/** Like nft leaves out the zeros that the kernel starts from, but not in an object. */
export function encodeCounter(writer: MessageWriter, expression: CounterExpression, isObject: boolean): void {
  if (expression.bytes === 0 && expression.packets === 0 && !isObject) return;
  writer.be64(BYTES, BigInt(expression.bytes));
  writer.be64(PACKETS, BigInt(expression.packets));
}

export function decodeCounter(attributes: Attributes): CounterExpression {
  return {
    kind: 'counter',
    packets: Number(attributes.be64(PACKETS)),
    bytes: Number(attributes.be64(BYTES)),
  };
}
