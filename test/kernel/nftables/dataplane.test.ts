import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Nftables } from '#kernel/nftables/connection.ts';
import { ct, ip, ip6, meta, th } from '#kernel/nftables/field.ts';
import { formatRule } from '#kernel/nftables/format-rule.ts';
import { formatTable, formatTransaction } from '#kernel/nftables/format-transaction.ts';
import { parseElement } from '#kernel/nftables/key.ts';
import {
  ACCEPT,
  DROP,
  goTo,
  jump,
  PRIORITY,
  type SetDefinition,
  type TableRef,
} from '#kernel/nftables/model.ts';
import type { Transaction } from '#kernel/nftables/operation.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';

/*
 * The shapes that a compiled policy, NAT and a flow log are made of, as one ruleset: that it can be said, that nft prints
 * it as a person would have written it, and that packets meet it so.
 */

const filter: TableRef = { family: 'inet', name: 'margay' };
const nat: TableRef = { family: 'ip', name: 'margay-nat' };

const fields = ['ipv4_addr', 'inet_proto', 'inet_service'] as const;
const isolated: SetDefinition = {
  name: 'isolated',
  key: ['ipv4_addr'],
  comment: 'pods that a policy selects',
};
const anyPeer: SetDefinition = { name: 'any_peer', key: fields, interval: true };
const classOf: SetDefinition = {
  name: 'class_of',
  key: ['ipv4_addr'],
  value: 'verdict',
  interval: true,
  comment: 'peers by class',
};
const class1: SetDefinition = { name: 'class_1', key: fields, value: 'verdict', interval: true };
const class6: SetDefinition = { name: 'class_of6', key: ['ipv6_addr'], value: 'verdict', interval: true };
const pool: SetDefinition = { name: 'pool', key: ['ipv4_addr'], interval: true };
const services: SetDefinition = {
  name: 'services',
  key: ['inet_proto', 'ipv4_addr', 'inet_service'],
  value: ['ipv4_addr', 'inet_service'],
};

const rule = (chain: string) => new RuleBuilder('inet', chain);
const add = (r: RuleBuilder) => ({ op: 'add rule', table: filter, rule: r.rule() }) as const;
const natRule = (chain: string) => new RuleBuilder('ip', chain);
const addNat = (r: RuleBuilder) => ({ op: 'add rule', table: nat, rule: r.rule() }) as const;
const target = [ip.daddr, meta.l4proto, th.dport];

const policy: Transaction = [
  { op: 'add table', table: { ...filter, comment: 'made by margay' } },
  { op: 'add chain', table: filter, chain: { name: 'denied' } },
  { op: 'add chain', table: filter, chain: { name: 'class1', comment: 'app=web' } },
  {
    op: 'add chain',
    table: filter,
    chain: { name: 'raw', base: { type: 'filter', hook: 'prerouting', priority: PRIORITY.raw } },
  },
  {
    op: 'add chain',
    table: filter,
    chain: { name: 'forward', base: { type: 'filter', hook: 'forward', priority: PRIORITY.filter } },
  },
  ...[isolated, anyPeer, classOf, class1, class6].map(
    (set) => ({ op: 'add set', table: filter, set }) as const,
  ),
  { op: 'add elements', table: filter, set: isolated, elements: [parseElement(isolated, '10.2.0.2')] },
  {
    op: 'add elements',
    table: filter,
    set: anyPeer,
    elements: ['10.2.0.2 . tcp . 8000-8010', '10.2.0.0/24 . udp . 53'].map((text) =>
      parseElement(anyPeer, text),
    ),
  },
  {
    op: 'add elements',
    table: filter,
    set: classOf,
    elements: [parseElement(classOf, '10.1.0.0/24', goTo('class1'))],
  },
  {
    op: 'add elements',
    table: filter,
    set: class1,
    elements: [
      parseElement(class1, '10.2.0.2 . tcp . 9000', ACCEPT),
      parseElement(class1, '10.2.0.2 . tcp . 9001', jump('denied')),
    ],
  },
  {
    op: 'add elements',
    table: filter,
    set: class6,
    elements: [parseElement(class6, 'fd01::/64', goTo('class1'))],
  },
  add(rule('raw').match(ip.daddr, '==', '10.2.0.99').notrack()),
  add(rule('forward').has(ct.label, 127).drop()),
  add(
    rule('forward').vmap(ct.state, [
      ['established', ACCEPT],
      ['related', ACCEPT],
      ['invalid', DROP],
    ]),
  ),
  add(rule('forward').notIn(ip.daddr, 'isolated').accept()),
  add(rule('forward').in(target, 'any_peer').accept()),
  add(rule('forward').vmap(ip.saddr, 'class_of')),
  add(rule('forward').vmap(ip6.saddr, 'class_of6')),
  add(rule('forward').jump('denied')),
  add(rule('class1').vmap(target, 'class_1')),
  add(rule('class1').goto('denied')),
  add(rule('denied').log({ prefix: 'margay deny: ', group: 5, snaplen: 96, queueThreshold: 16 })),
  add(rule('denied').counter().drop().comment('no policy allows it')),
];

const translation: Transaction = [
  { op: 'add table', table: nat },
  {
    op: 'add chain',
    table: nat,
    chain: { name: 'pre', base: { type: 'nat', hook: 'prerouting', priority: PRIORITY.dstnat } },
  },
  {
    op: 'add chain',
    table: nat,
    chain: { name: 'post', base: { type: 'nat', hook: 'postrouting', priority: PRIORITY.srcnat } },
  },
  { op: 'add set', table: nat, set: pool },
  { op: 'add set', table: nat, set: services },
  {
    op: 'add elements',
    table: nat,
    set: pool,
    elements: ['10.1.0.0/16', '10.2.0.0/16'].map((text) => parseElement(pool, text)),
  },
  {
    op: 'add elements',
    table: nat,
    set: services,
    elements: [parseElement(services, 'tcp . 10.96.0.1 . 80', '10.2.0.2 . 9000')],
  },
  addNat(
    natRule('pre').dnatFromMap('ip', [meta.l4proto, ip.daddr, th.dport], 'services', [
      'ipv4_addr',
      'inet_service',
    ]),
  ),
  addNat(natRule('post').in(ip.saddr, 'pool').notIn(ip.daddr, 'pool').masquerade({ random: true })),
];

const PRINTED = `table inet margay {
	comment "made by margay"
	set isolated {
		type ipv4_addr
		comment "pods that a policy selects"
		elements = { 10.2.0.2 }
	}

	set any_peer {
		type ipv4_addr . inet_proto . inet_service
		flags interval
		elements = { 10.2.0.0/24 . udp . 53,
			     10.2.0.2 . tcp . 8000-8010 }
	}

	map class_of {
		type ipv4_addr : verdict
		flags interval
		comment "peers by class"
		elements = { 10.1.0.0/24 : goto class1 }
	}

	map class_1 {
		type ipv4_addr . inet_proto . inet_service : verdict
		flags interval
		elements = { 10.2.0.2 . tcp . 9000 : accept,
			     10.2.0.2 . tcp . 9001 : jump denied }
	}

	map class_of6 {
		type ipv6_addr : verdict
		flags interval
		elements = { fd01::/64 : goto class1 }
	}

	chain denied {
		log prefix "margay deny: " group 5 snaplen 96 queue-threshold 16
		counter packets 0 bytes 0 drop comment "no policy allows it"
	}

	chain class1 {
		comment "app=web"
		ip daddr . meta l4proto . th dport vmap @class_1
		goto denied
	}

	chain raw {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 10.2.0.99 notrack
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct label 127 drop
		ct state vmap { invalid : drop, established : accept, related : accept }
		ip daddr != @isolated accept
		ip daddr . meta l4proto . th dport @any_peer accept
		ip saddr vmap @class_of
		ip6 saddr vmap @class_of6
		jump denied
	}
}
table ip margay-nat {
	set pool {
		type ipv4_addr
		flags interval
		elements = { 10.1.0.0-10.2.255.255 }
	}

	map services {
		type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service
		elements = { tcp . 10.96.0.1 . 80 : 10.2.0.2 . 9000 }
	}

	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		dnat ip to meta l4proto . ip daddr . th dport map @services
	}

	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @pool ip daddr != @pool masquerade random
	}
}
`;

describe('a dataplane', () => {
  let router: Netns;
  let client: Netns;
  let server: Netns;
  let namespace: NetworkNamespace;
  let nftables: Nftables;
  beforeAll(() => {
    router = createNetns();
    client = createNetns();
    server = createNetns();
    router.sysctl('net.ipv4.ip_forward', 1);
    connect({ netns: router, addresses: ['10.1.0.1/24'] }, { netns: client, addresses: ['10.1.0.2/24'] });
    connect(
      { netns: router, addresses: ['10.2.0.1/24'] },
      { netns: server, addresses: ['10.2.0.2/24', '10.2.0.3/24'] },
    );
    client.exec('ip', ['route', 'add', 'default', 'via', '10.1.0.1']);
    server.exec('ip', ['route', 'add', 'default', 'via', '10.2.0.1']);
    namespace = NetworkNamespace.open(router.path);
    nftables = Nftables.open(namespace);
    nftables.commit([...policy, ...translation]);
  });
  afterAll(() => {
    nftables.close();
    namespace.close();
    for (const ns of [router, client, server]) ns.remove();
  });

  test('is printed by nft as a person would have written it, and loads again', () => {
    const text = router.exec('nft', ['list', 'ruleset']);
    expect(text.replaceAll(/packets \d+ bytes \d+/g, 'packets 0 bytes 0')).toBe(PRINTED);
    expect(router.nft('list', 'ruleset').length).toBeGreaterThan(20);
    using other = createNetns();
    other.exec('nft', ['-f', '-'], { input: text });
    expect(other.exec('nft', ['list', 'ruleset'])).toBe(text);
  });

  test('is printed by us alike, as a table and as the transaction that makes it', () => {
    using other = createNetns();
    other.exec('nft', ['-f', '-'], { input: formatTransaction([...policy, ...translation]) });
    expect(other.exec('nft', ['list', 'ruleset'])).toBe(PRINTED);
    using inside = NetworkNamespace.open(other.path);
    using theirs = Nftables.open(inside);
    const text = [filter, nat].map((table) => formatTable(theirs.dump(table)!)).join('');
    expect(text).toBe(PRINTED.replaceAll(/,\n\s+/g, ', '));
  });

  test('reads back as the values it was made of', () => {
    for (const [table, transaction] of [
      [filter, policy],
      [nat, translation],
    ] as const) {
      const dump = nftables.dump(table)!;
      const read = dump.chains.flatMap((c) =>
        c.rules.map((r) => `${c.chain.name}: ${formatRule(table.family, r.rule)}`),
      );
      const sent = transaction.flatMap((o) => (o.op === 'add rule' ? [o.rule] : []));
      const own = sent.map((r) => `${r.chain}: ${formatRule(table.family, r)}`);
      const still = (text: string): string => text.replaceAll(/packets \d+ bytes \d+/g, '');
      expect(read.map(still).sort()).toEqual(own.map(still).sort());
      expect(dump.sets.map((s) => s.set)).toEqual(
        transaction.flatMap((o) => (o.op === 'add set' ? [o.set] : [])),
      );
    }
  });

  // Nothing listens anywhere: a connection that is let through is refused by the host it reaches.
  const reaches = async (address: string, port: number): Promise<string> => {
    const script = `exec 3<>/dev/tcp/${address}/${port}`;
    try {
      await client.execAsync('timeout', ['1', 'bash', '-c', script]);
      return 'open';
    } catch (error) {
      return /refused/.test(String(error)) ? 'refused' : 'silent';
    }
  };

  test.each([
    ['a port that any peer may use', '10.2.0.2', 8005, 'refused'],
    ['a port that the class of the peer may use', '10.2.0.2', 9000, 'refused'],
    ['a port that the class may not use', '10.2.0.2', 9001, 'silent'],
    ['a port that nobody may use', '10.2.0.2', 22, 'silent'],
    ['a pod that no policy selects', '10.2.0.3', 22, 'refused'],
    ['a service, judged by what it leads to', '10.96.0.1', 80, 'refused'],
  ] as const)('%s', async (_what, address, port, outcome) => {
    expect(await reaches(address, port)).toBe(outcome);
  });

  test('counts what it drops', () => {
    const { rules } = nftables.dump(filter)!.chains.find((c) => c.chain.name === 'denied')!;
    const [counter] = rules[1]!.rule.expressions;
    expect(counter).toMatchObject({ kind: 'counter' });
    expect(counter?.kind === 'counter' && counter.packets).toBeGreaterThan(0);
  });
});
