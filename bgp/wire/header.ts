/**
 * The 19 bytes that every message starts with: marker of ones, length, type (RFC 4271 section 4.1).
 */

import { putU16 } from './bytes.ts';
import { HEADER_LENGTH, KEEPALIVE } from './constants.ts';

/** Writes a header at `at` for a message of `length` bytes, header included. */
export function putHeader(out: Uint8Array, at: number, length: number, type: number): void {
  out.fill(0xff, at, at + 16);
  putU16(out, at + 16, length);
  out[at + 18] = type;
}

/** KEEPALIVE is a header and nothing else: RFC 4271 section 4.4. */
export function encodeKeepalive(): Uint8Array {
  const out = new Uint8Array(HEADER_LENGTH);
  putHeader(out, 0, HEADER_LENGTH, KEEPALIVE);
  return out;
}
