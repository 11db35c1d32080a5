/**
 * The tour as in continuous integration: every expectation of it, and nothing left behind.
 */

import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { folderOf } from '#lab/claim.ts';
import type { TorKind } from '#lab/topology.ts';
import { peerTools } from '#test/helpers/peers/launch.ts';
import { requires } from '#test/helpers/requires.ts';
import { margay, namespacesOf, newLabName } from './lab.ts';

describe('the tour', () => {
  const kinds: readonly (readonly [TorKind, readonly string[]])[] = [
    ['gobgpd', []],
    ['bird', ['--dual-stack', '--nodes', '2', '--pods', '3']],
    ['frr', ['--ipv6', '--nodes', '2', '--pods', '3']],
    ['margay', ['--nodes', '2', '--pods', '14']],
  ];
  for (const [tor, options] of kinds) {
    describe(`below ${tor}`, () => {
      beforeEach((ctx) => {
        if (tor !== 'margay') requires(ctx, ...peerTools(tor));
      });

      test(`shows what it should: ${options.join(' ') || 'three nodes, IPv4'}`, {
        timeout: 120_000,
      }, async () => {
        const name = newLabName();
        const text = await margay(['lab', '--lab', name, 'up', '--once', '--tor', tor, ...options], {
          timeout: 110_000,
        });
        expect(text).toMatch(/All \d+ expectations were met/);
        expect(text).toContain(`tor   ${tor}`);
        expect(namespacesOf(name)).toEqual([]);
        expect(existsSync(folderOf(name))).toBe(false);
      });
    });
  }
});
