import {
  type AddressKey,
  type AddressPrefix,
  type AddressRange,
  contains,
  type Family,
  familyOf,
  findRange,
  formatPrefix,
  nextAddress,
  rangeOf,
} from '#datastore/address.ts';

/** How many released addresses a pool keeps from being given out again, unless all others are in use. */
export const REMEMBERED = 1024;

/** What of a pool has to outlive the process. */
export interface PoolState {
  /** The last address that was given without having been asked for. */
  readonly cursor: AddressKey | undefined;
  /** Released and not given since, the longest ago first. */
  readonly recent: readonly AddressKey[];
}

/**
 * The free addresses of one pod CIDR, and which of them comes next. Addresses are taken in their order, round and round, with
 * those passed over that were released lately; only when nothing else is left are these given again, that which has been
 * free for the longest time first. Memory is that of the addresses in use and of {@link REMEMBERED} others, however large
 * the CIDR.
 */
export class Pool {
  readonly text: string;
  readonly family: Family;
  readonly range: AddressRange;
  /** Ranges that touch it from which only what is asked for by name is given. */
  readonly reserved: readonly AddressRange[];
  readonly #skipped: readonly AddressRange[];
  readonly #unusable: readonly AddressKey[];
  readonly #used = new Set<AddressKey>();
  /** In the order of their release. */
  readonly #recent = new Set<AddressKey>();
  #cursor: AddressKey | undefined;

  /** @param reserved ranges from which only what is asked for by name is given, apart and sorted */
  constructor(prefix: AddressPrefix, reserved: readonly AddressRange[], state?: PoolState) {
    this.text = formatPrefix(prefix);
    this.family = familyOf(prefix.address);
    this.range = rangeOf(prefix);
    this.reserved = reserved.filter(
      ({ first, last }) =>
        familyOf(first) === this.family && first <= this.range.last && last >= this.range.first,
    );
    this.#unusable = unusable(prefix, this.range);
    const single = this.#unusable.map((address) => ({ first: address, last: address }));
    this.#skipped = merge([...this.reserved, ...single]);
    if (state?.cursor !== undefined && contains(this.range, state.cursor)) this.#cursor = state.cursor;
    for (const address of state?.recent ?? []) if (contains(this.range, address)) this.#recent.add(address);
  }

  get state(): PoolState {
    return { cursor: this.#cursor, recent: [...this.#recent] };
  }

  /** Addresses in use. */
  get used(): number {
    return this.#used.size;
  }

  /** How many addresses it can give without being asked for one by name. */
  get size(): bigint {
    let size = count(this.range);
    for (const range of this.#skipped) {
      const first = range.first < this.range.first ? this.range.first : range.first;
      const last = range.last > this.range.last ? this.range.last : range.last;
      if (first <= last) size -= count({ first, last });
    }
    return size;
  }

  contains(address: AddressKey): boolean {
    return contains(this.range, address);
  }

  /** Whether an interface may have the address at all. */
  usable(address: AddressKey): boolean {
    return !this.#unusable.includes(address);
  }

  /**
   * The free address that comes next of those that were not released lately.
   *
   * @param isFree whether nobody has it that the pool does not know of
   */
  fresh(isFree: (address: AddressKey) => boolean = () => true): AddressKey | undefined {
    const start = this.#cursor === undefined ? this.range.first : this.#after(this.#cursor);
    let at = start;
    let wrapped = false;
    for (;;) {
      const skipped = findRange(this.#skipped, at);
      if (skipped === undefined && !this.#used.has(at) && !this.#recent.has(at) && isFree(at)) return at;
      const next = this.#after(skipped === undefined ? at : skipped.last);
      if (next <= at) {
        if (wrapped) return undefined;
        wrapped = true;
      }
      if (wrapped && next >= start) return undefined;
      at = next;
    }
  }

  /** The free address that was released before all others that are remembered. */
  oldest(isFree: (address: AddressKey) => boolean = () => true): AddressKey | undefined {
    for (const address of this.#recent)
      if (findRange(this.#skipped, address) === undefined && isFree(address)) return address;
    return undefined;
  }

  /** @param asked whether the address was asked for by name: the order of the others stays as it was */
  take(address: AddressKey, asked: boolean): void {
    this.#used.add(address);
    this.#recent.delete(address);
    if (!asked) this.#cursor = address;
  }

  release(address: AddressKey): void {
    this.#used.delete(address);
    this.#recent.delete(address);
    this.#recent.add(address);
    for (const oldest of this.#recent) {
      if (this.#recent.size <= REMEMBERED) break;
      this.#recent.delete(oldest);
    }
  }

  #after(address: AddressKey): AddressKey {
    const next = address >= this.range.last ? undefined : nextAddress(address);
    return next ?? this.range.first;
  }
}

/** Joins ranges of one family that touch or overlap, and sorts them. */
export function merge(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: { first: AddressKey; last: AddressKey }[] = [];
  for (const range of [...ranges].sort((a, b) => (a.first < b.first ? -1 : 1))) {
    const before = merged.at(-1);
    if (before !== undefined && range.first <= (nextAddress(before.last) ?? before.last)) {
      if (range.last > before.last) before.last = range.last;
    } else merged.push({ ...range });
  }
  return merged;
}

/**
 * Of IPv4 the address of the network and the one for broadcast (RFC 919; not of a /31, RFC 3021, or a /32), of IPv6 the
 * subnet-router anycast address (RFC 4291 section 2.6.1; not of a /127, RFC 6164, or a /128).
 */
function unusable(prefix: AddressPrefix, range: AddressRange): AddressKey[] {
  if (familyOf(prefix.address) === 6) return prefix.length >= 127 ? [] : [range.first];
  return prefix.length >= 31 ? [] : [range.first, range.last];
}

function count(range: AddressRange): bigint {
  const number = (address: AddressKey): bigint => {
    let value = 0n;
    for (let i = 0; i < address.length; i++) value = (value << 16n) | BigInt(address.charCodeAt(i));
    return value;
  };
  return number(range.last) - number(range.first) + 1n;
}
