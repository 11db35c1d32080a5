import { type DataTypeName, dataType } from './datatype.ts';
import { byKey, normaliseElements } from './elements.ts';
import type { Comparison } from './expression/cmp.ts';
import type { DynsetOperation } from './expression/dynset.ts';
import type { Expression } from './expression/expression.ts';
import type { LimitExpression } from './expression/limit.ts';
import type { LogExpression } from './expression/log.ts';
import type { NatFlags } from './expression/nat.ts';
import type { QuotaExpression } from './expression/quota.ts';
import { ICMPX, type RejectExpression } from './expression/reject.ts';
import type { StatefulExpression } from './expression/stateful.ts';
import { checksumOf, type Field, type Load, MAXSEG, meta, rt } from './field.ts';
import { type Hex, numberOf, prefixMask } from './hex.ts';
import { parseData, parseElement, parseInterval } from './key.ts';
import {
  ACCEPT,
  type AnonymousSet,
  CONTINUE,
  DROP,
  type Element,
  type Family,
  goTo,
  jump,
  type ObjectKind,
  RETURN,
  type Rule,
  type SetDefinition,
  type SetShape,
  type Verdict,
} from './model.ts';
import { inHostOrder, isNumberRange, operand, wholePrefix, width } from './operand.ts';
import { type Register, Registers, registerWords } from './register.ts';
import { parseValue, type Value } from './value.ts';

/** What becomes of a value on its way: bits are cleared (those not in `mask`) and turned (`xor`), or all shifted. */
export type Change =
  | { readonly mask: Value; readonly xor: Value }
  | { readonly shift: '<<' | '>>'; readonly by: number };

/** One field, or several for a concatenation. */
export type Fields = Field | readonly Field[];
/** What an element gets that a packet adds. */
export interface NewElement {
  /** In ms; the set's own when absent. */
  readonly timeout?: number;
  readonly state?: readonly StatefulExpression[];
}

/** A set of the table, by name or definition, or the keys of one that belongs to the rule. */
export type Keys = string | SetDefinition | readonly string[];
/** A map of the table, by name or definition, or the entries of one that belongs to the rule. */
export type Entries<To> = string | SetDefinition | readonly (readonly [key: string, to: To])[];

/**
 * Writes a rule statement by statement, in the order and with the expressions that nft would use, so that nft prints
 * it as it was meant. What a field needs is asked first (`meta nfproto ipv4` ahead of `ip saddr` in an inet table).
 *
 *     const rule = new RuleBuilder('inet', 'forward')
 *       .match(meta.iifname, '==', 'eth*')
 *       .vmap([ip.daddr, meta.l4proto, th.dport], 'verdicts')
 *       .rule();
 *
 * A set whose keys are intervals of numbers in host order (marks) must be given by its definition, not by its name.
 * Methods throw RangeError for a value that its field can not have.
 */
export class RuleBuilder {
  readonly #chain: string;
  readonly #expressions: Expression[] = [];
  #comment: string | undefined;
  /** What the packet is known to be at this point of the rule. */
  #nfproto: 'ipv4' | 'ipv6' | undefined;
  #l4proto: number | undefined;

  constructor(family: Family, chain: string) {
    this.#chain = chain;
    this.#nfproto = family === 'ip' ? 'ipv4' : family === 'ip6' ? 'ipv6' : undefined;
  }

  /** The rule so far. */
  rule(): Rule {
    const rule = { chain: this.#chain, expressions: [...this.#expressions] };
    return this.#comment === undefined ? rule : { ...rule, comment: this.#comment };
  }

  comment(text: string): this {
    this.#comment = text;
    return this;
  }

  /** Adds expressions as they are. */
  expression(...expressions: readonly Expression[]): this {
    this.#expressions.push(...expressions);
    return this;
  }

  /** Compares a field with a value, a prefix (`10.0.0.0/8`), a range (`80-90`) or the beginning of a name (`eth*`). */
  match(field: Field, op: Comparison, value: Value): this {
    this.#need(field);
    // Numbers compare byte by byte: for less and more they have to be in network order.
    const ordered = inHostOrder(field) && ((op !== '==' && op !== '!=') || isNumberRange(value));
    const { key, end } = operand(field, value, ordered);
    const bits = end === undefined ? undefined : wholePrefix(field, key, end);
    const bytes = bits !== undefined && bits % 8 === 0 && bits > 0 ? bits / 8 : width(field);
    const from = this.#load(field, new Registers(), bytes);
    if (ordered) this.#toNetworkOrder(from, bytes);
    if (end === undefined || bytes < width(field)) {
      this.expression({ kind: 'cmp', from, op, value: key.slice(0, bytes * 2) });
    } else if (bits !== undefined) {
      this.#mask(from, prefixMask(bits, bytes)).expression({ kind: 'cmp', from, op, value: key });
    } else if (op === '!=') {
      this.expression({ kind: 'range', from, op, first: key, last: end });
    } else if (op === '==') {
      this.expression(
        { kind: 'cmp', from, op: '>=', value: key },
        { kind: 'cmp', from, op: '<=', value: end },
      );
    } else {
      throw new RangeError(`${field.name} ${op} ${value}: found an interval, expected a single value`);
    }
    if (op === '==' && end === undefined) this.#learn(field, key);
    return this;
  }

  /** Goes on when a field has any of some flags: `has(ct.state, 'established,related')`. */
  has(field: Field, flags: Value): this {
    this.#need(field);
    const from = this.#load(field, new Registers());
    const mask = parseValue(field.type, flags);
    return this.#mask(from, mask).expression({ kind: 'cmp', from, op: '!=', value: '0'.repeat(mask.length) });
  }

  /** Compares some bits of a field: `field & mask == value`. */
  masked(field: Field, mask: Value, op: '==' | '!=', value: Value): this {
    this.#need(field);
    const from = this.#load(field, new Registers());
    this.#mask(from, operand(field, mask).key);
    return this.expression({ kind: 'cmp', from, op, value: operand(field, value).key });
  }

  /** Goes on when the fields are in a set. */
  in(fields: Fields, set: Keys): this {
    return this.#lookup(fields, this.#setOf(fields, set), {});
  }

  /** Goes on when the fields are not in a set. */
  notIn(fields: Fields, set: Keys): this {
    return this.#lookup(fields, this.#setOf(fields, set), { inverted: true });
  }

  /** Takes the verdict that a map has for the fields; goes on when it has none. */
  vmap(fields: Fields, map: Entries<Verdict>): this {
    return this.#lookup(fields, this.#mapOf(fields, map, 'verdict'), { to: 'verdict' });
  }

  /** Gives a field a value: `set(meta.mark, 1)`, `set(ip.daddr, '10.0.0.1')`. */
  set(field: Field, value: Value): this {
    this.#need(field);
    const { key } = operand(field, value);
    const { load } = field;
    if (load.kind === 'payload' && load.length === 1 && checksumOf(field).checksum) {
      return this.#setByte(field, load, key);
    }
    this.expression({ kind: 'immediate', to: 0, value: key });
    return this.#store(field, 0);
  }

  /** Gives a field the value of another, changed or not. */
  copy(field: Field, from: Field, change?: Change): this {
    this.#need(from);
    const register = this.#load(from, new Registers());
    if (change && 'mask' in change) {
      this.#mask(register, operand(from, change.mask).key, operand(from, change.xor).key);
    } else if (change) {
      const { shift: op, by: bits } = change;
      this.expression({ kind: 'shift', from: register, to: register, length: width(from), op, bits });
    }
    return this.#store(field, register);
  }

  /** Gives a field the value that a map has for other fields; the rule ends when it has none. */
  setFromMap(field: Field, fields: Fields, map: Entries<Value>): this {
    this.#lookup(fields, this.#mapOf(fields, map, [field.type]), { to: 0 });
    return this.#store(field, 0);
  }

  accept(): this {
    return this.verdict(ACCEPT);
  }

  drop(): this {
    return this.verdict(DROP);
  }

  continue(): this {
    return this.verdict(CONTINUE);
  }

  return(): this {
    return this.verdict(RETURN);
  }

  jump(chain: string): this {
    return this.verdict(jump(chain));
  }

  goto(chain: string): this {
    return this.verdict(goTo(chain));
  }

  verdict(verdict: Verdict): this {
    return this.expression({ kind: 'verdict', verdict });
  }

  /** Drops the packet and tells its sender; "port unreachable" unless told. */
  reject(how: Omit<RejectExpression, 'kind'> = { with: 'icmpx', code: ICMPX.portUnreachable }): this {
    if (how.with === 'tcp reset') this.#needL4proto(6);
    return this.expression({ kind: 'reject', ...how });
  }

  counter(packets = 0, bytes = 0): this {
    return this.expression({ kind: 'counter', packets, bytes });
  }

  limit(limit: Omit<LimitExpression, 'kind'>): this {
    return this.expression({ kind: 'limit', ...limit });
  }

  quota(quota: Omit<QuotaExpression, 'kind'>): this {
    return this.expression({ kind: 'quota', ...quota });
  }

  log(log: Omit<LogExpression, 'kind'> = {}): this {
    return this.expression({ kind: 'log', ...log });
  }

  notrack(): this {
    return this.expression({ kind: 'notrack' });
  }

  /** Counts on, or is held to, a named counter, quota or limit. */
  object(type: ObjectKind, name: string): this {
    return this.expression({ kind: 'objref', type, name });
  }

  /** The same, with the object that a map has for the fields. */
  objectFromMap(fields: Fields, map: string): this {
    const from = this.#loadAll(fields, undefined);
    return this.expression({ kind: 'objref map', from, map });
  }

  /** Adds the fields to a set, or starts the timeout of what is there over (`update`). */
  toSet(op: DynsetOperation, set: string, fields: Fields, options: NewElement = {}): this {
    const key = this.#loadAll(fields, undefined);
    return this.expression({ kind: 'dynset', op, set, key, ...options });
  }

  /** The same for a map, with what the fields lead to: a field. */
  toMap(op: DynsetOperation, map: string, fields: Fields, to: Field, options: NewElement = {}): this {
    this.#need(to);
    const registers = new Registers();
    const key = this.#loadAll(fields, undefined, registers);
    registers.align();
    const value = this.#load(to, registers);
    return this.expression({ kind: 'dynset', op, set: map, key, value, ...options });
  }

  /** Gives the connection the address that it leaves by, and a port out of `ports` (`1024-65535`) if there are any. */
  masquerade(flags: NatFlags = {}, ports?: Value): this {
    return this.expression({ kind: 'masquerade', ...this.#ports(ports, new Registers()), ...flags });
  }

  /** Sends the connection to this machine, to a port out of `ports` (8080) if there are any. */
  redirect(ports?: Value, flags: NatFlags = {}): this {
    return this.expression({ kind: 'redirect', ...this.#ports(ports, new Registers()), ...flags });
  }

  /** Gives the connection another source: an address (`10.0.0.1`) or range, and a port (80) or range (`80-90`). */
  snat(to: string, port?: Value, flags: NatFlags = {}): this {
    return this.#nat('snat', to, port, flags);
  }

  /** Gives the connection another destination. */
  dnat(to: string, port?: Value, flags: NatFlags = {}): this {
    return this.#nat('dnat', to, port, flags);
  }

  /** Gives the connection the destination that a map has for the fields: an address, or an address and a port. */
  dnatFromMap(
    family: 'ip' | 'ip6',
    fields: Fields,
    map: Entries<Value>,
    value: readonly DataTypeName[] = [family === 'ip' ? 'ipv4_addr' : 'ipv6_addr'],
  ): this {
    this.#lookup(fields, this.#mapOf(fields, map, value), { to: 0 });
    const port = registerWords(dataType(value[0]!).bytes);
    return this.expression({
      kind: 'nat',
      type: 'dnat',
      family,
      address: 0,
      ...(value.length > 1 ? { port } : {}),
    });
  }

  /** Lowers the segment size of a TCP connection's SYN to what its route takes. */
  clampMss(): this {
    const from = this.#load(rt('mtu'), new Registers());
    this.#toNetworkOrder(from, 2);
    return this.expression({ kind: 'exthdr set', ...MAXSEG, from });
  }

  #nat(type: 'snat' | 'dnat', to: string, ports: Value | undefined, flags: NatFlags): this {
    const isIp6 = to.includes(':');
    const range = parseInterval(isIp6 ? 'ipv6_addr' : 'ipv4_addr', to);
    const registers = new Registers();
    const address = this.#constant(range.key, registers);
    const addressEnd = range.end === undefined ? {} : { addressEnd: this.#constant(range.end, registers) };
    const family = isIp6 ? 'ip6' : 'ip';
    const places = { address, ...addressEnd, ...this.#ports(ports, registers) };
    return this.expression({ kind: 'nat', type, family, ...places, ...flags });
  }

  /** Puts a port, or the first and the last of a range, into registers. */
  #ports(ports: Value | undefined, registers: Registers): { port?: Register; portEnd?: Register } {
    if (ports === undefined) return {};
    const { key, end } = parseInterval('inet_service', ports);
    const port = this.#constant(key, registers);
    return end === undefined ? { port } : { port, portEnd: this.#constant(end, registers) };
  }

  /** Puts a value at the start of the next 16-byte register, as nft does for each value of a translation. */
  #constant(value: Hex, registers: Registers): Register {
    registers.align();
    const to = registers.take(value.length / 2);
    this.expression({ kind: 'immediate', to, value });
    return to;
  }

  #lookup(
    fields: Fields,
    set: string | SetDefinition | AnonymousSet,
    how: { readonly to?: Register | 'verdict'; readonly inverted?: boolean },
  ): this {
    const from = this.#loadAll(fields, typeof set === 'string' ? undefined : set);
    const named = typeof set === 'object' && 'name' in set;
    return this.expression({ kind: 'lookup', set: named ? set.name : set, from, ...how });
  }

  #setOf(fields: Fields, set: Keys): string | SetDefinition | AnonymousSet {
    if (typeof set === 'string' || 'name' in set) return set;
    return anonymous({ key: types(fields) }, set, (shape, text) => parseElement(shape, text));
  }

  #mapOf<To extends Value | Verdict>(
    fields: Fields,
    map: Entries<To>,
    value: 'verdict' | readonly DataTypeName[],
  ): string | SetDefinition | AnonymousSet {
    if (typeof map === 'string' || 'name' in map) return map;
    return anonymous({ key: types(fields), value }, map, (shape, [text, to]) => {
      const data: Value | Verdict = to;
      if (typeof data === 'object') return parseElement(shape, text, data);
      return { ...parseElement(shape, text), value: parseData(shape, data) };
    });
  }

  /** Loads fields side by side from the first register on, and returns it. */
  #loadAll(fields: Fields, set: SetShape | undefined, registers = new Registers()): Register {
    const list = listOf(fields);
    for (const field of list) this.#need(field);
    for (const field of list) {
      const register = this.#load(field, registers);
      if (set?.interval && inHostOrder(field)) this.#toNetworkOrder(register, width(field));
    }
    return 0;
  }

  /** Loads a field, or only its first bytes. */
  #load(field: Field, registers: Registers, bytes = width(field)): Register {
    const { load } = field;
    const to = registers.take(bytes);
    if (load.kind === 'jhash') this.#hash(load, to, registers);
    else if (load.kind === 'payload') this.expression({ ...load, length: bytes, to });
    else this.expression({ ...load, to } as Expression);
    return to;
  }

  #hash(load: Extract<Load, { kind: 'jhash' }>, to: Register, registers: Registers): void {
    const { of, ...rest } = load;
    registers.align();
    const parts = of.map((field) => ({ bytes: width(field), register: this.#load(field, registers) }));
    const first = parts[0];
    const last = parts.at(-1);
    if (!first || !last) throw new RangeError('jhash: found no fields, expected at least one');
    // Of a concatenation the padding is hashed too.
    const bytes = parts.length > 1 ? registerWords(last.bytes) * 4 : last.bytes;
    const length = (last.register - first.register) * 4 + bytes;
    this.expression({ ...rest, from: first.register, length, to });
  }

  #toNetworkOrder(register: Register, bytes: number): void {
    this.expression({
      kind: 'byteorder',
      from: register,
      to: register,
      op: 'hton',
      length: bytes,
      size: bytes,
    });
  }

  #store(field: Field, from: Register): this {
    const { load } = field;
    if (load.kind === 'meta') return this.expression({ kind: 'meta set', key: load.key, from });
    if (load.kind === 'ct') return this.expression({ ...load, kind: 'ct set', from });
    if (load.kind === 'exthdr') {
      const { present: _present, ...place } = load;
      return this.expression({ ...place, kind: 'exthdr set', from });
    }
    if (load.kind === 'payload') {
      // The transport's checksum covers the addresses too.
      const address = field.type === 'ipv4_addr' || field.type === 'ipv6_addr';
      const more = address ? { pseudoHeader: true } : {};
      return this.expression({ ...load, kind: 'payload set', from, ...checksumOf(field), ...more });
    }
    throw new RangeError(`${field.name}: found a field that can not be set`);
  }

  /** Checksums are over pairs of bytes: writes the pair that a byte is in, with the other one as it was. */
  #setByte(field: Field, load: Extract<Load, { kind: 'payload' }>, value: Hex): this {
    const pair = { base: load.base, offset: load.offset & ~1, length: 2 } as const;
    const first = load.offset === pair.offset;
    this.expression(
      { kind: 'payload', ...pair, to: 0 },
      {
        kind: 'bitwise',
        from: 0,
        to: 0,
        mask: first ? '00ff' : 'ff00',
        xor: first ? `${value}00` : `00${value}`,
      },
    );
    return this.expression({ kind: 'payload set', ...pair, from: 0, ...checksumOf(field) });
  }

  #mask(register: Register, mask: Hex, xor: Hex = '0'.repeat(mask.length)): this {
    return this.expression({ kind: 'bitwise', from: register, to: register, mask, xor });
  }

  #need(field: Field): void {
    if (field.nfproto) this.#needNfproto(field.nfproto);
    if (field.l4proto !== undefined) this.#needL4proto(field.l4proto);
    if (field.load.kind === 'jhash') for (const part of field.load.of) this.#need(part);
  }

  #needNfproto(nfproto: 'ipv4' | 'ipv6'): void {
    if (this.#nfproto === nfproto) return;
    if (this.#nfproto) throw new RangeError(`found a match for ${nfproto} in a rule for ${this.#nfproto}`);
    this.match(meta.nfproto, '==', nfproto);
  }

  #needL4proto(l4proto: number): void {
    if (this.#l4proto === l4proto) return;
    if (this.#l4proto !== undefined) {
      throw new RangeError(`found a match for protocol ${l4proto} in a rule for ${this.#l4proto}`);
    }
    this.match(meta.l4proto, '==', l4proto);
  }

  #learn(field: Field, key: Hex): void {
    // What is known of the connection is not yet known of the packet.
    if (field.load.kind === 'ct') return;
    if (field.type === 'nf_proto') this.#nfproto = numberOf(key) === 2 ? 'ipv4' : 'ipv6';
    if (field.type === 'inet_proto') this.#l4proto = numberOf(key);
  }
}

function types(fields: Fields): DataTypeName[] {
  return listOf(fields).map((field) => field.type);
}

function listOf(fields: Fields): readonly Field[] {
  return 'name' in fields ? [fields] : fields;
}

/** A set of the rule's own; it has intervals when any of its elements is one. */
function anonymous<T>(
  shape: SetShape,
  list: readonly T[],
  parse: (shape: SetShape, entry: T) => Element,
): AnonymousSet {
  const trial = list.map((entry) => parse({ ...shape, interval: true }, entry));
  const whole = trial.some((element) => element.end !== undefined) ? { ...shape, interval: true } : shape;
  const elements = list.map((entry) => parse(whole, entry));
  return { ...whole, elements: [...normaliseElements(whole, elements)].sort(byKey) };
}
