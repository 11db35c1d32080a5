import type { Family } from '#datastore/address.ts';
import { FlowStatus } from '#kernel/conntrack/flow.ts';
import { ct, type Field, fib, icmpv6, ip, ip6, meta, th } from '#kernel/nftables/field.ts';
import {
  ACCEPT,
  type BaseChain,
  type Chain,
  goTo,
  PRIORITY,
  type Rule,
  type SetDefinition,
} from '#kernel/nftables/model.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';
import type { ClassId, Direction } from '#proto/program.ts';
import { INTERFACE_PREFIX } from '../endpoint.ts';
import { commentOf, PORT_TIERS, type PortTier } from './keys.ts';
import type { ChainContents } from './same.ts';
import * as sets from './sets.ts';
import type { DataplaneSettings } from './settings.ts';

/*
 * The chains of the table, in the order in which a packet meets them (docs/dataplane.md has the picture). Pure.
 */

/** A connection that is not allowed any more has this label, and none of its packets pass. */
export const DENIED_LABEL = 127;

/**
 * What bears {@link DENIED_LABEL} has this bit of its status too (and keeps it when it loses the label): to see that it is not
 * there costs a packet a tenth of what looking at labels does. It says that a helper was attached on purpose; of a connection
 * that has begun nothing in the kernel asks for it any more. One that has a helper is looked at by its label as well.
 */
export const MARKED_STATUS = FlowStatus.helper;

/** Where nothing that may pass comes to an end. */
const DENY = 'deny';
const PODS = `${INTERFACE_PREFIX}*`;
const FAMILIES = [4, 6] as const;

/** The fields of one direction: the pod's end and the peer's. */
const SIDES: Readonly<Record<Direction, { interface: Field; peer: Readonly<Record<Family, Field>> }>> = {
  egress: { interface: meta.iifname, peer: { 4: ip.daddr, 6: ip6.daddr } },
  ingress: { interface: meta.oifname, peer: { 4: ip.saddr, 6: ip6.saddr } },
};

const AFTER_FILTER = PRIORITY.filter + 10;

/** Whether a set is in the table. */
export type HasSet = (name: string) => boolean;

/** The map of blocks that there is now. */
export type BlockMapOf = (direction: Direction, family: Family) => SetDefinition | undefined;

/** All chains that are not a class's, by what sets there are. */
export function commonChains(
  settings: DataplaneSettings,
  has: HasSet,
  blockMapOf: BlockMapOf,
): ChainContents[] {
  return [
    sourceChain(),
    labelChain(),
    ...forwardChains(has),
    directionChain('egress', has, blockMapOf),
    otherwiseChain('egress', has),
    directionChain('ingress', has, blockMapOf),
    otherwiseChain('ingress', has),
    ...hostChains(settings, has),
    ...natChains(has),
  ];
}

/** Packets of a pod bear the pod's address, whatever they are: before anything else looks at them. */
function sourceChain(): ChainContents {
  // In one chain: a jump costs each packet of a pod more than the rules that it would spare others.
  return chain(
    'raw-prerouting',
    { type: 'filter', hook: 'prerouting', priority: PRIORITY.raw },
    'what comes from a pod bears its address',
    (rule) => [
      rule().match(meta.iifname, '!=', PODS).accept(),
      // The kernel takes these for its own where route_localnet is set.
      rule().match(ip.daddr, '==', '127.0.0.0/8').drop(),
      rule().in([meta.iifname, ip.saddr], sets.workloads(4)).accept(),
      rule().in([meta.iifname, ip6.saddr], sets.workloads(6)).accept(),
      rule()
        .in(ip6.saddr, ['::', 'fe80::/10'])
        .in(icmpv6.type, NEIGHBOUR_MESSAGES)
        .accept()
        .comment('neighbour discovery, which is never forwarded'),
      rule().drop().comment("an address that is not the interface's, or an interface that is no pod's"),
    ],
  );
}

/**
 * Room for {@link DENIED_LABEL} in what conntrack has an entry for. A rule that looks at labels makes room only since late in
 * 2025 (nft_ct_get_init of net/netfilter/nft_ct.c); Linux 6.1 as Debian 12 began with wants one that sets them, wherever it is.
 */
function labelChain(): ChainContents {
  return chain(
    'labels',
    undefined,
    'nothing leads here: that a rule sets labels makes kernels of before 2026 keep room for them',
    (rule) => [rule().set(ct.label, DENIED_LABEL)],
  );
}

/** Neighbour and router discovery (RFC 4861), listeners of multicast (RFC 3810). */
const NEIGHBOUR_MESSAGES = [
  'nd-router-solicit',
  'nd-router-advert',
  'nd-neighbor-solicit',
  'nd-neighbor-advert',
  'mld-listener-report',
  'mld-listener-done',
  'mld2-listener-report',
];

function forwardChains(has: HasSet): ChainContents[] {
  return [
    chain(
      'forward',
      { type: 'filter', hook: 'forward', priority: AFTER_FILTER },
      'after the service proxy: destinations are pods, sources are still their own',
      (rule) => [
        rule()
          .has(ct.state, 'established,related')
          .masked(ct.status, MARKED_STATUS, '==', 0)
          .accept()
          .comment('every packet but the first ends here'),
        rule().has(ct.label, DENIED_LABEL).drop().comment('connections that are not allowed any more'),
        rule().vmap(ct.state, [
          ['established', ACCEPT],
          ['related', ACCEPT],
          ['invalid', goTo('invalid')],
        ]),
        ...FAMILIES.filter((family) => has(sets.serviceSet(family).name)).map((family) =>
          rule()
            .in(SIDES.egress.peer[family], sets.serviceSet(family))
            .drop()
            .comment('services that nobody serves: the packet would go round in circles'),
        ),
        rule().match(meta.iifname, '==', PODS).jump('from-pod'),
        rule().match(meta.oifname, '==', PODS).jump('to-pod'),
      ],
    ),
    chain(
      'invalid',
      undefined,
      'packets of no connection: closed for pods, none of our business else',
      (rule) => [
        rule().match(meta.iifname, '==', PODS).drop(),
        rule().match(meta.oifname, '==', PODS).drop(),
      ],
    ),
    chain('from-pod', undefined, 'new connections that a pod begins', (rule) => [
      ...isolated('egress', has, rule),
      rule().vmap(meta.iifname, sets.podMap('egress')),
      rule().goto(DENY).comment('its policy is not known'),
    ]),
    chain('to-pod', undefined, 'new connections to a pod', (rule) => [
      ...isolated('ingress', has, rule),
      rule().vmap(meta.oifname, sets.podMap('ingress')),
      rule().goto(DENY).comment('its policy is not known'),
    ]),
    chain(DENY, undefined, 'new connections that nothing allows', (rule) => [
      ...FAMILIES.map((family) =>
        rule()
          .in([meta.iifname, SIDES.egress.peer[family]], sets.workloads(family))
          .accept()
          .comment('a pod reaches itself, by way of a service too'),
      ),
      rule().drop(),
    ]),
  ];
}

function isolated(direction: Direction, has: HasSet, rule: () => RuleBuilder): RuleBuilder[] {
  const set = sets.isolatedSet(direction);
  return has(set.name) ? [rule().in(SIDES[direction].interface, set).goto(direction)] : [];
}

/** Pods that policies are about in this direction. `return` accepts one direction and leads to the other. */
function directionChain(direction: Direction, has: HasSet, blockMapOf: BlockMapOf): ChainContents {
  const { peer } = SIDES[direction];
  return chain(direction, undefined, directionComment(direction), (rule) => [
    ...portRules(
      direction,
      (tier) => sets.ruleSet(direction, 'any', tier).name,
      has,
      rule,
      (r) => r.return(),
    ),
    ...FAMILIES.flatMap((family) => {
      const peers = sets.peerMap(direction, family);
      return [has(peers.name) ? peers : undefined, blockMapOf(direction, family)].flatMap((map) =>
        map ? [rule().vmap(peer[family], map)] : [],
      );
    }),
    rule().goto(otherwise(direction)),
  ]);
}

function otherwiseChain(direction: Direction, has: HasSet): ChainContents {
  return chain(otherwise(direction), undefined, `where the class of the peer says nothing`, (rule) => [
    ...portRules(
      direction,
      (tier) => sets.ruleSet(direction, 'otherwise', tier).name,
      has,
      rule,
      (r) => r.return(),
    ),
    rule().goto(DENY),
  ]);
}

function otherwise(direction: Direction): string {
  return `${direction}-otherwise`;
}

/** What peers of a class may do. A class that is at fault (see the driver) lets nothing through. */
export function classChain(
  direction: Direction,
  id: ClassId,
  meaning: readonly string[],
  has: HasSet,
  closed: boolean,
): ChainContents {
  const name = sets.classChain(direction, id);
  const setName = (verdict: 'accept' | 'drop') => (tier: PortTier) =>
    sets.classSet(direction, id, verdict, tier).name;
  return chain(name, undefined, meaning.length === 0 ? undefined : meaning.join('; '), (rule) =>
    closed
      ? [rule().goto(DENY).comment('closed: the kernel refused its rules')]
      : [
          ...portRules(direction, setName('accept'), has, rule, (r) => r.return()),
          ...portRules(direction, setName('drop'), has, rule, (r) => r.goto(DENY)),
          rule().goto(otherwise(direction)),
        ],
  );
}

const directionComment = (direction: Direction): string => `pods that policies isolate for ${direction}`;

/** A direction of which the kernel refused the peers: only what is open to all passes. */
export function closedDirectionChain(direction: Direction, has: HasSet): ChainContents {
  return chain(direction, undefined, directionComment(direction), (rule) => [
    ...portRules(
      direction,
      (tier) => sets.ruleSet(direction, 'any', tier).name,
      has,
      rule,
      (r) => r.return(),
    ),
    rule().goto(DENY).comment('closed: the kernel refused the peers'),
  ]);
}

/** One rule for each of the sets of a pod's ports that there are. */
function portRules(
  direction: Direction,
  setName: (tier: PortTier) => string,
  has: HasSet,
  rule: () => RuleBuilder,
  end: (rule: RuleBuilder) => RuleBuilder,
): RuleBuilder[] {
  const pod = SIDES[direction].interface;
  return PORT_TIERS.filter((tier) => has(setName(tier))).map((tier) =>
    end(rule().in(tier === 'all' ? pod : [pod, meta.l4proto, th.dport], setName(tier))),
  );
}

/** What is not forwarded: between the node and its own pods. Policies do not say anything about it. */
function hostChains({ podToHost, hostToPod }: DataplaneSettings, has: HasSet): ChainContents[] {
  const closed = (name: string, hook: 'input' | 'output', field: Field, failsafe: 'inbound' | 'outbound') =>
    chain(
      name,
      { type: 'filter', hook, priority: AFTER_FILTER },
      hook === 'input' ? 'what pods begin with the node' : 'what the node begins with its pods',
      (rule) => [
        rule().match(field, '!=', PODS).accept(),
        rule().has(ct.state, 'established,related').accept(),
        rule().in(icmpv6.type, NEIGHBOUR_MESSAGES).accept().comment('neighbour discovery'),
        ...(has(sets.failsafeSet(failsafe).name)
          ? [rule().in([meta.l4proto, th.dport], sets.failsafeSet(failsafe)).accept()]
          : []),
        rule().drop(),
      ],
    );
  return [
    ...(podToHost === 'drop' ? [closed('input', 'input', meta.iifname, 'inbound')] : []),
    ...(hostToPod === 'drop' ? [closed('output', 'output', meta.oifname, 'outbound')] : []),
  ];
}

/** Whether a chain translates addresses. */
export function isNatChain(name: string): boolean {
  return name.startsWith('nat-') || name === 'hostports';
}

function natChains(has: HasSet): ChainContents[] {
  const hostPorts = FAMILIES.filter(
    (family) => has(sets.hostPortMap(family).name) || has(sets.hostAddressPortMap(family).name),
  );
  const chains: ChainContents[] = [];
  if (hostPorts.length > 0) {
    const leads = (name: string, hook: 'prerouting' | 'output') =>
      chain(
        name,
        { type: 'nat', hook, priority: PRIORITY.dstnat + 5 },
        'ports of the node that lead to pods, after the service proxy',
        (rule) => [
          ...(hook === 'output' && hostPorts.includes(6)
            ? [
                rule()
                  .match(ip6.daddr, '==', '::1')
                  .accept()
                  .comment('its packets can not leave the node: refused at once, and not lost'),
              ]
            : []),
          rule()
            .match(fib(['daddr'], 'type'), '==', 'local')
            .goto('hostports'),
        ],
      );
    chains.push(
      leads('nat-prerouting', 'prerouting'),
      leads('nat-output', 'output'),
      chain('hostports', undefined, undefined, (rule) =>
        hostPorts.flatMap((family) => hostPortRules(family, has, rule)),
      ),
    );
  }
  const outgoing = FAMILIES.filter((family) => has(sets.natSourceSet(family).name));
  if (hostPorts.length === 0 && outgoing.length === 0) return chains;
  return [
    ...chains,
    chain(
      'nat-postrouting',
      { type: 'nat', hook: 'postrouting', priority: PRIORITY.srcnat },
      'pods that leave the cluster, and pods that reach themselves by a port of the node',
      (rule) => [
        ...hostPorts.map((family) =>
          rule()
            .match(meta.oifname, '==', PODS)
            .has(ct.status, 'dnat')
            .in([meta.oifname, family === 4 ? ip.saddr : ip6.saddr], sets.workloads(family))
            .masquerade({ fullyRandom: true }),
        ),
        ...hostPorts
          .filter((family) => family === 4)
          .map(() =>
            rule()
              .match(meta.oifname, '==', PODS)
              .match(ip.saddr, '==', '127.0.0.0/8')
              .masquerade({ fullyRandom: true })
              .comment('the node itself, by localhost'),
          ),
        ...outgoing.map((family) => {
          const [source, destination] = family === 4 ? [ip.saddr, ip.daddr] : [ip6.saddr, ip6.daddr];
          const leaving = rule().match(meta.oifname, '!=', PODS).in(source, sets.natSourceSet(family));
          return (
            has(sets.natExcludedSet(family).name)
              ? leaving.notIn(destination, sets.natExcludedSet(family))
              : leaving
          ).masquerade({ fullyRandom: true });
        }),
      ],
    ),
  ];
}

function hostPortRules(family: Family, has: HasSet, rule: () => RuleBuilder): RuleBuilder[] {
  const destination = SIDES.egress.peer[family];
  const name = family === 4 ? 'ip' : 'ip6';
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const rules: RuleBuilder[] = [];
  const own = sets.hostAddressPortMap(family);
  const all = sets.hostPortMap(family);
  if (has(own.name)) {
    rules.push(
      rule().dnatFromMap(name, [destination, meta.l4proto, th.dport], own.name, [address, 'inet_service']),
    );
  }
  if (has(all.name)) {
    const nfproto = rule().match(meta.nfproto, '==', family === 4 ? 'ipv4' : 'ipv6');
    rules.push(nfproto.dnatFromMap(name, [meta.l4proto, th.dport], all.name, [address, 'inet_service']));
  }
  return rules;
}

function chain(
  name: string,
  base: BaseChain | undefined,
  comment: string | undefined,
  rules: (rule: () => RuleBuilder) => readonly RuleBuilder[],
): ChainContents {
  const value: Chain = {
    name,
    ...(base ? { base } : {}),
    ...(comment === undefined ? {} : { comment: commentOf(comment) }),
  };
  const built: Rule[] = rules(() => new RuleBuilder('inet', name)).map((rule) => rule.rule());
  return { chain: value, rules: built };
}
