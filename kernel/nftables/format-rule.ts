import { type DataTypeName, typeBytes } from './datatype.ts';
import type { CmpExpression } from './expression/cmp.ts';
import type { Expression } from './expression/expression.ts';
import type { MasqueradeExpression } from './expression/masquerade.ts';
import type { NatExpression } from './expression/nat.ts';
import type { PayloadSetExpression } from './expression/payload.ts';
import type { RedirectExpression } from './expression/redirect.ts';
import { ICMPX, type RejectExpression } from './expression/reject.ts';
import type { Field } from './field.ts';
import * as fields from './field.ts';
import {
  comparedText,
  constantText,
  formatNumber,
  maskedText,
  type Operand,
  operandOf,
  valueText,
} from './format-operand.ts';
import { formatDuration, formatLog, formatStateful, natFlags, setText } from './format-statement.ts';
import { type Hex, not, numberOf, or } from './hex.ts';
import { formatInterval, formatVerdict } from './key.ts';
import type { AnonymousSet, Family, Rule } from './model.ts';
import { type Register, registerWords } from './register.ts';
import { formatValue } from './value.ts';

/**
 * A rule as text in nft's language, as `nft list ruleset` prints it: for tests, logs and people. It reads back the
 * expressions that {@link RuleBuilder} and nft write; what has no such reading is shown in angle brackets.
 */
export function formatRule(family: Family, rule: Rule): string {
  const printer = new Printer(family);
  for (let i = 0; i < rule.expressions.length; i++)
    i += printer.print(rule.expressions[i]!, rule.expressions[i + 1]);
  const text = printer.finish();
  return rule.comment === undefined ? text : `${text} comment "${rule.comment}"`.trimStart();
}

class Printer {
  readonly #family: Family;
  readonly #out: string[] = [];
  readonly #registers = new Map<Register, Operand>();
  #nfproto: 'ipv4' | 'ipv6' | undefined;
  #l4proto: number | undefined;
  /** Matches that are not printed when a later field implies them. */
  readonly #pending: { readonly what: 'nfproto' | 'l4proto'; readonly at: number }[] = [];

  constructor(family: Family) {
    this.#family = family;
    this.#nfproto = family === 'ip' ? 'ipv4' : family === 'ip6' ? 'ipv6' : undefined;
  }

  finish(): string {
    return this.#out.filter((text) => text !== '').join(' ');
  }

  /** Returns how many of the following expressions it took too. */
  print(e: Expression, next: Expression | undefined): number {
    try {
      return this.#print(e, next);
    } catch (error) {
      // A value that its field can not have.
      if (!(error instanceof RangeError)) throw error;
      this.#say(`<${e.kind}>`);
      return 0;
    }
  }

  #print(e: Expression, next: Expression | undefined): number {
    switch (e.kind) {
      case 'cmp':
        return this.#cmp(e, next);
      case 'meta':
      case 'payload':
      case 'ct':
      case 'fib':
      case 'exthdr':
      case 'socket':
      case 'rt':
      case 'numgen':
      case 'symhash':
      case 'jhash':
        this.#registers.set(e.to, this.#operand(e));
        return 0;
      case 'immediate':
        this.#registers.set(e.to, { text: e.value, value: e.value, bytes: e.value.length / 2 });
        return 0;
      case 'bitwise':
        this.#registers.set(e.to, { ...this.#at(e.from), mask: e.mask, xor: e.xor });
        return 0;
      case 'shift':
        this.#registers.set(e.to, { ...this.#at(e.from), shift: { op: e.op, bits: e.bits } });
        return 0;
      case 'byteorder':
        this.#registers.set(e.to, { ...this.#at(e.from), swapped: !this.#at(e.from).swapped });
        return 0;
      default:
        this.#say(this.#statement(e));
        return 0;
    }
  }

  #statement(e: Expression): string {
    switch (e.kind) {
      case 'verdict':
        return formatVerdict(e.verdict);
      case 'range': {
        const operand = this.#at(e.from);
        return `${operand.text} ${e.op === '!=' ? '!= ' : ''}${valueText(operand, e.first, e.last)}`;
      }
      case 'lookup':
        return this.#lookup(e);
      case 'objref':
        return `${e.type} name "${e.name}"`;
      case 'objref map':
        return `counter name ${this.#key(e.from, e.map)} map ${setText(e.map)}`;
      case 'dynset': {
        const timeout = e.timeout === undefined ? '' : ` timeout ${formatDuration(e.timeout)}`;
        const state = (e.state ?? []).map((s) => ` ${formatStateful(s)}`).join('');
        const value = e.value === undefined ? '' : ` : ${this.#at(e.value).text}`;
        return `${e.op} @${e.set} { ${this.#key(e.key, e.set, e.value)}${timeout}${state}${value} }`;
      }
      case 'meta set':
        return `${metaName(e.key)} set ${this.#source(e.from, metaName(e.key))}`;
      case 'ct set': {
        const name = e.direction ? `ct ${e.direction} ${e.key}` : `ct ${e.key}`;
        return `${name} set ${this.#source(e.from, name)}`;
      }
      case 'exthdr set': {
        const { value, text } = this.#at(e.from);
        return `${exthdrName(e)} set ${value === undefined ? text : numberOf(value)}`;
      }
      case 'payload set':
        return this.#payloadSet(e);
      case 'nat':
        return this.#nat(e);
      case 'masquerade':
      case 'redirect':
        return `${e.kind}${this.#ports(e)}${natFlags(e)}`;
      case 'reject':
        return this.#reject(e);
      case 'log':
        return formatLog(e);
      case 'counter':
      case 'limit':
      case 'quota':
      case 'last':
        return formatStateful(e);
      case 'notrack':
        return 'notrack';
      default:
        return `<${e.kind}>`;
    }
  }

  #cmp(e: CmpExpression, next: Expression | undefined): number {
    const operand = this.#at(e.from);
    if (e.op === '>=' && next?.kind === 'cmp' && next.op === '<=' && next.from === e.from) {
      this.#say(`${operand.text} ${valueText(operand, e.value, next.value)}`);
      return 1;
    }
    const op = e.op === '==' ? '' : `${e.op} `;
    this.#say(maskedText(operand, e) ?? `${operand.text} ${op}${comparedText(operand, e.value)}`);
    if (e.op === '==' && operand.mask === undefined && operand.field) this.#learn(operand.field, e.value);
    return 0;
  }

  #lookup(e: Extract<Expression, { kind: 'lookup' }>): string {
    const key = this.#key(e.from, e.set);
    if (e.to === 'verdict') return `${key} vmap ${setText(e.set)}`;
    if (e.to === undefined) return `${key} ${e.inverted ? '!= ' : ''}${setText(e.set)}`;
    this.#registers.clear();
    this.#registers.set(e.to, { text: `${key} map ${setText(e.set)}`, bytes: 4 });
    return '';
  }

  /**
   * The fields that lie side by side from a register on, as many as make a key of the set.
   *
   * @param before where the key ends, at the latest
   */
  #key(from: Register, set: string | AnonymousSet, before = Number.POSITIVE_INFINITY): string {
    const limit = typeof set === 'string' ? before - from : registerWords(typeBytes(set.key));
    const parts: string[] = [];
    let at = from;
    for (
      let operand = this.#registers.get(at);
      operand && at - from < limit;
      operand = this.#registers.get(at)
    ) {
      parts.push(operand.text);
      at += registerWords(operand.bytes);
    }
    this.#registers.clear();
    return parts.join(' . ');
  }

  /** The right side of a `set`. */
  #source(from: Register, target: string): string {
    const operand = this.#at(from);
    this.#registers.clear();
    if (operand.value !== undefined) return constantText(target, operand.value);
    if (operand.shift) return `${operand.text} ${operand.shift.op} ${operand.shift.bits}`;
    if (operand.mask === undefined) return operand.text;
    const type = operand.field?.type ?? 'integer';
    const keep = not(operand.mask);
    const number = (hex: Hex): string =>
      type === 'mark' ? formatValue('mark', hex) : formatNumber(hex, operand);
    // mask = ~x, xor = x sets bits; mask alone clears them.
    if (keep === operand.xor) return `${operand.text} | ${number(operand.xor)}`;
    if (/^0*$/.test(operand.xor ?? '')) return `${operand.text} & ${number(operand.mask)}`;
    if (/^f*$/.test(operand.mask)) return `${operand.text} ^ ${number(operand.xor!)}`;
    // nft shows the bits that are set as kept, too.
    return `${operand.text} & ${number(or(operand.mask, operand.xor!))} | ${number(operand.xor!)}`;
  }

  #payloadSet(e: PayloadSetExpression): string {
    const { value, mask, xor } = this.#at(e.from);
    // One byte of a pair that was read before: the other one is kept.
    const half = mask === '00ff' ? 0 : mask === 'ff00' ? 1 : undefined;
    if (value === undefined && (half === undefined || xor === undefined)) return '<payload set>';
    const target = this.#payload(e.base, e.offset + (half ?? 0), half === undefined ? e.length : 1);
    const written = value ?? xor!.slice(half! * 2, half! * 2 + 2);
    return `${target.text} set ${valueText(target, written, written)}`;
  }

  #nat(e: NatExpression): string {
    const operand = e.address === undefined ? undefined : this.#at(e.address);
    const fromMap = operand !== undefined && operand.value === undefined;
    // With a map nft asks for the family only where a field of the key does.
    if (this.#family === 'inet' && !fromMap) this.#imply('nfproto');
    const family = this.#family === e.family && !(fromMap && e.port !== undefined) ? '' : ` ${e.family}`;
    const flags = natFlags(e);
    const prefix = e.netmap ? ' prefix' : '';
    if (operand === undefined) return `${e.type}${family}${this.#ports(e)}${flags}`;
    if (fromMap) return `${e.type}${family}${prefix} to ${operand.text}${flags}`;
    const first = this.#constant(e.address!);
    const last = e.addressEnd === undefined ? first : this.#constant(e.addressEnd);
    const name: DataTypeName = e.family === 'ip6' ? 'ipv6_addr' : 'ipv4_addr';
    const range = first === last ? '' : `-${formatValue(name, last)}`;
    const address = e.netmap ? formatInterval(name, first, last) : `${formatValue(name, first)}${range}`;
    const port = this.#ports(e).replace(' to ', '');
    return `${e.type}${family}${prefix} to ${e.family === 'ip6' && port !== '' ? `[${address}]` : address}${port}${flags}`;
  }

  #ports(e: NatExpression | MasqueradeExpression | RedirectExpression): string {
    if (e.port === undefined) return '';
    const first = this.#constant(e.port);
    const last = e.portEnd === undefined ? first : this.#constant(e.portEnd);
    return ` to :${formatInterval('inet_service', first, last)}`;
  }

  #reject(e: RejectExpression): string {
    if (e.with === 'tcp reset') return 'reject with tcp reset';
    if (e.with === 'icmpx') {
      if (e.code === ICMPX.portUnreachable) return 'reject';
      const names = ['no-route', 'port-unreachable', 'host-unreachable', 'admin-prohibited'];
      return `reject with icmpx ${names[e.code] ?? e.code}`;
    }
    const six = this.#nfproto === 'ipv6';
    if (this.#family === 'inet') this.#imply('nfproto');
    else if (e.code === (six ? 4 : 3)) return 'reject';
    const code = formatValue(six ? 'icmpv6_code' : 'icmp_code', e.code.toString(16).padStart(2, '0'));
    return `reject with icmp${six ? 'v6' : ''} ${code}`;
  }

  #operand(e: Expression): Operand {
    switch (e.kind) {
      case 'payload':
        return this.#payload(e.base, e.offset, e.length);
      case 'meta': {
        const field = Object.values(fields.meta).find((f) => f.load.kind === 'meta' && f.load.key === e.key);
        return field ? operandOf(field) : { text: metaName(e.key), bytes: 4 };
      }
      case 'ct': {
        const field = ctFields.find(
          (f) => f.load.kind === 'ct' && f.load.key === e.key && f.load.direction === e.direction,
        );
        const text = e.direction ? `ct ${e.direction} ${e.key}` : `ct ${e.key}`;
        return field ? operandOf(field) : { text, bytes: 4 };
      }
      case 'fib':
        return operandOf(e.present ? fields.fibPresent(e.by) : fields.fib(e.by, e.result));
      case 'exthdr':
        if (e.of === 'ipv6') this.#imply('nfproto');
        return operandOf(fields.exthdr(exthdrName(e), e));
      case 'socket':
        return e.key === 'cgroupv2' ? { text: `socket ${e.key}`, bytes: 8 } : operandOf(fields.socket(e.key));
      case 'rt':
        return e.key === 'mtu' ? operandOf(fields.rt('mtu')) : { text: `rt ${e.key}`, bytes: 4 };
      case 'numgen':
        return operandOf(fields.numgen(e.type, e.modulus, e.offset));
      case 'symhash':
        return operandOf(fields.symhash(e.modulus));
      case 'jhash': {
        const parts: string[] = [];
        for (let at = e.from; at - e.from < registerWords(e.length); ) {
          const part = this.#registers.get(at);
          if (!part) break;
          parts.push(part.text);
          at += registerWords(part.bytes);
        }
        const seed = e.seed ? ` seed 0x${e.seed.toString(16)}` : '';
        const offset = e.offset ? ` offset ${e.offset}` : '';
        const text = `jhash ${parts.join(' . ')} mod ${e.modulus}${seed}${offset}`;
        return { ...operandOf(fields.jhash([], e.modulus)), text };
      }
      default:
        return { text: `<${e.kind}>`, bytes: 4 };
    }
  }

  #payload(base: string, offset: number, length: number): Operand {
    const field = payloadFields.find((f) => {
      const { load } = f;
      if (load.kind !== 'payload' || load.base !== base || load.offset !== offset) return false;
      // An address prefix of whole bytes is loaded short.
      const short = f.type === 'ipv4_addr' || f.type === 'ipv6_addr' ? length <= load.length : false;
      if (load.length !== length && !short) return false;
      if (f.nfproto !== undefined && base === 'network' && f.nfproto !== this.#nfproto) return false;
      return f.l4proto === this.#l4proto || (f.l4proto === undefined && base === 'network');
    });
    const th =
      base === 'transport' && length === 2 ? [fields.th.sport, fields.th.dport][offset / 2] : undefined;
    const found = field ?? th;
    if (!found) return operandOf(fields.raw(base as 'network', offset, length));
    if (found.nfproto !== undefined) this.#imply('nfproto');
    if (found.l4proto !== undefined) this.#imply('l4proto');
    return { ...operandOf(found), bytes: length };
  }

  /** A comparison tells what the packet is; whether it is printed depends on what comes after it. */
  #learn(field: Field, value: Hex): void {
    if (field.name === fields.meta.nfproto.name) {
      this.#nfproto = value === '02' ? 'ipv4' : 'ipv6';
      this.#pending.push({ what: 'nfproto', at: this.#out.length - 1 });
    } else if (field.name === fields.meta.l4proto.name) {
      this.#l4proto = numberOf(value);
      this.#pending.push({ what: 'l4proto', at: this.#out.length - 1 });
    } else if (field.type === 'inet_proto' && field.load.kind === 'payload') {
      this.#l4proto = numberOf(value);
    }
  }

  /** Takes back the match that a field implies. */
  #imply(what: 'nfproto' | 'l4proto'): boolean {
    const at = this.#pending.findLastIndex((pending) => pending.what === what);
    if (at < 0) return false;
    this.#out[this.#pending[at]!.at] = '';
    this.#pending.splice(at, 1);
    return true;
  }

  /** The value that an immediate put into a register. */
  #constant(register: Register): Hex {
    const { value } = this.#at(register);
    if (value === undefined) throw new RangeError(`register ${register}: found no constant`);
    return value;
  }

  #at(register: Register): Operand {
    return this.#registers.get(register) ?? { text: '<empty>', bytes: 4 };
  }

  #say(text: string): void {
    if (text !== '') this.#out.push(text);
  }
}

const payloadFields: readonly Field[] = [
  ...Object.values(fields.ip),
  ...Object.values(fields.ip6),
  ...Object.values(fields.tcp),
  ...Object.values(fields.udp),
  ...Object.values(fields.sctp),
  ...Object.values(fields.icmp),
  ...Object.values(fields.icmpv6),
];

const ctFields: readonly Field[] = [fields.ct, fields.ct.original, fields.ct.reply].flatMap((group) => [
  ...Object.values(group).filter((value): value is Field => 'load' in value),
  ...('ip' in group ? [...Object.values(group.ip), ...Object.values(group.ip6)] : []),
]);

function metaName(key: string): string {
  return /^[io]if(name|group|kind|type)?$/.test(key) ? key : `meta ${key}`;
}

function exthdrName(e: { readonly of: string; readonly type: number; readonly offset: number }): string {
  if (e.of === 'tcp' && e.type === 2 && e.offset === 2) return fields.tcpOption.maxseg.name;
  if (e.of === 'ipv6') {
    const names: Record<number, string> = { 0: 'hbh', 43: 'rt', 44: 'frag', 60: 'dst', 135: 'mh' };
    return `exthdr ${names[e.type] ?? e.type}`;
  }
  return `${e.of} option @${e.type},${e.offset * 8}`;
}
