import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatAddress, parsePrefix } from '#datastore/address.ts';
import { Allocator } from '#felix/ipam/allocator.ts';
import { IpamError } from '#felix/ipam/error.ts';
import { runs } from '#test/helpers/runs.ts';

const CIDRS = ['10.1.0.0/29', '10.2.0.0/30', 'fd00:1::/125'];
const choices = fc.subarray(CIDRS, { minLength: 1 });
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('take' as const), owner: fc.nat(9) }),
    fc.record({ kind: fc.constant('release' as const), owner: fc.nat(9) }),
    fc.record({ kind: fc.constant('cidrs' as const), cidrs: choices }),
  ),
  { maxLength: 40 },
);

const optionsOf = (cidrs: readonly string[]) => ({
  podCidrs: cidrs.map((cidr) => parsePrefix(cidr)!),
  reserved: [],
});

function give(allocator: Allocator, owner: string): string[] | string {
  try {
    return allocator.allocate(owner).map(formatAddress);
  } catch (error) {
    if (error instanceof IpamError) return error.code;
    throw error;
  }
}

test('other pod CIDRs while it runs come to the same as a start with them', () => {
  fc.assert(
    fc.property(choices, steps, (first, history) => {
      const lasting = new Allocator(optionsOf(first));
      let started = new Allocator(optionsOf(first));
      for (const step of history) {
        if (step.kind === 'take') {
          expect(give(lasting, `o${step.owner}`)).toEqual(give(started, `o${step.owner}`));
        } else if (step.kind === 'release') {
          expect(lasting.release(`o${step.owner}`)).toEqual(started.release(`o${step.owner}`));
        } else {
          lasting.setPodCidrs(optionsOf(step.cidrs).podCidrs);
          started = new Allocator(optionsOf(step.cidrs), started.state);
        }
        expect(lasting.allocations).toEqual(started.allocations);
        expect(lasting.pools.map(({ text, used }) => [text, used])).toEqual(
          started.pools.map(({ text, used }) => [text, used]),
        );
      }
    }),
    { numRuns: runs(200) },
  );
});
