/**
 * Every path attribute this speaker knows, one descriptor each: how it is flagged, read, written, and what is done
 * when it is malformed. MP_REACH_NLRI and MP_UNREACH_NLRI are not among them: they carry prefixes, and `update.ts`
 * reads them.
 */

import { asPathSize, decodeAsPath, needsAs4Path, putAsPath, withoutConfederation } from './as-path.ts';
import { getU16, getU32, NO_BYTES, putU16, putU32 } from './bytes.ts';
import {
  AS_TRANS,
  ATTR_AGGREGATOR,
  ATTR_AS_PATH,
  ATTR_AS4_AGGREGATOR,
  ATTR_AS4_PATH,
  ATTR_ATOMIC_AGGREGATE,
  ATTR_CLUSTER_LIST,
  ATTR_COMMUNITIES,
  ATTR_EXTENDED_COMMUNITIES,
  ATTR_LARGE_COMMUNITIES,
  ATTR_LOCAL_PREF,
  ATTR_MED,
  ATTR_NEXT_HOP,
  ATTR_ORIGIN,
  ATTR_ORIGINATOR_ID,
  FLAG_OPTIONAL,
  FLAG_TRANSITIVE,
  ORIGIN_INCOMPLETE,
} from './constants.ts';
import { decodeNextHop, nextHopProblem, putNextHop } from './next-hop.ts';
import {
  UPDATE_ATTRIBUTE_LENGTH,
  UPDATE_INVALID_NEXT_HOP,
  UPDATE_INVALID_ORIGIN,
  UPDATE_MALFORMED_AS_PATH,
  UPDATE_OPTIONAL_ATTRIBUTE,
} from './notification.ts';
import type {
  Aggregator,
  AsPath,
  CodecContext,
  ErrorAction,
  NextHop,
  PathAttributes,
  UnknownAttribute,
} from './types.ts';

/** Attributes on their way in, before it is known whether all of them are there. */
export class Draft {
  origin = 0;
  asPath: AsPath = [];
  nextHop: NextHop | undefined = undefined;
  med: number | undefined = undefined;
  localPref: number | undefined = undefined;
  atomicAggregate = false;
  aggregator: Aggregator | undefined = undefined;
  communities: Uint32Array = NO_NUMBERS;
  extendedCommunities: Uint8Array = NO_BYTES;
  largeCommunities: Uint32Array = NO_NUMBERS;
  originatorId: number | undefined = undefined;
  clusterList: Uint32Array = NO_NUMBERS;
  as4Path: AsPath | undefined = undefined;
  as4Aggregator: Aggregator | undefined = undefined;
  unknown: UnknownAttribute[] = [];
  partial: number[] | undefined = undefined;

  /** The block ends in the middle of an attribute. */
  truncated = false;
  /** Where a well-formed AS_PATH lies in the block; 0 and 0 if there is none. */
  asPathAt = 0;
  asPathEnd = 0;
  /** Attribute codes that have been met, malformed ones among them: low codes as bits, others in a set. */
  #low = 0;
  #others: Set<number> | undefined = undefined;

  hasSeen(code: number): boolean {
    return code < 32 ? (this.#low & (1 << code)) !== 0 : this.#others?.has(code) === true;
  }

  see(code: number): void {
    if (code < 32) {
      this.#low |= 1 << code;
    } else {
      this.#others ??= new Set();
      this.#others.add(code);
    }
  }
}

export type Descriptor = {
  readonly code: number;
  readonly name: string;
  /** What Optional and Transitive must be; anything else is treated as withdrawn: RFC 7606 section 3 (c). */
  readonly flags: number;
  /** From whom the attribute is not taken (it is discarded) and to whom it is not sent. */
  readonly notFor?: 'external' | 'as4';
  /** What a malformed one leads to. */
  readonly malformed: ErrorAction;
  /** Where the RFCs say so. */
  readonly rule: string;
  /** UPDATE Message Error subcode of a malformed one. */
  readonly subcode: number;
  /** Reads the value into the draft. Text says what is malformed; `undefined` is well. */
  decode(
    draft: Draft,
    bytes: Uint8Array,
    start: number,
    end: number,
    context: CodecContext,
  ): string | undefined;
  /** Bytes of the value, -1 if the attribute is not to be written. */
  size(attributes: PathAttributes, context: CodecContext): number;
  /** Writes the value, which takes `size` bytes. */
  put(attributes: PathAttributes, context: CodecContext, out: Uint8Array, at: number): void;
};

const WELL_KNOWN = FLAG_TRANSITIVE;
const OPTIONAL_TRANSITIVE = FLAG_OPTIONAL | FLAG_TRANSITIVE;
const OPTIONAL_NON_TRANSITIVE = FLAG_OPTIONAL;

const NO_NUMBERS: Uint32Array = new Uint32Array(0);

/** In ascending order of code, the order they are sent in (RFC 4271 section 5). */
export const DESCRIPTORS: readonly Descriptor[] = [
  {
    code: ATTR_ORIGIN,
    name: 'ORIGIN',
    flags: WELL_KNOWN,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.1',
    subcode: UPDATE_INVALID_ORIGIN,
    decode(draft, bytes, start, end) {
      if (end - start !== 1) return badLength(end - start, '1');
      draft.origin = bytes[start]!;
      return draft.origin > ORIGIN_INCOMPLETE ? `value ${draft.origin}, expected 0, 1 or 2` : undefined;
    },
    size: () => 1,
    put(attributes, _context, out, at) {
      out[at] = attributes.origin;
    },
  },
  {
    code: ATTR_AS_PATH,
    name: 'AS_PATH',
    flags: WELL_KNOWN,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.2',
    subcode: UPDATE_MALFORMED_AS_PATH,
    decode(draft, bytes, start, end, context) {
      const path = decodeAsPath(bytes, start, end, context.as4);
      if (typeof path === 'string') return path;
      draft.asPath = path;
      return undefined;
    },
    size: (attributes, context) => asPathSize(attributes.asPath, context.as4),
    put(attributes, context, out, at) {
      putAsPath(attributes.asPath, context.as4, out, at);
    },
  },
  {
    code: ATTR_NEXT_HOP,
    name: 'NEXT_HOP',
    flags: WELL_KNOWN,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.3',
    subcode: UPDATE_INVALID_NEXT_HOP,
    decode(draft, bytes, start, end) {
      if (end - start !== 4) return badLength(end - start, '4');
      draft.nextHop = decodeNextHop(bytes, start, end);
      const problem = nextHopProblem(draft.nextHop);
      return problem === undefined ? undefined : `${problem} address`;
    },
    // An IPv6 next hop travels in MP_REACH_NLRI, whatever family the prefixes are of.
    size: (attributes) => (attributes.nextHop.family === 4 ? 4 : -1),
    put(attributes, _context, out, at) {
      putNextHop(attributes.nextHop, out, at);
    },
  },
  {
    code: ATTR_MED,
    name: 'MULTI_EXIT_DISC',
    flags: OPTIONAL_NON_TRANSITIVE,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.4',
    subcode: UPDATE_ATTRIBUTE_LENGTH,
    decode(draft, bytes, start, end) {
      if (end - start !== 4) return badLength(end - start, '4');
      draft.med = getU32(bytes, start);
      return undefined;
    },
    size: (attributes) => (attributes.med === undefined ? -1 : 4),
    put(attributes, _context, out, at) {
      putU32(out, at, attributes.med!);
    },
  },
  {
    code: ATTR_LOCAL_PREF,
    name: 'LOCAL_PREF',
    flags: WELL_KNOWN,
    notFor: 'external',
    malformed: 'withdraw',
    rule: 'RFC 7606 7.5',
    subcode: UPDATE_ATTRIBUTE_LENGTH,
    decode(draft, bytes, start, end) {
      if (end - start !== 4) return badLength(end - start, '4');
      draft.localPref = getU32(bytes, start);
      return undefined;
    },
    size: (attributes) => (attributes.localPref === undefined ? -1 : 4),
    put(attributes, _context, out, at) {
      putU32(out, at, attributes.localPref!);
    },
  },
  {
    code: ATTR_ATOMIC_AGGREGATE,
    name: 'ATOMIC_AGGREGATE',
    flags: WELL_KNOWN,
    malformed: 'discard',
    rule: 'RFC 7606 7.6',
    subcode: UPDATE_ATTRIBUTE_LENGTH,
    decode(draft, _bytes, start, end) {
      if (end !== start) return badLength(end - start, '0');
      draft.atomicAggregate = true;
      return undefined;
    },
    size: (attributes) => (attributes.atomicAggregate ? 0 : -1),
    put() {},
  },
  {
    code: ATTR_AGGREGATOR,
    name: 'AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'discard',
    rule: 'RFC 7606 7.7',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end, { as4 }) {
      const width = as4 ? 4 : 2;
      if (end - start !== width + 4) return badLength(end - start, `${width + 4}`);
      const asn = as4 ? getU32(bytes, start) : getU16(bytes, start);
      if (asn === 0) return 'AS 0'; // RFC 7607 section 2
      draft.aggregator = { asn, address: getU32(bytes, start + width) };
      return undefined;
    },
    size: (attributes, { as4 }) => (attributes.aggregator === undefined ? -1 : as4 ? 8 : 6),
    put(attributes, { as4 }, out, at) {
      const { asn, address } = attributes.aggregator!;
      if (as4) putU32(out, at, asn);
      else putU16(out, at, asn > 0xffff ? AS_TRANS : asn); // RFC 6793 section 4.2.2
      putU32(out, at + (as4 ? 4 : 2), address);
    },
  },
  {
    code: ATTR_COMMUNITIES,
    name: 'COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.8',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (!isMultiple(end - start, 4)) return badLength(end - start, 'a multiple of 4');
      draft.communities = getNumbers(bytes, start, end);
      return undefined;
    },
    size: (attributes) => sizeOfNumbers(attributes.communities),
    put(attributes, _context, out, at) {
      putNumbers(attributes.communities, out, at);
    },
  },
  {
    code: ATTR_ORIGINATOR_ID,
    name: 'ORIGINATOR_ID',
    flags: OPTIONAL_NON_TRANSITIVE,
    notFor: 'external',
    malformed: 'withdraw',
    rule: 'RFC 7606 7.9',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (end - start !== 4) return badLength(end - start, '4');
      draft.originatorId = getU32(bytes, start);
      return undefined;
    },
    size: (attributes) => (attributes.originatorId === undefined ? -1 : 4),
    put(attributes, _context, out, at) {
      putU32(out, at, attributes.originatorId!);
    },
  },
  {
    code: ATTR_CLUSTER_LIST,
    name: 'CLUSTER_LIST',
    flags: OPTIONAL_NON_TRANSITIVE,
    notFor: 'external',
    malformed: 'withdraw',
    rule: 'RFC 7606 7.10',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (!isMultiple(end - start, 4)) return badLength(end - start, 'a multiple of 4');
      draft.clusterList = getNumbers(bytes, start, end);
      return undefined;
    },
    size: (attributes) => sizeOfNumbers(attributes.clusterList),
    put(attributes, _context, out, at) {
      putNumbers(attributes.clusterList, out, at);
    },
  },
  {
    code: ATTR_EXTENDED_COMMUNITIES,
    name: 'EXTENDED COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'withdraw',
    rule: 'RFC 7606 7.14',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (!isMultiple(end - start, 8)) return badLength(end - start, 'a multiple of 8');
      draft.extendedCommunities = bytes.slice(start, end);
      return undefined;
    },
    size: (attributes) => attributes.extendedCommunities.length || -1,
    put(attributes, _context, out, at) {
      out.set(attributes.extendedCommunities, at);
    },
  },
  {
    code: ATTR_AS4_PATH,
    name: 'AS4_PATH',
    flags: OPTIONAL_TRANSITIVE,
    notFor: 'as4', // RFC 6793 section 6: not between neighbours that both know four-octet numbers
    malformed: 'discard',
    rule: 'RFC 6793 6',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (end - start < 6) return badLength(end - start, '6 or more');
      const path = decodeAsPath(bytes, start, end, true);
      if (typeof path === 'string') return path;
      draft.as4Path = withoutConfederation(path);
      return undefined;
    },
    size: ({ asPath }) => (needsAs4Path(asPath) ? asPathSize(withoutConfederation(asPath), true) : -1),
    put(attributes, _context, out, at) {
      putAsPath(withoutConfederation(attributes.asPath), true, out, at);
    },
  },
  {
    code: ATTR_AS4_AGGREGATOR,
    name: 'AS4_AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    notFor: 'as4',
    malformed: 'discard',
    rule: 'RFC 6793 6',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (end - start !== 8) return badLength(end - start, '8');
      const asn = getU32(bytes, start);
      if (asn === 0) return 'AS 0'; // RFC 7607 section 2
      draft.as4Aggregator = { asn, address: getU32(bytes, start + 4) };
      return undefined;
    },
    size: ({ aggregator }) => (aggregator !== undefined && aggregator.asn > 0xffff ? 8 : -1),
    put(attributes, _context, out, at) {
      putU32(out, at, attributes.aggregator!.asn);
      putU32(out, at + 4, attributes.aggregator!.address);
    },
  },
  {
    code: ATTR_LARGE_COMMUNITIES,
    name: 'LARGE_COMMUNITY',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'withdraw',
    rule: 'RFC 8092 6',
    subcode: UPDATE_OPTIONAL_ATTRIBUTE,
    decode(draft, bytes, start, end) {
      if (!isMultiple(end - start, 12)) return badLength(end - start, 'a multiple of 12');
      draft.largeCommunities = withoutRepeats(getNumbers(bytes, start, end));
      return undefined;
    },
    size: (attributes) => sizeOfNumbers(attributes.largeCommunities),
    put(attributes, _context, out, at) {
      putNumbers(attributes.largeCommunities, out, at);
    },
  },
];

/** The descriptor by attribute code; `undefined` for what this speaker does not know. */
export const DESCRIPTOR_BY_CODE: readonly (Descriptor | undefined)[] = byCode();

function byCode(): (Descriptor | undefined)[] {
  const table = new Array<Descriptor | undefined>(256).fill(undefined);
  for (const descriptor of DESCRIPTORS) table[descriptor.code] = descriptor;
  return table;
}

function badLength(found: number, expected: string): string {
  return `length ${found}, expected ${expected}`;
}

/**
 * A multiple, and not zero: an attribute without content is an error where it is not said to be well (RFC 7606
 * section 4).
 */
function isMultiple(length: number, unit: number): boolean {
  return length > 0 && length % unit === 0;
}

function getNumbers(bytes: Uint8Array, start: number, end: number): Uint32Array {
  const numbers = new Uint32Array((end - start) >>> 2);
  for (let i = 0, at = start; i < numbers.length; i++, at += 4) numbers[i] = getU32(bytes, at);
  return numbers;
}

function sizeOfNumbers(numbers: Uint32Array): number {
  return numbers.length === 0 ? -1 : 4 * numbers.length;
}

function putNumbers(numbers: Uint32Array, out: Uint8Array, at: number): void {
  for (let i = 0; i < numbers.length; i++, at += 4) putU32(out, at, numbers[i]!);
}

/** Large communities that are there twice count once: RFC 8092 section 5. */
function withoutRepeats(numbers: Uint32Array): Uint32Array {
  let kept = 0;
  for (let i = 0; i < numbers.length; i += 3) {
    let repeated = false;
    for (let j = 0; j < kept && !repeated; j += 3) {
      repeated =
        numbers[i] === numbers[j] && numbers[i + 1] === numbers[j + 1] && numbers[i + 2] === numbers[j + 2];
    }
    if (repeated) continue;
    if (kept !== i) numbers.copyWithin(kept, i, i + 3);
    kept += 3;
  }
  return kept === numbers.length ? numbers : numbers.slice(0, kept);
}
