import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { readSysctl, SysctlError, writeSysctl } from '#kernel/sys/sysctl.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

describe('kernel parameters', () => {
  let ns: Netns;
  let inside: NetworkNamespace;
  let other: NetworkNamespace;
  beforeAll(() => {
    ns = createNetns();
    inside = NetworkNamespace.named(ns.name);
    other = NetworkNamespace.anonymous();
  });
  afterAll(() => {
    inside.close();
    other.close();
    ns.remove();
  });

  test('are those of the namespace that is named, and of no other', () => {
    const key = 'net/ipv4/ip_default_ttl';
    const here = readSysctl(key);
    writeSysctl(key, 77, inside);
    writeSysctl(key, '78', other);
    expect(readSysctl(key, inside)).toBe('77');
    expect(readSysctl(key, other)).toBe('78');
    expect(readSysctl(key)).toBe(here);
    expect(ns.exec('cat', [`/proc/sys/${key}`])).toBe('77\n');
  });

  test('of an interface whose name has dots', () => {
    ns.ip('link', 'add', 'a.b', 'type', 'veth', 'peer', 'name', 'c.d');
    writeSysctl('net/ipv4/conf/a.b/rp_filter', 2, inside);
    expect(readSysctl('net/ipv4/conf/a.b/rp_filter', inside)).toBe('2');
    expect(readSysctl('net/ipv4/conf/c.d/rp_filter', inside)).toBe('0');
  });

  test('that are missing, refused or no names are errors by name', () => {
    expect(() => readSysctl('net/ipv4/no_such', inside)).toThrow(SysctlError);
    expect(() => readSysctl('net/ipv4/no_such', inside)).toThrow(
      expect.objectContaining({ code: 'ENOENT', key: 'net/ipv4/no_such' }),
    );
    expect(() => writeSysctl('net/ipv4/ip_default_ttl', 'many', inside)).toThrow(
      /^set kernel parameter .*EINVAL/,
    );
    for (const key of ['', '../../etc/passwd', 'net//x', 'net/./x']) {
      expect(() => writeSysctl(key, 1, inside)).toThrow('expected parts with slashes');
    }
  });
});
