import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { type NatFlags, natFlags, natFlagsFrom } from './nat.ts';

// enum nft_redir_attributes
const REG_PROTO_MIN = 1;
const REG_PROTO_MAX = 2;
const FLAGS = 3;

/** Gives the connection the address of the interface it came in by as its destination: to this machine. */
export interface RedirectExpression extends NatFlags {
  readonly kind: 'redirect';
  /** Registers that hold the port, or the first and the last of a range. */
  readonly port?: Register;
  readonly portEnd?: Register;
}

export function encodeRedirect(writer: MessageWriter, e: RedirectExpression): void {
  if (e.port !== undefined) writer.be32(REG_PROTO_MIN, registerNumber(e.port));
  if (e.portEnd !== undefined) writer.be32(REG_PROTO_MAX, registerNumber(e.portEnd));
  const flags = natFlags(e, e.port);
  if (flags) writer.be32(FLAGS, flags);
}

export function decodeRedirect(attributes: Attributes): RedirectExpression {
  const port = attributes.has(REG_PROTO_MIN) ? registerFrom(attributes.be32(REG_PROTO_MIN)) : undefined;
  const portEnd = attributes.has(REG_PROTO_MAX) ? registerFrom(attributes.be32(REG_PROTO_MAX)) : undefined;
  return {
    kind: 'redirect',
    ...(port === undefined ? {} : { port }),
    ...(portEnd === undefined || portEnd === port ? {} : { portEnd }),
    ...natFlagsFrom(attributes.be32(FLAGS, 0)),
  };
}
