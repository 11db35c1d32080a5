import { spawnSync } from 'node:child_process';
import { Nftables } from '#kernel/nftables/connection.ts';
import { ip, tcp } from '#kernel/nftables/field.ts';
import { formatRule } from '#kernel/nftables/format-rule.ts';
import { parseElement } from '#kernel/nftables/key.ts';
import type { Element, Rule, SetDefinition, TableRef } from '#kernel/nftables/model.ts';
import type { Operation } from '#kernel/nftables/operation.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { ms, type Report, type Section, sideBySide, type Timings, time } from './frame.ts';

/*
 * Transactions against `nft -f -`. Both start from the same ruleset; what is between two measurements (removing the
 * table) is not counted. nft is started in the namespace itself, with its text ready in memory.
 */

const ELEMENTS = 50_000;
const CHAINS = 1000;
const RULES = 10;
/** Single elements a round: of ours a mean, for one alone is too short to measure. */
const SINGLES = 50;
const NFT_SINGLES = 5;

const t: TableRef = { family: 'inet', name: 'bench' };
const hosts: SetDefinition = { name: 'hosts', key: ['ipv4_addr'] };
const ports: SetDefinition = { name: 'ports', key: ['ipv4_addr', 'inet_proto', 'inet_service'] };

export const nftables: Section = {
  name: 'nftables',
  async run(report: Report): Promise<void> {
    using namespace = NetworkNamespace.anonymous();
    using connection = Nftables.open(namespace);
    const nft = (text: string): void => namespace.run(() => runNft(text));

    report.heading(`nftables: transactions against nft -f, medians of 5, ms`);
    const hostTexts = Array.from({ length: ELEMENTS }, (_, i) => addressOf(i));
    const portTexts = hostTexts.map(
      (address, i) => `${address} . ${i % 2 ? 'udp' : 'tcp'} . ${(i % 60_000) + 1}`,
    );
    const fill = (set: SetDefinition, texts: readonly string[]): Operation[] => [
      { op: 'add table', table: t },
      { op: 'add set', table: t, set },
      { op: 'add elements', table: t, set, elements: texts.map((text) => parseElement(set, text)) },
    ];
    const clear = (): void => {
      connection.commit([
        { op: 'add table', table: t },
        { op: 'delete table', table: t },
      ]);
    };

    const hostElements = elementsOf(hosts, hostTexts);
    const portElements = elementsOf(ports, portTexts);
    const rules = makeRules();
    const chainText = textOfChains(rules);

    const ours = (): Timings => {
      clear();
      const filled = time(() => connection.commit(withElements(hosts, hostElements)));
      const single = singles(connection);
      clear();
      const fromText = time(() => connection.commit(fill(hosts, hostTexts)));
      clear();
      const concatenated = time(() => connection.commit(withElements(ports, portElements)));
      clear();
      const chains = time(() => connection.commit(chainOperations(rules)));
      clear();
      const built = time(() => connection.commit(chainOperations(makeRules())));
      clear();
      return { single, filled, fromText, concatenated, chains, built };
    };
    const theirs = (): Timings => {
      clear();
      const filled = time(() => nft(textOfSet(hosts, hostTexts)));
      const single = nftSingles(nft);
      clear();
      const concatenated = time(() => nft(textOfSet(ports, portTexts)));
      clear();
      const chains = time(() => nft(chainText));
      clear();
      return { single, filled, fromText: filled, concatenated, chains, built: chains };
    };

    ours(); // Once to warm up.
    const found = await sideBySide({ ours, nft: theirs });
    const row = (text: string, what: string, atLeast?: number): string[] => {
      const [a, b] = [found.ours[what]!, found.nft[what]!];
      const times = atLeast === undefined ? (b / a).toFixed(2) : report.bar(text, b / a, { atLeast });
      return [text, a < 1 ? a.toFixed(3) : ms(a), ms(b), times];
    };
    report.table(
      ['', 'ours', 'nft -f', 'times as fast'],
      [
        row(`one element into a set of ${ELEMENTS}`, 'single', 20),
        row(`${ELEMENTS} addresses in one transaction`, 'filled', 1),
        row('  the same, made of text', 'fromText'),
        row(`${ELEMENTS} of address . protocol . port`, 'concatenated', 1),
        row(`${CHAINS} chains of ${RULES} rules`, 'chains', 1),
        row('  the same, rules built too', 'built'),
      ],
    );
  },
};

function addressOf(i: number): string {
  return `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
}

function elementsOf(set: SetDefinition, texts: readonly string[]): Element[] {
  return texts.map((text) => parseElement(set, text));
}

function withElements(set: SetDefinition, elements: readonly Element[]): Operation[] {
  return [
    { op: 'add table', table: t },
    { op: 'add set', table: t, set },
    { op: 'add elements', table: t, set, elements },
  ];
}

/** Milliseconds for one element, added and taken away in turns. */
function singles(connection: Nftables): number {
  const elements = [parseElement(hosts, '192.0.2.1')];
  let total = 0;
  for (let i = 0; i < SINGLES; i++) {
    total += time(() => connection.commit([{ op: 'add elements', table: t, set: hosts, elements }]));
    connection.commit([{ op: 'delete elements', table: t, set: hosts, elements }]);
  }
  return total / SINGLES;
}

function nftSingles(nft: (text: string) => void): number {
  let total = 0;
  for (let i = 0; i < NFT_SINGLES; i++) {
    total += time(() => nft('add element inet bench hosts { 192.0.2.1 }\n'));
    nft('delete element inet bench hosts { 192.0.2.1 }\n');
  }
  return total / NFT_SINGLES;
}

function makeRules(): Rule[] {
  const rules: Rule[] = [];
  for (let chain = 0; chain < CHAINS; chain++) {
    for (let i = 0; i < RULES; i++) {
      rules.push(
        new RuleBuilder('inet', `chain${chain}`)
          .match(ip.saddr, '==', `10.0.${chain & 255}.${i}`)
          .match(tcp.dport, '==', 1000 + i)
          .accept()
          .rule(),
      );
    }
  }
  return rules;
}

function chainOperations(rules: readonly Rule[]): Operation[] {
  const operations: Operation[] = [{ op: 'add table', table: t }];
  for (let chain = 0; chain < CHAINS; chain++) {
    operations.push({ op: 'add chain', table: t, chain: { name: `chain${chain}` } });
  }
  for (const rule of rules) operations.push({ op: 'add rule', table: t, rule });
  return operations;
}

function textOfChains(rules: readonly Rule[]): string {
  const chains = new Map<string, string[]>();
  for (const rule of rules) {
    const list = chains.get(rule.chain) ?? [];
    list.push(formatRule('inet', rule));
    chains.set(rule.chain, list);
  }
  const text = [...chains].map(([name, list]) => `chain ${name} {\n${list.join('\n')}\n}`);
  return `table inet bench {\n${text.join('\n')}\n}\n`;
}

function textOfSet(set: SetDefinition, texts: readonly string[]): string {
  return `table inet bench {\nset ${set.name} {\ntype ${set.key.join(' . ')}\nelements = { ${texts.join(', ')} }\n}\n}\n`;
}

function runNft(text: string): void {
  const done = spawnSync('nft', ['-f', '-'], { input: text, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`nft: ${done.stderr || done.error?.message}`, { cause: done.error });
}
