import type { Expression } from '#kernel/nftables/expression/expression.ts';
import type { MetaKey } from '#kernel/nftables/expression/meta.ts';
import type { Hex } from '#kernel/nftables/hex.ts';
import type { Verdict } from '#kernel/nftables/model.ts';
import { type Register, registerNumber } from '#kernel/nftables/register.ts';

/** An expression as libnftnl prints one that the kernel gave back, which is what `nft --debug=netlink` shows. */
export function printExpression(e: Expression): string {
  return `[ ${words(e).join(' ')} ]`;
}

function words(e: Expression): (string | number)[] {
  switch (e.kind) {
    case 'bitwise':
      return ['bitwise', ...reg(e.to), '=', '(', ...reg(e.from), '&', data(e.mask), ')', '^', data(e.xor)];
    case 'shift':
      return [
        'bitwise',
        ...reg(e.to),
        '=',
        '(',
        ...reg(e.from),
        e.op,
        `0x${e.bits.toString(16).padStart(8, '0')}`,
        ')',
      ];
    case 'byteorder':
      return [
        'byteorder',
        ...reg(e.to),
        '=',
        `${e.op}(reg`,
        `${number(e.from)},`,
        `${e.size},`,
        `${e.length})`,
      ];
    case 'cmp':
      return ['cmp', COMPARISONS[e.op], ...reg(e.from), data(e.value)];
    case 'counter':
      return ['counter', 'pkts', e.packets, 'bytes', e.bytes];
    case 'ct':
      return [
        'ct',
        'load',
        CT_KEYS[e.key] ?? e.key,
        '=>',
        ...reg(e.to),
        ...(e.direction ? [', dir', e.direction] : []),
      ];
    case 'ct set':
      return ['ct', 'set', CT_KEYS[e.key] ?? e.key, 'with', ...reg(e.from)];
    case 'dynset': {
      const timeout = ['timeout', `${e.timeout ?? 0}ms`];
      const value = e.value === undefined ? [] : ['sreg_data', number(e.value)];
      const state = (e.state ?? []).flatMap((s) => ['expr', printExpression(s)]);
      return ['dynset', e.op, 'reg_key', number(e.key), 'set', e.set, ...value, ...timeout, ...state];
    }
    case 'exthdr':
      return ['exthdr', 'load', ...exthdr(e), ...(e.present ? ['present'] : []), '=>', ...reg(e.to)];
    case 'exthdr set':
      return [
        'exthdr',
        'write',
        EXTHDR[e.of],
        ...reg(e.from),
        '=>',
        `${e.length}b`,
        '@',
        e.type,
        '+',
        e.offset,
      ];
    case 'fib':
      return ['fib', e.by.join(' . '), e.result, ...(e.present ? ['present'] : []), '=>', ...reg(e.to)];
    case 'immediate':
      return ['immediate', ...reg(e.to), data(e.value)];
    case 'verdict':
      return ['immediate', 'reg', 0, verdict(e.verdict)];
    case 'jhash':
      return [
        'hash',
        ...reg(e.to),
        '=',
        `jhash(reg ${number(e.from)}, ${e.length}, 0x${(e.seed ?? 0).toString(16)})`,
        ...modulus(e),
      ];
    case 'symhash':
      return ['hash', ...reg(e.to), '=', 'symhash()', ...modulus(e)];
    case 'last':
      return ['last', e.ago ?? 'never'];
    case 'limit':
      return [
        'limit',
        'rate',
        `${e.rate}/${e.per}`,
        'burst',
        e.burst,
        'type',
        e.of,
        'flags',
        e.over ? '0x1' : '0x0',
      ];
    case 'log':
      return ['log', ...log(e)];
    case 'lookup': {
      const set = typeof e.set === 'string' ? e.set : '(anonymous)';
      const to = e.to === undefined ? [] : ['dreg', e.to === 'verdict' ? 0 : number(e.to)];
      return ['lookup', ...reg(e.from), 'set', set, ...to, e.inverted ? '0x1' : '0x0'];
    }
    case 'masquerade':
      return ['masq', ...ports(e), ...flags(e, e.port === undefined ? 0 : 2)];
    case 'redirect':
      return ['redir', ...ports(e), ...flags(e, e.port === undefined ? 0 : 2)];
    case 'meta':
      return ['meta', 'load', META_KEYS[e.key] ?? e.key, '=>', ...reg(e.to)];
    case 'meta set':
      return ['meta', 'set', META_KEYS[e.key] ?? e.key, 'with', ...reg(e.from)];
    case 'nat': {
      const address = e.address === undefined ? [] : ['addr_min', ...reg(e.address)];
      const last = e.addressEnd ?? e.address;
      const end = last === undefined ? [] : ['addr_max', ...reg(last)];
      return ['nat', e.type, e.family, ...address, ...end, ...ports(e), ...flags(e, natBits(e))];
    }
    case 'notrack':
      return ['notrack'];
    case 'numgen':
      return [
        'numgen',
        ...reg(e.to),
        '=',
        e.type,
        'mod',
        e.modulus,
        ...(e.offset ? ['offset', e.offset] : []),
      ];
    case 'objref':
      return ['objref', 'type', { counter: 1, quota: 2, limit: 4 }[e.type], 'name', e.name];
    case 'objref map':
      return ['objref', 'sreg', number(e.from), 'set', typeof e.map === 'string' ? e.map : '(anonymous)'];
    case 'payload':
      return ['payload', 'load', `${e.length}b`, '@', e.base, 'header', '+', e.offset, '=>', ...reg(e.to)];
    case 'payload set': {
      const type = { none: 0, internet: 1, sctp: 2 }[e.checksum?.type ?? 'none'];
      const checksum = ['csum_type', type, 'csum_off', e.checksum?.offset ?? 0];
      const pseudo = ['csum_flags', e.pseudoHeader ? '0x1' : '0x0'];
      return [
        'payload',
        'write',
        ...reg(e.from),
        '=>',
        `${e.length}b`,
        '@',
        e.base,
        'header',
        '+',
        e.offset,
        ...checksum,
        ...pseudo,
      ];
    }
    case 'quota':
      return ['quota', 'bytes', e.bytes, 'consumed', e.consumed ?? 0, 'flags', e.over ? 1 : 0];
    case 'range':
      return ['range', COMPARISONS[e.op], ...reg(e.from), data(e.first), data(e.last)];
    case 'reject':
      return ['reject', 'type', { icmp: 0, 'tcp reset': 1, icmpx: 2 }[e.with], 'code', e.code];
    case 'rt':
      return ['rt', 'load', e.key === 'mtu' ? 'tcpmss' : e.key, '=>', ...reg(e.to)];
    case 'socket':
      return ['socket', 'load', e.key, '=>', ...reg(e.to)];
    case 'unknown':
      return ['unknown', e.name];
  }
}

const COMPARISONS = { '==': 'eq', '!=': 'neq', '<': 'lt', '<=': 'lte', '>': 'gt', '>=': 'gte' } as const;

const META_KEYS: Partial<Record<MetaKey, string>> = { length: 'len', random: 'prandom' };

const CT_KEYS: Record<string, string> = {
  l3proto: 'l3protocol',
  'proto-src': 'proto_src',
  'proto-dst': 'proto_dst',
  'ip saddr': 'src_ip',
  'ip daddr': 'dst_ip',
  'ip6 saddr': 'src_ip6',
  'ip6 daddr': 'dst_ip6',
  // libnftnl 1.2.4 has no word for it.
  id: 'unknown',
};

const EXTHDR = { tcp: 'tcpopt', ipv6: 'ipv6', ipv4: 'ipv4' } as const;

const LOG_FLAGS = ['tcpseq', 'tcpopt', 'ipopt', 'uid', 'nflog', 'macdecode'];

function number(register: Register): number {
  return registerNumber(register);
}

function reg(register: Register): (string | number)[] {
  return ['reg', number(register)];
}

/** Words of 4 bytes as numbers in host order, the last one filled up with zeros. */
function data(value: Hex): string {
  const list: string[] = [];
  for (let at = 0; at < value.length; at += 8) {
    const word = value.slice(at, at + 8).padEnd(8, '0');
    list.push(`0x${word.match(/../g)!.reverse().join('')}`);
  }
  return list.join(' ');
}

function verdict(v: Verdict): string {
  return 'chain' in v ? `${v.verdict} -> ${v.chain}` : v.verdict;
}

function exthdr(e: Extract<Expression, { kind: 'exthdr' }>): (string | number)[] {
  return [EXTHDR[e.of], `${e.length}b`, '@', e.type, '+', e.offset];
}

function modulus(e: { readonly modulus: number; readonly offset?: number }): (string | number)[] {
  return ['%', 'mod', e.modulus, ...(e.offset ? ['offset', e.offset] : [])];
}

/** The kernel repeats the first port when no range was asked for, and the first address too. */
function ports(e: { readonly port?: Register; readonly portEnd?: Register }): (string | number)[] {
  return [
    ...(e.port === undefined ? [] : ['proto_min', ...reg(e.port)]),
    ...(e.port === undefined ? [] : ['proto_max', ...reg(e.portEnd ?? e.port)]),
  ];
}

function natBits(e: Extract<Expression, { kind: 'nat' }>): number {
  return (e.address === undefined ? 0 : 1) | (e.port === undefined ? 0 : 2) | (e.netmap ? 0x40 : 0);
}

function flags(
  e: { readonly random?: boolean; readonly fullyRandom?: boolean; readonly persistent?: boolean },
  more: number,
): string[] {
  const bits = more | (e.random ? 4 : 0) | (e.persistent ? 8 : 0) | (e.fullyRandom ? 16 : 0);
  return bits === 0 ? [] : ['flags', `0x${bits.toString(16)}`];
}

function log(e: Extract<Expression, { kind: 'log' }>): (string | number)[] {
  const prefix = e.prefix === undefined ? [] : ['prefix', e.prefix];
  if (e.group !== undefined) {
    return [...prefix, 'group', e.group, 'snaplen', e.snaplen ?? 0, 'qthreshold', e.queueThreshold ?? 0];
  }
  const levels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug', 'audit'];
  const names = LOG_FLAGS.filter((_, bit) => (e.flags ?? 0) & (1 << bit));
  return [...prefix, 'level', levels.indexOf(e.level ?? 'warn'), ...names];
}
