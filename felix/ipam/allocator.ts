import {
  type AddressKey,
  type AddressPrefix,
  type AddressRange,
  type Family,
  familyOf,
  formatAddress,
  formatPrefix,
} from '#datastore/address.ts';
import { IpamError } from './error.ts';
import { Pool, type PoolState } from './pool.ts';

/** What the node may give out. */
export interface AllocatorOptions {
  /** The node's pod CIDRs, apart from each other, those to be used up first in front. */
  readonly podCidrs: readonly AddressPrefix[];
  /** Given only to who asks for one of them by name. */
  readonly reserved: readonly AddressRange[];
}

/** All that has to outlive the process. */
export interface AllocatorState {
  /** By the text of the CIDR. */
  readonly pools: ReadonlyMap<string, PoolState>;
  readonly allocations: ReadonlyMap<string, readonly AddressKey[]>;
}

export const EMPTY_STATE: AllocatorState = { pools: new Map(), allocations: new Map() };

/**
 * Which addresses are whose. Plain synchronous bookkeeping: no clock, no file, no kernel. Owners are names that the caller
 * chooses; each has at most one address of each family. An owner keeps its addresses when the CIDRs change around it.
 */
export class Allocator {
  readonly #reserved: readonly AddressRange[];
  #pools: readonly Pool[];
  readonly #byOwner = new Map<string, readonly AddressKey[]>();
  readonly #owners = new Map<AddressKey, string>();
  /** Of CIDRs that are no more: kept, should they come back. */
  readonly #retired = new Map<string, PoolState>();

  constructor(options: AllocatorOptions, state: AllocatorState = EMPTY_STATE) {
    this.#reserved = options.reserved;
    this.#pools = this.#open(options.podCidrs, state.pools);
    for (const [owner, addresses] of state.allocations) this.adopt(owner, addresses);
  }

  /** The node has other pod CIDRs now. What is given stays given, wherever it lies. */
  setPodCidrs(podCidrs: readonly AddressPrefix[]): void {
    const { pools } = this.state;
    this.#retired.clear();
    this.#pools = this.#open(podCidrs, pools);
    for (const address of this.#owners.keys()) this.#poolOf(address)?.take(address, true);
  }

  get state(): AllocatorState {
    const pools = new Map(this.#retired);
    for (const pool of this.#pools) pools.set(pool.text, pool.state);
    return { pools, allocations: this.#byOwner };
  }

  get pools(): readonly Pool[] {
    return this.#pools;
  }

  get allocations(): ReadonlyMap<string, readonly AddressKey[]> {
    return this.#byOwner;
  }

  ownerOf(address: AddressKey): string | undefined {
    return this.#owners.get(address);
  }

  /**
   * Gives an owner an address of each family that the node has, those that are asked for among them. An owner that has
   * addresses already keeps them, if they are the ones that it asks for.
   *
   * @param holderOf who has an address that is not one of our owners, in words
   * @throws IpamError; nothing is given then
   */
  allocate(
    owner: string,
    requested: readonly AddressKey[] = [],
    holderOf: (address: AddressKey) => string | undefined = () => undefined,
  ): readonly AddressKey[] {
    const kept = this.#byOwner.get(owner);
    if (kept !== undefined) {
      const other = requested.find((address) => !kept.includes(address));
      if (other === undefined) return kept;
      throw new IpamError(
        'IN_USE',
        owner,
        `asks for ${formatAddress(other)} and has ${kept.map(formatAddress).join(', ')}`,
        'to be released first',
      );
    }
    const chosen = new Map<Family, AddressKey>();
    for (const address of requested) {
      this.#checkRequested(owner, address, holderOf);
      const family = familyOf(address);
      const other = chosen.get(family);
      if (other !== undefined && other !== address) {
        const both = `${formatAddress(other)} and ${formatAddress(address)} were asked for`;
        throw new IpamError('TWO_OF_A_FAMILY', owner, both, 'at most one IPv4 and one IPv6 address');
      }
      chosen.set(family, address);
    }
    const families = [...new Set(this.#pools.map((pool) => pool.family))].sort();
    const given = new Map<AddressKey, boolean>();
    for (const family of families) {
      const asked = chosen.get(family);
      given.set(asked ?? this.#next(owner, family, holderOf), asked !== undefined);
    }
    for (const [address, asked] of given) this.#poolOf(address)!.take(address, asked);
    const addresses = [...given.keys()];
    this.#note(owner, addresses);
    return addresses;
  }

  /** Frees what an owner has, and remembers the order. Returns what that was. */
  release(owner: string): readonly AddressKey[] {
    const addresses = this.#byOwner.get(owner) ?? [];
    this.#byOwner.delete(owner);
    for (const address of addresses) {
      this.#owners.delete(address);
      this.#poolOf(address)?.release(address);
    }
    return addresses;
  }

  /**
   * Takes over what an owner is known to have, wherever it lies. What is another's by now is left out.
   *
   * @returns what was left out
   */
  adopt(owner: string, addresses: readonly AddressKey[]): readonly AddressKey[] {
    const mine: AddressKey[] = [...(this.#byOwner.get(owner) ?? [])];
    const refused: AddressKey[] = [];
    for (const address of addresses) {
      const other = this.#owners.get(address);
      if (other === owner) continue;
      if (other !== undefined) {
        refused.push(address);
        continue;
      }
      this.#poolOf(address)?.take(address, true);
      mine.push(address);
    }
    if (mine.length > 0) this.#note(owner, mine);
    return refused;
  }

  #open(podCidrs: readonly AddressPrefix[], states: AllocatorState['pools']): Pool[] {
    const pools = podCidrs.map(
      (prefix) => new Pool(prefix, this.#reserved, states.get(formatPrefix(prefix))),
    );
    const texts = new Set(pools.map((pool) => pool.text));
    for (const [text, kept] of states) if (!texts.has(text)) this.#retired.set(text, kept);
    return pools;
  }

  #note(owner: string, addresses: readonly AddressKey[]): void {
    this.#byOwner.set(owner, addresses);
    for (const address of addresses) this.#owners.set(address, owner);
  }

  #poolOf(address: AddressKey): Pool | undefined {
    return this.#pools.find((pool) => pool.contains(address));
  }

  #next(owner: string, family: Family, holderOf: (address: AddressKey) => string | undefined): AddressKey {
    const isFree = (address: AddressKey): boolean => holderOf(address) === undefined;
    const pools = this.#pools.filter((pool) => pool.family === family);
    for (const pool of pools) {
      const address = pool.fresh(isFree);
      if (address !== undefined) return address;
    }
    for (const pool of pools) {
      const address = pool.oldest(isFree);
      if (address !== undefined) return address;
    }
    const text = pools.map((pool) => `${pool.text}: ${pool.used} in use`).join(', ');
    throw new IpamError(
      'FULL',
      owner,
      `no IPv${family} address is left (${text})`,
      'a free one: delete pods, or add a pod CIDR',
    );
  }

  #checkRequested(
    owner: string,
    address: AddressKey,
    holderOf: (address: AddressKey) => string | undefined,
  ): void {
    const text = formatAddress(address);
    const pool = this.#poolOf(address);
    if (pool === undefined) {
      const all = this.#pools.map((each) => each.text).join(', ');
      throw new IpamError(
        'OUTSIDE',
        owner,
        `${text} was asked for`,
        `an address in a pod CIDR of this node (${all})`,
      );
    }
    if (!pool.usable(address)) {
      throw new IpamError(
        'UNUSABLE',
        owner,
        `${text} was asked for`,
        `neither the first nor the broadcast address of ${pool.text}`,
      );
    }
    const other = this.#owners.get(address) ?? holderOf(address);
    if (other !== undefined)
      throw new IpamError(
        'IN_USE',
        owner,
        `${text} was asked for and is in use by ${other}`,
        'an address that is free',
      );
  }
}
