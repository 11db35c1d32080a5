/**
 * Path attributes: from the block of bytes in an UPDATE to their meaning, and back.
 *
 * Errors are handled as RFC 7606 says: the descriptors name what a malformed attribute leads to, this file what a
 * malformed block does.
 */

import { isConfederation, isSet, mergeAs4Path } from './as-path.ts';
import { putU16 } from './bytes.ts';
import {
  AS_CONFED_SEQUENCE,
  AS_SEQUENCE,
  AS_TRANS,
  ATTR_AS_PATH,
  ATTR_MP_REACH,
  ATTR_MP_UNREACH,
  ATTR_NEXT_HOP,
  ATTR_ORIGIN,
  FLAG_EXTENDED_LENGTH,
  FLAG_OPTIONAL,
  FLAG_PARTIAL,
  FLAG_TRANSITIVE,
} from './constants.ts';
import { DESCRIPTOR_BY_CODE, DESCRIPTORS, type Descriptor, Draft } from './descriptors.ts';
import { errorNotification } from './errors.ts';
import { nextHopProblem } from './next-hop.ts';
import {
  type Notification,
  UPDATE_ATTRIBUTE_FLAGS,
  UPDATE_INVALID_NEXT_HOP,
  UPDATE_MALFORMED_AS_PATH,
  UPDATE_MALFORMED_ATTRIBUTE_LIST,
  UPDATE_MISSING_WELL_KNOWN,
  UPDATE_OPTIONAL_ATTRIBUTE,
  UPDATE_UNRECOGNIZED_WELL_KNOWN,
} from './notification.ts';
import type {
  AttributeError,
  CodecContext,
  DecodedAttributes,
  ErrorAction,
  NextHop,
  PathAttributes,
} from './types.ts';

/**
 * Decodes the attributes of routes: a whole attribute block, or the raw attribute key that `UpdateScanner` found.
 * MP_REACH_NLRI and MP_UNREACH_NLRI are passed over.
 *
 * `mpNextHop` is the next hop of routes that came in MP_REACH_NLRI; NEXT_HOP is then not needed and not used (RFC
 * 4760 section 3). Without it the routes are those of the NLRI field, and NEXT_HOP is mandatory.
 *
 * The result holds no reference to `block`.
 */
export function decodeAttributes(
  block: Uint8Array,
  context: CodecContext,
  mpNextHop?: NextHop,
): DecodedAttributes {
  const draft = new Draft();
  const errors: AttributeError[] = [];
  // Where the next hop came in MP_REACH_NLRI, NEXT_HOP is ignored, and so is what is wrong with it: some send 0.0.0.0.
  readBlock(block, context, draft, errors, mpNextHop !== undefined);
  if (!has(errors, 'reset')) {
    if (!draft.truncated) checkMandatory(draft, mpNextHop, errors);
    if (!context.as4) mergeFourOctet(draft);
    checkAsPath(block, draft, context, errors);
    if (mpNextHop !== undefined) checkNextHop(mpNextHop, errors);
  }
  if (errors.length > 0) {
    const reset = errors.find((error) => error.action === 'reset');
    if (reset !== undefined) return { kind: 'reset', notification: errorNotification(reset), errors };
    if (has(errors, 'withdraw')) return { kind: 'treat-as-withdraw', errors };
  }
  return { kind: 'attributes', attributes: finish(draft, mpNextHop ?? draft.nextHop!), errors };
}

/**
 * Checks the attributes of an UPDATE that announces no route. There is nothing that could be withdrawn in place of an
 * error, and the error may be why no route was found, so any that is more than a discarded attribute resets the
 * session (RFC 7606 section 5.2).
 */
export function checkAttributes(
  block: Uint8Array,
  context: CodecContext,
): { readonly notification: Notification | undefined; readonly errors: readonly AttributeError[] } {
  const errors: AttributeError[] = [];
  readBlock(block, context, new Draft(), errors);
  const severe =
    errors.find(({ action }) => action === 'reset') ?? errors.find(({ action }) => action !== 'discard');
  return { notification: severe === undefined ? undefined : errorNotification(severe), errors };
}

/**
 * Writes attributes at `at`, as an UPDATE to this neighbour carries them; where they end, or -1 if `out` has not the
 * room.
 *
 * NEXT_HOP is among them if the next hop is an IPv4 address; an IPv6 one goes into MP_REACH_NLRI, which is not
 * written here. LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST never go to an external neighbour; AS4_PATH and
 * AS4_AGGREGATOR go to neighbours without four-octet AS numbers, when they say more than AS_PATH and AGGREGATOR.
 */
export function encodeAttributes(
  attributes: PathAttributes,
  context: CodecContext,
  out: Uint8Array,
  at: number,
): number {
  const { unknown } = attributes;
  let nextUnknown = 0;
  for (const descriptor of DESCRIPTORS) {
    for (; nextUnknown < unknown.length && unknown[nextUnknown]!.code < descriptor.code; nextUnknown++) {
      at = putUnknown(attributes, nextUnknown, out, at);
      if (at < 0) return -1;
    }
    if (isNotFor(descriptor, context)) continue;
    const size = descriptor.size(attributes, context);
    if (size < 0) continue;
    const partial = attributes.partial?.includes(descriptor.code) ? FLAG_PARTIAL : 0;
    at = putAttributeHeader(descriptor.flags | partial, descriptor.code, size, out, at);
    if (at < 0) return -1;
    descriptor.put(attributes, context, out, at);
    at += size;
  }
  for (; nextUnknown < unknown.length; nextUnknown++) {
    at = putUnknown(attributes, nextUnknown, out, at);
    if (at < 0) return -1;
  }
  return at;
}

/** `AS_PATH`, or `attribute 35` for one that this speaker does not know. */
export function attributeName(code: number): string {
  if (code === ATTR_MP_REACH) return 'MP_REACH_NLRI';
  if (code === ATTR_MP_UNREACH) return 'MP_UNREACH_NLRI';
  return DESCRIPTOR_BY_CODE[code]?.name ?? `attribute ${code}`;
}

/** Walks the attributes into the draft; goes on after an error, up to one that resets the session. */
function readBlock(
  block: Uint8Array,
  context: CodecContext,
  draft: Draft,
  errors: AttributeError[],
  nextHopApart = false,
): void {
  const end = block.length;
  let at = 0;
  while (at < end) {
    const extended = (block[at]! & FLAG_EXTENDED_LENGTH) !== 0;
    const start = at + (extended ? 4 : 3);
    if (start > end) {
      draft.truncated = true;
      errors.push(truncated(block, at, `${end - at} bytes left, an attribute takes ${start - at} or more`));
      return;
    }
    const code = block[at + 1]!;
    const length = extended ? (block[at + 2]! << 8) | block[at + 3]! : block[at + 2]!;
    const next = start + length;
    if (next > end) {
      draft.truncated = true;
      errors.push(
        truncated(block, at, `${attributeName(code)}: length ${length}, ${end - start} bytes left`),
      );
      return;
    }
    const passed = code === ATTR_MP_REACH || code === ATTR_MP_UNREACH;
    if (!passed && !(nextHopApart && code === ATTR_NEXT_HOP)) {
      const error = readAttribute(block, at, start, next, context, draft);
      if (error !== undefined) {
        errors.push(error);
        if (error.action === 'reset') return;
      }
    }
    at = next;
  }
}

/**
 * One attribute, header at `at`, value from `start` to `end`. Where two checks apply, the one with the stronger
 * action is first.
 */
function readAttribute(
  block: Uint8Array,
  at: number,
  start: number,
  end: number,
  context: CodecContext,
  draft: Draft,
): AttributeError | undefined {
  const flags = block[at]!;
  const code = block[at + 1]!;
  if (draft.hasSeen(code)) {
    // All but the first are left out, whether known or not.
    const bytes = block.slice(at, end);
    return attributeError(
      'discard',
      'RFC 7606 3(g)',
      code,
      'appears again',
      UPDATE_MALFORMED_ATTRIBUTE_LIST,
      bytes,
    );
  }
  draft.see(code);

  const descriptor = DESCRIPTOR_BY_CODE[code];
  if (descriptor === undefined) return readUnknown(block, at, start, end, draft);

  const kind = flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE);
  if (kind !== descriptor.flags) {
    const reason = `flagged ${kindName(kind)}, expected ${kindName(descriptor.flags)}`;
    const bytes = block.slice(at, end);
    return attributeError('withdraw', 'RFC 7606 3(c)', code, reason, UPDATE_ATTRIBUTE_FLAGS, bytes);
  }
  if (isNotFor(descriptor, context)) {
    const from =
      descriptor.notFor === 'external' ? 'an external neighbour' : 'one that knows four-octet AS numbers';
    const bytes = block.slice(at, end);
    return attributeError(
      'discard',
      descriptor.rule,
      code,
      `comes from ${from}`,
      UPDATE_OPTIONAL_ATTRIBUTE,
      bytes,
    );
  }
  const reason = descriptor.decode(draft, block, start, end, context);
  if (reason !== undefined) {
    const bytes = block.slice(at, end);
    return attributeError(descriptor.malformed, descriptor.rule, code, reason, descriptor.subcode, bytes);
  }
  if (code === ATTR_AS_PATH) {
    draft.asPathAt = at;
    draft.asPathEnd = end;
  }
  if ((flags & FLAG_PARTIAL) !== 0 && kind === (FLAG_OPTIONAL | FLAG_TRANSITIVE)) {
    draft.partial ??= [];
    draft.partial.push(code);
  }
  return undefined;
}

/** RFC 4271 sections 5 and 6.3: a transitive one is passed on, another optional one ignored quietly. */
function readUnknown(
  block: Uint8Array,
  at: number,
  start: number,
  end: number,
  draft: Draft,
): AttributeError | undefined {
  const flags = block[at]!;
  const code = block[at + 1]!;
  if ((flags & FLAG_OPTIONAL) === 0) {
    const reason = 'well-known, but not recognized';
    const bytes = block.slice(at, end);
    return attributeError('reset', 'RFC 4271 6.3', code, reason, UPDATE_UNRECOGNIZED_WELL_KNOWN, bytes);
  }
  if ((flags & FLAG_TRANSITIVE) !== 0) {
    draft.unknown.push({ flags: flags & ~FLAG_EXTENDED_LENGTH, code, value: block.slice(start, end) });
  }
  return undefined;
}

/** RFC 7606 section 3 (d); NEXT_HOP is mandatory for the NLRI field only (RFC 4760 section 3). */
function checkMandatory(draft: Draft, mpNextHop: NextHop | undefined, errors: AttributeError[]): void {
  for (const code of MANDATORY) {
    if (draft.hasSeen(code) || (code === ATTR_NEXT_HOP && mpNextHop !== undefined)) continue;
    // What a NOTIFICATION would carry: RFC 4271 section 6.3.
    const bytes = Uint8Array.of(code);
    errors.push(
      attributeError('withdraw', 'RFC 7606 3(d)', code, 'is missing', UPDATE_MISSING_WELL_KNOWN, bytes),
    );
  }
}

const MANDATORY: readonly number[] = [ATTR_ORIGIN, ATTR_AS_PATH, ATTR_NEXT_HOP];

/** What two-octet attributes left out is filled in from the AS4 ones: RFC 6793 section 4.2.3. */
function mergeFourOctet(draft: Draft): void {
  if (draft.aggregator !== undefined && draft.as4Aggregator !== undefined) {
    // Otherwise somebody who does not know these attributes has aggregated since, and they are out of date.
    if (draft.aggregator.asn !== AS_TRANS) return;
    draft.aggregator = draft.as4Aggregator;
  }
  if (draft.as4Path !== undefined) draft.asPath = mergeAs4Path(draft.asPath, draft.as4Path);
}

/** What an AS_PATH that is well formed may still not be. */
function checkAsPath(block: Uint8Array, draft: Draft, context: CodecContext, errors: AttributeError[]): void {
  if (draft.asPathEnd === 0) return; // missing or malformed, which has been said
  const path = draft.asPath;
  const first = path[0];
  let rule = '';
  let reason = '';
  if (context.confederation === undefined && path.some(isConfederation)) {
    rule = 'RFC 5065 5';
    reason = 'has a confederation segment, but the neighbour is not in our confederation';
  } else if (context.confederation === 'other-member' && first?.type !== AS_CONFED_SEQUENCE) {
    rule = 'RFC 5065 5';
    reason = 'does not start with a confederation sequence, but the neighbour is in another member AS';
  } else if (context.rejectAsSets && path.some(isSet)) {
    rule = 'RFC 9774 3';
    reason = 'has a set';
  } else if (context.firstAs && (first?.type !== AS_SEQUENCE || first.asns[0] !== context.firstAs)) {
    rule = 'RFC 7606 7.2';
    reason = `starts with ${first?.asns[0] ?? 'nothing'}, expected ${context.firstAs}`;
  } else {
    return;
  }
  const bytes = block.slice(draft.asPathAt, draft.asPathEnd);
  errors.push(attributeError('withdraw', rule, ATTR_AS_PATH, reason, UPDATE_MALFORMED_AS_PATH, bytes));
}

/** NEXT_HOP is checked by its descriptor; the same holds for the next hop that MP_REACH_NLRI carries. */
function checkNextHop(nextHop: NextHop, errors: AttributeError[]): void {
  const problem = nextHopProblem(nextHop);
  if (problem === undefined) return;
  const reason = `${problem} address as next hop`;
  errors.push(
    attributeError('withdraw', 'RFC 4271 6.3', ATTR_MP_REACH, reason, UPDATE_INVALID_NEXT_HOP, nextHop.bytes),
  );
}

/**
 * RFC 7606 section 4: an attribute that runs over the end of the block, or a rest too short to be one. Prefixes are
 * found without it, so the routes are withdrawn.
 */
function truncated(block: Uint8Array, at: number, reason: string): AttributeError {
  return attributeError(
    'withdraw',
    'RFC 7606 4',
    0,
    reason,
    UPDATE_MALFORMED_ATTRIBUTE_LIST,
    block.slice(at),
  );
}

function attributeError(
  action: ErrorAction,
  rule: string,
  code: number,
  reason: string,
  subcode: number,
  bytes: Uint8Array,
): AttributeError {
  const text = code === 0 ? reason : `${attributeName(code)} ${reason}`;
  return { action, code, family: 0, rule, reason: text, bytes, subcode };
}

function has(errors: readonly AttributeError[], action: ErrorAction): boolean {
  for (const error of errors) if (error.action === action) return true;
  return false;
}

function finish(draft: Draft, nextHop: NextHop): PathAttributes {
  if (draft.unknown.length > 1) draft.unknown.sort((a, b) => a.code - b.code);
  return {
    origin: draft.origin,
    asPath: draft.asPath,
    nextHop,
    med: draft.med,
    localPref: draft.localPref,
    atomicAggregate: draft.atomicAggregate,
    aggregator: draft.aggregator,
    communities: draft.communities,
    extendedCommunities: draft.extendedCommunities,
    largeCommunities: draft.largeCommunities,
    originatorId: draft.originatorId,
    clusterList: draft.clusterList,
    unknown: draft.unknown,
    partial: draft.partial,
  };
}

function isNotFor(descriptor: Descriptor, context: CodecContext): boolean {
  if (descriptor.notFor === undefined) return false;
  return descriptor.notFor === 'external' ? context.ebgp : context.as4;
}

function kindName(kind: number): string {
  const optional = (kind & FLAG_OPTIONAL) !== 0 ? 'optional' : 'well-known';
  return `${optional} ${(kind & FLAG_TRANSITIVE) !== 0 ? 'transitive' : 'non-transitive'}`;
}

/**
 * Writes an attribute header for a value of `size` bytes; where the value starts, or -1 if header and value have no
 * room.
 */
function putAttributeHeader(flags: number, code: number, size: number, out: Uint8Array, at: number): number {
  const extended = size > 255;
  const start = at + (extended ? 4 : 3);
  if (start + size > out.length) return -1;
  out[at + 1] = code;
  if (extended) {
    out[at] = flags | FLAG_EXTENDED_LENGTH;
    putU16(out, at + 2, size);
  } else {
    out[at] = flags;
    out[at + 2] = size;
  }
  return start;
}

/** RFC 4271 section 9: whoever passes on what it does not know sets the Partial bit. */
function putUnknown(attributes: PathAttributes, index: number, out: Uint8Array, at: number): number {
  const { flags, code, value } = attributes.unknown[index]!;
  at = putAttributeHeader(flags | FLAG_PARTIAL, code, value.length, out, at);
  if (at < 0) return -1;
  out.set(value, at);
  return at + value.length;
}
