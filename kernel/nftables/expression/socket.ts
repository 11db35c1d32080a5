import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_socket_attributes
const KEY = 1;
const DREG = 2;
const LEVEL = 3;

export type SocketKey = 'transparent' | 'mark' | 'wildcard' | 'cgroupv2';
/** enum nft_socket_keys */
export const socketKeys = new Enumeration<SocketKey>('socket', [
  'transparent',
  'mark',
  'wildcard',
  'cgroupv2',
]);

/** Loads what the socket that the packet is for has set; the rule ends when there is none. */
export interface SocketExpression {
  readonly kind: 'socket';
  readonly key: SocketKey;
  /** How far up the control group is taken, for `cgroupv2`. */
  readonly level?: number;
  readonly to: Register;
}

export function encodeSocket(writer: MessageWriter, expression: SocketExpression): void {
  writer.be32(KEY, socketKeys.number(expression.key));
  writer.be32(DREG, registerNumber(expression.to));
  writer.be32(LEVEL, expression.level ?? 0);
}

export function decodeSocket(attributes: Attributes): SocketExpression {
  const level = attributes.be32(LEVEL, 0);
  return {
    kind: 'socket',
    key: socketKeys.name(attributes.be32(KEY)),
    ...(level > 0 ? { level } : {}),
    to: registerFrom(attributes.be32(DREG)),
  };
}
