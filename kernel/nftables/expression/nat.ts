import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { families } from '../model.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_nat_attributes
const TYPE = 1;
const FAMILY = 2;
const REG_ADDR_MIN = 3;
const REG_ADDR_MAX = 4;
const REG_PROTO_MIN = 5;
const REG_PROTO_MAX = 6;
const FLAGS = 7;

// linux/netfilter/nf_nat.h
const NF_NAT_RANGE_PROTO_SPECIFIED = 0x02;
const NF_NAT_RANGE_PROTO_RANDOM = 0x04;
const NF_NAT_RANGE_PERSISTENT = 0x08;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;
const NF_NAT_RANGE_NETMAP = 0x40;

/** enum nft_nat_types */
const types = new Enumeration<'snat' | 'dnat'>('nat type', ['snat', 'dnat']);

/** How a port, or an address out of several, is chosen. */
export interface NatFlags {
  /** A random port. */
  readonly random?: boolean;
  /** A random port, with no regard to the source. */
  readonly fullyRandom?: boolean;
  /** A client gets the same address for each of its connections. */
  readonly persistent?: boolean;
}

/** Gives the connection a new source or destination. */
export interface NatExpression extends NatFlags {
  readonly kind: 'nat';
  readonly type: 'snat' | 'dnat';
  readonly family: 'ip' | 'ip6';
  /** Registers that hold the address, or the first and the last of a range. */
  readonly address?: Register;
  readonly addressEnd?: Register;
  /** Registers that hold the port, or the first and the last of a range. */
  readonly port?: Register;
  readonly portEnd?: Register;
  /** One network is laid over another: only the bits of the range change. */
  readonly netmap?: boolean;
}

export function encodeNat(writer: MessageWriter, e: NatExpression): void {
  writer.be32(TYPE, types.number(e.type));
  writer.be32(FAMILY, families.number(e.family));
  if (e.address !== undefined) writer.be32(REG_ADDR_MIN, registerNumber(e.address));
  if (e.addressEnd !== undefined) writer.be32(REG_ADDR_MAX, registerNumber(e.addressEnd));
  if (e.port !== undefined) writer.be32(REG_PROTO_MIN, registerNumber(e.port));
  if (e.portEnd !== undefined) writer.be32(REG_PROTO_MAX, registerNumber(e.portEnd));
  const flags = natFlags(e, e.port) | (e.netmap ? NF_NAT_RANGE_NETMAP : 0);
  if (flags) writer.be32(FLAGS, flags);
}

export function decodeNat(attributes: Attributes): NatExpression {
  const register = (type: number): Register | undefined =>
    attributes.has(type) ? registerFrom(attributes.be32(type)) : undefined;
  const address = register(REG_ADDR_MIN);
  const addressEnd = register(REG_ADDR_MAX);
  const port = register(REG_PROTO_MIN);
  const portEnd = register(REG_PROTO_MAX);
  const flags = attributes.be32(FLAGS, 0);
  const family = families.name(attributes.be32(FAMILY));
  if (family !== 'ip' && family !== 'ip6') throw new RangeError(`nat: found family ${family}`);
  return {
    kind: 'nat',
    type: types.name(attributes.be32(TYPE)),
    family,
    ...(address === undefined ? {} : { address }),
    // The kernel repeats the first register when a range was not asked for.
    ...(addressEnd === undefined || addressEnd === address ? {} : { addressEnd }),
    ...(port === undefined ? {} : { port }),
    ...(portEnd === undefined || portEnd === port ? {} : { portEnd }),
    ...natFlagsFrom(flags),
    ...(flags & NF_NAT_RANGE_NETMAP ? { netmap: true } : {}),
  };
}

/** NFTA_NAT_FLAGS, NFTA_MASQ_FLAGS, NFTA_REDIR_FLAGS. */
export function natFlags(flags: NatFlags, port: Register | undefined): number {
  return (
    (port === undefined ? 0 : NF_NAT_RANGE_PROTO_SPECIFIED) |
    (flags.random ? NF_NAT_RANGE_PROTO_RANDOM : 0) |
    (flags.fullyRandom ? NF_NAT_RANGE_PROTO_RANDOM_FULLY : 0) |
    (flags.persistent ? NF_NAT_RANGE_PERSISTENT : 0)
  );
}

export function natFlagsFrom(bits: number): NatFlags {
  return {
    ...(bits & NF_NAT_RANGE_PROTO_RANDOM ? { random: true } : {}),
    ...(bits & NF_NAT_RANGE_PROTO_RANDOM_FULLY ? { fullyRandom: true } : {}),
    ...(bits & NF_NAT_RANGE_PERSISTENT ? { persistent: true } : {}),
  };
}
