import type { Route } from '#kernel/rtnetlink/route.ts';
import type { RouteMirror } from './route-mirror.ts';

/** 169.254.0.0/16, 127.0.0.0/8, 0.0.0.0/8, multicast and reserved; ::/128, ::1/128, fe80::/10, ff00::/8. */
const NEVER4: readonly (readonly [number, number])[] = [
  [0x00000000, 8],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xe0000000, 4],
  [0xf0000000, 4],
];

/** A prefix as numbers: address words in host order, the highest first; IPv4 has only the first. */
export interface Words {
  readonly words: readonly number[];
  readonly length: number;
}

/**
 * Which prefixes from neighbours do not go into the kernel, whatever filters let in: they would take away traffic that is
 * this node's own. Prefixes that only contain such addresses (a default route, say) are fine, as the longer one wins.
 */
export class Guard {
  readonly #mirror: RouteMirror;
  #own: readonly Words[] = [];
  /** Destinations of routes that mean this host itself. */
  #host: ReadonlySet<string> = new Set();

  /** @param mirror routes of others; those that the kernel made itself are this host's addresses and subnets */
  constructor(mirror: RouteMirror) {
    this.#mirror = mirror;
  }

  /** Prefixes that this node originates (its pod CIDRs). */
  setOwn(prefixes: readonly Words[]): void {
    this.#own = prefixes;
  }

  /**
   * To be called after the mirror has changed. Returns the prefixes, as text, for which `refuses` may say something else now: addresses and
   * subnets that this host has got or lost.
   */
  refresh(): string[] {
    const before = this.#host;
    const now = new Set<string>();
    for (const route of this.#mirror.routes()) if (isOfHost(route) !== undefined) now.add(route.destination);
    this.#host = now;
    return [...[...now].filter((each) => !before.has(each)), ...[...before].filter((each) => !now.has(each))];
  }

  /** Why the prefix (4 or 16 bytes) must not be installed, or undefined when it may be. */
  refuses(address: Uint8Array, length: number): string | undefined {
    if (isReserved(address, length)) return 'loopback, link-local or multicast';
    for (const own of this.#own) {
      if (own.words.length * 4 === address.length && own.length <= length && within(address, own)) {
        return 'within a prefix of this node';
      }
    }
    for (const route of this.#mirror.exact(address, length)) {
      const reason = isOfHost(route);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }
}

function isOfHost({ type, protocol }: Route): string | undefined {
  if (type === 'local' || type === 'anycast') return 'an address of this host';
  // RTPROT_KERNEL: a subnet that one of our interfaces is on.
  return protocol === 2 ? 'a subnet of this host' : undefined;
}

function isReserved(address: Uint8Array, length: number): boolean {
  if (address.length === 4) {
    if (length === 0) return false;
    const value = word(address, 0);
    return NEVER4.some(([prefix, bits]) => length >= bits && ((value ^ prefix) & mask(bits)) === 0);
  }
  if (length === 128 && address.subarray(0, 15).every((byte) => byte === 0)) return address[15]! <= 1;
  if (length >= 8 && address[0] === 0xff) return true;
  return length >= 10 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

function within(address: Uint8Array, { words, length }: Words): boolean {
  for (let i = 0; i * 32 < length; i++) {
    if (((word(address, i) ^ words[i]!) & mask(Math.min(32, length - i * 32))) !== 0) return false;
  }
  return true;
}

function word(address: Uint8Array, i: number): number {
  return (
    (address[i * 4]! << 24) | (address[i * 4 + 1]! << 16) | (address[i * 4 + 2]! << 8) | address[i * 4 + 3]!
  );
}

function mask(bits: number): number {
  return bits === 0 ? 0 : -1 << (32 - bits);
}
