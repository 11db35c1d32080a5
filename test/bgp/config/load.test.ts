import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { HEAD, load, loadPeer, problems } from './config.ts';

describe('defaults', () => {
  it('of a file that says only what it must', () => {
    const config = load(HEAD);
    expect(config).toMatchObject({
      routerId: 0x0a000001,
      as: 64512,
      clusterId: 0x0a000001,
      originate: [],
      peers: [],
      ecmp: { maxPaths: 16, ebgp: true, ibgp: true, asPathRelax: false },
      kernel: { enabled: true, table: 254, metric: 32, families: [IPV4_UNICAST, IPV6_UNICAST] },
      api: { socket: '/run/margay/bgp.sock' },
      log: { level: 'info' },
      gracefulShutdown: false,
    });
    expect(config.listen.map(({ address, port }) => [address.family, port])).toEqual([
      [4, 179],
      [6, 179],
    ]);
  });

  it('of a neighbour', () => {
    expect(loadPeer('address: 192.0.2.1, remoteAs: 64513')).toEqual({
      key: '192.0.2.1',
      match: { kind: 'address', address: { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) } },
      description: '',
      group: undefined,
      enabled: true,
      shutdownMessage: '',
      remoteAs: [{ first: 64513, last: 64513 }],
      localAs: 64512,
      port: 179,
      password: undefined,
      passive: false,
      reach: { kind: 'direct' },
      sourceAddress: undefined,
      interface: undefined,
      timers: {
        hold: 90,
        keepalive: undefined,
        connectRetry: 5,
        delayOpen: 0,
        idleHold: 1,
        idleHoldMax: 60,
        sendHold: 'auto',
      },
      extendedMessages: true,
      enhancedRefresh: true,
      connectedNextHop: true,
      families: [
        {
          family: IPV4_UNICAST,
          import: undefined,
          export: undefined,
          maxPrefixes: undefined,
          nextHop: 'auto',
          allowOwnAs: 0,
        },
      ],
      routeReflectorClient: false,
      asOverride: false,
      gracefulShutdown: false,
    });
  });

  it('are no listening addresses where the list is empty', () => {
    expect(load(`${HEAD}listen: []`).listen).toEqual([]);
  });
});

describe('a neighbour', () => {
  it('carries the family that its session runs over, unless told otherwise', () => {
    const families = (text: string) => loadPeer(text).families.map(({ family }) => family);
    expect(families('address: "2001:db8::1", remoteAs: 1')).toEqual([IPV6_UNICAST]);
    expect(families('prefix: 10.0.0.0/8, remoteAs: 1')).toEqual([IPV4_UNICAST]);
    expect(families('address: 10.0.0.1, remoteAs: 1, families: [ipv6-unicast, ipv4-unicast]')).toEqual([
      IPV4_UNICAST,
      IPV6_UNICAST,
    ]);
  });

  it('may differ by family in what is otherwise said for all of them', () => {
    const { families } = loadPeer(
      'address: 10.0.0.1, remoteAs: 1, import: accept, allowOwnAs: 2, families: {ipv4-unicast: , ipv6-unicast: {import: [reject], nextHop: self}}',
    );
    expect(families).toMatchObject([
      { family: IPV4_UNICAST, import: ['accept'], allowOwnAs: 2, nextHop: 'auto' },
      { family: IPV6_UNICAST, import: ['reject'], allowOwnAs: 2, nextHop: 'self' },
    ]);
  });

  it('takes from its group what it does not say itself', () => {
    const group =
      'peerGroups: {g: {remoteAs: 7, port: 1179, timers: {hold: 9, connectRetry: 3}, import: accept}}';
    const peer = loadPeer('address: 10.0.0.1, group: g, port: 179, timers: {hold: 30}', group);
    expect(peer).toMatchObject({
      group: 'g',
      remoteAs: [{ first: 7, last: 7 }],
      port: 179,
      timers: { hold: 30, connectRetry: 3 },
      families: [{ import: ['accept'] }],
    });
  });

  it('may be in any AS but ours, or in ours, as seen from its own local AS', () => {
    expect(loadPeer('address: 10.0.0.1, remoteAs: internal').remoteAs).toEqual([
      { first: 64512, last: 64512 },
    ]);
    expect(loadPeer('address: 10.0.0.1, remoteAs: external, localAs: 1').remoteAs).toEqual([
      { first: 2, last: 4294967295 },
    ]);
    expect(loadPeer('address: 10.0.0.1, remoteAs: external').remoteAs).toEqual([
      { first: 1, last: 64511 },
      { first: 64513, last: 4294967295 },
    ]);
    expect(loadPeer('address: 10.0.0.1, remoteAs: [5, 10-20]').remoteAs).toEqual([
      { first: 5, last: 5 },
      { first: 10, last: 20 },
    ]);
  });

  it('by prefix is always passive and limited in number', () => {
    const peer = loadPeer('prefix: 10.0.0.0/8, remoteAs: external');
    expect(peer).toMatchObject({ key: '10.0.0.0/8', passive: true, match: { kind: 'prefix', limit: 100 } });
  });

  it('at a link-local address is known with its interface, whichever way that is written', () => {
    expect(loadPeer('address: "fe80::1%eth0", remoteAs: 1').key).toBe('fe80::1%eth0');
    expect(loadPeer('address: "fe80::1", interface: eth0, remoteAs: 1').key).toBe('fe80::1%eth0');
    expect(loadPeer('address: "fe80:0::0001%eth0", remoteAs: 1').key).toBe('fe80::1%eth0');
  });

  it('reads its password from a file, without the line end', () => {
    const source = `${HEAD}peers:\n  - {address: 10.0.0.1, remoteAs: 1, passwordFile: /secret}`;
    expect(load(source, { '/secret': 'hush hush\n' }).peers[0]!.password).toBe('hush hush');
  });

  it('needs no more than a limit for its maximum of prefixes', () => {
    const maxPrefixes = (text: string) =>
      loadPeer(`address: 10.0.0.1, remoteAs: 1, maxPrefixes: {${text}}`).families[0]!.maxPrefixes;
    expect(maxPrefixes('limit: 10')).toEqual({ limit: 10, warnAt: 75, action: 'stop', restart: undefined });
    expect(maxPrefixes('limit: 10, action: warn, warnAt: 50')).toMatchObject({ action: 'warn', warnAt: 50 });
  });
});

describe('what is wrong', () => {
  /** The complaints about a neighbour, without the place. */
  const peer = (fields: string) =>
    problems(`${HEAD}peers:\n  - {${fields}}`).map((line) => line.slice(line.indexOf(' ') + 1));

  it('is told all at once, each with place, path, what was found and what was expected', () => {
    const source = [
      'routerId: 0.0.0.0', // 1
      'as: 64512', // 2
      'listen:', // 3
      '  - address: 0.0.0.0', // 4
      '    port: 0', // 5
      'peerGroups:', // 6
      '  tor:', // 7
      '    timers: { hold: 2 }', // 8
      'peers:', // 9
      '  - address: 10.0.0.256', // 10
      '    remoteAs: abc', // 11
      '  - address: 10.0.0.2', // 12
      '    remoteAs: 64513', // 13
      '    import: [accept, form-tor]', // 14
      '  - 17', // 15
      'filters:', // 16
      '  from-tor:', // 17
      '    statements:', // 18
      '      - match: { prefixes: [10.0.0.0/8, 10.0.0.1/8] }', // 19
      '        action: allow', // 20
    ].join('\n');
    expect(problems(source)).toEqual([
      'test.yaml:1:11: routerId: found "0.0.0.0", expected an identifier written as an IPv4 address, not 0.0.0.0',
      'test.yaml:5:11: listen[0].port: found 0, expected a port from 1 to 65535',
      'test.yaml:8:21: peerGroups.tor.timers.hold: found 2, expected 0, or seconds from 3 to 65535',
      'test.yaml:10:14: peers[0].address: found "10.0.0.256", expected an IPv4 or IPv6 address',
      'test.yaml:11:15: peers[0].remoteAs: found "abc", expected an AS number, internal, external, or a list of AS numbers and ranges such as 65000-65100',
      'test.yaml:14:13: peers[1].import: found "form-tor", expected the name of a filter (did you mean from-tor?)',
      'test.yaml:15:5: peers[2]: found 17, expected a mapping',
      'test.yaml:19:41: filters.from-tor.statements[0].match.prefixes[1]: found "10.0.0.1/8", expected a prefix such as 10.0.0.0/8, perhaps with lengths as in 10.0.0.0/8 ge 16 le 24',
      'test.yaml:20:17: filters.from-tor.statements[0].action: found "allow", expected accept, reject or next',
    ]);
  });

  it('with unknown fields is told with the nearest known name', () => {
    expect(problems(`${HEAD}lisen: []\nzzzzzz: 1`)).toEqual([
      'test.yaml:3:1: lisen: found an unknown field, expected a known field (did you mean listen?)',
      'test.yaml:4:1: zzzzzz: found an unknown field, expected a known field',
    ]);
    expect(peer('address: 10.0.0.1, remteAs: 5')).toEqual([
      'peers[0].remteAs: found an unknown field, expected a known field (did you mean remoteAs?)',
    ]);
    expect(peer('address: 10.0.0.1, remoteAs: 5, timers: {holdTime: 9}')).toEqual([
      'peers[0].timers.holdTime: found an unknown field, expected one of hold, keepalive, connectRetry, delayOpen, idleHold, idleHoldMax, sendHold (did you mean hold?)',
    ]);
    expect(peer('address: 10.0.0.1, remoteAs: 5, families: [ipv4]')).toEqual([
      'peers[0].families.ipv4: found an unknown field, expected one of ipv4-unicast, ipv6-unicast (did you mean ipv4-unicast?)',
    ]);
  });

  it.each([
    ['remoteAs: 5', ': found neither, expected an address or a prefix'],
    [
      'address: 10.0.0.1, prefix: 10.0.0.0/8, remoteAs: 5',
      '.prefix: found "10.0.0.0/8", expected an address or a prefix, not both',
    ],
    ['address: 10.0.0.1', '.remoteAs: found nothing, expected an AS number, internal, external or a list'],
    [
      'address: 10.0.0.1, remoteAs: 23456',
      '.remoteAs: found 23456, expected an AS number, internal, external, or a list of AS numbers and ranges such as 65000-65100',
    ],
    [
      'address: 10.0.0.1, remoteAs: [5, 7-6]',
      '.remoteAs[1]: found "7-6", expected an AS number or a range such as 65000-65100',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, group: tors',
      '.group: found "tors", expected the name of a peer group',
    ],
    [
      'address: "::ffff:10.0.0.1", remoteAs: 5',
      '.address: found "::ffff:10.0.0.1", expected an IPv4 or IPv6 address',
    ],
    [
      'address: "fe80::1", remoteAs: 5',
      '.interface: found nothing, expected an interface, since the address is link-local',
    ],
    [
      'address: "fe80::1%eth0", interface: eth1, remoteAs: 5',
      '.interface: found "eth1", expected eth0, as after the address',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, sourceAddress: "::1"',
      '.sourceAddress: found "::1", expected an IPv4 address, as the neighbour\'s is',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, multihop: 3, ttlSecurity: 1',
      '.ttlSecurity: found 1, expected multihop or ttlSecurity, not both',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, timers: {keepalive: 90}',
      '.timers.keepalive: found 90, expected less than the hold time of 90 s',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, timers: {hold: 0, keepalive: 3}',
      '.timers.keepalive: found 3, expected nothing: a hold time of 0 means no keepalives',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, timers: {sendHold: 60}',
      '.timers.sendHold: found 60, expected more than the hold time of 90 s',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, timers: {idleHoldMax: 0.5}',
      '.timers.idleHoldMax: found 0.5, expected at least the idle hold time of 1 s',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, routeReflectorClient: true',
      '.routeReflectorClient: found true, expected false: the neighbour is in another AS',
    ],
    [
      'address: 10.0.0.1, remoteAs: internal, asOverride: true',
      '.asOverride: found true, expected false: the neighbour is in our own AS',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, families: []',
      '.families: found an empty list, expected at least one family',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, limit: 7',
      '.limit: found 7, expected nothing: it is for neighbours given by a prefix',
    ],
    [
      'prefix: 10.0.0.0/8, remoteAs: 5, passive: false',
      '.passive: found false, expected true: who connects from a prefix can not be known before',
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, passwordFile: /none',
      `.passwordFile: found "/none" (ENOENT: no such file or directory, open '/none'), expected a file that can be read`,
    ],
    [
      'address: 10.0.0.1, remoteAs: 5, maxPrefixes: {limit: 5, action: warn, restart: 5}',
      '.maxPrefixes.restart: found 5, expected nothing: with the action warn the session is not stopped',
    ],
  ])('in {%s}', (fields, expected) => {
    expect(peer(fields)).toEqual([`peers[0]${expected}`]);
  });

  it('never shows a password', () => {
    expect(peer(`address: 10.0.0.1, remoteAs: 5, password: ${'x'.repeat(81)}`)).toEqual([
      'peers[0].password: found text of 81 bytes, expected text of 1 to 80 bytes',
    ]);
    expect(peer('address: 10.0.0.1, remoteAs: 5, password: 123456')).toEqual([
      'peers[0].password: found a number, expected text of 1 to 80 bytes',
    ]);
    const both = problems(
      `${HEAD}peers:\n  - {address: 10.0.0.1, remoteAs: 5, password: secret1, passwordFile: /p}`,
      { '/p': 'secret2' },
    );
    expect(both).toHaveLength(1);
    expect(both[0]).not.toContain('secret');
  });

  it('is a neighbour, a prefix of our own or an address to listen on that stands there twice, however it is written', () => {
    const twice = [
      'listen: [{address: 10.0.0.1}, {address: 10.0.0.1, port: 1790}, {address: 10.0.0.1, port: 179}]',
      'originate: [{prefix: "2001:db8::/32"}, {prefix: "2001:0db8:0::/32"}]',
      'peers:',
      '  - {address: "fd00::1", remoteAs: 5}',
      '  - {address: "fd00:0::1", remoteAs: 6}',
    ];
    expect(problems(HEAD + twice.join('\n'))).toEqual([
      'test.yaml:3:64: listen[2]: found 10.0.0.1 port 179, which is listen[0] too, expected every neighbour, prefix and address only once',
      'test.yaml:4:40: originate[1]: found 2001:db8::/32, which is originate[0] too, expected every neighbour, prefix and address only once',
      'test.yaml:7:5: peers[1]: found fd00::1, which is peers[0] too, expected every neighbour, prefix and address only once',
    ]);
  });

  it('may be the document itself', () => {
    expect(problems('')).toEqual(['test.yaml: found nothing, expected a configuration']);
    expect(problems('- 1')).toEqual(['test.yaml:1:1: found a list of 1, expected a mapping']);
    expect(problems('a: [1')[0]).toMatch(
      /^test.yaml:1:\d+: found a mistake in the YAML \(.*\), expected valid YAML$/,
    );
    expect(problems(`${HEAD}---\n${HEAD}`)).toEqual([
      'test.yaml:3:1: found 2 documents, expected one document',
    ]);
    expect(problems(`${HEAD}as: 5`)).toEqual([
      'test.yaml:3:1: found a mistake in the YAML (Map keys must be unique), expected valid YAML',
    ]);
  });

  it('may be aliases that grow without end', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (const [name, below] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf'].map((pair) => [...pair])) {
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${below}`).join(', ')}]`);
    }
    expect(problems(bomb.join('\n')).at(-1)).toContain('expected fewer aliases');
  });
});
