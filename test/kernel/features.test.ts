import fs from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { featureNames, probeFeatures } from '#kernel/features.ts';
import { missing } from '#test/helpers/requires.ts';

describe('features of the kernel', () => {
  test('are found to be there exactly when the kernel was built with them', (ctx) => {
    if (!fs.existsSync('/proc/config.gz')) ctx.skip('this kernel does not show its configuration');
    const config = gunzipSync(fs.readFileSync('/proc/config.gz')).toString();
    const built = (option: string): boolean => new RegExp(`^${option}=[ym]$`, 'm').test(config);
    for (const { name, status, option } of probeFeatures()) {
      expect([name, status]).toEqual([name, built(option) ? 'present' : 'missing']);
    }
  });

  test('agree with what tests find by the tools', () => {
    const status = new Map(probeFeatures().map((feature) => [feature.name, feature.status]));
    for (const [name, need] of [
      ['dummy', 'kernel:dummy'],
      ['vrf', 'kernel:vrf'],
      ['wireguard', 'kernel:wireguard'],
      ['nflog', 'kernel:nflog'],
      ['nft-flowtable', 'kernel:flowtable'],
      ['nft-nat', 'kernel:nft-nat'],
      ['nft-fib', 'kernel:nft-fib'],
      ['nft-ct', 'kernel:conntrack'],
    ] as const) {
      expect([name, status.get(name)]).toEqual([name, missing(need) === undefined ? 'present' : 'missing']);
    }
  });

  test('that are missing have a reason, all have a purpose and an option', () => {
    const found = probeFeatures();
    expect(found.map((feature) => feature.name)).toEqual(featureNames());
    for (const feature of found) {
      expect(feature.reason).toMatch(feature.status === 'present' ? /^$/ : /^E[A-Z]+$/);
      expect(feature.purpose).not.toBe('');
      expect(feature.option).toMatch(/^CONFIG_[A-Z0-9_]+$/);
    }
    expect(probeFeatures(['ipv6', 'veth']).map((feature) => feature.name)).toEqual(['ipv6', 'veth']);
  });

  test('are looked for without a trace', () => {
    const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
    const namespace = (): string => fs.readlinkSync('/proc/thread-self/ns/net');
    const before = { descriptors: descriptors(), namespace: namespace() };
    probeFeatures();
    expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
    expect(namespace()).toBe(before.namespace);
  });
});
