import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { type NatFlags, natFlags, natFlagsFrom } from './nat.ts';

// enum nft_masq_attributes
const FLAGS = 1;
const REG_PROTO_MIN = 2;
const REG_PROTO_MAX = 3;

/** Gives the connection the address of the interface it leaves by. */
export interface MasqueradeExpression extends NatFlags {
  readonly kind: 'masquerade';
  /** Registers that hold the port, or the first and the last of a range. */
  readonly port?: Register;
  readonly portEnd?: Register;
}

export function encodeMasquerade(writer: MessageWriter, e: MasqueradeExpression): void {
  const flags = natFlags(e, e.port);
  if (flags) writer.be32(FLAGS, flags);
  if (e.port !== undefined) writer.be32(REG_PROTO_MIN, registerNumber(e.port));
  if (e.portEnd !== undefined) writer.be32(REG_PROTO_MAX, registerNumber(e.portEnd));
}

export function decodeMasquerade(attributes: Attributes): MasqueradeExpression {
  const port = attributes.has(REG_PROTO_MIN) ? registerFrom(attributes.be32(REG_PROTO_MIN)) : undefined;
  const portEnd = attributes.has(REG_PROTO_MAX) ? registerFrom(attributes.be32(REG_PROTO_MAX)) : undefined;
  return {
    kind: 'masquerade',
    ...(port === undefined ? {} : { port }),
    ...(portEnd === undefined || portEnd === port ? {} : { portEnd }),
    ...natFlagsFrom(attributes.be32(FLAGS, 0)),
  };
}
