import { describe, expect, test } from 'vitest';
import { NetlinkError } from '#kernel/netlink/error.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { ValueError } from '#kernel/rtnetlink/value.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns } from '#test/helpers/netns.ts';

/** Two namespaces with an `Rtnetlink` each. */
class Two implements Disposable {
  readonly host = createNetns();
  readonly pod = createNetns();
  readonly hostInside = NetworkNamespace.named(this.host.name);
  readonly podInside = NetworkNamespace.named(this.pod.name);
  readonly rt = Rtnetlink.open(this.hostInside);
  readonly podRt = Rtnetlink.open(this.podInside);

  [Symbol.dispose](): void {
    for (const each of [this.rt, this.podRt, this.hostInside, this.podInside]) each.close();
    this.host.remove();
    this.pod.remove();
  }
}

describe('a veth pair', () => {
  test('is made with its peer straight in another namespace, and reads back with all it was made with', () => {
    using two = new Two();
    two.rt.links.create({
      kind: 'veth',
      name: 'pod7',
      mtu: 1400,
      address: '02:00:00:00:00:01',
      transmitQueueLength: 7,
      alias: 'default/web-0',
      addressGeneration: 'none',
      up: true,
      peer: { name: 'eth0', mtu: 1300, address: '02:00:00:00:00:02', namespace: two.podInside },
    });
    expect(two.rt.links.get('pod7')).toMatchObject({
      name: 'pod7',
      kind: 'veth',
      up: true,
      carrier: false,
      loopback: false,
      mtu: 1400,
      address: '02:00:00:00:00:01',
      transmitQueueLength: 7,
      alias: 'default/web-0',
      addressGeneration: 'none',
      group: 0,
      alternativeNames: [],
      peer: { index: two.podRt.links.indexOf('eth0'), namespaceId: 0 },
    });
    expect(two.podRt.links.get('eth0')).toMatchObject({
      name: 'eth0',
      kind: 'veth',
      up: false,
      mtu: 1300,
      address: '02:00:00:00:00:02',
      peer: { index: two.rt.links.indexOf('pod7') },
    });
    two.podRt.links.set('eth0', { up: true });
    expect(two.rt.links.get('pod7')).toMatchObject({ carrier: true, operationalState: 'up' });
    // No link-local address came with it.
    expect(two.rt.addresses.list().filter((a) => a.link !== 1)).toEqual([]);
    expect(two.rt.links.list().map((l) => l.name)).toEqual(['lo', 'pod7']);
  });

  test('takes namespaces by path, for either end', () => {
    using two = new Two();
    using third = createNetns();
    two.rt.links.create({
      kind: 'veth',
      name: 'a0',
      namespace: two.pod.path,
      up: true,
      peer: { name: 'b0', namespace: third.path },
    });
    expect(two.rt.links.list().map((l) => l.name)).toEqual(['lo']);
    expect(two.podRt.links.get('a0')).toMatchObject({ up: true });
    expect(third.ip('link', 'show', 'b0')).toMatchObject([{ ifname: 'b0' }]);
  });

  test('is printed by `ip -j link` as the one that `ip link add` makes', () => {
    using ours = new Two();
    using theirs = new Two();
    ours.rt.links.create({
      kind: 'veth',
      name: 'pod7',
      mtu: 1400,
      address: '02:00:00:00:00:01',
      alias: 'a b',
      up: true,
      peer: { name: 'eth0', mtu: 1300, address: '02:00:00:00:00:02', namespace: ours.podInside },
    });
    ours.podRt.links.set('eth0', { up: true, group: 5 });
    const { exec, name } = theirs.host;
    const ip = (...args: string[]) => exec.call(theirs.host, 'ip', args);
    expect(name).not.toBe('');
    const peer = ['name', 'eth0', 'mtu', '1300', 'address', '02:00:00:00:00:02', 'netns', theirs.pod.name];
    ip('link', 'add', 'pod7', 'mtu', '1400', 'address', '02:00:00:00:00:01', 'type', 'veth', 'peer', ...peer);
    ip('link', 'set', 'pod7', 'alias', 'a b');
    ip('link', 'set', 'pod7', 'up');
    theirs.pod.exec('ip', ['link', 'set', 'eth0', 'group', '5', 'up']);
    const printed = (two: Two, side: 'host' | 'pod', link: string) => {
      const [shown] = two[side].ip('link', 'show', link) as Record<string, unknown>[];
      // The names of namespaces differ, and operational state follows a moment later.
      delete shown!.link_netns;
      delete shown!.link_netnsid;
      delete shown!.operstate;
      return shown;
    };
    expect(printed(ours, 'host', 'pod7')).toEqual(printed(theirs, 'host', 'pod7'));
    expect(printed(ours, 'pod', 'eth0')).toEqual(printed(theirs, 'pod', 'eth0'));
  });

  test('of which a part is refused leaves nothing behind', () => {
    using two = new Two();
    const peer = { name: 'eth0', namespace: two.podInside } as const;
    two.rt.links.create({ kind: 'veth', name: 'pod7', peer });
    expect(() => two.rt.links.create({ kind: 'veth', name: 'pod8', peer })).toThrow(
      /^create link pod8: EEXIST: /,
    );
    const alias = 'x'.repeat(300);
    expect(() => two.rt.links.create({ kind: 'veth', name: 'p9', alias, peer: { name: 'p10' } })).toThrow(
      NetlinkError,
    );
    expect(two.rt.links.list().map((l) => l.name)).toEqual(['lo', 'pod7']);
  });
});

describe('a link', () => {
  test('is renamed, changed, moved to another namespace and removed', () => {
    using two = new Two();
    const { links } = two.rt;
    links.create({ kind: 'veth', name: 'a', up: true, peer: { name: 'b' } });
    links.set('b', { name: 'c', alias: 'first', mtu: 1280, address: '02:00:00:00:00:09', group: 3 });
    expect(links.get('b')).toBeUndefined();
    expect(links.get('c')).toMatchObject({
      alias: 'first',
      mtu: 1280,
      address: '02:00:00:00:00:09',
      group: 3,
      peer: { index: links.indexOf('a') },
    });
    links.set(links.indexOf('c'), { alias: '', addressGeneration: 'random' });
    expect(links.get('c')).not.toHaveProperty('alias');
    expect(links.get('c')).toMatchObject({ addressGeneration: 'random' });
    links.set('c', { name: 'eth0', namespace: two.podInside });
    expect(two.podRt.links.get('eth0')).toMatchObject({ mtu: 1280, address: '02:00:00:00:00:09' });
    expect(links.get('c')).toBeUndefined();
    links.set('a', { up: false });
    expect(links.get('a')).toMatchObject({ up: false, carrier: false });
    links.delete('a');
    expect(two.podRt.links.list().map((l) => l.name)).toEqual(['lo']);
    expect(() => links.delete('a')).toThrow('delete link a: ENODEV: no such device');
  });

  test('becomes a port of a bridge and leaves it', () => {
    using two = new Two();
    const { links } = two.rt;
    links.create({ kind: 'bridge', name: 'br0', up: true, address: '02:00:00:00:00:0b' });
    const bridge = links.indexOf('br0');
    links.create({ kind: 'veth', name: 'port', master: bridge, up: true, peer: { name: 'other' } });
    expect(links.get(bridge)).toMatchObject({
      kind: 'bridge',
      up: true,
      address: '02:00:00:00:00:0b',
    });
    expect(links.get('port')).toMatchObject({ master: bridge, up: true });
    expect(two.host.ip('link', 'show', 'port')).toMatchObject([{ master: 'br0' }]);
    links.set('port', { master: 0 });
    expect(links.get('port')).not.toHaveProperty('master');
  });

  test('counts what it carries', () => {
    using two = new Two();
    two.host.exec('ping', ['-c3', '-i0.01', '127.0.0.1']);
    const [lo] = two.rt.links.list({ statistics: true });
    const [printed] = two.host.ip('-s', 'link', 'show', 'lo') as {
      stats64: { rx: Record<string, number>; tx: Record<string, number> };
    }[];
    expect(lo!.statistics).toMatchObject({
      receivedBytes: printed!.stats64.rx.bytes,
      receivedPackets: printed!.stats64.rx.packets,
      sentBytes: printed!.stats64.tx.bytes,
      sentPackets: printed!.stats64.tx.packets,
      receiveDropped: 0,
    });
    expect(lo!.statistics!.receivedPackets).toBe(6);
    expect(two.rt.links.get('lo')!.statistics).toEqual(lo!.statistics);
    expect(two.rt.links.list()[0]).not.toHaveProperty('statistics');
  });

  test('is found by its alternative names', () => {
    using two = new Two();
    two.host.exec('ip', ['link', 'property', 'add', 'dev', 'lo', 'altname', 'a-name-longer-than-15-bytes']);
    two.host.exec('ip', ['link', 'property', 'add', 'dev', 'lo', 'altname', 'second']);
    expect(two.rt.links.list()[0]!.alternativeNames).toEqual(['a-name-longer-than-15-bytes', 'second']);
    const { links } = two.rt;
    for (const name of ['lo', 'a-name-longer-than-15-bytes', 'second']) {
      expect(links.get(name)?.name).toBe('lo');
      expect(links.indexOf(name)).toBe(1);
    }
    links.set('a-name-longer-than-15-bytes', { alias: 'by a long name' });
    expect(links.get('lo')?.alias).toBe('by a long name');
    expect(links.get('another-name-longer-than-15-bytes')).toBeUndefined();
  });

  test('with a value that can not be is refused before anything is sent', () => {
    using two = new Two();
    const { links } = two.rt;
    const peer = { name: 'b' };
    for (const [spec, message] of [
      [{ name: 'a%d' }, 'create link a%d: name: found "a%d", expected 1 to 15 bytes without'],
      [{ name: 'a-name-of-16-byt' }, 'name: found'],
      [{ name: 'a', address: '02:00' }, 'create link a: address: found "02:00", expected six bytes'],
      [{ name: 'a', mtu: 1.5 }, 'create link a: mtu: found 1.5, expected a whole number'],
      [{ name: 'a', peer: { name: 'x/y' } }, 'create link a: peer.name: found "x/y"'],
    ] as const) {
      expect(() => links.create({ kind: 'veth', peer, ...spec })).toThrow(ValueError);
      expect(() => links.create({ kind: 'veth', peer, ...spec })).toThrow(message);
    }
    expect(links.list()).toHaveLength(1);
    links.create({ kind: 'veth', name: 'a', peer });
    expect(() => links.set('a', { mtu: 100_000 })).toThrow(
      'set link a: EINVAL: mtu greater than device maximum',
    );
    expect(() => links.set(99, { up: true })).toThrow('set link 99: ENODEV');
  });
});
