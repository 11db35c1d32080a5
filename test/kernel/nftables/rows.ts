import * as f from '#kernel/nftables/field.ts';
import { ACCEPT, DROP, type Family, goTo, jump, type Rule } from '#kernel/nftables/model.ts';
import { RuleBuilder } from '#kernel/nftables/rule-builder.ts';

const { ct, icmp, icmpv6, ip, ip6, meta, tcp, th, udp } = f;

/** A rule in nft's language, and the same from our builder. */
export interface Row {
  readonly nft: string;
  readonly build: (rule: RuleBuilder) => RuleBuilder;
  /** What nft prints, where it is not what it reads. */
  readonly prints?: string;
  /** What our printer says, where it says less than nft. */
  readonly ours?: string;
  /** Why our bytes are not those of nft, and mean the same. */
  readonly differs?: string;
}

/** Rows for one chain. */
export interface Group {
  readonly name: string;
  readonly family: Family;
  readonly chain: string;
  /** nft's text of what the rules refer to. */
  readonly around: string;
  readonly rows: readonly Row[];
}

const row = (nft: string, build: Row['build'], more: Omit<Row, 'nft' | 'build'> = {}): Row => ({
  nft,
  build,
  ...more,
});

const inet: Group = {
  name: 'inet filter',
  family: 'inet',
  chain: 'type filter hook forward priority filter; policy accept;',
  around: `
    chain c1 {
    }
    counter hits {
    }
    quota month { over 10 mbytes; }
    limit calm { rate 10/second burst 7 packets; }
    set hosts { type ipv4_addr; }
    set hosts6 { type ipv6_addr; flags interval; }
    set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
    set services { type ipv4_addr . inet_service; }
    set marks { type mark; flags interval; }
    set names { type ifname; }
    map classes { type ipv4_addr : verdict; flags interval; }
    map verdicts { type ipv4_addr . inet_service : verdict; flags interval; }
    map counters { type ipv4_addr : counter; }
    map tags { type ipv4_addr : mark; flags dynamic,timeout; timeout 1m; }
  `,
  rows: [
    // verdicts
    row('accept', (r) => r.accept()),
    row('drop', (r) => r.drop()),
    row('return', (r) => r.return()),
    row('continue', (r) => r.continue()),
    row('jump c1', (r) => r.jump('c1')),
    row('goto c1', (r) => r.goto('c1')),
    row('accept comment "a word"', (r) => r.accept().comment('a word')),
    // meta
    row('iif "lo"', (r) => r.match(meta.iif, '==', 1), { ours: 'iif 1' }),
    row('oif != "lo"', (r) => r.match(meta.oif, '!=', 1), { ours: 'oif != 1' }),
    row('iifname "eth0"', (r) => r.match(meta.iifname, '==', 'eth0')),
    row('oifname != "eth*"', (r) => r.match(meta.oifname, '!=', 'eth*')),
    row('iifname { "eth0", "eth1" }', (r) => r.in(meta.iifname, ['eth0', 'eth1'])),
    row('iifname @names', (r) => r.in(meta.iifname, 'names')),
    row('iifgroup 5', (r) => r.match(meta.iifgroup, '==', 5)),
    row('meta l4proto tcp', (r) => r.match(meta.l4proto, '==', 'tcp')),
    row('meta l4proto { tcp, udp }', (r) => r.in(meta.l4proto, ['tcp', 'udp'])),
    row('meta l4proto != icmp', (r) => r.match(meta.l4proto, '!=', 'icmp')),
    row('meta nfproto ipv6', (r) => r.match(meta.nfproto, '==', 'ipv6')),
    row('meta pkttype broadcast', (r) => r.match(meta.pkttype, '==', 'broadcast')),
    row('meta length > 100', (r) => r.match(meta.length, '>', 100)),
    row('meta skuid 0', (r) => r.match(meta.skuid, '==', 0)),
    row('meta protocol ip', (r) => r.match(meta.protocol, '==', 'ip')),
    row('meta nftrace set 1', (r) => r.set(meta.nftrace, 1)),
    row('meta mark 0x00000001', (r) => r.match(meta.mark, '==', 1)),
    row('meta mark != 0x00000001', (r) => r.match(meta.mark, '!=', 1)),
    row('meta mark & 0x000000ff == 0x00000001', (r) => r.masked(meta.mark, 0xff, '==', 1)),
    row('meta mark & 0x00000001 != 0x00000000', (r) => r.masked(meta.mark, 1, '!=', 0)),
    row('meta mark set 0x00000005', (r) => r.set(meta.mark, 5)),
    row(
      'meta mark set meta mark & 0xffffff00 | 0x00000005',
      (r) => r.copy(meta.mark, meta.mark, { mask: 0xffffff00, xor: 5 }),
      { prints: 'meta mark set meta mark & 0xffffff05 | 0x00000005' },
    ),
    row('meta mark set ct mark', (r) => r.copy(meta.mark, ct.mark)),
    row('meta mark { 0x00000001, 0x00000002 }', (r) => r.in(meta.mark, ['1', '2'])),
    row('meta mark @marks', (r) => r.in(meta.mark, { name: 'marks', key: ['mark'], interval: true })),
    row('meta mark set ip saddr map @tags', (r) => r.setFromMap(meta.mark, ip.saddr, 'tags')),
    row('meta mark set ip saddr map { 10.0.0.1 : 0x00000001 }', (r) =>
      r.setFromMap(meta.mark, ip.saddr, [['10.0.0.1', 1]]),
    ),
    // payload, cmp, bitwise, range
    row('ip saddr 10.0.0.1', (r) => r.match(ip.saddr, '==', '10.0.0.1')),
    row('ip saddr != 10.0.0.1', (r) => r.match(ip.saddr, '!=', '10.0.0.1')),
    row('ip saddr 10.0.0.0/8', (r) => r.match(ip.saddr, '==', '10.0.0.0/8')),
    row('ip saddr 10.128.0.0/9', (r) => r.match(ip.saddr, '==', '10.128.0.0/9')),
    row('ip daddr != 10.128.0.0/9', (r) => r.match(ip.daddr, '!=', '10.128.0.0/9')),
    row('ip saddr 10.0.0.1-10.0.0.5', (r) => r.match(ip.saddr, '==', '10.0.0.1-10.0.0.5')),
    row('ip saddr != 10.0.0.1-10.0.0.5', (r) => r.match(ip.saddr, '!=', '10.0.0.1-10.0.0.5')),
    row('ip saddr 10.0.0.1 ip daddr 10.0.0.2', (r) =>
      r.match(ip.saddr, '==', '10.0.0.1').match(ip.daddr, '==', '10.0.0.2'),
    ),
    row('ip protocol tcp', (r) => r.match(ip.protocol, '==', 'tcp')),
    row('ip ttl > 5', (r) => r.match(ip.ttl, '>', 5)),
    row('ip length 1-50', (r) => r.match(ip.length, '==', '1-50')),
    row('ip frag-off & 0x1fff != 0x0', (r) => r.masked(ip.fragOffset, 0x1fff, '!=', 0), {
      prints: 'ip frag-off & 8191 != 0',
    }),
    row('ip6 saddr fe80::1', (r) => r.match(ip6.saddr, '==', 'fe80::1')),
    row('ip6 daddr fe80::/10', (r) => r.match(ip6.daddr, '==', 'fe80::/10')),
    row('ip6 daddr fd00::/8', (r) => r.match(ip6.daddr, '==', 'fd00::/8')),
    row('ip6 nexthdr tcp', (r) => r.match(ip6.nexthdr, '==', 'tcp')),
    row('ip6 hoplimit 255', (r) => r.match(ip6.hoplimit, '==', 255)),
    row('tcp dport 80', (r) => r.match(tcp.dport, '==', 80)),
    row('tcp dport 80-90', (r) => r.match(tcp.dport, '==', '80-90')),
    row('tcp dport != 80-90', (r) => r.match(tcp.dport, '!=', '80-90')),
    row('tcp sport >= 1024', (r) => r.match(tcp.sport, '>=', 1024)),
    row('udp dport 53', (r) => r.match(udp.dport, '==', 53)),
    row('udp length 8', (r) => r.match(udp.length, '==', 8)),
    row('th dport 80-90', (r) => r.match(th.dport, '==', '80-90')),
    row('meta l4proto { tcp, udp } th dport { 53, 80-90 }', (r) =>
      r.in(meta.l4proto, ['tcp', 'udp']).in(th.dport, ['53', '80-90']),
    ),
    row('tcp flags syn', (r) => r.has(tcp.flags, 'syn')),
    row('tcp flags syn / syn,ack', (r) => r.masked(tcp.flags, 'syn,ack', '==', 'syn')),
    row('tcp flags != syn', (r) => r.match(tcp.flags, '!=', 'syn')),
    row('tcp sequence > 5', (r) => r.match(tcp.sequence, '>', 5)),
    row('icmp type echo-request', (r) => r.match(icmp.type, '==', 'echo-request')),
    row('icmpv6 type { nd-router-advert, nd-neighbor-solicit }', (r) =>
      r.in(icmpv6.type, ['nd-router-advert', 'nd-neighbor-solicit']),
    ),
    row('@th,32,16 5', (r) => r.match(f.raw('transport', 4, 2), '==', 5), {
      prints: '@th,32,16 0x5',
    }),
    // lookup
    row('ip saddr @hosts', (r) => r.in(ip.saddr, 'hosts')),
    row('ip saddr != @hosts', (r) => r.notIn(ip.saddr, 'hosts')),
    row('ip6 saddr @hosts6', (r) => r.in(ip6.saddr, 'hosts6')),
    row('ip daddr . tcp dport @services', (r) => r.in([ip.daddr, tcp.dport], 'services')),
    row('ip saddr { 10.0.0.1, 10.0.0.2 }', (r) => r.in(ip.saddr, ['10.0.0.1', '10.0.0.2'])),
    row('ip saddr != { 10.0.0.0/8, 192.168.0.0/16 }', (r) =>
      r.notIn(ip.saddr, ['10.0.0.0/8', '192.168.0.0/16']),
    ),
    row('ip saddr { 0.0.0.0/8, 240.0.0.0/4 }', (r) => r.in(ip.saddr, ['0.0.0.0/8', '240.0.0.0/4'])),
    row('ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.1 . 443 }', (r) =>
      r.in([ip.saddr, tcp.dport], ['10.0.0.1 . 80', '10.0.0.1 . 443']),
    ),
    row('ip saddr . tcp dport { 10.0.0.1 . 80-90, 10.0.0.2 . 443 }', (r) =>
      r.in([ip.saddr, tcp.dport], ['10.0.0.1 . 80-90', '10.0.0.2 . 443']),
    ),
    row('ip saddr vmap @classes', (r) => r.vmap(ip.saddr, 'classes')),
    row('ip daddr . tcp dport vmap @verdicts', (r) => r.vmap([ip.daddr, tcp.dport], 'verdicts')),
    row('tcp dport vmap { 80 : accept, 81-90 : jump c1 }', (r) =>
      r.vmap(tcp.dport, [
        ['80', ACCEPT],
        ['81-90', jump('c1')],
      ]),
    ),
    row('ip daddr . tcp dport vmap { 10.0.0.1 . 80-90 : accept, 10.0.0.2 . 53 : goto c1 }', (r) =>
      r.vmap(
        [ip.daddr, tcp.dport],
        [
          ['10.0.0.1 . 80-90', ACCEPT],
          ['10.0.0.2 . 53', goTo('c1')],
        ],
      ),
    ),
    row('ct state vmap { invalid : drop, established : accept, related : accept }', (r) =>
      r.vmap(ct.state, [
        ['established', ACCEPT],
        ['related', ACCEPT],
        ['invalid', DROP],
      ]),
    ),
    row('iifname . ip saddr vmap { "eth0" . 10.0.0.1 : accept }', (r) =>
      r.vmap([meta.iifname, ip.saddr], [['eth0 . 10.0.0.1', ACCEPT]]),
    ),
    // ct
    row('ct state established,related', (r) => r.has(ct.state, 'established,related')),
    row('ct state new', (r) => r.has(ct.state, 'new')),
    row('ct state != established', (r) => r.match(ct.state, '!=', 'established')),
    row('ct status dnat', (r) => r.has(ct.status, 'dnat')),
    row('ct direction original', (r) => r.match(ct.direction, '==', 'original')),
    row('ct mark 0x00000001', (r) => r.match(ct.mark, '==', 1)),
    row('ct mark >= 0x00000005', (r) => r.match(ct.mark, '>=', 5)),
    row('ct mark 0x00000001-0x00000005', (r) => r.match(ct.mark, '==', '1-5')),
    row('ct mark & 0x000000ff == 0x00000005', (r) => r.masked(ct.mark, 0xff, '==', 5)),
    row('ct mark set meta mark', (r) => r.copy(ct.mark, meta.mark)),
    row('ct mark set ct mark | 0x00000010', (r) => r.copy(ct.mark, ct.mark, { mask: 0xffffffef, xor: 0x10 })),
    row('ct mark set ct mark & 0x0000ffff', (r) => r.copy(ct.mark, ct.mark, { mask: 0xffff, xor: 0 })),
    row('ct label 127', (r) => r.has(ct.label, 127)),
    row('ct label 1 drop', (r) => r.has(ct.label, 1).drop()),
    row('ct label set 127', (r) => r.set(ct.label, 127)),
    row('ct zone 5', (r) => r.match(ct.zone, '==', 5)),
    row('ct id 5', (r) => r.match(ct.id, '==', 5)),
    row('ct l3proto ipv4', (r) => r.match(ct.l3proto, '==', 'ipv4')),
    row('ct protocol tcp', (r) => r.match(ct.protocol, '==', 'tcp')),
    row('ct original ip saddr 1.2.3.4', (r) => r.match(ct.original.ip.saddr, '==', '1.2.3.4')),
    row('ct reply ip saddr 10.0.0.0/8', (r) => r.match(ct.reply.ip.saddr, '==', '10.0.0.0/8')),
    row('ct reply ip6 daddr fe80::1', (r) => r.match(ct.reply.ip6.daddr, '==', 'fe80::1')),
    row('meta l4proto tcp ct reply proto-dst 44', (r) =>
      r.match(meta.l4proto, '==', 'tcp').match(ct.reply.protoDst, '==', 44),
    ),
    row('ct bytes > 1000', (r) => r.match(ct.bytes, '>', 1000)),
    row('ct original packets > 5', (r) => r.match(ct.original.packets, '>', 5)),
    // statements
    row('counter packets 0 bytes 0', (r) => r.counter()),
    row('counter packets 5 bytes 6 drop', (r) => r.counter(5, 6).drop()),
    row('log', (r) => r.log()),
    row('log prefix "p: " group 3 snaplen 128 queue-threshold 10', (r) =>
      r.log({ prefix: 'p: ', group: 3, snaplen: 128, queueThreshold: 10 }),
    ),
    row('log group 0', (r) => r.log({ group: 0 })),
    row('log prefix "p" level info flags all', (r) => r.log({ prefix: 'p', level: 'info', flags: 0x2f }), {
      ours: 'log prefix "p" level info flags all',
    }),
    row('limit rate 10/second', (r) => r.limit({ rate: 10, per: 'second', of: 'packets', burst: 5 })),
    row('limit rate over 10/minute burst 7 packets', (r) =>
      r.limit({ rate: 10, per: 'minute', of: 'packets', burst: 7, over: true }),
    ),
    row('limit rate over 10 mbytes/minute', (r) =>
      r.limit({ rate: 10 << 20, per: 'minute', of: 'bytes', burst: 0, over: true }),
    ),
    row('quota over 10 mbytes', (r) => r.quota({ bytes: 10 << 20, over: true })),
    row('quota 100 bytes used 5 bytes', (r) => r.quota({ bytes: 100, consumed: 5 })),
    row('counter name "hits"', (r) => r.object('counter', 'hits')),
    row('quota name "month"', (r) => r.object('quota', 'month')),
    row('limit name "calm"', (r) => r.object('limit', 'calm')),
    row('counter name ip saddr map @counters', (r) => r.objectFromMap(ip.saddr, 'counters')),
    row('update @seen { ip saddr }', (r) => r.toSet('update', 'seen', ip.saddr)),
    row('add @seen { ip saddr timeout 5s }', (r) => r.toSet('add', 'seen', ip.saddr, { timeout: 5000 })),
    row('update @seen { ip saddr limit rate 5/second }', (r) =>
      r.toSet('update', 'seen', ip.saddr, {
        state: [{ kind: 'limit', rate: 5, per: 'second', of: 'packets', burst: 5 }],
      }),
    ),
    row('update @tags { ip saddr : meta mark }', (r) => r.toMap('update', 'tags', ip.saddr, meta.mark)),
    row(
      'update @seen { ip saddr counter limit rate 5/second }',
      (r) =>
        r.toSet('update', 'seen', ip.saddr, {
          state: [
            { kind: 'counter', packets: 0, bytes: 0 },
            { kind: 'limit', rate: 5, per: 'second', of: 'packets', burst: 5 },
          ],
        }),
      { ours: 'update @seen { ip saddr counter packets 0 bytes 0 limit rate 5/second }' },
    ),
    row('delete @seen { ip saddr }', (r) => r.toSet('delete', 'seen', ip.saddr)),
    // what changes the packet
    row('ip daddr set 10.0.0.1', (r) => r.set(ip.daddr, '10.0.0.1')),
    row('ip ttl set 5', (r) => r.set(ip.ttl, 5)),
    row('ip6 saddr set fd00::1', (r) => r.set(ip6.saddr, 'fd00::1')),
    row('ip6 hoplimit set 5', (r) => r.set(ip6.hoplimit, 5)),
    row('tcp dport set 80', (r) => r.set(tcp.dport, 80)),
    row('udp sport set 53', (r) => r.set(udp.sport, 53)),
    row('th dport set 53', (r) => r.set(th.dport, 53)),
    row('tcp option maxseg size set 1400', (r) => r.set(f.tcpOption.maxseg, 1400)),
    row('meta mark set meta mark << 8', (r) => r.copy(meta.mark, meta.mark, { shift: '<<', by: 8 })),
    row('meta mark set meta mark >> 4', (r) => r.copy(meta.mark, meta.mark, { shift: '>>', by: 4 })),
    row('reject', (r) => r.reject()),
    row('reject with icmpx admin-prohibited', (r) => r.reject({ with: 'icmpx', code: 3 })),
    row('meta l4proto tcp reject with tcp reset', (r) => r.reject({ with: 'tcp reset', code: 0 })),
    row('fib saddr . iif oif missing', (r) => r.match(f.fibPresent(['saddr', 'iif']), '==', 0)),
    row('fib daddr type local', (r) => r.match(f.fib(['daddr'], 'type'), '==', 'local')),
    row('fib daddr oifname "eth0"', (r) => r.match(f.fib(['daddr'], 'oifname'), '==', 'eth0')),
    row('rt mtu 1400', (r) => r.match(f.rt('mtu'), '==', 1400)),
    row('tcp option maxseg size 1400', (r) => r.match(f.tcpOption.maxseg, '==', 1400)),
    row('tcp option maxseg size set rt mtu', (r) => r.clampMss()),
    row('exthdr frag exists', (r) =>
      r.match(
        f.exthdr('exthdr frag', { of: 'ipv6', type: 44, offset: 0, length: 1, present: true }),
        '==',
        1,
      ),
    ),
    row('numgen random mod 3 vmap { 0 : jump c1, 1 : accept }', (r) =>
      r.vmap(f.numgen('random', 3), [
        ['0', jump('c1')],
        ['1', ACCEPT],
      ]),
    ),
    row('numgen inc mod 3 offset 5 6', (r) => r.match(f.numgen('inc', 3, 5), '==', 6)),
    row('jhash ip saddr mod 4 seed 0xabcd 1', (r) => r.match(f.jhash([ip.saddr], 4, 0xabcd), '==', 1)),
    row('jhash ip saddr . tcp sport mod 4 seed 0xabcd vmap { 0 : jump c1 }', (r) =>
      r.vmap(f.jhash([ip.saddr, tcp.sport], 4, 0xabcd), [['0', jump('c1')]]),
    ),
    row('symhash mod 4 0', (r) => r.match(f.symhash(4), '==', 0)),
  ],
};

const inetNat: Group = {
  name: 'inet nat',
  family: 'inet',
  chain: 'type nat hook prerouting priority dstnat; policy accept;',
  around: 'map services { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }',
  rows: [
    row('dnat ip to 10.0.0.5', (r) => r.dnat('10.0.0.5')),
    row('dnat ip6 to fd00::5', (r) => r.dnat('fd00::5')),
    row('tcp dport 80 dnat ip to 10.0.0.5:8080', (r) => r.match(tcp.dport, '==', 80).dnat('10.0.0.5', 8080)),
  ],
};

const ipDnat: Group = {
  name: 'ip dnat',
  family: 'ip',
  chain: 'type nat hook prerouting priority dstnat; policy accept;',
  around: `
    map services { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map hosts { type ipv4_addr : ipv4_addr; flags interval; }
  `,
  rows: [
    row('dnat to 10.0.0.5', (r) => r.dnat('10.0.0.5')),
    row('dnat to 10.0.0.5-10.0.0.9 persistent', (r) =>
      r.dnat('10.0.0.5-10.0.0.9', undefined, { persistent: true }),
    ),
    row('tcp dport 80 dnat to 10.0.0.5:8080', (r) => r.match(tcp.dport, '==', 80).dnat('10.0.0.5', 8080)),
    row('tcp dport 80 dnat to 10.0.0.5:8080-8090', (r) =>
      r.match(tcp.dport, '==', 80).dnat('10.0.0.5', '8080-8090'),
    ),
    row('dnat to ip daddr map @hosts', (r) => r.dnatFromMap('ip', ip.daddr, 'hosts')),
    row(
      'dnat ip to meta l4proto . ip daddr . th dport map @services',
      (r) =>
        r.dnatFromMap('ip', [meta.l4proto, ip.daddr, th.dport], 'services', ['ipv4_addr', 'inet_service']),
      { differs: 'nft leaves it to the kernel to note that there is a port' },
    ),
    row('dnat to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }', (r) =>
      r.dnatFromMap('ip', f.numgen('random', 2), [
        ['0', '10.0.0.1'],
        ['1', '10.0.0.2'],
      ]),
    ),
    row('redirect', (r) => r.redirect()),
    row('tcp dport 80 redirect to :8080', (r) => r.match(tcp.dport, '==', 80).redirect(8080)),
    row('meta l4proto tcp redirect to :8080-8090', (r) =>
      r.match(meta.l4proto, '==', 'tcp').redirect('8080-8090'),
    ),
    row(
      'dnat ip prefix to 10.1.0.0/24',
      (r) =>
        r.expression(
          { kind: 'immediate', to: 0, value: '0a010000' },
          { kind: 'immediate', to: 4, value: '0a0100ff' },
          { kind: 'nat', type: 'dnat', family: 'ip', address: 0, addressEnd: 4, netmap: true },
        ),
      { prints: 'dnat prefix to 10.1.0.0/24' },
    ),
    row('tcp dport 80 dnat to :8080', (r) =>
      r
        .match(tcp.dport, '==', 80)
        .expression(
          { kind: 'immediate', to: 0, value: '1f90' },
          { kind: 'nat', type: 'dnat', family: 'ip', port: 0 },
        ),
    ),
  ],
};

const ipSnat: Group = {
  name: 'ip snat',
  family: 'ip',
  chain: 'type nat hook postrouting priority srcnat; policy accept;',
  around: 'set pool { type ipv4_addr; flags interval; }',
  rows: [
    row('masquerade', (r) => r.masquerade()),
    row('meta l4proto tcp masquerade to :1024-65535', (r) =>
      r.match(meta.l4proto, '==', 'tcp').masquerade({}, '1024-65535'),
    ),
    row('masquerade random', (r) => r.masquerade({ random: true })),
    row('masquerade fully-random,persistent', (r) => r.masquerade({ fullyRandom: true, persistent: true })),
    row('ip saddr 10.0.0.0/8 ip daddr != @pool masquerade', (r) =>
      r.match(ip.saddr, '==', '10.0.0.0/8').notIn(ip.daddr, 'pool').masquerade(),
    ),
    row('ip saddr 10.0.0.0/8 ip daddr != { 10.0.0.0/8, 192.168.0.0/16 } masquerade', (r) =>
      r.match(ip.saddr, '==', '10.0.0.0/8').notIn(ip.daddr, ['10.0.0.0/8', '192.168.0.0/16']).masquerade(),
    ),
    row('snat to 1.2.3.4', (r) => r.snat('1.2.3.4')),
    row('snat to 1.2.3.4-1.2.3.10 persistent', (r) =>
      r.snat('1.2.3.4-1.2.3.10', undefined, { persistent: true }),
    ),
  ],
};

const ip6Nat: Group = {
  name: 'ip6 snat',
  family: 'ip6',
  chain: 'type nat hook postrouting priority srcnat; policy accept;',
  around: '',
  rows: [
    row('snat to fd00::1', (r) => r.snat('fd00::1')),
    row('tcp dport 80 snat to [fd00::1]:1000-2000', (r) =>
      r.match(tcp.dport, '==', 80).snat('fd00::1', '1000-2000'),
    ),
    row('masquerade', (r) => r.masquerade()),
  ],
};

const raw: Group = {
  name: 'ip raw',
  family: 'ip',
  chain: 'type filter hook prerouting priority raw; policy accept;',
  around: '',
  rows: [
    row('ip daddr 10.0.0.1 notrack', (r) => r.match(ip.daddr, '==', '10.0.0.1').notrack()),
    row('ct zone set 1', (r) => r.set(ct.zone, 1)),
    row('socket transparent 1', (r) => r.match(f.socket('transparent'), '==', 1)),
    row('socket mark 0x00000001', (r) => r.match(f.socket('mark'), '==', 1)),
    row('fib saddr . mark . iif oif missing drop', (r) =>
      r.match(f.fibPresent(['saddr', 'mark', 'iif']), '==', 0).drop(),
    ),
  ],
};

const input: Group = {
  name: 'ip input',
  family: 'ip',
  chain: 'type filter hook input priority filter; policy accept;',
  around: '',
  rows: [
    row('reject with icmp host-unreachable', (r) => r.reject({ with: 'icmp', code: 1 })),
    row('reject', (r) => r.reject({ with: 'icmp', code: 3 })),
  ],
};

const input6: Group = {
  name: 'ip6 input',
  family: 'ip6',
  chain: 'type filter hook input priority filter; policy accept;',
  around: '',
  rows: [
    row('reject', (r) => r.reject({ with: 'icmp', code: 4 })),
    row('reject with icmpv6 no-route', (r) => r.reject({ with: 'icmp', code: 0 })),
  ],
};

export const groups: readonly Group[] = [inet, inetNat, ipDnat, ipSnat, ip6Nat, raw, input, input6];

/** The chain that the rules are in. */
export const CHAIN = 'main';

/** Our rule for a row. */
export function ruleOf(group: Group, { build }: Row): Rule {
  return build(new RuleBuilder(group.family, CHAIN)).rule();
}
