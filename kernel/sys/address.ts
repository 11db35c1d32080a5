import { isIPv4, isIPv6 } from 'node:net';

/** Thrown when a text is no IP address or prefix. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code = 'INVALID_ADDRESS';
  readonly found: string;
  readonly expected: string;

  constructor(found: string, expected: string) {
    super(`found ${JSON.stringify(found)}, expected ${expected}`);
    this.found = found;
    this.expected = expected;
  }
}

/**
 * The bytes of an IP address, in network order: 4 of IPv4, 16 of IPv6. Zones (`fe80::1%eth0`) are refused: what they
 * mean depends on the namespace, so interfaces go by index.
 *
 * @throws AddressError
 */
export function parseAddress(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) throw new AddressError(text, 'an IPv4 or IPv6 address');
  const bytes = new Uint8Array(16);
  const gap = text.indexOf('::');
  const front = groups(gap < 0 ? text : text.slice(0, gap));
  const back = gap < 0 ? [] : groups(text.slice(gap + 2));
  bytes.set(front);
  bytes.set(back, 16 - back.length);
  return bytes;
}

/**
 * The text of the IPv4 or IPv6 address of `length` (4 or 16) bytes at `from`, as RFC 5952 and inet_ntop(3) write it;
 * IPv4-mapped addresses come as `::ffff:192.0.2.1`.
 */
export function formatAddress(bytes: Uint8Array, from = 0, length = bytes.length - from): string {
  if (length === 4) return dotted(bytes, from);
  if (length !== 16) throw new RangeError(`an address of ${length} bytes, expected 4 or 16`);
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[from + i]! << 8) | bytes[from + i + 1]!);
  if (isMapped(bytes, from)) return `::ffff:${dotted(bytes, from + 12)}`;
  const [start, size] = longestZeroRun(words);
  const hex = (part: number[]): string => part.map((word) => word.toString(16)).join(':');
  return size < 2 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + size))}`;
}

/** Whether the 16 bytes at `from` are an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2). */
export function isMapped(bytes: Uint8Array, from = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[from + i] !== 0) return false;
  return bytes[from + 10] === 0xff && bytes[from + 11] === 0xff;
}

/** The IPv4-mapped IPv6 address of the IPv4 address `bytes`. */
export function toMapped(bytes: Uint8Array): Uint8Array {
  const mapped = new Uint8Array(16);
  mapped[10] = 0xff;
  mapped[11] = 0xff;
  mapped.set(bytes, 12);
  return mapped;
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text
    .split(':')
    .flatMap((group) =>
      group.includes('.')
        ? group.split('.').map(Number)
        : [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff],
    );
}

function dotted(bytes: Uint8Array, from: number): string {
  return `${bytes[from]}.${bytes[from + 1]}.${bytes[from + 2]}.${bytes[from + 3]}`;
}

/** Start and length of the first of the longest runs of zeros. */
function longestZeroRun(words: readonly number[]): [number, number] {
  let best: [number, number] = [0, 0];
  let start = 0;
  for (let i = 0; i <= words.length; i++) {
    if (words[i] === 0) continue;
    if (i - start > best[1]) best = [start, i - start];
    start = i + 1;
  }
  return best;
}
