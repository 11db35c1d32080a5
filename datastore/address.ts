/**
 * IP addresses as short strings that compare, sort and hash like the numbers they stand for: one UTF-16 code unit for
 * each 16 bits, so two for IPv4 and eight for IPv6. JavaScript compares strings by code unit, so `a < b` is the order of
 * the addresses, a Map takes them as keys, and nothing is allocated to look at one. They are not text: print them with
 * {@link formatAddress}.
 */

declare const addressKey: unique symbol;

/** An address: 2 code units for IPv4, 8 for IPv6. IPv4-mapped IPv6 addresses are IPv4 ones. */
export type AddressKey = string & { readonly [addressKey]: true };

export type Family = 4 | 6;

/** All addresses from `first` to `last`, both included and of one family. */
export interface AddressRange {
  readonly first: AddressKey;
  readonly last: AddressKey;
}

/** An address with the number of leading bits that count; the others are zero. */
export interface AddressPrefix {
  readonly address: AddressKey;
  /** 0 to 32, or to 128. */
  readonly length: number;
}

/** How lenient reading is. */
export interface ReadingOptions {
  /** Whether `010.0.0.1` is 10.0.0.1, as in those fields of Kubernetes that are older than strict checks. Default no. */
  readonly leadingZeros?: boolean;
}

export function familyOf(address: AddressKey): Family {
  return address.length === 2 ? 4 : 6;
}

/** Reads an address; `undefined` if the text is none. Zones (`%eth0`) are not accepted. */
export function parseAddress(text: string, options: ReadingOptions = {}): AddressKey | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text, options.leadingZeros === true);
}

/**
 * Reads `address/length`; `undefined` if the text is none. Bits that are set after the length are cleared, as the API
 * server does: compare with the result of {@link parseAddress} to refuse them.
 */
export function parsePrefix(text: string, options: ReadingOptions = {}): AddressPrefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const mapped = text.includes(':');
  const address = parseAddress(text.slice(0, slash), options);
  const digits = text.slice(slash + 1);
  const form = options.leadingZeros === true ? /^\d{1,9}$/ : /^(0|[1-9]\d{0,2})$/;
  if (address === undefined || !form.test(digits)) return undefined;
  const length = Number(digits);
  if (familyOf(address) === 4 && mapped) {
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter one spans more than the mapped addresses.
    if (length >= 96) return length <= 128 ? masked(address, length - 96) : undefined;
    return masked(`\0\0\0\0\0\uffff${address}` as AddressKey, length);
  }
  return length <= address.length * 16 ? masked(address, length) : undefined;
}

/** The addresses that a prefix covers. */
export function rangeOf(prefix: AddressPrefix): AddressRange {
  let last = '';
  for (let unit = 0; unit < prefix.address.length; unit++) {
    last += String.fromCharCode(prefix.address.charCodeAt(unit) | (~unitMask(prefix.length, unit) & 0xffff));
  }
  return { first: prefix.address, last: last as AddressKey };
}

export function contains(range: AddressRange, address: AddressKey): boolean {
  return address.length === range.first.length && range.first <= address && address <= range.last;
}

/** The range that has the address, of ranges of one family that are sorted and apart. */
export function findRange<R extends AddressRange>(ranges: readonly R[], address: AddressKey): R | undefined {
  let low = 0;
  // Addresses of the other family would compare too.
  let high = ranges[0]?.first.length === address.length ? ranges.length - 1 : -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle]!;
    if (address < range.first) high = middle - 1;
    else if (address > range.last) low = middle + 1;
    else return range;
  }
  return undefined;
}

/** The address after this one; `undefined` after the last of its family. */
export function nextAddress(address: AddressKey): AddressKey | undefined {
  for (let unit = address.length - 1; unit >= 0; unit--) {
    const value = address.charCodeAt(unit);
    if (value === 0xffff) continue;
    const zeros = '\0'.repeat(address.length - unit - 1);
    return (address.slice(0, unit) + String.fromCharCode(value + 1) + zeros) as AddressKey;
  }
  return undefined;
}

/** The address before this one; `undefined` before the first of its family. */
export function previousAddress(address: AddressKey): AddressKey | undefined {
  for (let unit = address.length - 1; unit >= 0; unit--) {
    const value = address.charCodeAt(unit);
    if (value === 0) continue;
    const ones = '\uffff'.repeat(address.length - unit - 1);
    return (address.slice(0, unit) + String.fromCharCode(value - 1) + ones) as AddressKey;
  }
  return undefined;
}

/** Canonical text; IPv6 by RFC 5952. */
export function formatAddress(address: AddressKey): string {
  if (address.length === 2) {
    const high = address.charCodeAt(0);
    const low = address.charCodeAt(1);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  const zeros = longestZeros(address);
  if (zeros === undefined) return hexadecimal(address, 0, 8);
  return `${hexadecimal(address, 0, zeros.from)}::${hexadecimal(address, zeros.to, 8)}`;
}

export function formatPrefix(prefix: AddressPrefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

function masked(address: AddressKey, length: number): AddressPrefix {
  let kept = '';
  for (let unit = 0; unit < address.length; unit++) {
    kept += String.fromCharCode(address.charCodeAt(unit) & unitMask(length, unit));
  }
  return { address: kept as AddressKey, length };
}

/** Which bits of the 16-bit unit a prefix of this length covers. */
function unitMask(length: number, unit: number): number {
  const bits = Math.min(16, Math.max(0, length - 16 * unit));
  return (0xffff << (16 - bits)) & 0xffff;
}

function parseIpv4(text: string, leadingZeros: boolean): AddressKey | undefined {
  let value = 0;
  let octets = 0;
  let at = 0;
  while (at < text.length) {
    const start = at;
    let octet = 0;
    for (let code = text.charCodeAt(at); code >= 48 && code <= 57; code = text.charCodeAt(++at)) {
      octet = octet * 10 + code - 48;
      if (octet > 255) return undefined;
    }
    if (at === start || (at - start > 1 && text[start] === '0' && !leadingZeros)) return undefined;
    value = value * 256 + octet;
    octets++;
    if (at < text.length && (octets === 4 || text[at++] !== '.' || at === text.length)) return undefined;
  }
  if (octets !== 4) return undefined;
  return String.fromCharCode(Math.floor(value / 65536), value % 65536) as AddressKey;
}

/** RFC 4291 section 2.2, the form with an IPv4 tail included. */
function parseIpv6(text: string): AddressKey | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const elided = halves.length === 2;
  const head = groups(halves[0]!, !elided);
  const tail = elided ? groups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (elided ? missing < 1 : missing !== 0) return undefined;
  const units = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const isMapped = units.every((unit, i) => (i < 5 ? unit === 0 : i > 5 || unit === 0xffff));
  return String.fromCharCode(...(isMapped ? units.slice(6) : units)) as AddressKey;
}

function groups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const units: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      units.push(Number.parseInt(part, 16));
      continue;
    }
    const ipv4 = mayEndInIpv4 && i === parts.length - 1 ? parseIpv4(part, false) : undefined;
    if (ipv4 === undefined) return undefined;
    units.push(ipv4.charCodeAt(0), ipv4.charCodeAt(1));
  }
  return units;
}

/** The first of the longest runs of zero units; a single one is not shortened (RFC 5952 section 4.2). */
function longestZeros(address: AddressKey): { from: number; to: number } | undefined {
  let best: { from: number; to: number } | undefined;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && address.charCodeAt(to) === 0) to++;
    if (to - from > Math.max(1, best === undefined ? 0 : best.to - best.from)) best = { from, to };
    from = Math.max(from, to);
  }
  return best;
}

function hexadecimal(address: AddressKey, from: number, to: number): string {
  const parts: string[] = [];
  for (let unit = from; unit < to; unit++) parts.push(address.charCodeAt(unit).toString(16));
  return parts.join(':');
}
