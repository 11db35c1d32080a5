/**
 * The fast path through an UPDATE (RFC 4271 section 4.3, RFC 4760): where its parts are, without decoding attributes.
 *
 * Routes of a full table share their attributes by the dozen, so a RIB looks an attribute block up by its bytes and
 * decodes it once. This file finds those bytes, and the four lists of prefixes, in one walk over the attribute
 * headers.
 */

import { getU16, NO_BYTES } from './bytes.ts';
import {
  ATTR_MP_REACH,
  ATTR_MP_UNREACH,
  type Family,
  FLAG_EXTENDED_LENGTH,
  FLAG_OPTIONAL,
  FLAG_TRANSITIVE,
  familyName,
  IPV4_UNICAST,
  MAX_MESSAGE,
} from './constants.ts';
import { decodeNextHop, isNextHopLength } from './next-hop.ts';
import {
  UPDATE_INVALID_NETWORK,
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
  UPDATE_OPTIONAL_ATTRIBUTE,
} from './notification.ts';
import type { AttributeError, NextHop } from './types.ts';

/**
 * Where the parts of one UPDATE are. One object serves every message: `scan` fills it anew. All offsets are into
 * `bytes`, except `keyStart` and `keyEnd`, which are into `keyBytes`.
 */
export class UpdateScanner {
  bytes: Uint8Array = NO_BYTES;
  /** The Withdrawn Routes field: IPv4 unicast prefixes. */
  withdrawnStart = 0;
  withdrawnEnd = 0;
  /** All path attributes, MP_REACH_NLRI and MP_UNREACH_NLRI among them. */
  attributesStart = 0;
  attributesEnd = 0;
  /** The NLRI field: IPv4 unicast prefixes. */
  nlriStart = 0;
  nlriEnd = 0;
  /** MP_REACH_NLRI: its family (0: the attribute is not there), its next hop and its prefixes. */
  reachFamily: Family = 0;
  reachNextHopStart = 0;
  reachNextHopEnd = 0;
  reachStart = 0;
  reachEnd = 0;
  /** MP_UNREACH_NLRI: its family (0: not there) and its prefixes. */
  unreachFamily: Family = 0;
  unreachStart = 0;
  unreachEnd = 0;
  /**
   * The raw attribute key: the attribute block without MP_REACH_NLRI and MP_UNREACH_NLRI. It is `bytes` itself where
   * the rest is in one piece, as it is in what most speakers send, and a buffer of the scanner's own where not.
   */
  keyBytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  /** The family that an End-of-RIB ends (RFC 4724 section 2); 0 for any other UPDATE. */
  endOfRib: Family = 0;
  /** After a `scan` that returned false: why. */
  error: AttributeError | undefined = undefined;

  #reachAttributeStart = 0;
  #reachAttributeEnd = 0;
  #unreachAttributeStart = 0;
  #unreachAttributeEnd = 0;
  #scratch: Uint8Array = NO_BYTES;

  /**
   * Finds the parts of the UPDATE whose body is `bytes` from `start` to `end`.
   *
   * False if it can not be taken apart, with `error` saying whether its family is to be disabled or the session to be
   * reset. What is wrong inside of other attributes, or in a list of prefixes, shows when these are read; an
   * attribute that runs over the end of the block shows when the block is decoded, since its prefixes can still be
   * found (RFC 7606 section 4).
   */
  scan(bytes: Uint8Array, start: number, end: number, extendedNextHop: boolean): boolean {
    this.bytes = bytes;
    this.reachFamily = 0;
    this.reachStart = 0;
    this.reachEnd = 0;
    this.unreachFamily = 0;
    this.unreachStart = 0;
    this.unreachEnd = 0;
    this.endOfRib = 0;
    this.error = undefined;

    // RFC 4271 section 6.3: both lengths must fit. 7606 section 3 (b) leaves that as it is.
    const withdrawnEnd = end - start < 4 ? end : start + 2 + getU16(bytes, start);
    if (withdrawnEnd + 2 > end) return this.#malformedList('Withdrawn Routes Length', start);
    const attributesStart = withdrawnEnd + 2;
    const attributesEnd = attributesStart + getU16(bytes, withdrawnEnd);
    if (attributesEnd > end) return this.#malformedList('Total Path Attribute Length', withdrawnEnd);
    this.withdrawnStart = start + 2;
    this.withdrawnEnd = withdrawnEnd;
    this.attributesStart = attributesStart;
    this.attributesEnd = attributesEnd;
    this.nlriStart = attributesEnd;
    this.nlriEnd = end;

    let at = attributesStart;
    while (attributesEnd - at >= 3) {
      const flags = bytes[at]!;
      const code = bytes[at + 1]!;
      let value = at + 3;
      let length = bytes[at + 2]!;
      if ((flags & FLAG_EXTENDED_LENGTH) !== 0) {
        if (attributesEnd - at < 4) break;
        length = (length << 8) | bytes[at + 3]!;
        value = at + 4;
      }
      const next = value + length;
      if (next > attributesEnd) break;
      if (code === ATTR_MP_REACH) {
        if (!this.#reach(at, value, next, extendedNextHop)) return false;
      } else if (code === ATTR_MP_UNREACH) {
        if (!this.#unreach(at, value, next)) return false;
      }
      at = next;
    }

    this.#findKey();
    if (attributesEnd === end && withdrawnEnd === start + 2) {
      if (attributesStart === end) this.endOfRib = IPV4_UNICAST;
      else if (
        this.unreachFamily !== 0 &&
        this.unreachStart === this.unreachEnd &&
        this.#unreachAttributeStart === attributesStart &&
        this.#unreachAttributeEnd === attributesEnd
      ) {
        this.endOfRib = this.unreachFamily;
      }
    }
    return true;
  }

  /** Does the message announce routes? If not, and it has other attributes, these want `checkAttributes`. */
  get announces(): boolean {
    return this.nlriStart < this.nlriEnd || this.reachStart < this.reachEnd;
  }

  /** The raw attribute key as one array (a view). */
  key(): Uint8Array {
    return this.keyBytes.subarray(this.keyStart, this.keyEnd);
  }

  /** The next hop of MP_REACH_NLRI (copied out of the message). Only for a family that this speaker carries. */
  reachNextHop(): NextHop {
    return decodeNextHop(this.bytes, this.reachNextHopStart, this.reachNextHopEnd);
  }

  /**
   * The error for a list of prefixes that can not be read (RFC 7606 sections 3 (i), 3 (j) and 5.3): a session reset
   * for the fields of RFC 4271, for MP_REACH_NLRI and MP_UNREACH_NLRI the family may be disabled instead.
   */
  networkError(list: 'withdrawn' | 'nlri' | 'reach' | 'unreach', reason: string): AttributeError {
    switch (list) {
      case 'withdrawn':
        return fieldError(
          'Withdrawn Routes',
          reason,
          this.bytes.slice(this.withdrawnStart, this.withdrawnEnd),
        );
      case 'nlri':
        return fieldError('NLRI', reason, this.bytes.slice(this.nlriStart, this.nlriEnd));
      case 'reach': {
        const bytes = this.bytes.slice(this.#reachAttributeStart, this.#reachAttributeEnd);
        return mpError(ATTR_MP_REACH, this.reachFamily, '5.3', reason, bytes);
      }
      case 'unreach': {
        const bytes = this.bytes.slice(this.#unreachAttributeStart, this.#unreachAttributeEnd);
        return mpError(ATTR_MP_UNREACH, this.unreachFamily, '5.3', reason, bytes);
      }
    }
  }

  #reach(at: number, value: number, next: number, extendedNextHop: boolean): boolean {
    const bytes = this.bytes;
    if (this.reachFamily !== 0) return this.#repeated(ATTR_MP_REACH, at, next);
    const length = next - value;
    if (length < 5)
      return this.#badMp(ATTR_MP_REACH, at, value, next, '5.3', `length ${length}, expected 5 or more`);
    if ((bytes[at]! & (FLAG_OPTIONAL | FLAG_TRANSITIVE)) !== FLAG_OPTIONAL) {
      return this.#badMp(ATTR_MP_REACH, at, value, next, '5.3', 'not flagged as optional non-transitive');
    }
    const family = (bytes[value]! << 16) | (bytes[value + 1]! << 8) | bytes[value + 2]!;
    if (family === 0) return this.#badMp(ATTR_MP_REACH, at, value, next, '5.3', 'AFI 0 SAFI 0');
    const nextHopLength = bytes[value + 3]!;
    const nextHopEnd = value + 4 + nextHopLength;
    // One reserved octet follows the next hop.
    if (nextHopEnd + 1 > next || !isNextHopLength(family, nextHopLength, extendedNextHop)) {
      return this.#badMp(ATTR_MP_REACH, at, value, next, '7.11', `next hop of ${nextHopLength} bytes`);
    }
    this.reachFamily = family;
    this.reachNextHopStart = value + 4;
    this.reachNextHopEnd = nextHopEnd;
    this.reachStart = nextHopEnd + 1;
    this.reachEnd = next;
    this.#reachAttributeStart = at;
    this.#reachAttributeEnd = next;
    return true;
  }

  #unreach(at: number, value: number, next: number): boolean {
    const bytes = this.bytes;
    if (this.unreachFamily !== 0) return this.#repeated(ATTR_MP_UNREACH, at, next);
    const length = next - value;
    if (length < 3)
      return this.#badMp(ATTR_MP_UNREACH, at, value, next, '5.3', `length ${length}, expected 3 or more`);
    if ((bytes[at]! & (FLAG_OPTIONAL | FLAG_TRANSITIVE)) !== FLAG_OPTIONAL) {
      return this.#badMp(ATTR_MP_UNREACH, at, value, next, '5.3', 'not flagged as optional non-transitive');
    }
    const family = (bytes[value]! << 16) | (bytes[value + 1]! << 8) | bytes[value + 2]!;
    if (family === 0) return this.#badMp(ATTR_MP_UNREACH, at, value, next, '5.3', 'AFI 0 SAFI 0');
    this.unreachFamily = family;
    this.unreachStart = value + 3;
    this.unreachEnd = next;
    this.#unreachAttributeStart = at;
    this.#unreachAttributeEnd = next;
    return true;
  }

  /** The attribute block less the two attributes: in place if what is left is in one piece, else copied together. */
  #findKey(): void {
    const low = this.attributesStart;
    const high = this.attributesEnd;
    const hasReach = this.reachFamily !== 0;
    const hasUnreach = this.unreachFamily !== 0;
    const swap = hasUnreach && (!hasReach || this.#unreachAttributeStart < this.#reachAttributeStart);
    let firstStart = high;
    let firstEnd = high;
    let secondStart = high;
    let secondEnd = high;
    if (swap) {
      firstStart = this.#unreachAttributeStart;
      firstEnd = this.#unreachAttributeEnd;
      if (hasReach) {
        secondStart = this.#reachAttributeStart;
        secondEnd = this.#reachAttributeEnd;
      }
    } else if (hasReach) {
      firstStart = this.#reachAttributeStart;
      firstEnd = this.#reachAttributeEnd;
      if (hasUnreach) {
        secondStart = this.#unreachAttributeStart;
        secondEnd = this.#unreachAttributeEnd;
      }
    }

    // What is left is before the first, between the two, and behind the second.
    const before = firstStart - low;
    const between = secondStart - firstEnd;
    const behind = high - secondEnd;
    this.keyBytes = this.bytes;
    if (between === 0 && behind === 0) {
      this.keyStart = low;
      this.keyEnd = firstStart;
    } else if (before === 0 && behind === 0) {
      this.keyStart = firstEnd;
      this.keyEnd = secondStart;
    } else if (before === 0 && between === 0) {
      this.keyStart = secondEnd;
      this.keyEnd = high;
    } else {
      const length = before + between + behind;
      if (this.#scratch.length < length) this.#scratch = new Uint8Array(Math.max(MAX_MESSAGE, length));
      this.#scratch.set(this.bytes.subarray(low, firstStart), 0);
      this.#scratch.set(this.bytes.subarray(firstEnd, secondStart), before);
      this.#scratch.set(this.bytes.subarray(secondEnd, high), before + between);
      this.keyBytes = this.#scratch;
      this.keyStart = 0;
      this.keyEnd = length;
    }
  }

  #malformedList(field: string, at: number): false {
    this.error = {
      action: 'reset',
      code: 0,
      family: 0,
      rule: 'RFC 4271 6.3',
      reason: `${field} does not fit the message`,
      bytes: this.bytes.slice(at, at + 2),
      subcode: UPDATE_MALFORMED_ATTRIBUTE_LIST,
    };
    return false;
  }

  #repeated(code: number, at: number, next: number): false {
    this.error = {
      action: 'reset',
      code,
      family: 0,
      rule: 'RFC 7606 3(g)',
      reason: `${code === ATTR_MP_REACH ? 'MP_REACH_NLRI' : 'MP_UNREACH_NLRI'} appears twice`,
      bytes: this.bytes.slice(at, next),
      subcode: UPDATE_MALFORMED_ATTRIBUTE_LIST,
    };
    return false;
  }

  #badMp(code: number, at: number, value: number, next: number, section: string, reason: string): false {
    const bytes = this.bytes;
    const family =
      next - value < 3 ? 0 : (bytes[value]! << 16) | (bytes[value + 1]! << 8) | bytes[value + 2]!;
    this.error = mpError(code, family, section, reason, bytes.slice(at, next));
    return false;
  }
}

function fieldError(field: string, reason: string, bytes: Uint8Array): AttributeError {
  return {
    action: 'reset',
    code: 0,
    family: IPV4_UNICAST,
    rule: 'RFC 7606 5.3',
    reason: `${field}: ${reason}`,
    bytes,
    subcode: UPDATE_INVALID_NETWORK,
  };
}

/** RFC 7606 sections 5.3 and 7.11; subcode: RFC 4760 section 7. A family that can not be told can not be disabled. */
function mpError(
  code: number,
  family: Family,
  section: string,
  reason: string,
  bytes: Uint8Array,
): AttributeError {
  const name = code === ATTR_MP_REACH ? 'MP_REACH_NLRI' : 'MP_UNREACH_NLRI';
  return {
    action: family === 0 ? 'reset' : 'disable',
    code,
    family,
    rule: `RFC 7606 ${section}`,
    reason: family === 0 ? `${name}: ${reason}` : `${name} for ${familyName(family)}: ${reason}`,
    bytes,
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
  };
}
