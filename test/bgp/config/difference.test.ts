import { describe, expect, it } from 'vitest';
import { compareConfigs } from '#bgp/config/difference.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { HEAD, load } from './config.ts';

/** What changes when a file becomes another one. */
function difference(before: string, after: string) {
  return compareConfigs(load(HEAD + before), load(HEAD + after));
}

/** What changes for a neighbour, of whose fields one is replaced. There is another neighbour, which must not be touched. */
function change(before: string, after: string) {
  const peers = (field: string) => {
    const remoteAs = field.startsWith('remoteAs') ? '' : ', remoteAs: 5';
    return `peers:\n  - {address: 10.0.0.2${remoteAs}${field === '' ? '' : `, ${field}`}}\n  - {address: 10.0.0.3, remoteAs: 5}`;
  };
  const { changed, added, removed } = difference(peers(before), peers(after));
  expect([added, removed]).toEqual([[], []]);
  expect(changed.map((each) => each.after.key)).toEqual(['10.0.0.2']);
  return changed[0]!;
}

describe('the difference of two configurations', () => {
  it('is empty when only the way of writing changes', () => {
    const before =
      'peerGroups: {g: {remoteAs: 5}}\npeers:\n  - {address: "fd00::1", group: g}\n  - {address: 10.0.0.1, remoteAs: 6, port: 179}';
    const after =
      '# a comment\npeerGroups: {g: {}}\npeers:\n  - {address: 10.0.0.1, remoteAs: [6]}\n  - {address: "fd00:0::1", group: g, remoteAs: 5}';
    expect(difference(before, after)).toEqual({
      added: [],
      removed: [],
      changed: [],
      listen: { added: [], removed: [] },
      originate: { added: [], removed: [] },
      filters: [],
      parts: [],
    });
  });

  it('names neighbours that come and go', () => {
    const { added, removed, changed } = difference(
      'peers: [{address: 10.0.0.1, remoteAs: 5}, {address: 10.0.0.2, remoteAs: 5}]',
      'peers: [{address: 10.0.0.2, remoteAs: 5}, {prefix: 10.0.0.0/8, remoteAs: 5}]',
    );
    expect(added.map(({ key }) => key)).toEqual(['10.0.0.0/8']);
    expect(removed.map(({ key }) => key)).toEqual(['10.0.0.1']);
    expect(changed).toEqual([]);
  });

  it.each([
    ['remoteAs', '', 'remoteAs: 6'],
    ['localAs', '', 'localAs: 7'],
    ['port', '', 'port: 1179'],
    ['password', 'password: a', 'password: b'],
    ['password', 'password: a', ''],
    ['reach', '', 'multihop: 2'],
    ['reach', 'ttlSecurity: 1', 'ttlSecurity: 2'],
    ['sourceAddress', '', 'sourceAddress: 10.0.0.1'],
    ['interface', '', 'interface: eth0'],
    ['timers.hold', '', 'timers: {hold: 9}'],
    ['timers.keepalive', '', 'timers: {keepalive: 9}'],
    ['extendedMessages', '', 'extendedMessages: false'],
    ['enhancedRefresh', '', 'enhancedRefresh: false'],
    ['families', '', 'families: [ipv4-unicast, ipv6-unicast]'],
  ])('resets only the session whose %s changes, from {%s} to {%s}', (field, before, after) => {
    const { fields, ...rest } = change(before, after);
    expect(rest).toMatchObject({ reset: true, softIn: [], softOut: [] });
    expect(fields.map((each) => each.field)).toEqual([field]);
  });

  it.each([
    ['description: x', [], []],
    ['timers: {connectRetry: 60, idleHoldMax: 600, sendHold: 0}', [], []],
    ['passive: true', [], []],
    ['maxPrefixes: {limit: 5}', [], []],
    ['import: accept', [IPV4_UNICAST], []],
    ['allowOwnAs: 1', [IPV4_UNICAST], []],
    ['connectedNextHop: false', [IPV4_UNICAST], []],
    ['export: accept', [], [IPV4_UNICAST]],
    ['nextHop: self', [], [IPV4_UNICAST]],
    ['asOverride: true', [], [IPV4_UNICAST]],
    ['gracefulShutdown: true', [IPV4_UNICAST], [IPV4_UNICAST]],
  ])('keeps the session for {%s}', (fields, softIn, softOut) => {
    expect(change('', fields)).toMatchObject({ reset: false, softIn, softOut });
  });

  it('runs only that family through import again whose filter changes', () => {
    const filters = (action: string) =>
      `filters: {f: {statements: [{action: ${action}}]}, g: {otherwise: accept}}`;
    const families = '{ipv4-unicast: {import: g}, ipv6-unicast: {import: [g, f], export: g}}';
    const peers = `\npeers:\n  - {address: 10.0.0.2, remoteAs: 5, families: ${families}}\n  - {address: 10.0.0.3, remoteAs: 5, import: g}`;
    const result = difference(filters('accept') + peers, filters('reject') + peers);
    expect(result.filters).toEqual(['f']);
    expect(result.changed).toHaveLength(1);
    expect(result.changed[0]).toMatchObject({
      reset: false,
      softIn: [IPV6_UNICAST],
      softOut: [],
      fields: [{ field: 'import', family: IPV6_UNICAST, effects: ['softIn'] }],
    });
  });

  it('enables and disables', () => {
    expect(change('', 'enabled: false, shutdownMessage: bye')).toMatchObject({
      reset: false,
      fields: [
        { field: 'shutdownMessage', effects: ['none'] },
        { field: 'enabled', effects: ['disable'] },
      ],
    });
    expect(change('enabled: false', '').fields).toEqual([
      { field: 'enabled', family: undefined, effects: ['enable'] },
    ]);
  });

  it('of the router id resets all, of the AS those without a local AS of their own', () => {
    const peers = 'peers: [{address: 10.0.0.1, remoteAs: 5}, {address: 10.0.0.2, remoteAs: 5, localAs: 9}]';
    const before = load(`routerId: 10.0.0.1\nas: 1\n${peers}`);
    const id = compareConfigs(before, load(`routerId: 10.0.0.9\nclusterId: 10.0.0.1\nas: 1\n${peers}`));
    expect(id.changed.map(({ after, reset }) => [after.key, reset])).toEqual([
      ['10.0.0.1', true],
      ['10.0.0.2', true],
    ]);
    expect(id.parts).toEqual(['routerId']);
    const as = compareConfigs(before, load(`routerId: 10.0.0.1\nas: 2\n${peers}`));
    expect(as.changed.map(({ after, reset, softIn }) => [after.key, reset, softIn.length])).toEqual([
      ['10.0.0.1', true, 0],
      ['10.0.0.2', false, 1],
    ]);
  });

  it('names prefixes, listening addresses and parts of the speaker', () => {
    const peers = '\npeers: [{address: 10.0.0.1, remoteAs: 5}]';
    const { originate, listen, parts, changed } = difference(
      `originate: [{prefix: 10.1.0.0/16}, {prefix: 10.2.0.0/16}]\nlisten: [{address: 0.0.0.0}]${peers}`,
      `originate: [{prefix: 10.1.0.0/16}, {prefix: 10.2.0.0/16, communities: ["1:1"]}]\nlisten: [{address: 0.0.0.0, port: 1179}]${peers}\necmp: {maxPaths: 2}\nlog: {level: debug}`,
    );
    expect(originate.removed.map(({ prefix }) => prefix.bytes[1])).toEqual([2]);
    expect(originate.added).toMatchObject([{ communities: [65537] }]);
    expect([listen.added.length, listen.removed.length]).toEqual([1, 1]);
    expect(parts).toEqual(['ecmp', 'log']);
    expect(changed).toEqual([]);
  });
});
