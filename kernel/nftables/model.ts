/*
 * What a ruleset is made of, as plain data: what is sent has these types, and so has what a dump gives back. Optional
 * fields that are absent mean "no" or "none"; a dump leaves them out rather than set them to false. Handles and the
 * like, which the kernel gives and nobody can ask for, are not in here (dump.ts).
 */
import type { DataTypeName } from './datatype.ts';
import { Enumeration } from './enumeration.ts';
import type { CounterExpression } from './expression/counter.ts';
import type { Expression } from './expression/expression.ts';
import type { LimitExpression } from './expression/limit.ts';
import type { QuotaExpression } from './expression/quota.ts';
import type { StatefulExpression } from './expression/stateful.ts';
import type { Hex } from './hex.ts';
import type { TypeofField } from './typeof.ts';

export type Family = 'inet' | 'ip' | 'ip6' | 'arp' | 'bridge' | 'netdev';

/** NFPROTO_* (linux/netfilter.h). */
export const families = new Enumeration<Family>('family', {
  inet: 1,
  ip: 2,
  arp: 3,
  netdev: 5,
  bridge: 7,
  ip6: 10,
});

/** What a table is known by. */
export interface TableRef {
  readonly family: Family;
  readonly name: string;
}

export interface Table extends TableRef {
  /** The chains of the table are not hooked in. */
  readonly dormant?: boolean;
  readonly comment?: string;
}

export type ChainType = 'filter' | 'nat' | 'route';
export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'ingress' | 'egress';

/** Priorities that have names in nft (enum nf_ip_hook_priorities, linux/netfilter_ipv4.h); lower ones come first. */
export const PRIORITY = Object.freeze({
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
});

/** Where the packets come into a base chain. */
export interface BaseChain {
  readonly type: ChainType;
  readonly hook: Hook;
  /** See {@link PRIORITY}. */
  readonly priority: number;
  /** What becomes of a packet that no rule decided; `accept` when absent. */
  readonly policy?: 'accept' | 'drop';
  /** Interfaces, for the ingress and egress hooks only. */
  readonly devices?: readonly string[];
}

export interface Chain {
  readonly name: string;
  /** Absent for a chain that is only jumped to. */
  readonly base?: BaseChain;
  readonly comment?: string;
}

export interface Rule {
  readonly chain: string;
  readonly expressions: readonly Expression[];
  readonly comment?: string;
}

/** The end of an evaluation, or where it goes on (enum nft_verdicts). */
export type Verdict =
  | { readonly verdict: 'accept' | 'drop' | 'continue' | 'return' | 'break' }
  | { readonly verdict: 'jump' | 'goto'; readonly chain: string };

export const ACCEPT: Verdict = Object.freeze({ verdict: 'accept' });
export const DROP: Verdict = Object.freeze({ verdict: 'drop' });
export const CONTINUE: Verdict = Object.freeze({ verdict: 'continue' });
export const RETURN: Verdict = Object.freeze({ verdict: 'return' });
export const jump = (chain: string): Verdict => ({ verdict: 'jump', chain });
export const goTo = (chain: string): Verdict => ({ verdict: 'goto', chain });

export type ObjectKind = 'counter' | 'quota' | 'limit';

/** The type of the keys of a set or map, and of what a map leads to. */
export interface SetShape {
  /** One data type, or several for a concatenation. */
  readonly key: readonly DataTypeName[];
  /** What a map leads to: verdicts, or values of one data type or of a concatenation. Absent for a set. */
  readonly value?: 'verdict' | readonly DataTypeName[];
  /** A map that leads to stateful objects of this kind. */
  readonly object?: ObjectKind;
  /** Keys are intervals. */
  readonly interval?: boolean;
}

/** A named set or map, without its elements. */
export interface SetDefinition extends SetShape {
  readonly name: string;
  /** Elements can not be changed once a rule uses the set. */
  readonly constant?: boolean;
  /** Rules add elements (`update @set`). */
  readonly dynamic?: boolean;
  /** Elements may have a timeout; this is the one of those that name none, in ms, 0 for none. */
  readonly timeout?: number;
  /** How often the kernel looks for elements that ran out, in ms. */
  readonly gcInterval?: number;
  /** The most elements it may hold. */
  readonly size?: number;
  /** Small rather than fast. */
  readonly policy?: 'memory';
  /** What each element gets, e.g. a counter. */
  readonly state?: readonly StatefulExpression[];
  /** nft merges overlapping intervals that a person adds. */
  readonly autoMerge?: boolean;
  /** Has nft print fields of packets (`typeof ip daddr . th dport`) where data types (`type ...`) would stand. */
  readonly typeof?: { readonly key: readonly TypeofField[]; readonly value?: readonly TypeofField[] };
  readonly comment?: string;
}

/** A set or map without a name that belongs to one rule and goes with it. */
export interface AnonymousSet extends SetShape {
  /** Sorted by key, as nft prints them. */
  readonly elements: readonly Element[];
}

export interface Element {
  /** The key, or the first key of an interval; `*` for what no other element covers. */
  readonly key: Hex | '*';
  /** The last key of an interval, itself included; absent for a single key. Of a concatenation, field by field. */
  readonly end?: Hex;
  readonly value?: Hex | Verdict;
  /** The stateful object that the key leads to. */
  readonly object?: string;
  readonly comment?: string;
  /** Lifetime in ms. */
  readonly timeout?: number;
  /** What is left of it in ms. */
  readonly expires?: number;
  readonly state?: readonly StatefulExpression[];
}

/** A counter, quota or limit that several rules or elements share. */
export type StatefulObject = (CounterExpression | QuotaExpression | LimitExpression) & {
  readonly name: string;
  readonly comment?: string;
};
