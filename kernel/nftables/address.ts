import { isIPv6 } from 'node:net';
import type { Hex } from './hex.ts';

/**
 * The 4 bytes of a dotted-quad IPv4 address.
 *
 * @throws RangeError when it is anything else; leading zeros are refused
 */
export function ipv4(text: string): Hex {
  const parts = text.split('.');
  let hex = '';
  if (parts.length === 4) {
    for (const part of parts) {
      if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) break;
      hex += Number(part).toString(16).padStart(2, '0');
    }
  }
  if (hex.length !== 8) throw new RangeError(`found '${text}', expected an IPv4 address`);
  return hex;
}

/**
 * The 16 bytes of an IPv6 address (RFC 4291 section 2.2), without a zone.
 *
 * @throws RangeError when it is anything else
 */
export function ipv6(text: string): Hex {
  if (!isIPv6(text) || text.includes('%')) throw new RangeError(`found '${text}', expected an IPv6 address`);
  const quad = /[^:]*\.[^:]*$/.exec(text);
  if (quad) {
    const low = ipv4(quad[0]);
    text = `${text.slice(0, quad.index)}${low.slice(0, 4)}:${low.slice(4)}`;
  }
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  if (tail === undefined) return before;
  const after = groups(tail);
  return before + '0'.repeat(32 - before.length - after.length) + after;
}

/** The bytes of an address of either family. */
export function address(text: string): Hex {
  return text.includes(':') ? ipv6(text) : ipv4(text);
}

/** An address of 4 or 16 bytes as text; IPv6 as RFC 5952 wants it. */
export function addressText(hex: Hex): string {
  if (hex.length === 8) return [0, 2, 4, 6].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
  if (hex.length !== 32) throw new RangeError(`found '${hex}', expected 4 or 16 bytes`);
  if (/^0{20}ffff/.test(hex)) return `::ffff:${addressText(hex.slice(24))}`;
  const words: number[] = [];
  for (let at = 0; at < 32; at += 4) words.push(Number.parseInt(hex.slice(at, at + 4), 16));
  const [start, length] = longestZeroRun(words);
  const text = (part: number[]): string => part.map((word) => word.toString(16)).join(':');
  if (length < 2) return text(words);
  return `${text(words.slice(0, start))}::${text(words.slice(start + length))}`;
}

function groups(text: string): Hex {
  if (text === '') return '';
  return text
    .split(':')
    .map((group) => group.toLowerCase().padStart(4, '0'))
    .join('');
}

function longestZeroRun(words: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < words.length; start++) {
    let end = start;
    while (end < words.length && words[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
    start = Math.max(start, end - 1);
  }
  return best;
}
