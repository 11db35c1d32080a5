import { Nftables } from '#kernel/nftables/connection.ts';
import { NFT_MSG_NEWRULE } from '#kernel/nftables/constants.ts';
import type { Rule, TableRef } from '#kernel/nftables/model.ts';
import type { Transaction } from '#kernel/nftables/operation.ts';
import { encodeTransaction } from '#kernel/nftables/transaction.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { CommandError, runCommandSync } from '#test/helpers/command.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { printExpression } from './libnftnl.ts';
import { listRules, load, readRules, show, split } from './nft.ts';
import { CHAIN, type Group, type Row } from './rows.ts';

const TABLE = 'golden';

/** All that is compared, a text or value for each row. */
export interface Seen {
  /** Messages. */
  readonly theirs: readonly string[];
  readonly own: readonly string[];
  /** What nft installed: as nft lists it, in libnftnl's words, and read by us. */
  readonly listed: readonly string[];
  readonly printed: readonly string[];
  readonly read: readonly Rule[];
  /** What we installed. */
  readonly oursListed: readonly string[];
  readonly oursPrinted: readonly string[];
  readonly ours: readonly Rule[];
  readonly json: readonly unknown[];
  readonly ruleset: string;
  readonly reloaded: string;
}

export function run(group: Group, rules: readonly Rule[]): Seen {
  const { family } = group;
  const table: TableRef = { family, name: TABLE };
  using ns = createNetns();
  using inside = NetworkNamespace.open(ns.path);
  using nftables = Nftables.open(inside);
  const rulesNow = (): Rule[] =>
    nftables
      .dump(table)!
      .chains.find(isMain)!
      .rules.map(({ rule }) => rule);
  const printed = (): string[] => readRules(ns, family, TABLE).map(withoutNames);

  // First what the rules refer to, so that both batches hold the rules alone and number their own sets alike.
  load(ns, `table ${family} ${TABLE} {\n${group.around}\nchain ${CHAIN} {\n${group.chain}\n}\n}`);
  const { messages } = load(ns, textOf(group));
  const addRules: Transaction = rules.map((rule) => ({ op: 'add rule', table, rule }));
  const ofNft = {
    theirs: byRule(messages),
    listed: listRules(ns, family, TABLE, CHAIN),
    printed: printed(),
    read: rulesNow(),
  };

  // Now the same from us, in the place of those of nft.
  nftables.commit([{ op: 'flush chain', table, chain: CHAIN }, ...addRules]);
  const ofUs = {
    own: byRule(split(encodeTransaction(addRules))),
    oursListed: listRules(ns, family, TABLE, CHAIN),
    oursPrinted: printed(),
    ours: rulesNow(),
  };
  const ruleset = ns.exec('nft', ['list', 'ruleset']);
  const json = ns.nft('list', 'ruleset');
  ns.exec('nft', ['-f', '-'], { input: `flush ruleset\n${ruleset}` });
  return { ...ofNft, ...ofUs, json, ruleset, reloaded: ns.exec('nft', ['list', 'ruleset']) };
}

/** The group without the rows that the running kernel was built without, and those rows with what nft says of them. */
export function supported(group: Group): {
  readonly group: Group;
  readonly refused: ReadonlyMap<string, string>;
} {
  using ns = createNetns();
  const refused = new Map<string, string>();
  const around = `table ${group.family} ${TABLE} {\n${group.around}\nchain ${CHAIN} {\n${group.chain}\n}\n}\n`;
  const refusal = (rows: readonly Row[]): string | undefined => {
    try {
      ns.exec('nft', ['-f', '-'], { input: `flush ruleset\n${around}${textOf({ ...group, rows })}` });
      return undefined;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return error.stderr.split('\n')[0]!;
    }
  };
  if (refusal(group.rows) !== undefined) {
    for (const row of group.rows) {
      const reason = refusal([row]);
      if (reason !== undefined) refused.set(row.nft, reason);
    }
  }
  return { group: { ...group, rows: group.rows.filter((row) => !refused.has(row.nft)) }, refused };
}

/** Why nft's bytes and texts can not be compared here; undefined when they can. */
export function otherNft(): string | undefined {
  const version = /v(\S+)/.exec(runCommandSync('nft', ['--version']))?.[1];
  return version === '1.0.6' ? undefined : `bytes and texts are those of nft 1.0.6, found ${version}`;
}

function textOf({ family, rows }: Group): string {
  return rows.map((row) => `add rule ${family} ${TABLE} ${CHAIN} ${row.nft}\n`).join('');
}

function isMain({ chain }: { readonly chain: { readonly name: string } }): boolean {
  return chain.name === CHAIN;
}

/** The messages of each rule as text: those of its own sets, then its own. */
function byRule(messages: readonly Uint8Array[]): string[] {
  const result: string[] = [];
  let open: string[] = [];
  for (const message of messages) {
    open.push(show(message));
    if (new DataView(message.buffer, message.byteOffset).getUint16(4, true) !== NFT_MSG_NEWRULE) continue;
    result.push(open.join('\n'));
    open = [];
  }
  return result;
}

/** Expressions as libnftnl prints them. */
export function words(rule: Rule): string {
  return rule.expressions.map(printExpression).join('\n');
}

/** The kernel names a rule's own sets; our values hold what is in them. */
function withoutNames(lines: string): string {
  return lines.replaceAll(/__(set|map)\d+/g, '(anonymous)');
}
