import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AddressKey, formatAddress, parsePrefix } from '#datastore/address.ts';
import { Ipam } from '#felix/ipam/ipam.ts';
import { StateError } from '#felix/state/commits.ts';
import { FakeFiles, Killed } from '../state/fake-files.ts';

const PATH = '/state/ipam';
const open = (files: FakeFiles): Ipam =>
  Ipam.open({
    path: PATH,
    files,
    podCidrs: [parsePrefix('10.1.0.0/28')!, parsePrefix('fd00::/64')!],
    reserved: [],
  });

describe('addresses on disk', () => {
  test('are there after a restart, with the order of what was released', async () => {
    const files = new FakeFiles();
    const before = open(files);
    for (const owner of ['a', 'b', 'c']) before.allocate(owner);
    before.release('b');
    await before.commit();
    const after = open(files);
    expect(after.damage).toBeUndefined();
    expect([...after.allocator.allocations]).toEqual([...before.allocator.allocations]);
    expect(after.allocate('d').map(formatAddress)).toEqual(['10.1.0.4', 'fd00::4']);
  });

  test('of many at once cost two writings', async () => {
    const files = new FakeFiles();
    const ipam = open(files);
    const started = files.calls;
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        ipam.allocate(`o${i}`);
        await ipam.commit();
      }),
    );
    expect(files.calls - started).toBeLessThanOrEqual(8);
    expect(open(files).allocator.allocations.size).toBe(12);
  });

  test('that can not be written are told, and written with the next', async () => {
    const files = new FakeFiles();
    const ipam = open(files);
    ipam.allocate('a');
    files.refusal = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    await expect(ipam.commit()).rejects.toThrow(StateError);
    await expect(ipam.commit()).rejects.toThrow(
      '/state/ipam can not be written: ENOSPC: no space left on device',
    );
    files.refusal = undefined;
    await ipam.commit();
    expect(open(files).allocator.allocations.size).toBe(1);
  });

  test.each([
    ['cut short', (text: string) => text.slice(0, text.length / 2), /cut short/],
    ['without its last line', (text: string) => text.slice(0, text.lastIndexOf('sha256')), /cut short/],
    ['changed', (text: string) => text.replace('10.1.0.1', '10.1.0.2'), /checksum/],
    ['empty', () => '', /empty/],
    ['zeroes', (text: string) => '\0'.repeat(text.length), /cut short/],
  ])('in a file that is %s are told to be damaged', async (_, damage, words) => {
    const files = new FakeFiles();
    const before = open(files);
    before.allocate('a');
    await before.commit();
    files.write(PATH, damage(files.read(PATH)!));
    const after = open(files);
    expect(after.damage).toMatch(words);
    expect(after.damage).toContain(PATH);
    expect(after.allocator.allocations.size).toBe(0);
  });
});

const owner = fc.integer({ min: 0, max: 9 }).map((n) => `o${n}`);
const step = fc.record({ kind: fc.constantFrom('add', 'add', 'delete', 'together'), owner });

test.each(['kill', 'power'])(
  'a %s between any two system calls loses nothing that was told, and gives nothing twice',
  async (how) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 30 }),
        fc.array(fc.record({ after: fc.nat(60), torn: fc.double({ min: 0, max: 1, noNaN: true }) }), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        async (steps, kills, chances) => {
          const files = new FakeFiles();
          /** Who was told to have what, and has not asked to be rid of it. */
          const told = new Map<string, readonly AddressKey[]>();
          for (const { after, torn } of kills) {
            files.killAfter(after, torn);
            try {
              const ipam = open(files);
              expect(ipam.damage).toBeUndefined();
              for (const [who, addresses] of told)
                expect(ipam.allocator.allocations.get(who)).toEqual(addresses);
              await live(ipam, steps, told);
            } catch (error) {
              if (!(error instanceof Killed) && !((error as Error).cause instanceof Killed)) throw error;
            }
            if (how === 'kill') files.revive();
            else files.losePower(() => chances.next().value!);
          }
          const last = open(files);
          expect(last.damage).toBeUndefined();
          for (const [who, addresses] of told) expect(last.allocator.allocations.get(who)).toEqual(addresses);
        },
      ),
      { numRuns: 300 },
    );
  },
);

async function live(
  ipam: Ipam,
  steps: readonly { kind: string; owner: string }[],
  told: Map<string, readonly AddressKey[]>,
): Promise<void> {
  const add = async (who: string): Promise<void> => {
    if (told.has(who)) return;
    const addresses = ipam.allocate(who);
    await ipam.commit();
    for (const others of told.values())
      for (const address of addresses) expect(others).not.toContain(address);
    told.set(who, addresses);
  };
  for (const { kind, owner } of steps) {
    if (kind === 'add') await add(owner);
    else if (kind === 'delete') {
      // From here on nobody uses them, whether this gets to the disk or not.
      told.delete(owner);
      ipam.release(owner);
      await ipam.commit();
    } else {
      const settled = await Promise.allSettled([add(owner), add(`${owner}x`)]);
      for (const each of settled) if (each.status === 'rejected') throw each.reason;
    }
  }
}
