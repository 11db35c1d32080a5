import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { findTool } from './command.ts';
import { missing, type Need, requires } from './requires.ts';

describe('a need', () => {
  test('that is met does not skip', (ctx) => {
    requires(ctx, 'tool:sh', 'kernel:conntrack');
    expect(missing('tool:sh', 'kernel:conntrack')).toBeUndefined();
  });

  test('that is not met skips with its name', () => {
    const notes: string[] = [];
    const skip = (note: string): never => {
      notes.push(note);
      throw new Error('skipped');
    };
    const need = 'tool:margay-no-such-tool';
    expect(() => requires({ skip }, 'tool:sh', need, need)).toThrow('skipped');
    expect(notes).toEqual(['no program margay-no-such-tool here']);
  });

  test('for a kernel feature is told by the kernel itself', () => {
    const config = readKernelConfig();
    const options: readonly (readonly [Need, string])[] = [
      ['kernel:dummy', 'CONFIG_DUMMY'],
      ['kernel:vrf', 'CONFIG_NET_VRF'],
      ['kernel:wireguard', 'CONFIG_WIREGUARD'],
      ['kernel:ipip', 'CONFIG_NET_IPIP'],
      ['kernel:vxlan', 'CONFIG_VXLAN'],
      ['kernel:bridge', 'CONFIG_BRIDGE'],
      ['kernel:netem', 'CONFIG_NET_SCH_NETEM'],
      ['kernel:conntrack-labels', 'CONFIG_NF_CONNTRACK_LABELS'],
      ['kernel:flowtable', 'CONFIG_NF_FLOW_TABLE'],
    ];
    for (const [need, option] of options) {
      const built = config?.get(option);
      // A module may be configured and yet not be on this disk.
      if (built === 'y') expect(missing(need), need).toBeUndefined();
      else if (config !== undefined && built === undefined) {
        expect(missing(need), need).toMatch(new RegExp(`this kernel has no ${need.slice(7)} \\(.+\\)`));
      } else missing(need);
    }
  });
});

test('a tool is found where FRR keeps its daemons', (ctx) => {
  requires(ctx, 'tool:bgpd');
  expect(findTool('bgpd')).toBe('/usr/lib/frr/bgpd');
});

/** Options of the running kernel, where it shows them. */
function readKernelConfig(): Map<string, string> | undefined {
  const path = '/proc/config.gz';
  if (!existsSync(path)) return undefined;
  const text = gunzipSync(readFileSync(path)).toString();
  return new Map([...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
}
