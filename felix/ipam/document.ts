import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import { seal, unseal } from '#felix/state/sealed.ts';
import type { AllocatorState } from './allocator.ts';
import type { PoolState } from './pool.ts';

const TITLE = 'margay ipam 1';

/** The state as the text of a file: a line of JSON for each pool and each owner, and a checksum. */
export function formatState(state: AllocatorState): string {
  const lines: string[] = [];
  for (const [pool, { cursor, recent }] of state.pools) {
    lines.push(
      JSON.stringify({
        pool,
        ...(cursor !== undefined && { cursor: formatAddress(cursor) }),
        recent: recent.map(formatAddress),
      }),
    );
  }
  for (const [owner, addresses] of state.allocations)
    lines.push(JSON.stringify({ owner, addresses: addresses.map(formatAddress) }));
  return seal(TITLE, lines);
}

/** Reads that text again, or says what is wrong with it. */
export function parseState(text: string): AllocatorState | { readonly damage: string } {
  const unsealed = unseal(TITLE, text);
  if ('damage' in unsealed) return unsealed;
  const pools = new Map<string, PoolState>();
  const allocations = new Map<string, readonly AddressKey[]>();
  for (const [i, line] of unsealed.lines.entries()) {
    const entry = readLine(line);
    if (entry === undefined) return { damage: `line ${i + 2} is neither a pool nor an owner` };
    if ('pool' in entry) pools.set(entry.pool, entry.state);
    else allocations.set(entry.owner, entry.addresses);
  }
  return { pools, allocations };
}

type Entry =
  | { readonly pool: string; readonly state: PoolState }
  | { readonly owner: string; readonly addresses: readonly AddressKey[] };

function readLine(line: string): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pool, cursor, recent, owner, addresses } = value as Record<string, unknown>;
  if (typeof pool === 'string') {
    const at = cursor === undefined ? [] : readAddresses([cursor]);
    const released = readAddresses(recent);
    if (at === undefined || released === undefined) return undefined;
    return { pool, state: { cursor: at[0], recent: released } };
  }
  const held = readAddresses(addresses);
  return typeof owner === 'string' && held !== undefined ? { owner, addresses: held } : undefined;
}

function readAddresses(value: unknown): readonly AddressKey[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const read = value.map((text) => (typeof text === 'string' ? parseAddress(text) : undefined));
  return read.every((address) => address !== undefined) ? read : undefined;
}
