import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AddressKey,
  type AddressRange,
  formatAddress,
  nextAddress,
  parseAddress,
  parsePrefix,
  rangeOf,
} from '#datastore/address.ts';
import { Allocator } from '#felix/ipam/allocator.ts';
import { formatState, parseState } from '#felix/ipam/document.ts';
import { IpamError } from '#felix/ipam/error.ts';
import { REMEMBERED } from '#felix/ipam/pool.ts';

const key = (text: string): AddressKey => parseAddress(text)!;
const range = (first: string, last = first): AddressRange => ({ first: key(first), last: key(last) });

function allocator(cidrs: readonly string[], reserved: readonly AddressRange[] = []): Allocator {
  return new Allocator({ podCidrs: cidrs.map((cidr) => parsePrefix(cidr)!), reserved });
}

const give = (from: Allocator, owner: string, ...requested: string[]): string[] =>
  from.allocate(owner, requested.map(key)).map(formatAddress);

function faultOf(work: () => unknown): IpamError {
  try {
    work();
  } catch (error) {
    if (error instanceof IpamError) return error;
    throw error;
  }
  throw new Error('expected an IpamError');
}

describe('an allocator', () => {
  test('gives an address of each family, from the start of its CIDRs', () => {
    const both = allocator(['10.1.0.0/24', 'fd00:1::/64']);
    expect(give(both, 'a')).toEqual(['10.1.0.1', 'fd00:1::1']);
    expect(give(both, 'b')).toEqual(['10.1.0.2', 'fd00:1::2']);
  });

  test('gives an owner what it has', () => {
    const both = allocator(['10.1.0.0/24', 'fd00:1::/64']);
    expect(give(both, 'a')).toEqual(give(both, 'a'));
    expect(give(both, 'a', '10.1.0.1')).toEqual(['10.1.0.1', 'fd00:1::1']);
    expect(faultOf(() => give(both, 'a', '10.1.0.9')).message).toBe(
      'a: asks for 10.1.0.9 and has 10.1.0.1, fd00:1::1; expected to be released first',
    );
  });

  test('goes to the next CIDR of a family when one is full', () => {
    const two = allocator(['10.1.0.0/31', '10.2.0.0/30']);
    expect(['a', 'b', 'c', 'd'].flatMap((owner) => give(two, owner))).toEqual([
      '10.1.0.0',
      '10.1.0.1',
      '10.2.0.1',
      '10.2.0.2',
    ]);
  });

  test('says which CIDRs are full', () => {
    const full = allocator(['10.1.0.0/30', 'fd00::/64']);
    give(full, 'a');
    give(full, 'b');
    const fault = faultOf(() => give(full, 'c'));
    expect(fault.code).toBe('FULL');
    expect(fault.message).toBe(
      'c: no IPv4 address is left (10.1.0.0/30: 2 in use); expected a free one: delete pods, or add a pod CIDR',
    );
    // Nothing of the other family was taken on the way.
    expect([...full.allocations.keys()]).toEqual(['a', 'b']);
    expect(full.pools[1]!.used).toBe(2);
  });

  test('honours what is asked for by name, reserved or not', () => {
    const some = allocator(['10.1.0.0/24', 'fd00:1::/64'], [range('10.1.0.1', '10.1.0.9')]);
    expect(give(some, 'a')).toEqual(['10.1.0.10', 'fd00:1::1']);
    expect(give(some, 'b', '10.1.0.5')).toEqual(['10.1.0.5', 'fd00:1::2']);
    expect(give(some, 'c', 'fd00:1:0:0:ffff::1')).toEqual(['10.1.0.11', 'fd00:1::ffff:0:0:1']);
    expect(give(some, 'd')).toEqual(['10.1.0.12', 'fd00:1::3']);
  });

  test.each([
    ['10.1.0.7', 'IN_USE', 'is in use by a'],
    ['10.2.0.7', 'OUTSIDE', 'an address in a pod CIDR of this node (10.1.0.0/24)'],
    ['fd00::7', 'OUTSIDE', 'an address in a pod CIDR'],
    ['10.1.0.0', 'UNUSABLE', 'neither the first nor the broadcast address of 10.1.0.0/24'],
    ['10.1.0.255', 'UNUSABLE', 'neither the first nor the broadcast'],
  ])('refuses %s with %s', (address, code, words) => {
    const some = allocator(['10.1.0.0/24']);
    give(some, 'a', '10.1.0.7');
    const fault = faultOf(() => give(some, 'b', address));
    expect(fault).toMatchObject({ code, object: 'b' });
    expect(fault.message).toContain(words);
  });

  test('refuses two addresses of a family', () => {
    expect(faultOf(() => give(allocator(['10.1.0.0/24']), 'a', '10.1.0.3', '10.1.0.4')).code).toBe(
      'TWO_OF_A_FAMILY',
    );
  });

  test('keeps what lies outside its CIDRs with its owner, and forgets it when it is released', () => {
    const some = allocator(['10.1.0.0/24']);
    expect(some.adopt('old', [key('10.9.0.1'), key('10.1.0.3')])).toEqual([]);
    expect(give(some, 'old')).toEqual(['10.9.0.1', '10.1.0.3']);
    expect(some.adopt('other', [key('10.1.0.3'), key('10.1.0.4')])).toEqual([key('10.1.0.3')]);
    some.release('old');
    expect(some.ownerOf(key('10.9.0.1'))).toBeUndefined();
    expect(faultOf(() => give(some, 'new', '10.9.0.1')).code).toBe('OUTSIDE');
  });

  test('of a large CIDR gives none of the last addresses that were released while others are free', () => {
    const large = allocator(['10.1.0.0/20']);
    const owners = Array.from({ length: 4094 }, (_, i) => `o${i}`);
    for (const owner of owners) give(large, owner);
    const released = owners
      .slice(0, REMEMBERED + 100)
      .flatMap((owner) => large.release(owner).map(formatAddress));
    const given = released.map((_, i) => give(large, `n${i}`)[0]!);
    expect(new Set(given.slice(0, 100))).toEqual(new Set(released.slice(0, 100)));
    expect(given.slice(100)).toEqual(released.slice(100));
  });

  test('counts what a CIDR can give', () => {
    const some = allocator(['10.1.0.0/24', '10.2.0.0/31', 'fd00::/64'], [range('10.0.0.0', '10.1.0.15')]);
    expect(some.pools.map((pool) => pool.size)).toEqual([239n, 2n, 2n ** 64n - 1n]);
  });
});

/** The same, slow and plain: lists of all addresses. */
class Model {
  readonly free: string[];
  readonly used = new Map<string, string>();
  readonly released: string[] = [];
  cursor = -1;
  readonly all: string[];

  constructor(cidr: string, reserved: readonly string[]) {
    this.all = [];
    const { first, last } = rangeOf(parsePrefix(cidr)!);
    for (let at: AddressKey | undefined = first; at !== undefined && at <= last; at = nextAddress(at))
      this.all.push(formatAddress(at));
    const usable = cidr.includes(':') ? this.all.slice(1) : this.all.slice(1, -1);
    this.free = usable.filter((address) => !reserved.includes(address));
  }

  /** Undefined: full. */
  allocate(owner: string): string | undefined {
    for (const [address, other] of this.used) if (other === owner) return address;
    const never = this.free.filter((address) => !this.used.has(address) && !this.released.includes(address));
    const order = (address: string): number => {
      const ahead = this.all.indexOf(address) - this.cursor;
      return ahead > 0 ? ahead : ahead + this.all.length;
    };
    const [fresh] = never.sort((a, b) => order(a) - order(b));
    const address = fresh ?? this.released.find((each) => this.free.includes(each));
    if (address === undefined) return undefined;
    this.cursor = this.all.indexOf(address);
    this.take(owner, address);
    return address;
  }

  take(owner: string, address: string): void {
    this.used.set(address, owner);
    const at = this.released.indexOf(address);
    if (at >= 0) this.released.splice(at, 1);
  }

  release(owner: string): void {
    for (const [address, other] of this.used) {
      if (other !== owner) continue;
      this.used.delete(address);
      this.released.push(address);
    }
  }
}

const owner = fc.integer({ min: 0, max: 20 }).map((n) => `o${n}`);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('allocate' as const), owner }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), owner }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('ask' as const), owner, index: fc.nat(17) }) },
);

test.each(['10.1.0.16/28', 'fd00::10/124'])('any history over %s gives what the model gives', (cidr) => {
  const { first } = rangeOf(parsePrefix(cidr)!);
  const reserved = [formatAddress(nextAddress(nextAddress(nextAddress(first)!)!)!)];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const options = { podCidrs: [parsePrefix(cidr)!], reserved: reserved.map((text) => range(text)) };
      let real = new Allocator(options);
      const model = new Model(cidr, reserved);
      for (const each of steps) {
        if (each.kind === 'restart') {
          const state = parseState(formatState(real.state));
          if ('damage' in state) throw new Error(state.damage);
          real = new Allocator(options, state);
        } else if (each.kind === 'release') {
          real.release(each.owner);
          model.release(each.owner);
        } else if (each.kind === 'allocate') {
          const wanted = model.allocate(each.owner);
          if (wanted === undefined) expect(faultOf(() => give(real, each.owner)).code).toBe('FULL');
          else expect(give(real, each.owner)).toEqual([wanted]);
        } else {
          const address = model.all[each.index];
          const has = [...model.used.values()].includes(each.owner);
          if (address === undefined || has) continue;
          const usable = address !== model.all[0] && (cidr.includes(':') || address !== model.all.at(-1));
          if (!usable || model.used.has(address)) {
            expect(() => give(real, each.owner, address)).toThrow(IpamError);
          } else {
            expect(give(real, each.owner, address)).toEqual([address]);
            model.take(each.owner, address);
          }
        }
        expect(new Map([...real.allocations].map(([who, [what]]) => [formatAddress(what!), who]))).toEqual(
          model.used,
        );
      }
    }),
    { numRuns: 300 },
  );
});
